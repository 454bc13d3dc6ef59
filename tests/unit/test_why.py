"""`why`, over recorded lives and made ones: each says what ended it, who asked, what failed, what went by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eventstore.codec import decode
from machine import decide, decide_host
from machine import events as ev
from machine.decide_health import note_health
from machine.events import SCHEMA
from machine.life import Life
from machine.restarts import after_boot
from machine.why import explain
from tests.histories import MACHINE, History, alive, container_id, created, failing, here, in_status

ID = container_id("a")
STREAM = f"container/{ID}"
JOURNALS = sorted((Path(__file__).parent.parent / "replay" / "journals").glob("*.jsonl"))


def when(ts: int) -> str:
    """Histories count seconds from 10**18 ns."""
    return f"second {ts // 10**9 - 10**9}"


def who(by: dict[str, Any]) -> str:
    return {0: "root", 1: "alice", 2: "bob"}.get(by.get("uid", -1), "somebody")


def told(events: list[Any], stream: str = STREAM) -> list[str]:
    life = Life(stream)
    for event in events:
        if event.s in (stream, "host"):
            life.see(event)
    return explain(life, when, who)


def golden(name: str) -> tuple[list[Any], str]:
    path = next(path for path in JOURNALS if path.name.startswith(f"{name}-1."))
    events: list[Any] = [decode(line, SCHEMA, 1) for line in path.read_bytes().splitlines(keepends=True)]
    return events, next(event.s for event in events if event.tag == "container.created")


FIRST = "c1 (01c0ffeec0ff) "
CREATED = "root (`mydocker test`) created it from busybox at N4"


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("created", ["was created and has not been started.", f"{CREATED}."]),
        ("running", ["runs since N7, as process 102.", f"{CREATED}, and started it."]),
        ("pause", ["is paused: root (`mydocker test`) froze its processes at N16.", f"{CREATED}, and started it."]),
        (
            "exit",
            ["has ended.", "It ended by itself with code 3 at N16, less than a second after its start.", f"{CREATED}, and started it."],
        ),
        (
            "stop",
            [
                "is stopped.",
                "SIGTERM ended it at N19, less than a second after its start (code 143).",
                "root (`mydocker test`) asked it to stop at N16: SIGTERM, SIGKILL after 10 s.",
                f"{CREATED}, and started it.",
            ],
        ),
        (
            "stop-ignored",
            [
                "was asked to stop and has not ended yet.",
                "root (`mydocker test`) asked it to stop at N16: SIGTERM, SIGKILL after 10 s.",
                f"{CREATED}, and started it.",
            ],
        ),
        (
            "not-found",
            [
                "could not be started.",
                "At N15 it could not run its program: release: ENOENT No such file or directory: /bin/sh.",
                "Everything that had been made for it was undone again.",
                f"{CREATED}, and started it.",
            ],
        ),
        (
            "reboot",
            [
                "has ended.",
                "The machine went down while it ran. root (`mydocker test`) was the first to come after the boot, at N8, and noted it; its code is unknown, and counts as a failure.",
                f"{CREATED}, and started it.",
            ],
        ),
        (
            "restart",
            [
                "has ended, and its restart policy is about to start it again.",
                "It ended by itself with code 1 at N16, less than a second after its start.",
                "Its restart policy (on-failure, at most 3 times) starts it 100 ms after that end.",
                f"{CREATED}, and started it.",
            ],
        ),
        (
            "life",
            [
                "is removed.",
                "It ended by itself with code 3 at N17, less than a second after its start.",
                "root (`mydocker test`) removed it at N26.",
                f"{CREATED}, and started it.",
            ],
        ),
        ("rm-force", ["is removed.", "root (`mydocker test`) removed it at N19, alive as it was.", f"{CREATED}, and started it."]),
        (
            "run-rm",
            [
                "is removed.",
                "It ended by itself with code 0 at N17, less than a second after its start.",
                "It was to be removed at its end (--rm), so mydocker removed it at N18 by itself.",
                f"{CREATED}, and started it.",
            ],
        ),
        (
            "cgroup-busy",
            [
                "is removed.",
                "root (`mydocker test`) removed it at N16, alive as it was.",
                "Left behind is its cgroup, which could not be undone: undo cgroup: EBUSY refused: /sys/fs/cgroup/x at N24 (tried once). Every `mydocker replay` tries it once more.",
                f"{CREATED}, and started it.",
            ],
        ),
        (
            "run-directory-lost",
            ["runs since N7, as process 102.", "root (`mydocker test`) found its root link gone at N16, and it was made anew.", f"{CREATED}, and started it."],
        ),
    ],
)  # fmt: skip
def test_a_recorded_life_is_told_in_whole(name: str, lines: list[str]) -> None:
    events, stream = golden(name)
    life = Life(stream)
    for event in events:
        if event.s in (stream, "host"):
            life.see(event)
    numbers = {event.ts: event.n for event in events}

    found = explain(life, lambda ts: f"N{numbers[ts]}", who)

    assert found == [FIRST + lines[0], *lines[1:]]


def test_a_renamed_one_is_told_with_the_name_it_had() -> None:
    events, stream = golden("rename")

    assert told(events, stream)[-1].startswith("It was called c1 until root (`mydocker test`) renamed it at ")


def test_a_refused_change_is_told_with_errno_and_who_wanted_it() -> None:
    events, stream = golden("update-refused")

    assert any(
        "it could not change its cgroup: cgroup cpu: EINVAL cpu.shares does not take 1024" in line
        and line.endswith("root (`mydocker test`) had asked for it.")
        for line in told(events, stream)
    )


@pytest.mark.parametrize("path", JOURNALS, ids=lambda path: path.stem)
def test_every_moment_of_every_recorded_life_can_be_told(path: Path) -> None:
    events: list[Any] = [decode(line, SCHEMA, 1) for line in path.read_bytes().splitlines(keepends=True)]
    for stream in {event.s for event in events if event.s.startswith("container/")}:
        for length in range(len(events) + 1):
            lines = told(events[:length], stream)

            assert all(line.endswith(".") and "None" not in line and "  " not in line for line in lines)
            assert bool(lines) == any(event.s == stream for event in events[:length])


# --- made ones: what has not been recorded ------------------------------------------------------------


class By(History):
    """A history whose next events are by whom and for what one says."""

    def __init__(self) -> None:
        super().__init__()
        self.by: dict[str, int | str] = {"uid": 1, "cmd": "run c1"}
        self.why, self.op = "user", "op-1"

    def note(self, stream: str, event: Any) -> Any:
        super().note(stream, event)
        event.by, event.why, event.op = self.by, self.why, self.op
        return event

    def acting(self, uid: int, cmd: str, why: str = "user", op: str = "op-2") -> By:
        self.by, self.why, self.op = {"uid": uid, "cmd": cmd}, why, op
        return self


def running(**settings: Any) -> By:
    """c1, run by alice."""
    history = By()
    history.decide(decide_host.note_boot, here("boot-1", MACHINE))
    history.decide(decide.create, created("c1", **settings))
    history.settle(STREAM)
    history.decide(decide.start, "c1")
    history.settle(STREAM)
    return history


def ended(history: By, **exit: Any) -> list[str]:  # noqa: A002 - the event's word
    history.acting(1, "monitor", "exit")
    history.decide(decide.note_exit, ID, **exit)
    history.settle(STREAM)
    return told(history.events)


def test_a_stop_whose_time_was_over_is_told_with_what_the_engine_did_for_whom() -> None:
    history = running()
    history.acting(2, "stop -t 1 c1").decide(decide.stop, "c1", timeout=10**9)
    history.settle(STREAM)
    history.acting(1, "monitor", "stop deadline").decide(decide.overdue, ID, 10**15)
    history.settle(STREAM)

    lines = ended(history, code=137, signal=9, reason="signal")

    assert lines[0] == "c1 (aaaaaaaaaaaa) is stopped."
    assert lines[1].startswith("SIGKILL ended it at second ")
    assert lines[2].startswith("bob (`mydocker stop -t 1 c1`) asked it to stop at second ")
    assert lines[2].endswith(": SIGTERM, SIGKILL after 1 s.")
    assert lines[3].startswith("It had not ended when that time was over at second ")
    assert lines[3].endswith(", so mydocker sent SIGKILL by itself, as that stop had asked.")


@pytest.mark.parametrize(
    ("exit", "said"),
    [
        ({"code": 0}, "It ended by itself with code 0 at "),
        ({"code": 127}, " That is a shell's code for: a program inside was not found."),
        ({"code": 126}, " That is a shell's code for: a program inside cannot be run."),
        ({"code": 143}, " That is a shell's code for an end by SIGTERM, of a program inside."),
        ({"code": 139, "signal": 11, "reason": "signal"}, " That is a crash of its program; nobody asked mydocker for it."),
        ({"code": 137, "signal": 9, "reason": "signal"}, "Nobody asked mydocker for it: the signal came from inside, or from elsewhere on the host."),
        ({"code": 137, "signal": 9, "reason": "oom"}, ": it had reached its memory limit of 64 MiB (code 137)."),
        ({"code": None, "reason": "oom"}, "as its monitor had died. "),
        ({"code": None, "reason": "oom"}, "and counts as a failure. The kernel had killed in it for want of memory."),
        ({"code": None, "reason": "lost: monitor"}, "It ended while nobody watched it, as its monitor had died. "),
        ({"code": None, "reason": "lost: monitor"}, "its code is unknown, and counts as a failure."),
        ({"code": 5, "reason": "lost: monitor"}, "; its code was 5."),
        ({"code": 5, "reason": "of a later engine"}, ": of a later engine, code 5."),
    ],
)  # fmt: skip
def test_each_way_to_end_is_told_in_its_own_words(exit: dict[str, Any], said: str) -> None:  # noqa: A002 - the event's word
    lines = ended(running(limits={"memory": 64 << 20}), **exit)

    assert said in lines[1]


def test_an_end_without_a_limit_is_not_laid_to_one() -> None:
    assert ": memory had run out (code 137)." in ended(running(), code=137, signal=9, reason="oom")[1]


def test_who_killed_it_is_told() -> None:
    history = running()
    history.acting(2, "kill -s USR1 c1").decide(decide.kill, "c1", 10)
    history.settle(STREAM)

    lines = ended(history, code=138, signal=10, reason="signal")

    assert lines[0] == "c1 (aaaaaaaaaaaa) has ended."
    assert "Nobody asked" not in lines[1]
    assert lines[2].startswith("bob (`mydocker kill -s USR1 c1`) sent it SIGUSR1 at second ")


def restarted(policy: str, most: int = 0, code: int = 3) -> By:
    """It ended, and its policy has started it again."""
    history = running(restart={"policy": policy, "max": most})
    ended(history, code=code)
    history.acting(1, "monitor", "restart policy").decide(decide.restart_now, ID, 10**15)
    history.settle(STREAM)
    return history


def test_what_a_restart_policy_did_is_told_with_who_began_it() -> None:
    lines = told(restarted("always").events)

    assert lines[1].startswith(
        "Its restart policy (always) has started it again once since alice started it at "
    )
    assert lines[1].endswith(", the last time after an end with code 3.")


@pytest.mark.parametrize(
    ("policy", "most", "code", "stop", "said"),
    [
        ("on-failure", 1, 3, False, "It leaves it ended: once is its limit."),
        ("on-failure", 0, 0, False, "It leaves it ended: code 0 is no failure."),
        ("always", 0, 0, True, "It leaves it ended: somebody asked it to end."),
    ],
)
def test_why_a_restart_policy_left_it_ended_is_told(
    policy: str, most: int, code: int, said: str, *, stop: bool
) -> None:
    history = restarted(policy, most)
    if stop:
        history.acting(2, "stop c1").decide(decide.stop, "c1")
        history.settle(STREAM)

    assert said in ended(history, code=code)


def test_a_monitor_that_died_is_told_with_who_gave_it_another() -> None:
    history = running()
    for pid in (100, 200):
        history.note(STREAM, ev.ContainerMonitored(pid=pid, start=1, boot="boot-1"))
        history.acting(2, "replay", "replay")
        history.note(STREAM, ev.EffectLost(kind="root_link", key=ID))
    history.settle(STREAM)

    lines = told(history.events)

    assert any(
        line.startswith(
            "Its monitor, process 100, died while it ran; bob (`mydocker replay`) gave it a new one at "
        )
        and line.endswith(": process 200.")
        for line in lines
    )
    assert not any("root link" in line for line in lines)  # that it went with the monitor tells nothing


def unfinished() -> By:
    """Alice's command has decided to create c1, and then died."""
    history = By()
    history.decide(decide_host.note_boot, here("boot-1", MACHINE))
    history.decide(decide.create, created("c1"))
    return history


