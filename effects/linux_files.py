"""Files and directories, as `effects.host` promises them, on the kernel. LEAN."""

from __future__ import annotations

import errno
import os
import stat

from effects.failure import StepFailed
from effects.remove_tree import remove_tree

_MARK = "trusted.mydocker"
# File handles and ids; overlayfs with index=on answers ESTALE where they do not fit (kernel, filesystems/overlayfs.rst).
_BINDING = tuple(f"trusted.overlay.{name}" for name in ("origin", "uuid", "impure"))


class Files:
    """The files half of LinuxHost; holds no state."""

    def exists(self, path: str) -> bool:
        return os.path.lexists(path)

    def read_file(self, path: str, most: int = -1) -> bytes:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            content = b""
            while piece := os.read(descriptor, 1 << 16):
                content += piece
                if 0 <= most < len(content):
                    break
        except OSError as error:
            raise OSError(error.errno, error.strerror, path) from error
        finally:
            os.close(descriptor)
        if 0 <= most < len(content):
            raise OSError(errno.EFBIG, f"it has more than {most} bytes", path)
        return content

    def read_link(self, path: str) -> str | None:
        try:
            return os.readlink(path)
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.EINVAL, errno.ENOTDIR}:
                return None
            raise

    def subdirs(self, path: str) -> list[str]:
        try:
            with os.scandir(path) as entries:
                return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            return []

    def get_mark(self, path: str) -> bool:
        try:
            os.getxattr(path, _MARK)
        except OSError as error:
            if error.errno in {errno.ENODATA, errno.ENOENT}:
                return False
            raise
        return True

    def forget_overlay(self, path: str) -> None:
        for mark in _BINDING:
            try:
                os.removexattr(path, mark)
            except OSError as error:
                if error.errno not in {errno.ENODATA, errno.EOPNOTSUPP}:
                    raise

    def make_dir(self, path: str, mode: int) -> None:
        try:
            os.mkdir(path, mode)
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                raise
        else:
            os.chmod(path, mode)

    def write_file(self, path: str, data: bytes, mode: int, *, sync: bool) -> None:
        fresh = f"{path}.new"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(fresh, flags, mode)
        try:
            try:
                os.fchmod(descriptor, mode)
                _write(descriptor, data, path)
                if sync:
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.rename(fresh, path)
        except OSError:
            os.unlink(fresh)
            raise

    def rewrite_file(self, path: str, data: bytes) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            _write(descriptor, data, path)
            os.ftruncate(descriptor, len(data))
        finally:
            os.close(descriptor)

    def make_fifo(self, path: str, mode: int, uid: int, gid: int) -> None:
        try:
            os.mkfifo(path, mode)
        except FileExistsError:
            if not stat.S_ISFIFO(os.lstat(path).st_mode):
                raise
        # chown first: it would clear bits that chmod sets.
        os.chown(path, uid, gid, follow_symlinks=False)
        os.chmod(path, mode)

    def symlink(self, target: str, path: str) -> None:
        fresh = f"{path}.new"
        self.remove_file(fresh)
        os.symlink(target, fresh)
        try:
            os.rename(fresh, path)
        except OSError:
            os.unlink(fresh)
            raise

    def rename(self, source: str, target: str) -> None:
        os.rename(source, target)

    def remove_file(self, path: str) -> None:
        try:
            os.unlink(path)
        except (FileNotFoundError, NotADirectoryError):
            return

    def remove_tree(self, path: str) -> None:
        remove_tree(path)

    def sync(self, path: str) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        except OSError as error:
            # A failed fsync is never true on retry (the kernel has dropped the pages): it fails the step.
            raise StepFailed("sync", error.errno or 0, error.strerror or "", path) from error
        finally:
            os.close(descriptor)

    def set_mark(self, path: str) -> None:
        os.setxattr(path, _MARK, b"1")


def _write(descriptor: int, data: bytes, path: str) -> None:
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error
