"""Heads of the journal that are kept elsewhere: written, signed, read again; and what a verification proves."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

from cli.travel import NOW, Moment, Traveller
from eventstore import plainjson, seal
from eventstore.seal import BadHead, Head, SignatureFailed
from eventstore.segments import sync_directory
from eventstore.snapshots import Snapshots
from machine.errors import MachineError
from machine.world import World

TYPE_CHECKING = False
if TYPE_CHECKING:
    from eventstore.verify import Report

STDIO = "-"
_ARMOUR = "-----BEGIN SSH SIGNATURE-----"
_LIMIT = 64 << 10  # bytes of a head and its signature, a hundred times over


class KeptHead:
    """A head as it was kept: `text`, and its `signature` where there is one. BadHead."""

    def __init__(self, where: str, text: str, signature: str) -> None:
        self.where, self.text, self.signature = where, text, signature
        try:
            self.head = Head.parse(text)
        except BadHead as error:
            raise BadHead(error.why, where) from None


class Unsigned(MachineError):
    def __init__(self, where: str) -> None:
        super().__init__(
            f"no signature beside {where}: there is neither {where}.sig nor one in the file itself"
        )


class Damaged(MachineError):
    exit_code = 1

    def __init__(self, finding: object) -> None:
        super().__init__(
            f"the journal is damaged, so nobody should vouch for it: {finding} [mydocker audit verify]"
        )


class AnotherHead(MachineError):
    """The file to seal into vouches for a journal that this one is not."""

    exit_code = 1

    def __init__(self, path: str, what: str) -> None:
        super().__init__(
            f"{path} stays as it is: by it, {what} [keep it, and find out who changed the journal]"
        )


def read_head(path: str) -> KeptHead:
    """From a file, or `-`; the signature is in FILE.sig or behind the head itself. BadHead, OSError."""
    if path == STDIO:
        text, where = sys.stdin.read(_LIMIT), "standard input"
    else:
        with open(path, encoding="utf-8", errors="replace") as file:
            text, where = file.read(_LIMIT), path
    head, mark, rest = text.partition(f"\n{_ARMOUR}")
    signature = mark[1:] + rest
    if not signature and path != STDIO and os.path.exists(f"{path}.sig"):
        with open(f"{path}.sig", encoding="utf-8", errors="replace") as file:
            signature = file.read(_LIMIT)
    return KeptHead(where, head if mark else text, signature)


def check_signature(kept: KeptHead, allowed_signers: str, signer: str | None) -> str:
    """Who signed it, of the `allowed_signers` file (ssh-keygen(1)). SignatureFailed, Unsigned."""
    if not kept.signature:
        raise Unsigned(kept.where)
    os.stat(allowed_signers)  # its absence is no bad signature
    with tempfile.TemporaryDirectory() as folder:
        head, signature = f"{folder}/head", f"{folder}/head.sig"
        for path, text in ((head, kept.text), (signature, kept.signature)):
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        who = signer or _principal(signature, allowed_signers)
        seal.check_signature(head, signature, allowed_signers, who)
    return who


def _principal(signature: str, allowed_signers: str) -> str:
    command = ["ssh-keygen", "-Y", "find-principals", "-s", signature, "-f", allowed_signers]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise SignatureFailed("not installed (openssh-client)") from None
    if done.returncode or not done.stdout.strip():
        raise SignatureFailed(f"its key is none of those in {allowed_signers}")
    return done.stdout.splitlines()[0]


def write_head(path: str, head: Head, key: str | None, directory: str, report: Report) -> None:
    """Put the head into a file, synced, and its signature beside it. AnotherHead, BadHead, SignatureFailed, OSError.

    A head that is there already must be of this very journal: it would be the evidence.
    """
    if os.path.exists(path) and (findings := seal.check(directory, report, read_head(path).head)):
        raise AnotherHead(path, findings[0].what)
    fresh = f"{path}.new"
    with open(fresh, "w", encoding="utf-8") as file:
        file.write(head.text())
        file.flush()
        os.fsync(file.fileno())
    try:
        signature = _sign(fresh, key) if key else ""
    except (SignatureFailed, OSError):
        os.unlink(fresh)
        raise
    os.rename(fresh, path)
    if signature:
        os.rename(signature, f"{path}.sig")
    elif os.path.exists(f"{path}.sig"):
        os.unlink(f"{path}.sig")  # of the head that was here before
    sync_directory(os.path.dirname(os.path.abspath(path)))


def signed_text(head: Head, key: str) -> str:
    """The head with its signature behind it, for standard output."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/head"
        with open(path, "w", encoding="utf-8") as file:
            file.write(head.text())
        with open(_sign(path, key), encoding="utf-8") as file:
            return f"{head.text()}\n{file.read()}"


def _sign(path: str, key: str) -> str:
    os.stat(key)
    if os.path.exists(f"{path}.sig"):
        os.unlink(f"{path}.sig")  # ssh-keygen would ask
    return seal.sign(path, key)


def state_differs(root: str, code: str) -> tuple[int, list[str]]:
    """(event of the snapshot that was compared, 0: there is none; what is not as a replay from zero gives it)."""
    found = Snapshots(f"{root}/journal").load(code)
    if found is None or not found[0].n:
        return 0, []
    there = Moment(NOW, n=found[0].n)
    replayed = Traveller(root, there).go(there)
    return found[0].n, _differences(replayed, World.unpack(found[1]).dump())


def _differences(world: World, kept: dict[str, object]) -> list[str]:
    """The parts of a snapshot that are not as they should be, containers by their names."""
    made = plainjson.loads(plainjson.dumps(world.dump()))
    wrong = []
    for part in made.keys() | kept.keys():
        should, is_now = made.get(part), kept.get(part)
        if should == is_now:
            continue
        if isinstance(should, list) and isinstance(is_now, list):
            names = [_name(one) for one in [*should, *is_now] if one not in should or one not in is_now]
            wrong.append(f"{part}: {', '.join(dict.fromkeys(names)) or 'another order'}")
        else:
            wrong.append(part)
    return sorted(wrong)


def _name(one: dict[str, object]) -> str:
    return str(one.get("name") or one.get("digest") or one.get("id"))
