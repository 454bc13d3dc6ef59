"""`ps --at`, `inspect --at` and `journal between`: the world as of any event and any second of the past."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from cli.session import snapshot_code
from cli.travel import Moment, Traveller
from effects.identity import identity
from eventstore.archive import archive
from eventstore.plainjson import dumps
from eventstore.segments import name_of, segment_numbers
from eventstore.snapshots import Snapshots
from machine import decide
from machine import events as ev
from machine.events import SCHEMA
from machine.world import World
from tests.histories import container_id, fold
from tests.timed import NOON, SECOND, Timed, time

A, B = container_id("a"), container_id("b")


@pytest.fixture
def day(tmp_path: Path) -> Timed:
    """c1 is born at 10 s and started at 20, renamed at 30, has ended at 40 with 3, is gone at 50; c2 comes at 60."""
    past = Timed(tmp_path)
    past.clock.at(10)
    past.born("c1", "a", limits={"memory": 64})
    past.clock.at(20)
    past.decide(decide.start, "c1")
    past.settle(f"container/{A}")
    past.clock.at(30)
    past.clock.now += SECOND // 2
    past.decide(decide.rename, "c1", "web")
    past.decide(decide.update, "web", limits={"memory": 128}, restart=None)
    past.settle(f"container/{A}")
    past.clock.at(40)
    past.why = "exit"
    past.decide(decide.note_exit, A, code=3)
    past.settle(f"container/{A}")
    past.why = "user"
    past.clock.at(50)
    past.by = {"uid": 0, "login": -1, "pid": 9, "cmd": "rm web"}
    past.removed("web")
    past.clock.at(60)
    past.by = {"uid": 0, "login": -1, "pid": 9, "cmd": "create c2"}
    past.born("c2", "b")
    return past


def last_of(past: Timed, seconds: int) -> int:
    """The number of the last event up to so many seconds after noon."""
    return max(int(event.n) for event in past.on_disk() if event.ts // SECOND <= NOON + seconds)


FORM = "{{.Names}} {{.Status}} {{.Pid}}"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (9, []),
        (10, ["c1 created "]),
        (19, ["c1 created "]),
        (25, ["c1 running 4711"]),
        (30, ["web running 4711"]),
        (40, ["web exited (3) "]),
        (50, []),
        (60, ["c2 created "]),
    ],
)
def test_ps_shows_the_containers_of_then(
    seconds: int, shown: list[str], day: Timed, capfd: pytest.CaptureFixture[str]
) -> None:
    for at in (time(seconds), str(NOON + seconds), str(last_of(day, seconds))):
        assert day.mydocker(capfd, "ps", "--format", FORM, "--at", at) == (0, shown, "")


def test_a_time_as_it_is_printed_means_the_whole_of_that_second(
    day: Timed, capfd: pytest.CaptureFixture[str]
) -> None:
    _, lines, _ = day.mydocker(capfd, "history", "--format", "{{.Time}} {{.What}}", A)
    printed = next(line for line in lines if "renamed" in line)[:19]

    assert day.mydocker(capfd, "ps", "--format", FORM, "--at", printed)[1] == ["web running 4711"]
    assert day.mydocker(capfd, "ps", "--format", FORM, "--at", printed.replace(" ", "T"))[1] == [
        "web running 4711"
    ]


def test_now_is_the_world_as_it_is(day: Timed, capfd: pytest.CaptureFixture[str]) -> None:
    assert day.mydocker(capfd, "ps", "--at", "now")[1] == day.mydocker(capfd, "ps")[1]


def test_inspect_shows_a_container_as_it_was_by_its_name_of_then(
    day: Timed, capfd: pytest.CaptureFixture[str]
) -> None:
    form = "{{.Name}} {{.State.Status}} {{.State.Pid}} {{.HostConfig.Memory}} {{.State.ExitCode}}"

    def inspect(name: str, seconds: int) -> tuple[int, list[str], str]:
        return day.mydocker(capfd, "inspect", "--at", time(seconds), "--format", form, name)

    assert inspect("c1", 25) == (0, ["c1 running 4711 64 0"], "")
    assert inspect("web", 35) == (0, ["web running 4711 128 0"], "")
    assert inspect(A[:12], 45) == (0, ["web exited 0 128 3"], "")
    assert inspect("c1", 35)[0] == 125
    assert json.loads("".join(day.mydocker(capfd, "inspect", "--at", time(25), "c1")[1]))[0]["Id"] == A


def test_liveness_is_as_it_was_then_and_not_the_kernels_of_today(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    past = Timed(tmp_path)
    past.born("c1", "a")
    past.decide(decide.start, "c1")
    with subprocess.Popen(["sleep", "100"]) as process:
        init = {**(identity(process.pid) or {}), "mounts": []}
        past.settle(f"container/{A}", lambda step: init if step.kind == "init" else {})
        process.kill()
    n = past.events[-1].n

    assert past.mydocker(capfd, "ps", "--format", FORM)[1] == ["c1 exited (unseen) "]
    assert past.mydocker(capfd, "ps", "--format", FORM, "--at", str(n))[1] == [f"c1 running {init['pid']}"]


@pytest.mark.parametrize(
    ("at", "told"),
    [
        ("0", "no such moment '0': the journal begins later, at"),
        ("2001-01-01", "no such moment '2001-01-01': the journal begins later, at"),
        ("90000h", "no such moment '90000h': the journal begins later, at"),
        ("999", "no such moment '999': the journal ends with event"),
        ("2099-01-01", "no such moment '2099-01-01': 2099-01-01 00:00:00 is yet to come"),
        ("whenever", "invalid --at 'whenever': expected an event's number, now, RFC 3339"),
        ("-5", "invalid --at '-5': expected an event's number, now, RFC 3339"),
        ("2025-02-30", "invalid --at '2025-02-30': day"),
        ("", "invalid --at '': expected an event's number, now, RFC 3339"),
    ],
)
def test_an_impossible_moment_is_told_in_one_line(
    at: str, told: str, day: Timed, capfd: pytest.CaptureFixture[str]
) -> None:
    for args in (["ps"], ["inspect", "c1"]):
        code, lines, err = day.mydocker(capfd, *args, f"--at={at}")

        assert (code, lines) == (2, [])
        assert err.startswith(f"mydocker: {told}")
        assert err.count("\n") == 1


def test_without_a_journal_there_is_no_past(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from cli.main import main

    (tmp_path / "empty" / "journal").mkdir(parents=True)
    upkeep = (["journal", name] for name in ("stats", "snapshot", "archive"))
    for args in (["ps", "--at", "1"], ["journal", "between", "1", "now"], *upkeep):
        for root in ("none", "empty"):
            assert main(["--root", str(tmp_path / root), *args]) == 125
            assert (
                capfd.readouterr().err
                == f"mydocker: no journal in {tmp_path}/{root}/journal: nothing was ever recorded there\n"
            )
    assert not os.path.exists(tmp_path / "none")


def test_damage_is_told_with_its_place_and_not_shown_as_the_past(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    past = Timed(tmp_path, small=True)
    past.come_and_go(3)
    path = Path(past.directory, name_of(1))
    data = bytearray(path.read_bytes())
    data[data.index(b'"c2"')] ^= 1
    path.write_bytes(data)

    code, lines, err = past.mydocker(capfd, "ps", "--at", "now")

    assert (code, lines) == (125, [])
    assert err.startswith("mydocker: journal damaged: 00000000000000000001.jsonl line ")
    assert err.endswith(
        " [mydocker audit verify tells all of it; what is at its end, journal repair cuts off]\n"
    )


def test_the_world_of_each_event_is_the_fold_of_all_up_to_it(day: Timed) -> None:
    events = day.on_disk()
    traveller = Traveller(day.root, Moment("1", n=1))
    for n in range(1, len(events) + 1):
        world = traveller.go(Moment(str(n), n=n))

        assert dumps(world.dump()) == dumps(fold(events[:n]).dump())


@pytest.mark.parametrize("where", ["before", "at", "behind"])
def test_a_snapshot_shortens_the_way_and_changes_nothing(where: str, day: Timed) -> None:
    n = last_of(day, 30)
    events = day.on_disk()
    saved = n + {"before": -2, "at": 0, "behind": 2}[where]
    take_snapshot(day, saved)

    for to in (Moment("n", n=n), Moment("t", ts=(NOON + 31) * SECOND)):
        traveller = Traveller(day.root, to, snapshot_code())
        begun = traveller.n
        world = traveller.go(to)

        assert begun == (0 if where == "behind" else saved)
        assert dumps(world.dump()) == dumps(fold(events[:n]).dump())
        assert (traveller.n, traveller.ts) == (n, events[n - 1].ts)


def take_snapshot(past: Timed, n: int) -> None:
    """As of event `n`."""
    from eventstore.codec import link_of
    from eventstore.cursor import Cursor

    lines = Path(past.directory, name_of(1)).read_bytes().splitlines(keepends=True)[:n]
    cursor = Cursor(1, sum(map(len, lines)), n, link_of(lines[-1]))
    payload = fold(past.on_disk()[:n]).pack()
    assert Snapshots(past.directory).save(snapshot_code(), cursor, payload)


def test_a_clock_that_was_set_back_makes_a_time_mean_its_first_coming_and_is_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    past = Timed(tmp_path)
    past.clock.at(100)
    past.born("c1", "a")
    before = past.events[-1].n
    past.clock.at(500)
    past.born("c2", "b")
    past.clock.at(50)
    past.removed("c1")

    code, lines, err = past.mydocker(capfd, "ps", "--format={{.Names}}", "--at", time(200))

    assert (code, lines) == (0, ["c1"])
    assert err == (
        f"mydocker: the clock was set back after event {before}: {time(200)} came more than once, "
        "this is the first time [a later one is named by its event's number]\n"
    )
    code, lines, err = past.mydocker(capfd, "journal", "between", "1", time(200))
    assert (code, lines[0].rpartition(" to event ")[2].split()[0]) == (0, str(before))
    assert err.startswith(f"mydocker: the clock was set back after event {before}: ")
    assert past.mydocker(capfd, "journal", "between", "1", "now")[2] == ""


def test_now_is_after_a_boot_that_nobody_has_noted_yet(
    day: Timed, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    day.decide(decide.start, "c2")
    day.settle(f"container/{B}")
    assert day.mydocker(capfd, "ps", "--format={{.Status}}", "--at", "now")[1] == ["running"]
    monkeypatch.setattr("effects.identity.boot_id", lambda: "another boot")

    shown = day.mydocker(capfd, "ps", "-a", "--format={{.Status}}")[1]
    assert shown == ["exited (255, lost: reboot)"]
    assert day.mydocker(capfd, "ps", "-a", "--format={{.Status}}", "--at", "now")[1] == shown


def test_what_is_no_moment_is_told_with_what_would_be_one(
    day: Timed, capfd: pytest.CaptureFixture[str]
) -> None:
    for text in ("garbage", "-1", "1e3", ""):
        code, lines, err = day.mydocker(capfd, "ps", "--at", text)
        assert (code, lines) == (2, [])
        assert err == (
            f"mydocker: invalid --at {text!r}: expected an event's number, now, RFC 3339 "
            "(2006-01-02T15:04:05Z), a date, unix seconds, or a time ago such as 10m or 1h30m\n"
        )


def test_who_was_not_there_yet_is_looked_for_among_those_of_then(
    day: Timed, capfd: pytest.CaptureFixture[str]
) -> None:
    code, _, err = day.mydocker(capfd, "inspect", "--at", "3", "c2")

    assert (code, err) == (
        125,
        "mydocker: no such container: c2 [mydocker ps -a --at '3' lists those of then]\n",
    )


@pytest.mark.parametrize("command", [["events"], ["audit"], ["events", "-f"]])
def test_a_span_of_time_that_ends_before_it_begins_is_refused(
    command: list[str], day: Timed, capfd: pytest.CaptureFixture[str]
) -> None:
    code, lines, err = day.mydocker(capfd, *command, "--since", time(40), "--until", time(20))

    assert (code, lines) == (2, [])
    assert err.startswith("mydocker: invalid --until '2025-")
    assert "it is before --since, 2025-" in err
    assert day.mydocker(capfd, *command, "--since", time(20), "--until", time(20))[0] == 0


# --- journal between -----------------------------------------------------------------------------------


def between(past: Timed, capfd: pytest.CaptureFixture[str], a: str, b: str) -> list[str]:
    """The lines, without the first, which tells the two moments."""
    code, lines, err = past.mydocker(capfd, "journal", "between", a, b)
    assert (code, err) == (0, "")
    assert lines[0].startswith("from event ")
    return lines[1:]


def test_between_two_moments_it_is_told_what_became_of_each_container(
    day: Timed, capfd: pytest.CaptureFixture[str]
) -> None:
    assert between(day, capfd, time(15), time(45)) == [
        "~ container c1 [root (login uid 1234567): run --name=c1 busybox sh]",
        "    name: c1 -> web",
        "    status: created -> exited (3)",
        "    limit memory: 64 bytes -> 128 bytes",
        f"{last_of(day, 45) - last_of(day, 15)} events, 1 command",
    ]
    assert between(day, capfd, time(45), "now")[:-1] == [
        "+ container c2: created, of busybox [root: create c2]",
        "- container web: was exited (3) [root: rm web]",
    ]
    assert between(day, capfd, time(5), time(55))[0] == "= container web: came and went [root: rm web]"
    assert between(day, capfd, time(25), time(25)) == ["nothing happened"]
    assert between(day, capfd, "1", "2")[-1] == "1 event, 1 command, 1 boot; the world is as it was"


def test_images_that_came_changed_and_went_are_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    past = Timed(tmp_path)

    def publish(name: str, *layers: str) -> None:
        past.note(f"image/{name}", ev.ImagePublished(name=name, layers=list(layers), source={}))

    publish("old", "1")
    publish("same", "1")
    publish("other", "1")
    begin = past.events[-1].n
    past.note("image/old", ev.ImageRemoved(name="old"))
    publish("other", "1", "2")
    publish("new", "3")

    assert [line.partition(" [")[0] for line in between(past, capfd, str(begin), "now")[:-1]] == [
        "~ image other: published anew: other layers",
        "+ image new: 1 layer",
        "- image old",
    ]


def test_between_is_the_other_way_round_refused_with_the_right_one(
    day: Timed, capfd: pytest.CaptureFixture[str]
) -> None:
    code, lines, err = day.mydocker(capfd, "journal", "between", "9", "4")

    assert (code, lines) == (2, [])
    assert err == "mydocker: no such moment '4': it is not after 9 [try: journal between 4 9]\n"
    assert day.mydocker(capfd, "journal", "between", "now", "4")[0] == 2
    assert day.mydocker(capfd, "journal", "between", time(40), time(20))[0] == 2
    assert day.mydocker(capfd, "journal", "between", "1", "999")[0] == 2


def test_between_as_json_is_one_line_a_change(day: Timed, capfd: pytest.CaptureFixture[str]) -> None:
    _, lines, _ = day.mydocker(capfd, "journal", "between", "--format=json", time(15), time(45))

    assert [json.loads(line) for line in lines] == [
        {
            "Sign": "~",
            "Kind": "container",
            "Name": "c1",
            "ID": A,
            "Said": "",
            "Changed": {
                "name": ["c1", "web"],
                "status": ["created", "exited (3)"],
                "limit memory": ["64 bytes", "128 bytes"],
            },
            "By": "root (login uid 1234567): run --name=c1 busybox sh",
        }
    ]


# --- stats, snapshot, archive, repair --------------------------------------------------------------------


def test_stats_tell_how_much_of_what(day: Timed, capfd: pytest.CaptureFixture[str]) -> None:
    code, lines, _ = day.mydocker(capfd, "journal", "stats", "--format", "json")
    told = json.loads(lines[0])

    assert code == 0
    assert told["Events"] == len(day.on_disk())
    assert (told["Boots"], told["Containers"], told["Failures"]) == (1, 2, 0)
    assert told["Tags"]["container.created"] == 2
    assert told["Segments"]["Archived"] == "0, 0B"
    assert next(iter(told["Busiest"])) == f"web (container/{A[:12]})"


def test_a_snapshot_is_kept_and_used(day: Timed, capfd: pytest.CaptureFixture[str]) -> None:
    code, lines, _ = day.mydocker(capfd, "journal", "snapshot")

    found = Snapshots(day.directory).load(snapshot_code())
    assert code == 0
    assert lines[0].startswith(f"kept the state at event {day.events[-1].n}, ")
    assert found is not None
    assert World.unpack(found[1]).dump() == day.world.dump()


@pytest.mark.parametrize("kind", ["all", "number", "time", "now"])
def test_archived_segments_leave_the_journal_and_are_read_still(
    kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    past = Timed(tmp_path, small=True)
    past.born("c1", "a")
    past.come_and_go(5)
    before = [past.mydocker(capfd, *args)[1] for args in READING]
    numbers = segment_numbers(past.directory)
    headers = {event.n: event.ts for event in past.on_disk() if event.tag == "journal.segment"}
    limit = {
        "all": [],
        "now": ["--before", "now"],
        "number": ["--before", str(numbers[3] + 1)],
        "time": ["--before", f"{headers[numbers[3]] // SECOND}.9"],
    }[kind]

    code, lines, _ = past.mydocker(capfd, "journal", "archive", *limit)

    stay = 4 if kind in ("all", "now") else 3
    assert code == 0
    assert lines[0].startswith(f"archived {stay} segments, ")
    assert segment_numbers(past.directory)[0] == numbers[stay]
    now = [past.mydocker(capfd, *args)[1] for args in READING]
    assert [lines[: len(old)] for lines, old in zip(now, before, strict=True)] == before


@pytest.mark.parametrize("keep", [0, 1, 2, 9])
def test_the_newest_sealed_segments_stay_as_they_are_if_wanted(
    keep: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    past = Timed(tmp_path, small=True)
    past.come_and_go(5)
    numbers = segment_numbers(past.directory)

    code, lines, _ = past.mydocker(capfd, "journal", "archive", "--keep", str(keep))

    assert code == 0
    left = segment_numbers(past.directory)
    assert left[: len(numbers)] == numbers[max(0, len(numbers) - 1 - keep) :]
    assert lines[0].startswith("nothing to archive" if keep == 9 else f"archived {4 - keep} segment")
    assert past.mydocker(capfd, "journal", "archive", "--keep=-1")[0] == 2


def test_a_prune_packs_what_is_sealed_of_the_journal_and_every_event_is_told_as_before(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    past = Timed(tmp_path, small=True)
    past.come_and_go(4)
    numbers, told = segment_numbers(past.directory), past.mydocker(capfd, "events")[1]
    names = [name_of(first) for first in numbers[:-1]]
    df = ["system", "df", "--format", "{{.Type}} {{.Reclaimable}}"]
    assert "Journal 0B (0%)" not in past.mydocker(capfd, *df)[1]
    half = past.on_disk()[numbers[2] - 1].ts // SECOND  # when the third began

    foretold = past.mydocker(capfd, "system", "prune", "--dry-run")[1]
    assert foretold[1 : len(names) + 1] == names
    past.mydocker(capfd, "system", "prune", "-f", "--filter", f"until={half}.0")
    assert segment_numbers(past.directory)[: len(numbers) - 1] == numbers[1:]
    code, lines, err = past.mydocker(capfd, "system", "prune", "-f")

    assert (code, err) == (0, "")
    assert lines[: len(names)] == [
        "Archived segments of the journal, which are read as before:",
        *names[1:],
    ]
    assert not lines[-1].endswith(": 0B")
    assert segment_numbers(past.directory)[0] == numbers[-1]
    assert past.mydocker(capfd, "events")[1][: len(told)] == told
    assert "Journal 0B (0%)" in past.mydocker(capfd, *df)[1]
    assert past.mydocker(capfd, "audit", "verify")[0] == 0


def test_a_prune_that_finds_no_room_to_pack_leaves_the_segment_and_no_half_file(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    past = Timed(tmp_path, small=True)
    past.come_and_go(3)
    numbers = segment_numbers(past.directory)

    def full(*_args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("eventstore.archive.write_all", full)
    code, lines, err = past.mydocker(capfd, "system", "prune", "-f")

    assert (code, lines) == (125, ["Total reclaimed space: 0B"])
    assert err.startswith("mydocker: cannot archive the journal: cannot write to the journal: archive of ")
    assert err.endswith(": No space left on device\n")
    assert segment_numbers(past.directory)[: len(numbers)] == numbers
    assert not list(Path(past.directory, "archive").glob("*.zst"))
    assert not Path(past.directory, "archive", "next.tmp").exists()


def test_who_archived_what_and_when_is_in_the_journal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    past = Timed(tmp_path, small=True)
    past.come_and_go(5)
    first, second = past.directory + "/" + name_of(1), segment_numbers(past.directory)[1]
    content = Path(first).read_bytes()

    past.mydocker(capfd, "journal", "archive", "--before", str(second))

    noted = next(event for event in past.on_disk() if event.tag == "journal.archived")
    packed = Path(f"{past.directory}/archive/{name_of(1)}.zst").read_bytes()
    assert (noted.s, noted.why, noted.by["cmd"]) == ("journal", "user", f"journal archive --before={second}")
    assert (noted.segment, noted.size, noted.packed) == (name_of(1), len(content), len(packed))
    assert noted.sha256 == hashlib.sha256(content).hexdigest()
    assert noted.packed_sha256 == hashlib.sha256(packed).hexdigest()
    assert subprocess.run(["zstd", "-dc"], input=packed, capture_output=True, check=True).stdout == content
    assert any("archived" in line for line in past.mydocker(capfd, "history", "journal")[1])
    assert past.mydocker(capfd, "audit", "verify")[0] == 0


READING = (["events"], ["history", "c1"], ["ps", "--at", "30"], ["audit"], ["why", "c1"], ["why", "c2"])


def test_the_present_is_known_without_the_archive_and_the_past_from_near(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    past = Timed(tmp_path, small=True)
    past.born("c1", "a")
    past.come_and_go(6)
    asked = (["ps", "-a"], ["ps", "-a", "--at", str(past.events[-1].n)], ["ps", "--at", "60"])
    before = [past.mydocker(capfd, *args)[1] for args in asked]
    begins = segment_numbers(past.directory)
    shutil.rmtree(f"{past.directory}/snap")
    past.mydocker(capfd, "journal", "archive")
    assert len(segment_numbers(past.directory)) == 1

    left = sorted(os.listdir(f"{past.directory}/snap"))  # on the way to the archive's end, whose is the base
    bases = [name for name in os.listdir(f"{past.directory}/archive") if name.endswith(".base")]
    assert sorted({int(name[:20]) for name in left + bases}) == begins[1:]
    assert past.mydocker(capfd, *asked[2])[1] == before[2]
    shutil.rmtree(f"{past.directory}/snap")
    monkeypatch.setattr("eventstore.archive.open_archived", None)
    assert [past.mydocker(capfd, *args)[1] for args in asked[:2]] == before[:2]


def test_what_is_not_sealed_or_not_old_enough_stays(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    past = Timed(tmp_path, small=True)
    past.come_and_go(3)
    numbers = segment_numbers(past.directory)

    for before in ("2", str(numbers[1] - 1), "2001-01-01"):
        code, lines, _ = past.mydocker(capfd, "journal", "archive", "--before", before)
        assert (code, lines) == (0, ["nothing to archive: no whole sealed segment is that old"])
    assert segment_numbers(past.directory) == numbers


def test_a_damaged_end_is_cut_off_only_if_the_loss_is_accepted(
    day: Timed, capfd: pytest.CaptureFixture[str]
) -> None:
    path = Path(day.directory, name_of(1))
    good = path.read_bytes()
    data = bytearray(good)
    data[good.rindex(b'"t":"container.created"')] ^= 1
    path.write_bytes(data)
    bad = good[: good.rindex(b'"t":"container.created"')].count(b"\n") + 1

    assert day.mydocker(capfd, "journal", "repair")[0] == 2
    assert path.read_bytes() == data
    code, lines, _ = day.mydocker(capfd, "journal", "repair", "--accept-loss")

    assert code == 0
    assert lines == [
        f"the journal ends with event {bad}; bytes that were cut off are in {day.directory}/torn"
    ]
    assert day.mydocker(capfd, "audit", "verify")[0] == 0
    mended = day.mydocker(capfd, "events")[1][-1]
    assert "journal mended: " in mended
    assert mended.endswith(" journal repair --accept-loss]")
    who = day.mydocker(capfd, "history", "--format", "{{.Why}} {{.Uid}} {{.Cmd}}", "journal")[1]
    assert who[-1] == f"user {os.getuid()} journal repair --accept-loss"
    assert day.mydocker(capfd, "audit", "--actor", "repair", "--format", "{{.Cause}}")[1] == ["user"]


def test_a_family_lists_its_commands_and_refuses_others(capsys: pytest.CaptureFixture[str]) -> None:
    from cli.main import main

    assert main(["journal"]) == 0
    out = capsys.readouterr().out
    assert all(f"\n  {name} " in out for name in ("stats", "between", "snapshot", "archive", "repair"))
    assert main(["journal", "burn"]) == 2
    assert capsys.readouterr().err.startswith("mydocker: journal: no such command: burn [there are archive, ")


def test_a_world_is_not_changed_by_being_compared(day: Timed) -> None:
    from machine.changes import facts

    world: World = fold(day.on_disk())
    before = dumps(world.dump())

    assert facts(world)["containers"][B]["status"] == "created"
    assert dumps(world.dump()) == before


def test_archive_reads_what_it_packed(tmp_path: Path) -> None:
    past = Timed(tmp_path, small=True)
    past.come_and_go(4)
    before = past.on_disk()

    assert archive(past.directory, SCHEMA, before[-1].n)

    assert [event.n for event in past.on_disk()] == [event.n for event in before]
