"""`mydocker audit`, `audit verify` and `audit seal`."""

from __future__ import annotations

import sys

import click

from cli import audits
from cli.declare import argument, flag, value
from cli.family import family, member
from cli.progress import Progress
from cli.report import echo
from cli.session import Session, pass_session, snapshot_code
from cli.travel import time_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from eventstore.verify import Report


@family(invoke_without_command=True)
@value("since", "--since", parse=time_of, metavar="TIME", help="Only what came since: 10m, or a time.")
@value("until", "--until", parse=time_of, metavar="TIME", help="Only what came until then.")
@value("by", "--by", parse=audits.grouping, metavar="KEY", help=f"Grouped by {', '.join(audits.GROUPS)}.")
@value("actor", "--actor", multiple=True, metavar="WHO", help="Only of this user, or with these words typed.")
@value("container", "--container", multiple=True, metavar="NAME", help="Only about this container.")
@value("image", "--image", multiple=True, metavar="NAME", help="Only about this image and its containers.")
@flag("every", "--all", help="With each step that the engine took, not only what was decided or observed.")
@flag("no_trunc", "--no-trunc", help="Whole sentences, ids and commands.")
@value("form", "--format", metavar="FORM", help="table, json, csv, or a template such as {{.Actor}}.")
@pass_session
def audit(
    session: Session,
    since: int | None,
    until: int | None,
    by: str | None,
    form: str | None,
    *,
    every: bool,
    no_trunc: bool,
    **only: tuple[str, ...],
) -> None:
    """Print who did what to which container or image, when and why.

    Removed containers and every boot since the first are in it.
    """
    if click.get_current_context().invoked_subcommand is not None:
        return
    show = audits.printer(form or "table", by)
    filters = [f"{key}={text}" for key in ("actor", "container", "image") for text in only[key]]
    if not every:
        filters.append("kind=decision")
    table = form in (None, "table")
    whole = no_trunc or not table  # only a table is cut to a screen
    show(audits.rows(session.root, filters, since=since, until=until, whole=whole, table=table))


@member(audit)
@value("against", "--against", metavar="FILE", help="A head from `audit seal`, kept elsewhere; - is stdin.")
@value("allowed", "--allowed-signers", metavar="FILE", help="Whose signatures count (see ssh-keygen -Y).")
@value("signer", "--signer", metavar="NAME", help="Who of them must have signed it.")
@flag("state", "--state", help="Replay from zero, and compare with the snapshot that commands start from.")
@value("form", "--format", metavar="FORM", help="json, for programs.")
@pass_session
def verify(session: Session, form: str | None, *, state: bool, **files: str | None) -> int:
    """Check every byte of the journal, and tell each damage with its place.

    Ends with 0 where all is as it was written, with 1 where anything is not.
    """
    from cli.proofs import read_head
    from cli.verdict import Verdict

    if files["allowed"] and not files["against"]:
        raise click.UsageError("--allowed-signers needs --against: it is the head that is signed")
    if files["signer"] and not files["allowed"]:
        raise click.UsageError("--signer needs --allowed-signers: whose key is whose is told there")
    kept = read_head(files["against"]) if files["against"] else None
    report = verified(session.root)
    verdict = Verdict(report, kept)
    if kept is not None:
        verdict.against(f"{session.root}/journal", files["allowed"], files["signer"])
    if state and not report.findings:
        verdict.state(session.root, snapshot_code())
    if form == "json":
        echo(verdict.as_json())
    else:
        for line in verdict.lines():
            echo(line)
    return 1 if verdict.wrong else 0


def verified(root: str) -> Report:
    """Every byte of the journal verdict. JournalMissing, NotReadable."""
    from eventstore.verify import verify as check

    with Progress("verifying the journal", 0, "segments") as progress:
        return check(f"{root}/journal", progress.of)


@member(audit)
@value(
    "key",
    "--key",
    metavar="SSHKEY",
    help="Sign it with this ssh key, better one that is not on this machine.",
)
@argument("file", required=False, metavar="[FILE|-]")
@pass_session
def seal(session: Session, file: str | None, key: str | None) -> None:
    """Write the journal's head, to be kept where nobody who may write the journal can.

    Three lines; with them `audit verify --against` proves that nothing before was changed.
    """
    from cli import proofs
    from eventstore.seal import head_of

    report = verified(session.root)
    if report.findings:
        raise proofs.Damaged(report.findings[0])
    head = head_of(report)
    if file in (None, proofs.STDIO):
        sys.stdout.write(proofs.signed_text(head, key) if key else head.text())
        return
    assert file is not None
    proofs.write_head(file, head, key, f"{session.root}/journal", report)
    signed = f", signed in {file}.sig" if key else ""
    echo(f"sealed {head.n} events in {file}{signed}")
