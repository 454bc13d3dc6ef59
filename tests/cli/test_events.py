"""`events`: what happened any time back and as it happens, each event once and in order; by every filter."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.names import Names
from eventstore.archive import archive
from eventstore.segments import name_of
from machine import decide, decide_store, networks
from machine import events as ev
from machine.events import SCHEMA
from machine.story import sentence
from tests.histories import container_id, created
from tests.networked import ASKED, N1, N2, a_network, add, connection
from tests.timed import NOON, SECOND, Timed, time
from tests.written import Written

A, B = container_id("a"), container_id("b")


def told(past: Written, capfd: pytest.CaptureFixture[str], *args: str) -> list[int]:
    """The numbers of the events that are told."""
    code, lines, err = past.mydocker(capfd, "events", "--format", "{{.N}}", *args)
    assert (code, err) == (0, "")
    return list(map(int, lines))


@pytest.fixture
def two(past: Written) -> Written:
    """`c1` (a, of busybox, labelled) was born and removed; `c2` (b) was born, renamed to `c3`, and runs."""
    past.born("c1", "a", labels={"tier": "web", "old": ""})
    past.removed("c1")
    past.by = {"uid": 1234567, "login": 7654321, "pid": 7, "cmd": "rename c2 c3"}
    past.born("c2", "b")
    past.decide(decide.rename, "c2", "c3")
    past.decide(decide.start, "c3")
    past.why = "restart policy"
    past.settle(f"container/{B}")
    return past


def test_all_events_are_told_once_in_order_and_in_words(
    two: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    code, lines, err = two.mydocker(capfd, "events")

    assert (code, err) == (0, "")
    assert len(lines) == two.events[-1].n == len(two.events) + 1
    assert "journal: a new segment of the journal began" in lines[0]
    born = next(line for line in lines if "c1: created" in line)
    assert born.endswith(
        "  c1: created from busybox: sh [root (login uid 1234567): run --name=c1 busybox sh]"
    )
    assert any(line.endswith("  c3: made its cgroup") for line in lines)


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("container=c1", lambda e: e.s.endswith(A)),
        ("container=c3", lambda e: e.s.endswith(B) and e.v >= 4),
        ("container=c2", lambda e: e.s.endswith(B) and e.v <= 4),
        ("container=bbbb", lambda e: e.s.endswith(B)),
        ("image=busybox", lambda e: e.s.startswith("container/")),
        ("image=other", lambda e: False),
        ("type=host", lambda e: e.s == "host"),
        ("event=container.renamed", lambda e: e.tag == "container.renamed"),
        ("event=rename", lambda e: e.tag == "container.renamed"),
        ("event=renamed", lambda e: e.tag == "container.renamed"),
        ("event=destroy", lambda e: e.tag == "container.remove_requested"),
        ("label=tier", lambda e: e.s.endswith(A)),
        ("label=tier=web", lambda e: e.s.endswith(A)),
        ("label=tier=db", lambda e: False),
        ("label=old=", lambda e: e.s.endswith(A)),
        ("actor=1234567", lambda e: 1234567 in (e.by["uid"], e.by["login"])),
        ("actor=7654321", lambda e: e.by["login"] == 7654321),
        ("actor=root", lambda e: e.by["uid"] == 0),
        ("actor=rename c3", lambda e: e.by["cmd"] == "rename c2 c3"),
        ("cause=restart-policy", lambda e: e.why == "restart policy"),
        ("cause=restart policy", lambda e: e.why == "restart policy"),
        ("kind=decision", lambda e: not e.tag.startswith("effect.")),
        ("op=0badcafe", lambda e: True),
        ("op=none", lambda e: False),
    ],
)
def test_a_filter_lets_pass_what_it_says(
    text: str, chosen: Callable[[Any], bool], two: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    expected = [event.n for event in two.events if chosen(event)]

    assert [n for n in told(two, capfd, "--filter", text) if n > 1] == expected


def test_of_a_network_all_is_told_by_its_name_while_it_is_there_and_after(
    past: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    for asked in (a_network("shop"), a_network("back", N2, "10.0.0.0/24")):
        past.decide(networks.create, asked)
        past.settle(f"network/{asked.id}")
    c = add(past, "c1", "a", connections=[connection(name="shop")])
    past.decide(decide.start, "c1")
    past.settle(c.stream)
    past.decide(networks.connect, "back", "c1", ASKED)
    past.decide(networks.disconnect, "shop", "c1")
    past.decide(networks.disconnect, "back", "c1")
    past.settle(c.stream)
    past.decide(networks.remove, "back")
    past.settle(f"network/{N2}")

    def tags(*args: str) -> list[str]:
        chosen = told(past, capfd, *args)
        return [e.tag for e in past.events if e.n in chosen and not e.tag.startswith("effect.")]

    came_and_left = ["container.connected", "container.disconnected"]
    assert tags("--filter", "network=shop") == [
        "network.created",
        "container.start_requested",
        came_and_left[1],
    ]
    assert tags("--filter", "network=222") == ["network.created", *came_and_left, "network.remove_requested"]
    assert tags("--filter", "network=back", "--filter", "event=connect") == came_and_left[:1]
    assert tags("--filter", "type=network", "--filter", "event=create") == ["network.created"] * 2
    assert tags("--filter", "type=network", "--filter", "event=destroy") == ["network.remove_requested"]
    code, lines, _ = past.mydocker(capfd, "events", "--filter", "type=network", "--format", "{{.Name}}")
    assert (code, set(lines)) == (0, {"network shop", "network back"})


def test_the_name_of_a_network_from_before_since_is_known(
    past: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    past.decide(networks.create, a_network("shop"))
    place = past.events[-1].n
    past.settle(f"network/{N1}")

    names = Names(past.root, place)
    assert names.of(f"network/{N1}") == "network shop"
    assert names.of(f"network/{N2}") == "network 222222222222"


def test_values_of_one_key_are_alternatives_and_keys_are_conditions(
    two: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    either = told(two, capfd, "--filter", "event=create", "--filter", "event=rename")
    both = told(two, capfd, "--filter", "event=create", "--filter", "container=c2")

    assert either == [e.n for e in two.events if e.tag in ("container.created", "container.renamed")]
    assert both == [e.n for e in two.events if e.tag == "container.created" and e.s.endswith(B)]
    assert told(two, capfd, "--filter", "label=tier", "--filter", "label=none") == []


def test_dockers_short_f_with_a_filter_behind_it_is_following_with_that_filter(
    two: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    with_words = told(two, capfd, "event=create")

    assert with_words == told(two, capfd, "--filter", "event=create")
    assert told(two, capfd, "-f", "event=create", "--since", "1.0", "--until", time(0)) == []


def test_a_job_is_about_the_container_and_the_image_that_it_works_on(
    past: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    past.born("c1", "a")
    started = ev.JobStarted(id="1" * 32, kind="commit", subject="c1", target="mine", staging="/s/1")
    past.decide(decide_store.begin_job, started)
    past.decide(decide_store.finish_job, "1" * 32, "sha")
    job = [event.n for event in past.events if event.s == f"job/{'1' * 32}"]

    assert [n for n in told(past, capfd, "container=c1") if n in job] == job
    assert told(past, capfd, "image=mine") == job


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (("--filter", "color=red"), "invalid --filter 'color=red': expected KEY=VALUE with one of actor, cause"),
        (("--filter", "container"), "invalid --filter 'container': expected KEY=VALUE with one of"),
        (("junk",), "invalid --filter 'junk': expected KEY=VALUE with one of"),
        (("--filter", "event=explode"), "invalid --filter 'explode': no such event [events: container.connected,"),
        (("--filter", "type=pod"), "invalid --filter 'type=pod': expected one of container, network, image, layer, job, host, journal"),
        (("--filter", "kind=x"), "invalid --filter 'kind=x': expected one of decision, effect"),
        (("--since", "tomorrow"), "invalid --since 'tomorrow': expected RFC 3339"),
        (("--until", "2025-13-01"), "invalid --until '2025-13-01': month must be in 1..12"),
        (("--format", "{{.Nope}}"), "invalid --format '{{.Nope}}': no field .Nope [fields: N, Time,"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_told_in_one_line(
    args: tuple[str, ...], line: str, two: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    code, lines, err = two.mydocker(capfd, "events", *args)

    assert (code, lines) == (2, [])
    assert err.startswith(f"mydocker: {line}")
    assert err.count("\n") == 1


@pytest.fixture
def long_ago(tmp_path: Path) -> Timed:
    """`c1` was born at noon; then others came and went, over several segments; at last c1 was started."""
    past = Timed(tmp_path, small=True)
    past.born("c1", "a")
    past.come_and_go(5)
    past.clock.at(1000)
    past.decide(decide.start, "c1")
    return past


@pytest.mark.parametrize("archived", [False, True])
def test_since_and_until_are_points_in_time_across_segments_and_archives(
    archived: bool, long_ago: Timed, capfd: pytest.CaptureFixture[str]
) -> None:
    if archived:
        assert archive(long_ago.directory, SCHEMA, long_ago.events[-1].n)
    times = {event.n: event.ts for event in long_ago.on_disk()}
    begin, end = NOON + 3, NOON + 9

    found = told(long_ago, capfd, "--since", f"{begin}", "--until", f"{end}")

    assert found == [n for n, ts in times.items() if begin * SECOND <= ts <= end * SECOND]
    assert len(found) > 30


def test_segments_that_ended_before_since_are_not_read(
    long_ago: Timed, capfd: pytest.CaptureFixture[str]
) -> None:
    first = Path(long_ago.directory, name_of(1))
    os.chmod(first, 0o600)
    data = first.read_bytes()
    first.write_bytes(data[:-200] + b"x" * 200)  # whoever reads it says so

    assert told(long_ago, capfd, "--since", time(1000)) == [long_ago.events[-1].n]
    assert long_ago.mydocker(capfd, "events", "--since", time(1))[0] == 125


def test_names_from_before_since_are_known(long_ago: Timed, capfd: pytest.CaptureFixture[str]) -> None:
    _, lines, _ = long_ago.mydocker(capfd, "events", "--since", time(1000))

    assert [line.split("  ")[1] for line in lines] == [
        "c1: asked to start [root (login uid 1234567): run --name=c1 busybox sh]"
    ]
    last = [long_ago.events[-1].n]
    assert told(long_ago, capfd, "--since", time(900), "container=c1", "image=busybox") == last


def test_a_clock_that_was_set_back_hides_no_event_of_the_time_asked_for(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    past = Timed(tmp_path, small=True)
    past.clock.at(5000)
    past.come_and_go(3)
    past.clock.at(0)
    past.come_and_go(6)

    found = told(past, capfd, "--since", time(4000), "--until", time(6000))

    later = [event.n for event in past.on_disk() if event.ts > 4000 * SECOND + NOON * SECOND]
    assert found == later != []


def test_json_is_the_line_of_the_journal_with_its_link_and_the_name(
    two: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    _, lines, _ = two.mydocker(capfd, "events", "--format", "json")

    text = Path(two.root, "journal", name_of(1)).read_text()
    on_disk = [json.loads(line) for line in text.splitlines()]
    shown = [json.loads(line) for line in lines]
    called = [one.pop("called", None) for one in shown]
    assert shown == on_disk
    assert called[-1] == "c3"
    assert called[0] is None


def test_templates_have_dockers_fields_and_ours(two: Written, capfd: pytest.CaptureFixture[str]) -> None:
    form = "{{.Type}} {{.Action}} {{.Actor.ID}} {{.Actor.Attributes.name}} {{.Actor.Attributes.image}} {{.Event.name}}"
    _, lines, _ = two.mydocker(capfd, "events", "event=rename", "--format", form)

    assert lines == [f"container rename {B} c3 busybox c3"]


def test_escapes_are_shown_and_never_sent(past: Written, capfd: pytest.CaptureFixture[str]) -> None:
    nasty = created("c1", "a")
    nasty.command = ["sh", "\x1b[2J\u202e"]
    past.decide(decide.create, nasty)

    for form in ("", "json", "{{.What}}"):
        _, lines, _ = past.mydocker(capfd, "events", *(["--format", form] if form else []))
        assert all(line.isprintable() for line in lines)


def test_without_a_journal_nothing_happened_and_nothing_can_be_followed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from cli.main import main

    assert main(["--root", str(tmp_path / "none"), "events"]) == 0
    assert main(["--root", str(tmp_path / "none"), "events", "-f"]) == 125
    told = capfd.readouterr()
    assert told.out == ""
    assert told.err == f"mydocker: no journal in {tmp_path}/none/journal: nothing was ever recorded there\n"
    assert not os.path.exists(tmp_path / "none")


# --- as it happens -------------------------------------------------------------------------------------


class Followed:
    """`events -f` in a process of its own."""

    def __init__(self, past: Written, *args: str) -> None:
        self.process = subprocess.Popen(
            past.words("events", "-f", *args), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert self.process.stdout is not None
        self.out = self.process.stdout.fileno()
        self._read = b""

    def says_something(self, seconds: float) -> bool:
        """Whether there is anything to read within that time."""
        return bool(self._read or select.select([self.out], [], [], seconds)[0])

    def lines(self, count: int) -> list[str]:
        """The next lines, waited for."""
        while self._read.count(b"\n") < count:
            assert select.select([self.out], [], [], 30)[0], "nothing came"
            self._read += os.read(self.out, 1 << 16)
        *found, self._read = self._read.split(b"\n", count)
        return [line.decode() for line in found]

    def end(self, signal_number: int) -> tuple[int, bytes, bytes]:
        """(exit code, the rest of its output, errors)."""
        self.process.send_signal(signal_number)
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, out, err


@pytest.fixture
def following(past: Written) -> Iterator[list[Followed]]:
    started: list[Followed] = []
    yield started
    for one in started:
        one.process.kill()
        one.process.communicate()


def test_each_event_is_followed_once_and_in_order_across_segments(
    tmp_path: Path, following: list[Followed]
) -> None:
    past = Timed(tmp_path, small=True)
    past.born("c1", "a")
    follower = Followed(past, "--since", time(0), "--format", "{{.N}}")
    following.append(follower)
    assert follower.lines(3) == ["1", "2", "3"]

    past.come_and_go(4)
    last = past.events[-1].n

    assert follower.lines(last - 3) == [str(n) for n in range(4, last + 1)]
    assert follower.end(signal.SIGINT) == (130, b"", b"")


def test_without_since_only_what_comes_is_told_with_old_names(
    past: Written, following: list[Followed]
) -> None:
    past.born("c1", "a")
    follower = Followed(past)
    following.append(follower)
    # It has found its place once it tells of anything.
    for number in range(200):
        past.decide(decide.rename, past.world.containers[A].name, f"n{number}")
        if follower.says_something(0.05):
            break

    line = follower.lines(1)[0]
    assert "renamed to n" in line
    past.decide(decide.rename, past.world.containers[A].name, "last")
    while "last: renamed to last" not in line:
        line = follower.lines(1)[0]


def test_following_ends_at_until_with_all_that_came_before_it(
    past: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    past.born("c1", "a")

    code, lines, err = past.mydocker(
        capfd, "events", "-f", "--since", "1h", "--until", "now", "--format={{.N}}"
    )

    assert (code, err) == (0, "")
    assert list(map(int, lines)) == [1, *(event.n for event in past.events)]


def test_following_ends_when_nobody_reads_it_any_more(past: Written, following: list[Followed]) -> None:
    follower = Followed(past, "--since", "1h")
    following.append(follower)
    follower.lines(1)
    assert follower.process.stdout is not None
    follower.process.stdout.close()

    assert follower.process.wait(timeout=30) in (0, 141)
    assert follower.process.stderr is not None
    assert follower.process.stderr.read() == b""


def test_every_sentence_is_told_as_the_story_tells_it(
    two: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    _, lines, _ = two.mydocker(capfd, "events", "--format", "{{.What}}")

    assert lines[1:] == [sentence(event) for event in two.events]
