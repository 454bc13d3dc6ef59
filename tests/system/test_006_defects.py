"""The series' defects of the first rank, each shown to be impossible here. Numbered as they were found there."""

from __future__ import annotations

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.system.conftest import PROGRAM, Docker, nobody_left

pytestmark = pytest.mark.root


def cgroup_dirs(docker: Docker, container_id: str) -> list[Path]:
    return list(Path("/sys/fs/cgroup").glob(f"*/mydocker-{docker.root_id}/{container_id}"))


def test_p0_01_a_failed_mount_ends_the_start_and_nothing_runs_on_the_host(series: Docker) -> None:
    series.ok("run", "--rm", "busybox", "true")
    layer = next((series.root / "layers").iterdir())
    (layer / "fs").rename(layer / "gone")
    line = series.fails("run", "--name", "t006a", "busybox", "/bin/sh", code=125)
    (layer / "gone").rename(layer / "fs")

    assert "overlay" in line
    assert "No such file or directory" in line
    assert series.inspect("t006a")["State"]["Status"] == "failed"
    nobody_left(series)


def test_p0_01_a_missing_image_leaves_no_trace(series: Docker) -> None:
    line = series.fails("run", "-it", "-name", "t006b", "nosuch", "/bin/sh", code=125)

    assert "no such image: nosuch" in line
    assert len(series.ok("ps").splitlines()) == 1


def test_p0_02_exec_into_an_ended_container_is_refused(series: Docker) -> None:
    series.ok("run", "-d", "--name", "t006c", "busybox", "true")
    series.ok("wait", "t006c")
    canary = series.root / "canary"
    line = series.fails("exec", "t006c", "touch", str(canary), code=125)

    assert "exited" in line
    assert not canary.exists()


def test_p0_02_exec_when_the_first_process_has_just_died(series: Docker) -> None:
    """The monitor is held still, so that the journal still says `running`."""
    series.ok("run", "-d", "--name", "t006d", "busybox", "sleep", "1000")
    state = series.inspect("t006d")["State"]
    os.kill(state["MonitorPid"], 19)  # SIGSTOP
    try:
        os.kill(state["Pid"], 9)
        canary = series.root / "canary"
        done = series("exec", "t006d", "touch", str(canary))
    finally:
        os.kill(state["MonitorPid"], 18)  # SIGCONT

    assert done.returncode != 0
    assert "not running" in done.stderr
    assert not canary.exists()


def test_p0_03_nested_volumes_keep_the_hosts_files(series: Docker) -> None:
    a, b = series.root / "a", series.root / "b"
    for path in (a, b):
        path.mkdir()
        (path / "canary").write_text("mine")
    series.ok("run", "-d", "--name", "t006e", "-v", f"{b}:/x/y", "-v", f"{a}:/x", "busybox", "top")
    assert series.ok("exec", "t006e", "cat", "/x/canary", "/x/y/canary") == "minemine"
    series.ok("rm", "-f", "t006e")

    assert (a / "canary").read_text() == (b / "canary").read_text() == "mine"


def test_p0_03_two_volumes_on_one_target_are_refused(series: Docker) -> None:
    line = series.fails("run", "-v", "/tmp/a:/x", "-v", "/tmp/b:/x/", "busybox", "true", code=2)

    assert "/x" in line


def test_p0_04_mounts_never_reach_a_host_with_shared_propagation(series: Docker) -> None:
    script = """
        mount --make-rshared /
        before=$(cat /proc/self/mountinfo | sort); inode=$(stat -c %i /proc/self/ns/mnt)
        "$1" run -net none -d --name t006f busybox top > /dev/null && "$1" exec t006f true && "$1" rm -f t006f > /dev/null
        [ "$before" = "$(cat /proc/self/mountinfo | sort)" ] && echo same
    """
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", PROGRAM],
        env=series.env,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.strip() == "same", done.stderr


def test_p0_05_stop_really_ends_what_ignores_sigterm(series: Docker) -> None:
    series.ok("run", "-d", "--name", "t006g", "busybox", "sleep", "1000")
    pid = series.inspect("t006g")["State"]["Pid"]
    series.ok("stop", "-t", "1", "t006g")

    assert not Path(f"/proc/{pid}").exists()
    assert series.inspect("t006g")["State"]["Status"] == "stopped"
    assert series.inspect("t006g")["State"]["ExitCode"] == 137


def test_p0_06_a_container_that_ends_by_itself_is_seen_and_can_be_removed(series: Docker) -> None:
    container_id = series.ok("run", "-d", "--name", "t006h", "busybox", "sh", "-c", "exit 3").strip()
    assert series.ok("wait", "t006h") == "3\n"

    row = series.ok("ps").splitlines()[1]
    assert "exited (3)" in row
    assert cgroup_dirs(series, container_id) == []
    series.ok("rm", "t006h")