def test_an_unfinished_creation_is_told_with_who_removed_it() -> None:
    history = unfinished()
    history.acting(2, "rm c1").decide(decide.remove, "c1")
    history.settle(STREAM)

    lines = told(history.events)

    assert lines[0] == "c1 (aaaaaaaaaaaa) is removed."
    assert lines[1].startswith(
        "Its creation was never finished; bob (`mydocker rm c1`) removed it at second "
    )


def test_a_failed_creation_is_told_with_its_step() -> None:
    history = unfinished()
    history.acting(2, "ps", "recovery").settle(STREAM, failing(("do", "directory")))

    lines = told(history.events)

    assert lines[0] == "c1 (aaaaaaaaaaaa) is removed."
    assert lines[1].endswith(" it could not make its directory: directory: EIO broken.")


def test_a_failed_start_by_another_command_is_told_with_who_asked() -> None:
    history = in_status("created")
    by = By()
    by.events, by.world, by.now = history.events, history.world, history.now
    by.acting(2, "start c1").decide(decide.start, "c1")
    by.settle(STREAM, failing(("do", "init"), ("undo", "cgroup")))

    lines = told(by.events)

    assert lines[:3] == [
        "c1 (aaaaaaaaaaaa) could not be started.",
        f"bob (`mydocker start c1`) asked for that start at {when(by.world.containers[ID].started)}.",
        next(line for line in lines if "it could not make its first process: init: EIO broken." in line),
    ]
    assert any("Left behind is its cgroup" in line for line in lines)
    assert not any("undone again" in line for line in lines)


