"""What a verification found, and what that proves: in words and as JSON."""

from __future__ import annotations

from cli import proofs
from cli.escape import json_line
from eventstore import seal
from eventstore.seal import SignatureFailed
from machine.words import count_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cli.proofs import KeptHead
    from eventstore.verify import Report

ALONE = (
    "This finds accidents, bad disks and careless edits. It does not prove that nobody rewrote the whole journal:",
    "whoever may write its files, root first, can do that unseen. Only a head kept elsewhere shows it:",
    "`mydocker audit seal` writes one, `mydocker audit verify --against` checks it.",
)


class Verdict:
    """`wrong`: all that is not as it should be, one line each; empty: nothing."""

    def __init__(self, report: Report, kept: KeptHead | None) -> None:
        self._report, self._kept = report, kept
        self.wrong = [f"damaged: {finding}" for finding in report.findings]
        self.signer = ""
        self._said: list[str] = []

    def against(self, directory: str, allowed_signers: str | None, signer: str | None) -> None:
        """Compare with the head that was kept, and check who signed it. Unsigned, OSError."""
        kept = self._kept
        assert kept is not None, "there is a head to compare with"
        found = seal.check(directory, self._report, kept.head)
        self.wrong += [
            f"{kept.where}: {finding.what}" for finding in found if finding not in self._report.findings
        ]
        if allowed_signers is None:
            return
        try:
            self.signer = proofs.check_signature(kept, allowed_signers, signer)
        except SignatureFailed as error:
            self.wrong.append(f"{kept.where}: the signature is not good: {error}")
        else:
            self._said.append(f"the head is signed by {self.signer}")

    def state(self, root: str, code: str) -> None:
        """Replay from zero, and compare with the snapshot that commands start from."""
        n, differences = proofs.state_differs(root, code)
        self.wrong += [
            f"the snapshot at event {n} is not what a replay gives: {what} [delete ROOT/journal/snap: it is a cache]"
            for what in differences
        ]
        if not differences:
            self._said.append(
                f"the snapshot at event {n} is what a replay from zero gives"
                if n
                else "there is no snapshot to compare a replay with"
            )

    def lines(self) -> list[str]:
        """For people."""
        report = self._report
        counted = f"{report.n} events in {count_of(report.segments, 'segment')}"
        lines = [f"journal {report.journal}: {counted}"]
        if not report.findings:
            lines.append("every link, number, version, header and seal is as it was written")
        if report.torn:
            lines.append(
                f"{report.torn} bytes of an unfinished write are at its end: nobody was told of them, the next writer sets them aside"
            )
        lines += [*self._said, *self.wrong]
        if self.wrong:
            return [*lines, f"{len(self.wrong)} thing{'s are' if len(self.wrong) > 1 else ' is'} not right"]
        return [*lines, *self._meaning()]

    def _meaning(self) -> list[str]:
        if self._kept is None:
            return list(ALONE)
        n, behind = self._kept.head.n, self._report.n - self._kept.head.n
        trust = (
            f"by the word of {self.signer}"
            if self.signer
            else f"if nobody else could write {self._kept.where}"
        )
        lines = [
            f"Nothing up to event {n} was altered, removed or rolled back since that head was written, {trust}."
        ]
        if behind:
            lines.append(f"The {behind} events behind it are vouched for by the chain alone: seal again.")
        return lines

    def as_json(self) -> str:
        """For programs."""
        report, kept = self._report, self._kept
        return json_line(
            {
                "Journal": report.journal,
                "Segments": report.segments,
                "Events": report.n,
                "Head": report.h,
                "Torn": report.torn,
                "Against": kept.head.n if kept is not None else None,
                "SignedBy": self.signer,
                "Wrong": self.wrong,
            }
        )