def test_p0_07_each_container_has_its_own_limits_and_takes_them_along(series: Docker) -> None:
    ids = [series.ok("run", "-d", "-m", size, "busybox", "top").strip() for size in ("20m", "50m")]
    limits = [int(series.ok("exec", i, "cat", "/proc/1/limits") != "") for i in ids]
    values = [_memory_limit(series, i) for i in ids]
    series.ok("rm", "-f", *ids)

    assert limits == [1, 1]
    assert values == [20 << 20, 50 << 20]
    assert [cgroup_dirs(series, i) for i in ids] == [[], []]


def _memory_limit(docker: Docker, container_id: str) -> int:
    for path in cgroup_dirs(docker, container_id):
        for name in ("memory.limit_in_bytes", "memory.max"):
            if (path / name).exists():
                return int((path / name).read_text())
    raise AssertionError("no memory controller")


def test_p0_07_a_limit_that_cannot_be_applied_ends_the_run(series: Docker) -> None:
    line = series.fails("run", "--name", "t006i", "--cpuset-cpus", "4000", "busybox", "true", code=125)

    assert "cpuset" in line
    nobody_left(series)


def test_p0_07_the_memory_limit_kills_and_says_why(series: Docker) -> None:
    done = series("run", "--name", "t006j", "-m", "20m", "busybox", "tail", "/dev/zero")

    assert done.returncode == 137
    assert series.inspect("t006j")["State"]["OOMKilled"] is True
    assert "oom" in series.ok("ps")


@pytest.mark.parametrize("name", ["../x", "a/b", "", "-x", ".x", "a b", "ä"])
def test_p0_08_names_are_checked(series: Docker, name: str) -> None:
    series.fails("run", "-d", f"--name={name}", "busybox", "top", code=2)

    assert len(series.ok("ps").splitlines()) == 1


def test_p0_08_a_taken_name_is_refused_and_the_first_untouched(series: Docker) -> None:
    series.ok("run", "-d", "--name", "network", "busybox", "top")
    before = series.inspect("network")
    line = series.fails("run", "-d", "--name", "network", "busybox", "top", code=125)

    assert "in use" in line
    assert series.inspect("network") == before


def test_p0_09_a_link_of_the_host_is_never_taken_for_a_network(series: Docker) -> None:
    before = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    series.fails("run", "-net", "lo", "busybox", "true", code=125)

    assert subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout == before


def test_p0_10_of_many_at_once_one_gets_the_name_and_the_journal_stays_whole(series: Docker) -> None:
    series.ok("run", "--rm", "busybox", "true")
    with ThreadPoolExecutor(8) as pool:
        codes = list(
            pool.map(lambda _: series("run", "-d", "--name", "t006k", "busybox", "top").returncode, range(8))
        )
        others = list(
            pool.map(lambda i: series("run", "-d", "--name", f"t006l{i}", "busybox", "top"), range(8))
        )

    assert sorted(codes) == [0] + [125] * 7
    assert [done.returncode for done in others] == [0] * 8
    numbers = [event["n"] for event in series.events()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(series.ok("ps", "-q").splitlines()) == 9


def test_p0_11_cp_never_follows_a_containers_links_out_of_it(series: Docker, tmp_path: Path) -> None:
    series.ok("run", "-d", "--name", "t006m", "busybox", "top")
    series.ok("exec", "t006m", "sh", "-c", "ln -s /etc /e; ln -s ../../../../../etc/passwd /p; ln -s / /r")
    secret = tmp_path / "secret"
    secret.write_text("host")
    series.ok("cp", "t006m:/e/passwd", tmp_path / "passwd")
    series.ok("cp", "-L", "t006m:/p", tmp_path / "p")
    series.ok("cp", secret, "t006m:/r/etc/fromhost")

    inside = series.ok("exec", "t006m", "cat", "/etc/passwd")
    assert (tmp_path / "passwd").read_text() == inside
    assert (tmp_path / "p").read_text() == inside
    assert series.ok("exec", "t006m", "cat", "/etc/fromhost") == "host"
    assert not Path("/etc/fromhost").exists()


def test_every_event_of_a_life_says_who_and_why(series: Docker) -> None:
    series.ok("run", "-d", "--name", "t006n", "-e", "TOKEN=canary-7f3a", "busybox", "top")
    series.ok("stop", "-t", "1", "t006n")
    series.ok("rm", "t006n")
    events = series.events()

    assert all(
        {"uid", "login", "pid", "cmd"} <= event["by"].keys() and event["why"]
        for event in events
        if event["s"] != "journal"
    )
    assert "canary-7f3a" not in json.dumps(events)
    stop = next(event for event in events if event["t"] == "container.stop_requested")
    sent = next(event for event in events if event["t"] == "effect.do" and event["kind"] == "signal")
    assert (sent["op"], sent["by"]["cmd"]) == (stop["op"], stop["by"]["cmd"])
