"""`history`: who did what to a container, when and why; of removed ones, and of earlier bearers of a name."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from cli.commands import history as command
from machine import decide, decide_store
from machine import events as ev
from machine.story import sentence
from tests.histories import container_id, created, failing
from tests.written import Written

SMALL_SEGMENT = 16 << 10


def numbers(lines: list[str]) -> list[int]:
    """The first column of a table's rows."""
    return [int(line.split()[0]) for line in lines[1:]]


def of(past: Written, *ids: str) -> list[int]:
    """The numbers of these containers' events."""
    streams = {f"container/{container_id}" for container_id in ids}
    return [event.n for event in past.events if event.s in streams]


def test_every_event_is_told_oldest_first_with_who_and_why(
    past: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    past.born("c1", "a")
    past.born("other", "b")
    past.why = "replay"
    past.decide(decide.remove, "c1")

    code, lines, err = past.mydocker(capfd, "history", "c1")

    assert (code, err) == (0, "")
    assert lines[0].split() == ["N", "TIME", "WHAT", "WHY", "WHO"]
    assert numbers(lines) == of(past, container_id("a"))
    assert "created from busybox: sh" in lines[1]
    assert lines[1].endswith("root (login uid 1234567), pid 4711: run --name=c1 busybox sh")
    assert " user " in lines[1]
    assert "asked to be removed" in lines[-1]
    assert " replay " in lines[-1]


def test_the_time_is_local(
    past: Written, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC-3")
    time.tzset()
    try:
        past.born("c1", "a")
        born = next(event for event in past.events if event.tag == "container.created")
        _, lines, _ = past.mydocker(capfd, "history", "--format", "{{.Time}}", "c1")
    finally:
        monkeypatch.undo()
        time.tzset()

    assert lines[0] == time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(born.ts // 10**9 + 3 * 3600))


@pytest.fixture
def reused(past: Written) -> Written:
    """`c1` was a, which was removed; then b, which was renamed; now it is c."""
    past.born("c1", "a")
    past.removed("c1")
    past.born("c1", "b")
    past.decide(decide.rename, "c1", "c2")
    past.settle(f"container/{container_id('b')}")
    past.born("c1", "c")
    return past


def test_a_used_name_means_its_present_bearer_and_with_all_every_one(
    reused: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    a, b, c = map(container_id, "abc")

    assert numbers(reused.mydocker(capfd, "history", "c1")[1]) == of(reused, c)
    _, lines, _ = reused.mydocker(capfd, "history", "--all", "c1")
    assert numbers(lines) == of(reused, a, b, c)
    assert lines[0].split() == ["N", "TIME", "CONTAINER", "WHAT", "WHY", "WHO"]
    assert a[:12] in lines[1]


def test_who_got_a_name_back_bore_it_last_and_is_listed_once(
    reused: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    a, b, c = map(container_id, "abc")
    for old, new in (("c1", "c3"), ("c2", "c1"), ("c1", "c4")):
        reused.decide(decide.rename, old, new)

    assert numbers(reused.mydocker(capfd, "history", "c1")[1]) == of(reused, b)
    assert numbers(reused.mydocker(capfd, "history", "--all", "c1")[1]) == of(reused, a, b, c)


def test_a_name_that_nobody_bears_means_who_bore_it_last(
    reused: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    reused.removed("c1")

    assert numbers(reused.mydocker(capfd, "history", "c1")[1]) == of(reused, container_id("c"))


def test_a_renamed_container_is_found_by_its_new_name(
    reused: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    assert numbers(reused.mydocker(capfd, "history", "c2")[1]) == of(reused, container_id("b"))


@pytest.mark.parametrize("reference", ["a" * 64, "a" * 12, "a"])
def test_a_removed_container_is_found_by_id_and_by_prefix(
    reused: Written, capfd: pytest.CaptureFixture[str], reference: str
) -> None:
    assert numbers(reused.mydocker(capfd, "history", reference)[1]) == of(reused, container_id("a"))


def test_an_ambiguous_prefix_and_an_unknown_name_are_refused_in_one_line(
    past: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    for suffix in ("1", "2"):
        born = created(f"c{suffix}", "a")
        born.id = "a" * 63 + suffix
        past.decide(decide.create, born)
        past.settle(f"container/{born.id}")
        past.removed(f"c{suffix}")

    assert past.mydocker(capfd, "history", "aa") == (
        125,
        [],
        "mydocker: aa begins 2 container ids: aaaaaaaaaaaa, aaaaaaaaaaaa\n",
    )
    assert past.mydocker(capfd, "history", "nobody")[0] == 125
    assert past.mydocker(capfd, "history", "")[0] == 125
    assert past.mydocker(capfd, "history", "image/none") == (
        125,
        [],
        "mydocker: the journal tells nothing of image/none\n",
    )


def test_an_image_or_network_is_pointed_to_where_no_container_has_the_name(
    past: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    past.note("image/busybox", ev.ImagePublished(name="busybox", layers=["1"], source={}))

    for verb in ("history", "why"):
        code, _, err = past.mydocker(capfd, verb, "busybox")
        assert code == 125
        assert err == (
            "mydocker: no such container: busybox [there is an image: mydocker history image/busybox]\n"
        )
    assert past.mydocker(capfd, "history", "image/busybox")[0] == 0


def test_a_container_that_is_there_goes_before_removed_ones_with_the_same_prefix(
    past: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    gone = created("gone", "a")
    gone.id = "a" * 63 + "0"
    past.decide(decide.create, gone)
    past.settle(f"container/{gone.id}")
    past.removed("gone")
    past.born("c1", "a")

    assert numbers(past.mydocker(capfd, "history", "aa")[1]) == of(past, container_id("a"))


def test_without_a_journal_there_is_no_such_container(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from cli.main import main

    code = main(["--root", str(tmp_path / "none"), "history", "c1"])

    assert code == 125
    assert "no such container: c1" in capfd.readouterr().err
    assert main(["--root", str(tmp_path / "none"), "history", "--jobs"]) == 0
    assert not os.path.exists(tmp_path / "none")


def test_name_or_jobs_is_needed_and_not_both(past: Written, capfd: pytest.CaptureFixture[str]) -> None:
    assert past.mydocker(capfd, "history")[0] == 2
    assert past.mydocker(capfd, "history", "--jobs", "c1")[0] == 2


def test_json_is_the_journals_own_lines_byte_for_byte(
    past: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    past.born("c1", "a")
    past.born("other", "b")
    past.removed("c1")

    code, lines, _ = past.mydocker(capfd, "history", "--format", "json", "c1")

    on_disk = [line for path in segments(past) for line in path.read_text().splitlines()]
    expected = [line for line in on_disk if json.loads(line)["s"] == f"container/{container_id('a')}"]
    assert code == 0
    assert lines == expected
    assert len(lines) == len(of(past, container_id("a")))


def segments(past: Written) -> list[Path]:
    return sorted(Path(past.root, "journal").glob("*.jsonl"))


def test_json_finds_its_lines_across_segments(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from eventstore.journal import Journal

    Journal.create(f"{tmp_path}/root/journal", ev.SCHEMA).close()
    past = Written(tmp_path)
    past.journal = Journal.open(
        f"{past.root}/journal",
        ev.SCHEMA,
        cursor=past.journal.cursor,
        segment_size=SMALL_SEGMENT,
    )
    past.born("c1", "a")
    while len(segments(past)) < 3:
        past.born("other", "b")
        past.removed("other")
    past.decide(decide.start, "c1")

    _, lines, _ = past.mydocker(capfd, "history", "--format=json", "c1")

    assert [json.loads(line)["n"] for line in lines] == of(past, container_id("a"))


def test_escapes_are_shown_and_never_sent(past: Written, capfd: pytest.CaptureFixture[str]) -> None:
    nasty = created("c1", "a")
    nasty.command = ["sh", "\x1b[2J\u202e"]
    past.decide(decide.create, nasty)

    _, lines, _ = past.mydocker(capfd, "history", "c1")

    assert "created from busybox: sh \\x1b[2J\\u202e" in lines[1]
    assert all(line.isprintable() for line in lines)


def test_json_at_a_terminal_is_the_same_value_without_a_raw_control() -> None:
    line = '{"t":"x","command":["\x9b2J\u202e"],"h":"a"}\n'.encode()

    shown = command._harmless(line)

    assert shown.rstrip("\n").isprintable()
    assert json.loads(shown) == json.loads(line)


def test_long_sentences_are_cut_unless_told_otherwise(
    past: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    long = created("c1", "a")
    long.command = ["x" * 300]
    past.decide(decide.create, long)

    assert past.mydocker(capfd, "history", "--format={{.What}}", "c1")[1][0].endswith("x...")
    assert past.mydocker(capfd, "history", "--no-trunc", "--format={{.What}}", "c1")[1][0].endswith("x" * 300)


def test_an_anomaly_is_marked_where_it_happened_and_nowhere_else(
    past: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    born = past.born("c1", "a")
    impossible = past.note(f"container/{born}", ev.ContainerExited(code=0))
    past.decide(decide.start, "c1")

    _, lines, _ = past.mydocker(capfd, "history", "--format={{.N}} {{.Anomaly}} {{.What}}", "c1")

    marked = [line for line in lines if " true " in line]
    assert marked == [f"{impossible.n} true anomaly: {sentence(impossible)}"]


def test_what_a_boot_took_cannot_be_undone_any_more(past: Written, capfd: pytest.CaptureFixture[str]) -> None:
    born = past.born("c1", "a")
    past.decide(decide.start, "c1")
    past.settle(f"container/{born}")
    past.note("host", ev.HostBooted(boot="another", machine="m"))
    impossible = past.note(f"container/{born}", ev.EffectUndo(kind="cgroup", key=born))

    _, lines, _ = past.mydocker(capfd, "history", "--format={{.N}} {{.Anomaly}}", born)

    assert [line for line in lines if line.endswith("true")] == [f"{impossible.n} true"]


def test_a_failure_is_told_with_its_step_and_errno(past: Written, capfd: pytest.CaptureFixture[str]) -> None:
    born = past.born("c1", "a")
    past.decide(decide.start, "c1")
    past.settle(f"container/{born}", failing(("do", "init")))

    _, lines, _ = past.mydocker(capfd, "history", "c1")

    assert any("could not make its first process: init: EIO broken" in line for line in lines)
    assert any("undone: cgroup" in line for line in lines)


def test_a_stream_of_another_kind_has_its_history_too(
    past: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    past.note("image/busybox", ev.ImagePublished(name="busybox", layers=["1"], source={"path": "/x.tar"}))

    assert "published with 1 layer, from /x.tar" in past.mydocker(capfd, "history", "image/busybox")[1][1]
    assert "the machine booted" in past.mydocker(capfd, "history", "host")[1][1]


@pytest.fixture
def worked(past: Written) -> Written:
    for digit, kind in (("1", "import"), ("2", "commit"), ("3", "cp")):
        started = ev.JobStarted(
            id=digit * 32, kind=kind, subject=f"/{kind}.tar", target="busybox", staging=f"/s/{digit}"
        )
        past.decide(decide_store.begin_job, started)
        past.settle(f"job/{digit * 32}")
    past.decide(decide_store.finish_job, "1" * 32, "sha")
    past.decide(decide_store.abandon_job, "2" * 32, "disk full")
    past.settle(f"job/{'1' * 32}")
    past.settle(f"job/{'2' * 32}", failing(("undo", "staging")))
    return past


def test_jobs_are_listed_with_what_became_of_them(worked: Written, capfd: pytest.CaptureFixture[str]) -> None:
    form = "{{.ID}} {{.Kind}} {{.About}} {{.Target}} {{.State}}: {{.Result}}"
    code, lines, _ = worked.mydocker(capfd, "history", "--jobs", "--no-trunc", "--format", form)

    assert code == 0
    assert lines == [
        f"{'1' * 32} import /import.tar busybox done: sha",
        f"{'2' * 32} commit /commit.tar busybox abandoned: disk full; could not undo staging directory: staging: EIO broken",
        f"{'3' * 32} cp /cp.tar busybox working: ",
    ]
    assert worked.mydocker(capfd, "history", "--jobs")[1][0].split()[0] == "JOB"


@pytest.mark.parametrize(
    ("by", "words"),
    [
        ({"uid": 0, "login": 0, "pid": 1, "cmd": "ps"}, "root, pid 1: ps"),
        ({"uid": 0, "login": -1, "pid": 1, "cmd": "ps"}, "root, pid 1: ps"),
        ({"uid": 7654321, "cmd": "ps"}, "uid 7654321: ps"),
        ({}, "somebody"),
    ],
)
def test_who_is_told_as_far_as_it_is_known(by: dict[str, int | str], words: str) -> None:
    assert command.who(by, whole=True) == words