def test_a_boot_that_nobody_has_noted_is_told_as_such() -> None:
    history = running()
    imagined = decide_host.note_boot(history.world, here("boot-2", MACHINE))
    for stream, event in imagined:
        event.s, event.n, event.v, event.ts, event.up = stream, 0, 99, 0, 0
        event.op, event.by, event.why = "", {}, "reboot"

    lines = told([*history.events, *(event for _, event in imagined)])

    assert lines[1].startswith("The machine went down while it ran; no command has noted that yet. ")


def test_impossible_events_are_told_by_number() -> None:
    history = alive()
    first = history.note(STREAM, ev.ContainerUnpauseRequested())
    second = history.note(STREAM, ev.ContainerStartRequested())

    assert told(history.events)[-1].endswith(f" and changed nothing: {first.n}, {second.n}.")


def test_what_was_removed_by_a_boot_and_what_never_was_are_told_apart() -> None:
    history = running(auto_remove=True)
    history.acting(2, "ps", "reboot").decide(decide_host.note_boot, here("boot-2", MACHINE))
    history.settle(STREAM)

    assert "It was to be removed at its end (--rm), so mydocker removed it" in " ".join(told(history.events))
    assert told([]) == []


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "less than a second"),
        (1, "a second"),
        (119, "119 seconds"),
        (120, "2 minutes"),
        (7199, "119 minutes"),
        (7200, "2 hours"),
        (172800, "2 days"),
    ],
)
def test_a_time_is_told_in_the_largest_unit_of_which_there_are_two(seconds: int, said: str) -> None:
    from machine.words import long_duration

    assert long_duration(seconds * 10**9) == said


