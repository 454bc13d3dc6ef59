"""The head of a journal as a text to keep elsewhere: with it, `check` proves that nothing before it was changed.

Three lines after C2SP's tlog-checkpoint: origin, size, root; the root is the link of the last line, as
standard base64. Optionally signed by the user's own ssh key (ssh-keygen -Y), in a file beside it.
"""

from __future__ import annotations

import subprocess
from base64 import b64decode, b64encode, urlsafe_b64decode, urlsafe_b64encode
from typing import NamedTuple

from eventstore.errors import JournalError
from eventstore.verify import Finding, Report, link_at

ORIGIN = "mydocker-journal/"
NAMESPACE = "mydocker-journal"  # of ssh signatures: one made for another purpose does not pass
_DIGEST = 32


class BadHead(JournalError):
    def __init__(self, why: str, where: str = "") -> None:
        self.why = why
        super().__init__(f"{where or 'this'} is not the head of a journal: {why}")


class SignatureFailed(JournalError):
    def __init__(self, why: str) -> None:
        super().__init__(f"ssh-keygen: {why}")


class Head(NamedTuple):
    """Line `n` of `journal` has link `h`, and with it everything before has the bytes that it had."""

    journal: str
    n: int
    h: str

    def text(self) -> str:
        return f"{ORIGIN}{self.journal}\n{self.n}\n{b64encode(urlsafe_b64decode(self.h + '=')).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> Head:
        """BadHead unless `text` begins with the three lines. What follows an empty line is not looked at."""
        origin, size, root, *rest = [*text.split("\n"), "", "", ""]
        if not origin.startswith(ORIGIN) or not size.isdecimal() or rest[0]:
            raise BadHead("three lines are expected: origin, size, root")
        try:
            digest = b64decode(root, validate=True)
        except ValueError:
            digest = b""
        if len(digest) != _DIGEST:
            raise BadHead(f"{root!r} is no SHA-256")
        return cls(origin[len(ORIGIN) :], int(size), urlsafe_b64encode(digest).decode().rstrip("="))


def head_of(report: Report) -> Head:
    """The head of a journal that was just verified. BadHead if anything was found: nobody should vouch for that."""
    if report.findings:
        raise BadHead(f"the journal is damaged: {report.findings[0]}")
    return Head(report.journal, report.n, report.h)


def check(directory: str, report: Report, head: Head) -> list[Finding]:
    """What `report` found, and whether the journal still has the line that `head` names."""
    findings = list(report.findings)
    if report.journal != head.journal:
        return [*findings, Finding("head", 0, f"is of journal {head.journal}, this is {report.journal}")]
    found = link_at(directory, head.n) if head.n <= report.n else None
    if found is None:
        findings.append(
            Finding("head", 0, f"the journal ends before line {head.n}: it was cut or rolled back")
        )
    elif found != head.h:
        findings.append(
            Finding("head", 0, f"line {head.n} is another: the journal was rewritten at or before it")
        )
    return findings


def sign(path: str, key: str) -> str:
    """Sign the head in the file `path` with the ssh key `key`; the path of the signature."""
    _ssh_keygen(["-Y", "sign", "-n", NAMESPACE, "-f", key, path], b"")
    return f"{path}.sig"


def check_signature(path: str, signature: str, allowed_signers: str, identity: str) -> None:
    """SignatureFailed unless `identity` of the `allowed_signers` file (ssh-keygen(1)) signed the head in `path`."""
    with open(path, "rb") as file:
        text = file.read()
    _ssh_keygen(
        ["-Y", "verify", "-n", NAMESPACE, "-f", allowed_signers, "-I", identity, "-s", signature], text
    )


def _ssh_keygen(arguments: list[str], text: bytes) -> None:
    try:
        done = subprocess.run(["ssh-keygen", *arguments], input=text, capture_output=True, check=False)
    except FileNotFoundError:
        raise SignatureFailed("not installed (openssh-client)") from None
    if done.returncode:
        raise SignatureFailed(
            (done.stderr or done.stdout).decode(errors="replace").strip().replace("\n", "; ")
        )
