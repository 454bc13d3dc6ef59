"""The first file system of the virtual machine: busybox, the modules it needs to reach its root, and `init`."""

from __future__ import annotations

import gzip
import stat
from pathlib import Path

MODULES = (
    *("virtio_pci", "virtio_blk", "virtio_console", "virtio_rng", "virtiofs", "overlay"),
    # On demand the kernel asks for each by alias, and an emulated machine takes 8 seconds for all that networks need.
    *("bridge", "veth", "nf_tables", "nf_conntrack_netlink", "nft_chain_nat", "nft_ct", "nft_fib_inet"),
    *("nft_masq", "nft_meta_bridge", "nft_nat"),
)
SIGNED = b"~Module signature appended~\n"
HERE = Path(__file__).parent


def build(kernel: Path, busybox: Path, out: Path) -> None:
    """Write `out`: a gzipped cpio archive. `kernel`: a directory with lib/modules, as tools/install-test makes it."""
    [modules] = (kernel / "lib" / "modules").iterdir()
    inside = f"lib/modules/{modules.name}"
    files: dict[str, tuple[int, bytes]] = {
        "bin/busybox": (stat.S_IFREG | 0o755, busybox.read_bytes()),
        "init": (stat.S_IFREG | 0o755, (HERE / "init.sh").read_bytes()),
        f"{inside}/modules.dep": (stat.S_IFREG | 0o644, (modules / "modules.dep").read_bytes()),
    }
    for path in _needed((modules / "modules.dep").read_text()):
        files[f"{inside}/{path}"] = (stat.S_IFREG | 0o644, _unsigned((modules / path).read_bytes()))
    directories = {str(parent) for name in files for parent in Path(name).parents} - {"."}
    directories |= {"dev", "proc", "sys", "lower", "upper", "root"}
    entries = dict.fromkeys(sorted(directories), (stat.S_IFDIR | 0o755, b"")) | files
    out.write_bytes(gzip.compress(_cpio(entries), 1))


def _needed(dependencies: str) -> list[str]:
    """The paths of our modules, and of all that they depend on (modules.dep lists those of those too)."""
    found: dict[str, None] = {}
    for line in dependencies.splitlines():
        path, _, others = line.partition(":")
        if Path(path).stem.replace("-", "_") in MODULES:
            found.update(dict.fromkeys([path, *others.split()]))
    return list(found)


def _unsigned(module: bytes) -> bytes:
    """Without its signature, whose check takes a third of a second in an emulated machine.

    The trailer is struct module_signature (linux/module_signature.h), whose last field is the signature's length.
    """
    if not module.endswith(SIGNED):
        return module
    end = len(module) - len(SIGNED)
    return module[: end - 12 - int.from_bytes(module[end - 4 : end], "big")]


def _cpio(entries: dict[str, tuple[int, bytes]]) -> bytes:
    """The "newc" format of the kernel's Documentation/driver-api/early-userspace/buffer-format.rst."""
    archive = bytearray()
    for number, (name, (mode, data)) in enumerate([*entries.items(), ("TRAILER!!!", (0, b""))], start=1):
        encoded = name.encode() + b"\0"
        header = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0)
        archive += b"070701" + "".join(f"{value:08X}" for value in header).encode() + encoded
        archive += b"\0" * (-len(archive) % 4) + data
        archive += b"\0" * (-len(archive) % 4)
    return bytes(archive)
