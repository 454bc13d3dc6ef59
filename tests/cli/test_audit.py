"""`audit`, `audit verify` and `audit seal`: who did what, and whether the journal still tells all of it."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cli.session import snapshot_code
from eventstore.segments import name_of, segment_numbers
from eventstore.snapshots import Snapshots
from machine import decide
from machine import events as ev
from machine.world import World
from tests.histories import container_id
from tests.timed import NOON, SECOND, Timed, time

A, B = container_id("a"), container_id("b")
BOB: dict[str, int | str] = {"uid": 7654321, "login": -1, "pid": 7, "cmd": "stop c1"}
MONITOR: dict[str, int | str] = {"uid": 0, "login": 1234567, "pid": 8, "cmd": "monitor"}
DAY = 86400


@pytest.fixture
def busy(tmp_path: Path) -> Timed:
    """Alice runs c1 of busybox; a day later bob stops it and it ends; alice publishes an image and makes c2."""
    past = Timed(tmp_path)
    alice = past.by
    past.born("c1", "a")
    past.decide(decide.start, "c1")
    past.settle(f"container/{A}")
    past.clock.at(DAY)
    past.by = dict(BOB)
    past.decide(decide.stop, "c1")
    past.by, past.why = dict(MONITOR), "exit"
    past.decide(decide.note_exit, A, code=0)
    past.settle(f"container/{A}")
    past.by, past.why = alice, "user"
    past.note("image/mine", ev.ImagePublished(name="mine", layers=["1"], source={}))
    past.born("c2", "b")
    return past


def rows(past: Timed, capfd: pytest.CaptureFixture[str], *args: str) -> list[dict[str, object]]:
    """What `audit` tells, as JSON has it."""
    code, lines, err = past.mydocker(capfd, "audit", "--format", "json", *args)
    assert (code, err) == (0, "")
    return [json.loads(line) for line in lines]


def numbers(past: Timed, capfd: pytest.CaptureFixture[str], *args: str) -> list[int]:
    return [int(str(row["N"])) for row in rows(past, capfd, *args)]


# --- who did what --------------------------------------------------------------------------------------


def test_what_was_decided_or_seen_is_told_with_who_and_why(
    busy: Timed, capfd: pytest.CaptureFixture[str]
) -> None:
    told = [(row["Actor"], row["On"], row["What"], row["Cause"]) for row in rows(busy, capfd)]

    alice = "root (login uid 1234567)"
    assert told[1:] == [
        (alice, "c1", "created from busybox: sh", "user"),
        (alice, "c1", "asked to start", "user"),
        ("uid 7654321", "c1", "asked to stop: SIGTERM, SIGKILL after 10 s", "user"),
        (f"mydocker for {alice}", "c1", "ended by itself, code 0", "exit"),
        (alice, "image mine", "published with 1 layer, from an unknown place", "user"),
        (alice, "c2", "created from busybox: sh", "user"),
    ]
    assert told[0][1] == "host"


def test_with_all_the_engines_own_steps_are_told_too(busy: Timed, capfd: pytest.CaptureFixture[str]) -> None:
    assert numbers(busy, capfd, "--all") == [event.n for event in busy.on_disk()]


@pytest.mark.parametrize(
    ("args", "tags"),
    [
        (["--actor", "7654321"], ["stop_requested"]),
        (["--actor", "stop"], ["stop_requested"]),
        (["--container", "c2"], ["created"]),
        (["--container", "c2", "--container", "image"], ["created"]),
        (["--image", "mine"], ["published"]),
        (["--image", "busybox", "--actor", "monitor"], ["exited"]),
        (["--since", time(1), "--container", "c1"], ["stop_requested", "exited"]),
        (["--until", time(1), "--container", "c1"], ["created", "start_requested"]),
        (["--actor", "nobody-at-all"], []),
    ],
)
def test_only_what_is_asked_for_is_told(
    args: list[str], tags: list[str], busy: Timed, capfd: pytest.CaptureFixture[str]
) -> None:
    assert [str(row["Tag"]).partition(".")[2] for row in rows(busy, capfd, *args)] == tags


@pytest.mark.parametrize(
    ("key", "groups"),
    [
        ("actor", ["mydocker for root (login uid 1234567)", "root (login uid 1234567)", "uid 7654321"]),
        ("container", [f"c1 ({A[:12]})", f"c2 ({B[:12]})", "no container"]),
        ("image", ["busybox", "mine", "no image"]),
        ("cause", ["exit", "user"]),
        ("time", 2),
        ("command", 3),
    ],
)
def test_rows_are_grouped_as_asked(
    key: str, groups: list[str] | int, busy: Timed, capfd: pytest.CaptureFixture[str]
) -> None:
    found = rows(busy, capfd, "--by", key)
    names = list(dict.fromkeys(str(row["Group"]) for row in found))

    assert names == groups or len(names) == groups
    # Each group is in one piece and in order, and nothing is lost.
    assert [row["Group"] for row in found] == [
        name for name in names for row in found if row["Group"] == name
    ]
    assert sorted(int(str(row["N"])) for row in found) == numbers(busy, capfd)


def test_a_grouped_table_has_a_heading_for_each_group(busy: Timed, capfd: pytest.CaptureFixture[str]) -> None:
    _, lines, _ = busy.mydocker(capfd, "audit", "--by", "container")

    assert lines[0].startswith(f"c1 ({A[:12]}): 4 events, 2025-06-1")
    assert lines[1].split() == ["N", "TIME", "WHO", "ON", "WHAT", "CAUSE", "COMMAND"]
    assert lines[6] == ""
    assert lines[7].startswith(f"c2 ({B[:12]}): 1 event, 2025-06-1")


def test_csv_is_read_back_as_it_was(busy: Timed, capfd: pytest.CaptureFixture[str]) -> None:
    busy.by = {"uid": 0, "login": 0, "pid": 1, "cmd": '=cmd|"a,b"\x1b'}
    busy.decide(decide.rename, "c2", "c3")
    code, lines, _ = busy.mydocker(capfd, "audit", "--format", "csv")

    found = list(csv.DictReader(io.StringIO("\n".join(lines))))
    assert code == 0
    assert [int(row["N"]) for row in found] == numbers(busy, capfd)
    assert (
        found[-1]["Command"] == '\'=cmd|"a,b"\\x1b'
    )  # no formula for a spreadsheet, no escape for a terminal
    assert found[1]["Uid"] == "0"
    assert found[-1]["TimeNano"] == str((NOON + DAY) * SECOND)


def test_only_a_table_is_cut(busy: Timed, capfd: pytest.CaptureFixture[str]) -> None:
    busy.by = {"uid": 0, "login": 0, "pid": 1, "cmd": "x" * 100}
    busy.decide(decide.rename, "c2", "c3")

    assert busy.mydocker(capfd, "audit")[1][-1].endswith(f" {'x' * 57}...")
    assert busy.mydocker(capfd, "audit", "--no-trunc")[1][-1].endswith(f" {'x' * 100}")
    assert rows(busy, capfd)[-1]["Command"] == "x" * 100


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["--by", "colour"], "invalid --by 'colour': expected one of actor, container, image, cause, time, command"),
        (["--format", "xml"], "invalid --format 'xml': expected table, json, csv, or a template"),
        (["--format", "{{.Nope}}"], "invalid --format '{{.Nope}}': no field .Nope"),
        (["--since", "x"], "invalid --since 'x': expected RFC 3339"),
        (["burn"], "audit: no such command: burn [there are seal, verify]"),
        (["verify", "--allowed-signers", "/x"], "audit verify: --allowed-signers needs --against"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_told_in_one_line(
    args: list[str], line: str, busy: Timed, capfd: pytest.CaptureFixture[str]
) -> None:
    code, lines, err = busy.mydocker(capfd, "audit", *args)

    assert (code, lines) == (2, [])
    assert err.startswith(f"mydocker: {line}")
    assert err.count("\n") == 1


def test_without_a_journal_nobody_did_anything(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from cli.main import main

    root = str(tmp_path / "none")
    assert main(["--root", root, "audit", "--format", "json"]) == 0
    assert capfd.readouterr().out == ""
    for words in (["verify"], ["seal"]):
        assert main(["--root", root, "audit", *words]) == 125
        assert (
            capfd.readouterr().err
            == f"mydocker: no journal in {root}/journal: nothing was ever recorded there\n"
        )


# --- verify --------------------------------------------------------------------------------------------


def verify(past: Timed, capfd: pytest.CaptureFixture[str], *args: str) -> tuple[int, list[str]]:
    code, lines, err = past.mydocker(capfd, "audit", "verify", *args)
    assert err == ""
    return code, lines


def test_a_sound_journal_is_told_to_be_so_with_what_that_does_not_prove(
    busy: Timed, capfd: pytest.CaptureFixture[str]
) -> None:
    code, lines = verify(busy, capfd)

    assert code == 0
    assert lines[0] == f"journal {busy.journal.uuid}: {busy.events[-1].n} events in 1 segment"
    assert lines[1] == "every link, number, version, header and seal is as it was written"
    assert "does not prove that nobody rewrote the whole journal" in lines[2]


@pytest.fixture
def long(tmp_path: Path) -> Timed:
    """A journal of three segments."""
    past = Timed(tmp_path / "long", small=True)
    past.come_and_go(3)
    return past


def altered(path: Path, what: bytes, by: bytes) -> None:
    data = path.read_bytes()
    assert what in data
    os.chmod(path, 0o600)
    path.write_bytes(data.replace(what, by, 1))
    os.chmod(path, 0o400)


def test_each_damage_is_told_with_its_place(long: Timed, capfd: pytest.CaptureFixture[str]) -> None:
    first, second, _ = (Path(long.directory, name_of(n)) for n in segment_numbers(long.directory))
    altered(first, b'"name":"c2"', b'"name":"c9"')
    altered(second, b'"why":"user"', b'"why":"nser"')
    line = first.read_bytes().split(b'"name":"c9"')[0].count(b"\n") + 1

    code, lines = verify(long, capfd)

    assert code == 1
    assert f"damaged: {first.name} line {line}: the chain breaks here" in lines
    assert f"damaged: {first.name}: is not as it was sealed: sha256 differ" in lines
    assert any(text.startswith(f"damaged: {second.name} line 2: ") for text in lines)
    assert lines[-1] == f"{len([text for text in lines if text.startswith('damaged')])} things are not right"
    assert not any("does not prove" in text for text in lines)


def test_an_unfinished_write_is_no_damage(busy: Timed, capfd: pytest.CaptureFixture[str]) -> None:
    with Path(busy.directory, name_of(1)).open("ab") as file:
        file.write(b'{"t":"container.cre')

    code, lines = verify(busy, capfd)

    assert code == 0
    assert any(text.startswith("19 bytes of an unfinished write are at its end") for text in lines)


def test_verify_as_json_says_the_same(long: Timed, capfd: pytest.CaptureFixture[str]) -> None:
    sound = long.on_disk()
    good = json.loads(verify(long, capfd, "--format", "json")[1][0])
    altered(Path(long.directory, name_of(1)), b'"name":"c2"', b'"name":"c9"')
    code, lines = verify(long, capfd, "--format", "json")

    assert (good["Events"], good["Segments"], good["Wrong"]) == (len(sound), 3, [])
    assert code == 1
    assert json.loads(lines[0])["Wrong"]


@pytest.mark.parametrize("lie", ["name", "layers", "host"])
def test_a_snapshot_that_a_replay_does_not_give_is_found(
    lie: str, busy: Timed, capfd: pytest.CaptureFixture[str]
) -> None:
    busy.mydocker(capfd, "journal", "snapshot")
    code, lines = verify(busy, capfd, "--state")
    n = busy.events[-1].n
    assert (code, lines[2]) == (0, f"the snapshot at event {n} is what a replay from zero gives")

    cursor, payload, _ = Snapshots(busy.directory).load(snapshot_code()) or pytest.fail("there is one")
    state = World.unpack(payload).dump()
    if lie == "host":
        state["host"]["boots"] = 7
    else:
        state["containers"][0][lie] = "x" if lie == "name" else ["9"]
    assert Snapshots(busy.directory).save(snapshot_code(), cursor, World.load(state).pack())
    code, lines = verify(busy, capfd, "--state")

    assert code == 1
    expected = "host" if lie == "host" else "containers: c1, x" if lie == "name" else "containers: c1"
    assert lines[2].startswith(f"the snapshot at event {n} is not what a replay gives: {expected} [delete")


def test_without_a_snapshot_there_is_none_to_compare(busy: Timed, capfd: pytest.CaptureFixture[str]) -> None:
    assert verify(busy, capfd, "--state")[1][2] == "there is no snapshot to compare a replay with"


# --- heads that are kept elsewhere -----------------------------------------------------------------------


def seal(past: Timed, capfd: pytest.CaptureFixture[str], *args: str) -> None:
    code, _, err = past.mydocker(capfd, "audit", "seal", *args)
    assert (code, err) == (0, "")


def test_a_head_is_three_lines_and_vouches_for_all_before_it(
    busy: Timed, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    head = tmp_path / "head"
    seal(busy, capfd, str(head))
    n = busy.events[-1].n
    busy.decide(decide.start, "c2")

    origin, size, _root = head.read_text().splitlines()
    assert (origin, size) == (f"mydocker-journal/{busy.journal.uuid}", str(n))
    code, lines = verify(busy, capfd, "--against", str(head))
    assert code == 0
    assert lines[-2] == (
        f"Nothing up to event {n} was altered, removed or rolled back since that head was written, "
        f"if nobody else could write {head}."
    )
    assert lines[-1] == "The 1 events behind it are vouched for by the chain alone: seal again."


def test_a_head_goes_to_standard_output_unless_a_file_is_named(
    busy: Timed, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    seal(busy, capfd, str(tmp_path / "head"))

    for args in ([], ["-"]):
        assert busy.mydocker(capfd, "audit", "seal", *args)[1] == (tmp_path / "head").read_text().splitlines()


def test_a_journal_that_was_rolled_back_or_rewritten_is_found_by_its_head_alone(
    busy: Timed, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    early = tmp_path / "early"
    shutil.copytree(busy.directory, early)
    n = busy.events[-1].n
    busy.decide(decide.start, "c2")
    head = tmp_path / "head"
    seal(busy, capfd, str(head))
    shutil.rmtree(busy.directory)
    shutil.copytree(early, busy.directory)
    assert verify(busy, capfd)[0] == 0  # nothing shows it from inside

    code, lines = verify(busy, capfd, "--against", str(head))
    assert code == 1
    assert f"{head}: the journal ends before line {n + 1}: it was cut or rolled back" in lines

    again = Timed.reopened(busy)
    again.decide(decide.start, "c2")
    again.decide(decide.stop, "c2")
    code, lines = verify(busy, capfd, "--against", str(head))
    assert code == 1
    assert f"{head}: line {n + 1} is another: the journal was rewritten at or before it" in lines


def test_another_journals_head_is_refused(
    busy: Timed, long: Timed, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    seal(long, capfd, str(tmp_path / "head"))

    code, lines = verify(busy, capfd, "--against", str(tmp_path / "head"))

    assert code == 1
    assert any(f"is of journal {long.journal.uuid}, this is {busy.journal.uuid}" in text for text in lines)


def test_a_head_is_replaced_only_by_a_later_one_of_the_same_journal(
    busy: Timed, long: Timed, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    head = tmp_path / "head"
    seal(busy, capfd, str(head))
    before = head.read_text()
    code, _, err = long.mydocker(capfd, "audit", "seal", str(head))
    assert (code, head.read_text()) == (1, before)
    assert err.startswith(f"mydocker: {head} stays as it is: by it, is of journal {busy.journal.uuid}")

    busy.decide(decide.start, "c2")
    seal(busy, capfd, str(head))
    assert head.read_text() != before
    other = tmp_path / "diary"
    other.write_text("dear diary\n")
    code, _, err = busy.mydocker(capfd, "audit", "seal", str(other))
    assert (code, other.read_text()) == (125, "dear diary\n")
    assert (
        err
        == f"mydocker: {other} is not the head of a journal: three lines are expected: origin, size, root\n"
    )
    assert sorted(path.name for path in tmp_path.iterdir() if "head" in path.name) == ["head"]


def test_nobody_vouches_for_a_damaged_journal(
    long: Timed, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    altered(Path(long.directory, name_of(1)), b'"name":"c2"', b'"name":"c9"')

    code, lines, err = long.mydocker(capfd, "audit", "seal", str(tmp_path / "head"))

    assert (code, lines) == (1, [])
    assert err.startswith("mydocker: the journal is damaged, so nobody should vouch for it: ")
    assert not (tmp_path / "head").exists()


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["--against", "/nowhere"], "/nowhere: No such file or directory"),
        (
            ["--against", "/etc/hostname"],
            "/etc/hostname is not the head of a journal: three lines are expected",
        ),
        (["--against", "/"], "/: Is a directory"),
    ],
)
def test_a_head_that_cannot_be_read_is_told_in_one_line(
    args: list[str], line: str, busy: Timed, capfd: pytest.CaptureFixture[str]
) -> None:
    code, _, err = busy.mydocker(capfd, "audit", "verify", *args)

    assert code == 125
    assert err.startswith(f"mydocker: {line}")
    assert err.count("\n") == 1


def test_whose_signature_it_must_be_is_nothing_without_the_signers(
    busy: Timed, capfd: pytest.CaptureFixture[str]
) -> None:
    code, lines, err = busy.mydocker(capfd, "audit", "verify", "--signer", "me")

    assert (code, lines) == (2, [])
    assert "--signer needs --allowed-signers" in err


# --- signatures ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The keys `good` and `other`, and the file `allowed`, which knows the first as auditor@example."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("good", "other"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", f"{folder}/{name}"]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    (folder / "allowed").write_text(f"auditor@example {(folder / 'good.pub').read_text()}")
    return folder


def test_a_signed_head_is_told_with_its_signer(
    busy: Timed, capfd: pytest.CaptureFixture[str], tmp_path: Path, keys: Path
) -> None:
    head = str(tmp_path / "head")
    allowed = ["--against", head, "--allowed-signers", f"{keys}/allowed"]
    for name in ("c3", "c4"):  # the second time it replaces both files
        busy.decide(decide.rename, B, name)
        seal(busy, capfd, head, "--key", f"{keys}/good")

        code, lines = verify(busy, capfd, *allowed)
        assert code == 0
        assert "the head is signed by auditor@example" in lines
        assert lines[-1].endswith("by the word of auditor@example.")
    assert verify(busy, capfd, *allowed, "--signer", "auditor@example")[0] == 0


@pytest.mark.parametrize("forgery", ["key", "signer", "text", "signature"])
def test_a_signature_that_is_not_good_is_a_finding(
    forgery: str, busy: Timed, capfd: pytest.CaptureFixture[str], tmp_path: Path, keys: Path
) -> None:
    head = tmp_path / "head"
    seal(busy, capfd, str(head), "--key", f"{keys}/{'other' if forgery == 'key' else 'good'}")
    args = ["--against", str(head), "--allowed-signers", f"{keys}/allowed"]
    if forgery == "signer":
        args += ["--signer", "somebody@else"]
    if forgery == "text":  # an older head of the same journal, under the signature of this one
        older = Path(busy.directory, name_of(1)).read_bytes().splitlines(keepends=True)[-2]
        from base64 import b64encode, urlsafe_b64decode

        from eventstore.codec import link_of

        root = b64encode(urlsafe_b64decode(link_of(older) + "=")).decode()
        head.write_text(f"mydocker-journal/{busy.journal.uuid}\n{busy.events[-2].n}\n{root}\n")
    if forgery == "signature":
        signature = Path(f"{head}.sig")
        signature.write_text(signature.read_text().replace("\nU1NI", "\nU1NJ"))

    code, lines = verify(busy, capfd, *args)

    assert code == 1
    assert any(text.startswith(f"{head}: the signature is not good: ssh-keygen: ") for text in lines)


def test_a_missing_signature_is_no_good_one(
    busy: Timed, capfd: pytest.CaptureFixture[str], tmp_path: Path, keys: Path
) -> None:
    head = str(tmp_path / "head")
    seal(busy, capfd, head, "--key", f"{keys}/good")
    busy.decide(decide.start, "c2")
    seal(busy, capfd, head)  # without a key: the old signature is not of this head
    assert not os.path.exists(f"{head}.sig")

    code, _, err = busy.mydocker(
        capfd, "audit", "verify", "--against", head, "--allowed-signers", f"{keys}/allowed"
    )

    assert code == 125
    assert err.startswith(f"mydocker: no signature beside {head}: ")


def test_a_signed_head_travels_as_one_text(
    busy: Timed, capfd: pytest.CaptureFixture[str], tmp_path: Path, keys: Path
) -> None:
    sealed = subprocess.run(
        busy.words("audit", "seal", "--key", f"{keys}/good"), capture_output=True, check=True
    ).stdout
    checked = subprocess.run(
        busy.words("audit", "verify", "--against", "-", "--allowed-signers", f"{keys}/allowed"),
        input=sealed,
        capture_output=True,
        check=False,
    )
    kept = tmp_path / "head"
    kept.write_bytes(sealed)

    assert (checked.returncode, checked.stderr) == (0, b"")
    assert b"the head is signed by auditor@example" in checked.stdout
    assert verify(busy, capfd, "--against", str(kept), "--allowed-signers", f"{keys}/allowed")[0] == 0
    altered(kept, str(busy.events[-1].n).encode(), str(busy.events[-1].n - 1).encode())
    assert verify(busy, capfd, "--against", str(kept), "--allowed-signers", f"{keys}/allowed")[0] == 1


@pytest.mark.parametrize("key", ["/nowhere", "/etc/hostname"])
def test_a_key_that_cannot_sign_leaves_no_head(
    key: str, busy: Timed, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, _, err = busy.mydocker(capfd, "audit", "seal", str(tmp_path / "head"), "--key", key)

    assert code == 125
    assert err.count("\n") == 1
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith("head")]


def test_the_programs_own_verifier_agrees(busy: Timed, capfd: pytest.CaptureFixture[str]) -> None:
    program = Path(__file__).resolve().parents[2] / "tools" / "verify-journal"
    done = subprocess.run(
        [sys.executable, program, busy.directory], capture_output=True, text=True, check=False
    )

    assert (done.returncode, verify(busy, capfd)[0]) == (0, 0)
