"""A container's first process: held at its gate, let go, taken over, ended; and the way into its root."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest

from effects.failure import Failure
from effects.handler import Effects
from effects.identity import identity
from effects.linux import LinuxHost
from effects.registry import HANDLERS
from tests.contract.bench import BUSYBOX, Bench, LinuxBench


def effects(bench: Bench) -> Effects:
    return Effects(HANDLERS, bench.host)


def test_it_is_held_at_its_gate_until_released(bench: Bench) -> None:
    bench.stage("release")
    identity = bench.facts["init"]
    assert bench.host.is_alive(identity)
    assert not bench.host.has_execed(identity)

    bench.do("release")

    assert bench.host.has_execed(identity)


def test_it_ends_by_itself_when_its_holder_dies_before_the_gate_is_open(bench: Bench) -> None:
    bench.stage("release")
    identity = bench.facts["init"]
    pidfd = os.pidfd_open(identity["pid"]) if isinstance(bench, LinuxBench) else -1
    bench.succeed()
    if pidfd >= 0:
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        os.close(pidfd)
    assert not bench.host.is_alive(identity)
    assert effects(bench).probe("init", bench.spec("init"), identity) is None


def test_a_successor_takes_a_released_one_over_by_its_recorded_facts(bench: Bench) -> None:
    bench.stage("frozen")
    recorded = dict(bench.facts)
    bench.succeed()
    assert effects(bench).probe("init", bench.spec("init")) is None

    assert effects(bench).probe("init", bench.spec("init"), recorded["init"]) == recorded["init"]
    assert effects(bench).probe("init", bench.spec("init")) == recorded["init"]
    assert effects(bench).probe("release", bench.spec("release"), {}) == {}
    assert effects(bench).probe("cgroup", bench.spec("cgroup"), recorded["cgroup"]) == recorded["cgroup"]
    # The handle of its root died with the old holder.
    assert effects(bench).probe("root_link", bench.spec("root_link")) is None
    bench.do("root_link")
    assert effects(bench).probe("root_link", bench.spec("root_link")) == {}


def test_a_successor_ends_one_that_it_never_held(bench: Bench) -> None:
    bench.stage("frozen")
    identity = bench.facts["init"]
    bench.succeed()
    HANDLERS["init"].undo(bench.spec("init"), identity, bench.host)
    assert not bench.host.is_alive(identity)


def test_the_identity_of_another_boot_or_another_start_is_left_alone(bench: Bench) -> None:
    bench.stage("frozen")
    identity = bench.facts["init"]
    for stranger in ({**identity, "start": identity["start"] + 1}, {**identity, "boot": "other"}):
        assert not bench.host.is_alive(stranger)
        assert not bench.host.has_execed(stranger)
        bench.host.signal(stranger, 9)
        bench.host.kill(stranger, 1)
        bench.host.adopt_init("another", stranger)
        assert bench.host.held_init("another") is None
    assert bench.host.is_alive(identity)


@pytest.mark.root
@pytest.mark.parametrize(
    ("program", "code"), [("/bin/nothing", errno.ENOENT), ("/bin", errno.EACCES), ("nothing", errno.ENOENT)]
)
def test_a_program_that_cannot_run_is_told_as_step_exec(program: str, code: int, real: LinuxBench) -> None:
    real.argv = [program]
    real.stage("release")
    identity = real.facts["init"]

    result = effects(real).do("release", real.spec("release"))

    assert isinstance(result, Failure)
    assert (result.step, result.errno) == ("exec", code)
    assert not real.host.is_alive(identity)
    assert real.host.held_init(real.container_id) is None


def test_a_step_that_fails_inside_leaves_no_process(bench: Bench) -> None:
    bench.stage("init")
    spec = {**bench.spec("init"), "lower": [f"{bench.base}/no-layer"]}

    result = effects(bench).do("init", spec)

    assert isinstance(result, Failure)
    assert result.errno == errno.ENOENT
    assert bench.host.held_init(bench.container_id) is None
    if isinstance(bench, LinuxBench):
        assert [left for left in bench.leftovers() if left.startswith("process")] == []


def test_lost_secrets_are_told_by_name(bench: Bench) -> None:
    bench.stage("init")
    path = bench.spec("init")["process"]
    bench.host.remove_file(path)
    result = effects(bench).do("init", bench.spec("init"))
    assert isinstance(result, Failure)
    assert (result.errno, result.path) == (errno.ENOENT, path)


def test_a_signal_reaches_it_and_a_dead_one_needs_none(bench: Bench) -> None:
    bench.stage("frozen")
    identity = bench.facts["init"]
    assert effects(bench).do("signal", {**bench.spec("signal"), "signal": 9}) == {}
    if isinstance(bench, LinuxBench):
        pidfd = os.pidfd_open(identity["pid"])
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOWAIT)
        os.close(pidfd)
    assert not bench.host.is_alive(identity)
    assert effects(bench).do("signal", bench.spec("signal")) == {}
    assert effects(bench).undo("signal", bench.spec("signal"), {}) == {}


@pytest.mark.root
def test_the_link_leads_into_the_containers_root(real: LinuxBench) -> None:
    real.stage("release")
    link = Path(real.spec("root_link")["link"])
    assert sorted(os.listdir(link / "bin")) == ["busybox"]
    assert (link / "etc" / "hostname").read_text() == "contract\n"
    assert os.stat(link).st_dev != os.stat(real.base).st_dev


def test_a_file_in_the_links_place_is_never_overwritten(bench: Bench) -> None:
    bench.stage("root_link")
    link = bench.spec("root_link")["link"]
    bench.host.make_dir(link.rpartition("/")[0], 0o700)
    bench.host.write_file(link, b"mine", 0o600, sync=False)

    result = effects(bench).do("root_link", bench.spec("root_link"))
    bench.undo("root_link")

    assert isinstance(result, Failure)
    assert result.errno == errno.EEXIST
    assert bench.host.read_file(link) == b"mine"


def test_undoing_a_link_that_another_container_has_taken_leaves_it(bench: Bench) -> None:
    bench.stage("root_link")
    bench.do("root_link")
    link = bench.spec("root_link")["link"]
    bench.host.symlink("/another/via", link)
    bench.undo("root_link")
    assert bench.host.read_link(link) == "/another/via"


@pytest.mark.root
@pytest.mark.parametrize(
    ("argv", "signal", "expected"),
    [([BUSYBOX, "sh", "-c", "exit 7"], 0, 7), ([BUSYBOX, "sleep", "600"], 9, -9), ([BUSYBOX, "true"], 0, 0)],
)
def test_the_monitor_learns_how_it_ended(
    argv: list[str], signal: int, expected: int, real: LinuxBench
) -> None:
    host = real.host
    assert isinstance(host, LinuxHost)
    real.argv = argv
    real.stage("release")
    assert host.reap(real.container_id) is None
    pidfd = host.pidfd(real.container_id)
    assert pidfd is not None
    real.do("release")
    host.signal(real.facts["init"], signal)
    os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOWAIT)

    assert host.reap(real.container_id) == expected
    assert host.held_init(real.container_id) is None
    assert host.oom_kills(real.facts["cgroup"]) == 0


@pytest.mark.root
def test_it_is_told_that_one_was_killed_for_want_of_memory(real: LinuxBench) -> None:
    host = real.host
    assert isinstance(host, LinuxHost)
    real.argv = [BUSYBOX, "sh", "-c", "x=a; while :; do x=$x$x$x$x; done"]
    real.limits = {"memory": 8 << 20}
    real.stage("release")
    pidfd = host.pidfd(real.container_id)
    assert pidfd is not None
    real.do("release")
    os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOWAIT)
    assert host.reap(real.container_id) == -9
    assert host.oom_kills(real.facts["cgroup"]) >= 1


@pytest.mark.root
@pytest.mark.parametrize("given", ["a line\n", None])
def test_stdin_is_the_pipe_that_the_host_was_given_or_nothing(given: str | None, real: LinuxBench) -> None:
    host = real.host
    assert isinstance(host, LinuxHost)
    reader, writer = os.pipe2(os.O_CLOEXEC)
    host.stdin = reader if given is not None else -1
    real.argv = [BUSYBOX, "sh", "-c", 'read x; test "$x" = "a line"']
    real.stage("release")
    os.close(reader)
    pidfd = host.pidfd(real.container_id)
    assert pidfd is not None
    real.do("release")
    os.write(writer, (given or "unread\n").encode()) if given is not None else None
    os.close(writer)
    os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOWAIT)
    assert host.reap(real.container_id) == (0 if given is not None else 1)


@pytest.mark.root
def test_a_terminal_is_handed_over_once(real: LinuxBench) -> None:
    host = real.host
    assert isinstance(host, LinuxHost)
    real.settings = {"tty": True}
    real.argv = [BUSYBOX, "sh", "-c", "test -t 0 && echo a terminal; exec sleep 600"]
    real.stage("release")
    master = host.take_pty(real.container_id)
    assert master is not None
    assert host.take_pty(real.container_id) is None
    real.do("release")
    assert os.read(master, 100) == b"a terminal\r\n"
    os.close(master)


@pytest.mark.root
def test_no_descriptor_outlives_a_container(real: LinuxBench) -> None:
    before = os.listdir("/proc/self/fd")
    for _ in range(3):
        real.stage("frozen")
        real.do("frozen")
    real.clear()
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.root
def test_it_enters_the_network_of_another_container(real: LinuxBench) -> None:
    real.stage("init")
    with subprocess.Popen(["unshare", "--net", "sh", "-c", "ip link add seen type bridge; echo; exec sleep 60"],
                          stdout=subprocess.PIPE) as other:  # fmt: skip
        assert other.stdout is not None
        other.stdout.readline()
        real.settings = {"network": "container", "netns": identity(other.pid)}
        init = real.do("init")

        there = f"/proc/{other.pid}/ns/net"
        assert os.readlink(f"/proc/{init['pid']}/ns/net") == os.readlink(there)
        # /sys is of the namespace of its mounter.
        assert "seen" in os.listdir(f"/proc/{init['pid']}/root/sys/class/net")
        other.kill()


@pytest.mark.root
def test_a_container_whose_network_it_should_share_is_gone(real: LinuxBench) -> None:
    real.stage("init")
    with subprocess.Popen(["sleep", "60"]) as other:
        dead = identity(other.pid)
        other.kill()
    real.settings = {"network": "container", "netns": dead}

    result = effects(real).do("init", real.spec("init"))

    assert isinstance(result, Failure)
    assert (result.step, result.errno) == ("network", errno.ESRCH)


def test_its_names_are_written_at_each_start(bench: Bench) -> None:
    bench.stage("init")
    files = bench.spec("init")["files"]
    nowhere: list[str] = []
    resolv = {"nameservers": ["10.0.0.1"], "search": ["x.example"], "options": nowhere}
    bench.settings = {"hosts": "10.0.0.2\tcontract\n", "resolv": resolv}
    bench.do("init")
    assert bench.host.read_file(files["/etc/hosts"]) == b"10.0.0.2\tcontract\n"
    assert b"nameserver 10.0.0.1\nsearch x.example\n" in bench.host.read_file(files["/etc/resolv.conf"])
    bench.undo("init")
    bench.settings = {"hosts": "", "resolv": None}
    bench.do("init")
    assert bench.host.read_file(files["/etc/resolv.conf"]) == bench.host.read_file("/etc/resolv.conf")
    bench.undo("init")


def test_the_names_of_a_shared_network_are_left_to_who_has_it(bench: Bench) -> None:
    bench.stage("init")
    path = bench.spec("init")["files"]["/etc/hosts"]
    before = bench.host.read_file(path)
    bench.stage("root_link")
    spec = {**bench.spec("init"), "hosts": "", "resolv": None, "network": "container", "netns": {}}
    effects(bench).do("init", spec)
    assert bench.host.read_file(path) == before
