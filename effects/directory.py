"""A container's directory: what it wrote, its logs, its secrets, the ends of its pipes. LEAN."""

from __future__ import annotations

import errno

from effects.failure import StepFailed
from effects.trees import ensure_dir_durably, remove_durably

TYPE_CHECKING = False
if TYPE_CHECKING:
    from effects.host import Facts, Host, Spec

SUBDIRECTORIES = ("upper", "work", "etc", "log")
_MADE = "made"  # the file that comes last


class Directory:
    """ROOT/containers/<id>, mode 0700, on disk before `do` returns.

    spec    path: the directory   id: the container's
            files: path below it -> content; None: as the host's own file of that path (/etc/resolv.conf) is now
            fifos: name -> [uid, gid] of its owner
            process: {"name": file name}; its content comes out of band, in host.secrets[name], and is written
            with mode 0600. Without it, and without the file, `do` fails: nobody else knows what it held.
    facts   {}
    """

    def probe(self, spec: Spec, host: Host) -> Facts | None:
        return {} if host.exists(f"{spec['path']}/{_MADE}") else None

    def do(self, spec: Spec, host: Host) -> Facts:
        path = spec["path"]
        above = path.rpartition("/")[0]
        ensure_dir_durably(host, above)
        host.make_dir(path, 0o700)
        _write_secret(spec, host)
        for name in SUBDIRECTORIES:
            # overlayfs shows the mode of `upper` as that of the container's root directory.
            host.make_dir(f"{path}/{name}", 0o755 if name == "upper" else 0o700)
        for name, content in spec["files"].items():
            # Others than root must be able to read what is mounted into the container.
            host.write_file(f"{path}/{name}", _content(host, name, content), 0o644, sync=False)
        for name, (uid, gid) in spec["fifos"].items():
            host.make_fifo(f"{path}/{name}", 0o600, uid, gid)
        # The other subdirectories are empty: that they are there is their parent's entry. A flush costs more
        # than everything else here.
        for name in (*spec["files"], "etc"):
            host.sync(f"{path}/{name}")
        host.sync(path)
        host.sync(above)
        host.write_file(f"{path}/{_MADE}", b"", 0o600, sync=False)
        return {}

    def change(self, spec: Spec, host: Host) -> Facts:
        """It was moved or copied here: what an overlay keeps of the place it was mounted at is none of this one."""
        path = spec["path"]
        if host.exists(f"{path}/upper"):
            host.forget_overlay(f"{path}/upper")
            host.remove_tree(f"{path}/work")
            host.make_dir(f"{path}/work", 0o700)
            host.sync(path)
        return {}

    def undo(self, spec: Spec, _facts: Facts, host: Host) -> None:
        remove_durably(host, spec["path"])


def _write_secret(spec: Spec, host: Host) -> None:
    name = spec["process"]["name"]
    path = f"{spec['path']}/{name}"
    if host.exists(path):
        return
    if name not in host.secrets:
        raise StepFailed(
            "process file",
            errno.ENOENT,
            "the container's argv and environment are lost: only the command that created it had them",
            path,
        )
    host.write_file(path, host.secrets[name], 0o600, sync=True)


def _content(host: Host, name: str, content: str | None) -> bytes:
    if content is not None:
        return content.encode(errors="surrogateescape")
    return host.read_file(f"/{name}") if host.exists(f"/{name}") else b""