@pytest.mark.parametrize(("count", "said"), [(64 << 20, "64 MiB"), (1 << 30, "1 GiB"), (1000, "1000 bytes")])
def test_sizes_are_told_exactly(count: int, said: str) -> None:
    from machine.words import size_words

    assert size_words(count) == said


def test_the_policy_after_a_boot_has_a_sentence() -> None:
    history = running(restart={"policy": "always", "max": 0})
    history.acting(2, "stop c1").decide(decide.stop, "c1")
    ended(history, code=0)
    assert after_boot(history.world.containers[ID]) is not None
    history.acting(2, "ps", "reboot").decide(decide_host.note_boot, here("boot-2", MACHINE))

    assert "Its restart policy (always) starts it 0 s after that end." in told(history.events)


# --- health checks -------------------------------------------------------------------------------------

CHECK = {"interval": 1, "timeout": 1, "retries": 3}


def found(history: History, status: str, failures: int, code: int) -> None:
    history.decide_as("health check", note_health, ID, status, failures=failures, code=code)


def test_a_running_container_tells_its_health() -> None:
    history = alive(health=CHECK)
    told_of = [told(history.events)[1]]
    found(history, "healthy", 0, 0)
    told_of.append(told(history.events)[1])
    found(history, "unhealthy", 3, 1)
    told_of.append(told(history.events)[1])

    assert [text.partition(" since")[0] for text in told_of] == [
        "Its health check has not passed yet.",
        "Its health check passes",
        "It counts as unhealthy",
    ]
    assert told_of[2].endswith("its health check had failed 3 times in a row, the last time with code 1.")


def test_an_end_by_the_health_check_says_so_and_what_follows() -> None:
    history = alive(health={**CHECK, "on_failure": "restart"})
    found(history, "unhealthy", 3, -1)
    history.decide(decide.note_exit, ID, code=0)
    text = " ".join(told(history.events))

    assert "its health check is about to start it again" in text
    assert "Its health check had failed 3 times in a row, the last time without an answer in time" in text
    assert "so mydocker asked it to stop by itself" in text
    assert "Its health check (restart when unhealthy) starts it 100 ms after that end." in text


def test_a_policy_leaves_ended_what_the_health_check_stopped() -> None:
    history = alive(health={**CHECK, "on_failure": "stop"}, restart={"policy": "always", "max": 0})
    found(history, "unhealthy", 3, 1)
    history.decide(decide.note_exit, ID, code=0)

    assert "leaves it ended: its health check ended it." in " ".join(told(history.events))
