"""What hurt others, one by one: the numbers are those of the list in docs/reliability.md."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess

import pytest

from effects import cgroup_tree
from effects.linux import LinuxHost
from tests import claims, waiting
from tests.kills import until_it_stands
from tests.machines import Machine
from tests.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]
STATE = "{{.Names}} {{.State}}"


def run(machine: Machine, name: str, *more: str) -> None:
    command = more if "busybox" in more else (*more, "busybox", "top")
    machine.ok("run", "-d", "--name", name, *command)


def monitor(machine: Machine, name: str) -> int:
    return int(machine.inspect(name)["State"]["MonitorPid"])


def pid(machine: Machine, name: str) -> int:
    return int(machine.inspect(name)["State"]["Pid"])


def states(machine: Machine) -> dict[str, str]:
    return dict(line.split() for line in machine.ok("ps", "--format", STATE).splitlines())


def comes_to(machine: Machine, name: str, *wanted: str) -> None:
    """Until it is in one of these states, or is no more."""
    until(
        lambda: states(machine).get(name, wanted[0]) in wanted,
        f"{name} does not come to {wanted}",
        beside=machine.root / "journal",
    )


# --- A: after a crash or a boot ------------------------------------------------------------------------


def test_s03_how_it_ended_survives_any_number_of_boots(machine: Machine) -> None:
    machine("run", "--name", "code", "busybox", "sh", "-c", "exit 3")
    machine("run", "--name", "oom", "-m", "20m", "busybox", "tail", "/dev/zero")
    run(machine, "again", "--restart", "on-failure:2", "busybox", "false")
    comes_to(machine, "again", "exited")
    before = [machine.inspect(name) for name in ("code", "oom", "again")]
    for _ in range(3):
        machine.reboot()
        machine.ok("ps")

    after = [machine.inspect(name) for name in ("code", "oom", "again")]
    assert [one["State"] for one in after] == [one["State"] for one in before]
    assert after[2]["State"]["RestartCount"] == 2
    assert (after[0]["State"]["ExitCode"], after[1]["State"]["OOMKilled"]) == (3, True)


def test_s04_what_was_to_be_removed_at_its_end_is_gone_and_its_name_free_at_once_after_a_boot(
    machine: Machine,
) -> None:
    run(machine, "k", "--rm")
    machine.reboot()

    run(machine, "k")  # the first command of the boot
    assert states(machine) == {"k": "running"}
    claims.hold(machine, "S04")


@pytest.mark.parametrize("way", ["by replay", "by the next command"])
def test_s05_s24_the_run_directory_may_vanish_under_what_runs(machine: Machine, way: str) -> None:
    run(machine, "k")
    before = pid(machine, "k")
    machine.lose_run_dir()

    assert states(machine) == {"k": "running"}
    machine.ok(*(("replay",) if way == "by replay" else ("exec", "k", "true")))
    machine.ok("replay")
    assert pid(machine, "k") == before
    assert (machine.root / "mnt" / "k" / "etc").is_dir()
    claims.hold(machine, "S05")


def test_s06_a_run_directory_that_survived_the_boot_means_nothing(machine: Machine) -> None:
    run(machine, "k")
    kept = machine.run_dir.with_name("kept")
    subprocess.run(["cp", "-a", machine.run_dir, kept], check=True)
    machine.reboot()
    kept.rename(machine.run_dir)

    assert states(machine) == {"k": "exited"}
    machine.ok("start", "k")
    claims.hold(machine, "S06")


def test_s07_an_exit_that_nobody_saw_is_unknown_and_never_0(machine: Machine) -> None:
    run(machine, "k")
    machine.reboot()

    assert "lost: reboot" in machine.ok("ps", "--format", "{{.Status}}")
    assert machine.inspect("k")["State"]["ExitCode"] == 255
    assert machine("wait", "k").stdout == "255\n"
    machine.ok("start", "k")
    exited = [event for event in machine.events() if event["t"] == "container.exited"]
    assert [(event["code"], event["reason"]) for event in exited][-1:] == [(None, "lost: reboot")]


def test_s08_wait_inspect_and_the_journal_tell_one_code(machine: Machine) -> None:
    run(machine, "k", "busybox", "sh", "-c", "sleep 0.3; exit 9")

    assert machine.ok("wait", "k") == "9\n"
    assert machine.inspect("k")["State"]["ExitCode"] == 9
    assert [event["code"] for event in machine.events() if event["t"] == "container.exited"][-1] == 9


def test_s09_ps_stop_and_start_agree_when_it_ended_with_its_monitor(machine: Machine) -> None:
    run(machine, "k")
    machine.kill(monitor(machine, "k"), pid(machine, "k"))

    machine.ok("stop", "k")
    assert states(machine) == {"k": "exited"}
    machine.ok("start", "k")
    assert states(machine) == {"k": "running"}
    claims.hold(machine, "S09")


def test_that_the_kernel_killed_for_want_of_memory_is_known_without_a_monitor(machine: Machine) -> None:
    go = machine.root.parent / "go"
    go.mkdir()
    script = "until [ -e /go/now ]; do sleep 0.01; done; exec tail /dev/zero"
    run(machine, "k", "-m", "20m", "-v", f"{go}:/go", "busybox", "sh", "-c", script)
    first = pid(machine, "k")
    machine.kill(monitor(machine, "k"))
    (go / "now").touch()
    waiting.ended(first)

    machine.ok("replay")
    state = machine.inspect("k")["State"]
    assert (state["ExitReason"], state["OOMKilled"]) == ("oom", True)
    assert state["ExitCode"] in (137, 255)  # as long as nobody has reaped it, its code can be learnt
    assert re.search(
        "had killed in it for want of memory|had reached its memory limit", machine.ok("why", "k")
    )


@pytest.mark.parametrize("words", [("kill", "k"), ("rm", "-f", "k"), ("stop", "-t", "0", "k")], ids=" ".join)
def test_s10_paused_stays_paused_without_its_monitor_and_can_be_ended(
    machine: Machine, words: tuple[str, ...]
) -> None:
    run(machine, "k")
    machine.ok("pause", "k")
    machine.kill(monitor(machine, "k"))
    machine.ok("replay")
    assert states(machine) == {"k": "paused"}

    machine.ok(*words)
    comes_to(machine, "k", "exited", "stopped")
    claims.hold(machine, "S10")


def test_s11_an_end_that_no_process_of_ours_saw_is_told_once(machine: Machine) -> None:
    run(machine, "k", "busybox", "sleep", "0.3")
    machine.kill(monitor(machine, "k"))
    end = pid(machine, "k")
    if end:
        waiting.ended(end)
    for _ in range(2):
        machine.ok("replay")

    assert (
        sum(event["t"] == "container.exited" and event["why"] == "replay" for event in machine.events()) == 1
    )
    assert machine.ok("audit", "--container", "k").count("ended") == 1


def test_s12_s41_the_first_command_after_a_monitors_death_succeeds(machine: Machine) -> None:
    for words in (("exec", "k", "true"), ("stop", "-t", "0", "k"), ("pause", "k"), ("commit", "k", "copy")):
        run(machine, "k")
        machine.kill(monitor(machine, "k"))
        machine.ok(*words)
        machine.ok("rm", "-f", "k")
    claims.hold(machine, "S41")


def test_s13_s14_what_a_boot_starts_again_is_what_its_policy_says(machine: Machine) -> None:
    for policy in ("no", "on-failure", "always", "unless-stopped"):
        run(machine, policy, "--restart", policy)
        run(machine, f"{policy}-stopped", "--restart", policy)
        machine.ok("stop", "-t", "0", f"{policy}-stopped")
    machine.reboot()
    machine.ok("replay")
    comes_to(machine, "always", "running")
    comes_to(machine, "on-failure", "running")  # an unknown exit is a failure

    found = states(machine)
    assert {name for name, state in found.items() if state == "running"} >= {
        "on-failure",
        "always",
        "unless-stopped",
    }
    assert found["no"] == "exited"
    assert found["unless-stopped-stopped"] in ("stopped", "exited")
    why = {event["why"] for event in machine.events() if event["t"] == "container.restart_requested"}
    assert "reboot" in why


# --- B: names --------------------------------------------------------------------------------------------


def test_s16_a_name_is_had_again_by_its_own_container_after_a_boot(machine: Machine) -> None:
    run(machine, "k")
    machine.reboot()

    machine.ok("start", "k")
    machine.ok("restart", "-t", "0", "k")
    assert states(machine) == {"k": "running"}


def test_s18_s58_what_failed_to_be_made_leaves_neither_name_nor_anything(machine: Machine) -> None:
    assert "cpuset" in machine.fails("run", "-d", "--name", "k", "--cpuset-cpus", "4000", "busybox", "top")
    machine.ok("rm", "-f", "k")
    assert machine("run", "-d", "--rm", "--name", "k", "busybox", "/nosuch").returncode == 127
    claims.hold(machine, "S18")
    run(machine, "k")


def test_s21_a_broken_container_blocks_no_other(machine: Machine) -> None:
    run(machine, "broken")
    run(machine, "k")
    machine.ok("stop", "-t", "0", "broken", "k")
    directory = machine.root / "containers" / machine.inspect("broken")["Id"]
    for file in directory.glob("process-*"):
        file.write_bytes(b"\0\0\0")
    machine.reboot()

    machine.fails("start", "broken")
    machine.ok("start", "k")
    machine.ok("rm", "broken")
    claims.hold(machine, "S21")


# --- C and D: commit, cgroups, processes --------------------------------------------------------------------


def test_s32_s33_a_commit_that_was_killed_leaves_it_as_it_was_paused_or_not(machine: Machine) -> None:
    for paused in (True, False):
        run(machine, "k")
        machine.ok(*(("pause", "k") if paused else ("ps",)))
        failpoint = f"command|kill|1|publish ROOT/IMAGE.tar|{os.devnull}"
        with machine.popen("commit", "k", "copy", more_env={"MYDOCKER_FAILPOINT": failpoint}) as killed:
            assert killed.wait() == -signal.SIGKILL
        assert states(machine) == {"k": "paused" if paused else "running"}
        machine.ok("commit", "k", "copy")
        assert states(machine) == {"k": "paused" if paused else "running"}
        machine.ok("rm", "-f", "k")
    machine.ok("replay")
    claims.hold(machine, "S33")


def test_s38_a_freeze_whose_monitor_died_ends(machine: Machine) -> None:
    run(machine, "k")
    with machine.popen(
        "commit",
        "k",
        "copy",
        more_env={"MYDOCKER_FAILPOINT": "command|stop|1|publish ROOT/IMAGE.tar|/dev/null"},
    ) as held:
        until_it_stands(held.pid)
        machine.kill(monitor(machine, "k"), held.pid)
    machine.ok("replay")

    assert machine.ok("exec", "k", "echo", "thawed") == "thawed\n"
    claims.hold(machine, "S38")


def test_s37_a_cgroup_that_will_not_go_is_a_leftover_that_holds_no_name_and_is_tried_again(
    machine: Machine,
) -> None:
    run(machine, "k")
    container_id = machine.inspect("k")["Id"]
    inner = [path / "inner" for path in machine.cgroups() if path.name == container_id]
    machine.kill(monitor(machine, "k"))
    for path in inner:
        path.mkdir()  # a cgroup that has another in it cannot be removed
    machine.ok("rm", "-f", "k")
    run(machine, "k")  # the name is free
    machine.ok("rm", "-f", "k")
    for path in inner:
        if path.is_dir():
            path.rmdir()

    machine.ok("replay")
    claims.hold(machine, "S37")


def test_s40_a_monitor_without_a_container_ends_and_one_with_a_live_one_never(machine: Machine) -> None:
    run(machine, "k")
    live = monitor(machine, "k")
    for _ in range(3):
        machine.ok("replay")
    assert monitor(machine, "k") == live

    machine.ok("rm", "-f", "k")
    assert live not in machine.processes()
    claims.hold(machine, "S40")


# --- F and G: events, and at once again -----------------------------------------------------------------------


def test_s56_replay_tells_nothing_twice(machine: Machine) -> None:
    run(machine, "k")
    machine.kill(monitor(machine, "k"), pid(machine, "k"))
    machine.ok("replay")
    before = machine.events()
    for _ in range(3):
        assert "nothing to do" in machine.ok("replay")

    assert machine.events() == before
    assert len({(event["s"], event["v"]) for event in before}) == len(before)


def test_s57_it_can_be_run_again_at_once_after_everything_was_killed(machine: Machine) -> None:
    for _ in range(5):
        run(machine, "k")
        machine.kill(*machine.processes())
        machine.ok("start", "k")
        machine.kill(*machine.processes())
        machine.ok("rm", "-f", "k")
    claims.hold(machine, "S57")


# --- observe, then settle ---------------------------------------------------------------------------------


def test_what_the_kernel_no_longer_has_is_noted_as_lost_and_made_again(machine: Machine) -> None:
    run(machine, "k")
    (machine.root / "mnt" / "k").unlink()
    machine.ok("replay")

    assert (machine.root / "mnt" / "k" / "etc").is_dir()
    told = [(event["t"], event.get("kind")) for event in machine.events()][-6:]
    assert ("effect.lost", "root_link") in told
    assert "root link" in machine.ok("why", "k")
    assert json.loads(machine.ok("inspect", "k"))[0]["Leftovers"] == []
    claims.hold(machine, "lost")


def test_of_a_monitor_killed_when_nothing_was_left_to_be_undone_no_cgroup_stays(machine: Machine) -> None:
    until(lambda: machine.cgroups() == [], "cgroups stay")
    child = os.fork()
    if child == 0:
        try:  # as it does, before it is killed
            cgroup_tree.enter(LinuxHost(), f"mydocker-{machine.root_id}", cgroup_tree.MONITORS)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert machine.cgroups() != []
    machine.ok("replay")
    assert machine.cgroups() == []
