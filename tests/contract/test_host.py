"""What each call of `effects.host.Host` promises, kept by the fake and by the kernel alike."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

import pytest

from tests.contract.bench import Bench, LinuxBench


@pytest.fixture
def here(bench: Bench) -> str:
    """An empty directory."""
    path = f"{bench.base}/here"
    bench.host.make_dir(path, 0o700)
    return path


def code_of(call: Callable[[], object]) -> int:
    try:
        call()
    except OSError as error:
        return error.errno or -1
    return 0


def test_a_directory_is_made_once_and_only_below_a_parent(bench: Bench, here: str) -> None:
    host = bench.host
    host.make_dir(f"{here}/dir", 0o700)
    host.make_dir(f"{here}/dir", 0o700)
    host.write_file(f"{here}/file", b"", 0o600, sync=False)
    assert host.subdirs(here) == [f"{here}/dir"]
    assert code_of(lambda: host.make_dir(f"{here}/file", 0o700)) == errno.EEXIST
    assert code_of(lambda: host.make_dir(f"{here}/no/dir", 0o700)) == errno.ENOENT


@pytest.mark.parametrize("sync", [False, True])
def test_a_file_is_replaced_whole(sync: bool, bench: Bench, here: str) -> None:
    bench.host.write_file(f"{here}/file", b"one" * 50000, 0o600, sync=sync)
    bench.host.write_file(f"{here}/file", b"two", 0o600, sync=sync)
    assert bench.host.read_file(f"{here}/file") == b"two"
    if isinstance(bench, LinuxBench):
        assert os.listdir(here) == ["file"]


def test_a_fifo_takes_no_other_things_place(bench: Bench, here: str) -> None:
    bench.host.make_fifo(f"{here}/fifo", 0o600, 0, 0)
    bench.host.make_fifo(f"{here}/fifo", 0o600, 1, 1)
    bench.host.write_file(f"{here}/file", b"mine", 0o600, sync=False)
    assert code_of(lambda: bench.host.make_fifo(f"{here}/file", 0o600, 0, 0)) == errno.EEXIST
    assert bench.host.read_file(f"{here}/file") == b"mine"


def test_a_link_replaces_a_link_and_is_there_even_if_it_dangles(bench: Bench, here: str) -> None:
    host = bench.host
    host.symlink("/nowhere/at all", f"{here}/link")
    host.symlink("/nowhere/else", f"{here}/link")
    host.make_dir(f"{here}/dir", 0o700)
    assert host.exists(f"{here}/link")
    assert host.read_link(f"{here}/link") == "/nowhere/else"
    assert host.read_link(f"{here}/dir") is None
    assert host.read_link(f"{here}/nothing") is None
    assert code_of(lambda: host.symlink("/x", f"{here}/dir")) == errno.EISDIR
    if isinstance(bench, LinuxBench):
        assert sorted(os.listdir(here)) == ["dir", "link"]


def test_what_is_gone_need_not_be_removed(bench: Bench, here: str) -> None:
    for missing in (f"{here}/no", f"{here}/no/where"):
        bench.host.remove_file(missing)
        bench.host.remove_tree(missing)
        bench.host.remove_cgroup(missing, 0)
        assert not bench.host.exists(missing)
        assert bench.host.subdirs(missing) == []
        assert bench.host.pids_in(missing) == []
    assert code_of(lambda: bench.host.read_file(f"{here}/no")) == errno.ENOENT


def test_a_directory_is_not_removed_as_a_file(bench: Bench, here: str) -> None:
    assert code_of(lambda: bench.host.remove_file(here)) == errno.EISDIR


def test_a_tree_moves_and_goes_as_one(bench: Bench, here: str) -> None:
    host = bench.host
    host.make_dir(f"{here}/a", 0o700)
    host.write_file(f"{here}/a/file", b"x", 0o600, sync=False)
    host.make_dir(f"{here}/full", 0o700)
    host.write_file(f"{here}/full/file", b"x", 0o600, sync=False)
    assert code_of(lambda: host.rename(f"{here}/a", f"{here}/full")) == errno.ENOTEMPTY
    host.rename(f"{here}/a", f"{here}/b")
    assert host.read_file(f"{here}/b/file") == b"x"
    assert not host.exists(f"{here}/a")
    host.remove_tree(f"{here}/b")
    assert host.subdirs(here) == [f"{here}/full"]


def test_files_and_directories_can_be_synced_and_nothing_that_is_gone(bench: Bench, here: str) -> None:
    bench.host.write_file(f"{here}/file", b"x", 0o600, sync=False)
    bench.host.sync(f"{here}/file")
    bench.host.sync(here)
    assert code_of(lambda: bench.host.sync(f"{here}/no")) == errno.ENOENT


def test_a_control_that_the_kernel_does_not_offer_is_not_made(bench: Bench) -> None:
    top = bench.host.hierarchies()[0]["path"]
    assert code_of(lambda: bench.host.write_control(f"{top}/no.such.control", "1")) in {
        errno.ENOENT,
        errno.EACCES,  # the kernel refuses O_WRONLY of a missing file of a cgroup file system either way
    }
    assert not bench.host.exists(f"{top}/no.such.control")


def test_a_wait_for_what_does_not_come_ends(bench: Bench) -> None:
    top = bench.host.hierarchies()[0]["path"]
    assert (
        code_of(lambda: bench.host.wait_control(f"{top}/cgroup.procs", "no such line", 0.05))
        == errno.ETIMEDOUT
    )


def test_a_root_handle_replaces_the_one_before_it(bench: Bench) -> None:
    bench.stage("root_link")
    host, identity = bench.host, bench.facts["init"]
    host.hold_root("/via", identity)
    before = len(os.listdir("/proc/self/fd"))
    second = host.hold_root("/via", identity)
    assert host.held_root("/via") == second
    assert len(os.listdir("/proc/self/fd")) == before
    host.drop_root("/via")
    host.drop_root("/via")
    assert host.held_root("/via") is None
    host.kill(identity, 5)
    assert code_of(lambda: host.hold_root("/via", identity)) == errno.ESRCH


def test_a_gate_that_is_not_ours_is_not_opened(bench: Bench) -> None:
    bench.stage("frozen")
    bench.succeed()
    identity = bench.facts["init"]
    assert code_of(lambda: bench.host.open_gate(identity)) == errno.ESRCH
    bench.host.adopt_init(bench.container_id, identity)
    assert bench.host.held_init(bench.container_id) == identity
