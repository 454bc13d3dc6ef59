"""A container's directory: closed to others, complete, and on disk; layers and staging."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from effects.failure import Failure
from effects.handler import Effects
from effects.registry import HANDLERS
from tests.contract.bench import Bench, FakeBench, LinuxBench
from tests.fakes import Crash, Fuse, fused


@pytest.fixture(params=[0o000, 0o022, 0o777], ids=["umask 0", "umask 022", "umask 777"])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def test_modes_and_owners_are_the_same_whatever_the_umask(bench: Bench, umask: None) -> None:
    bench.stage("directory")
    bench.do("directory")
    here = bench.spec("directory")["path"]
    expected = {
        "": 0o700,
        "upper": 0o755,
        "work": 0o700,
        "etc": 0o700,
        "log": 0o700,
        "stdout": 0o600,
        "stderr": 0o600,
        "process-1234.json": 0o600,
        "etc/hosts": 0o644,
        "etc/hostname": 0o644,
        "etc/resolv.conf": 0o644,
    }
    if isinstance(bench, LinuxBench):
        found = {name: stat.S_IMODE(os.lstat(f"{here}/{name}").st_mode) for name in expected}
        owner = os.lstat(f"{here}/stderr")
        uid, gid = owner.st_uid, owner.st_gid
    else:
        assert isinstance(bench, FakeBench)
        found = {name: bench.kernel.tree.at(f"{here}/{name}").mode for name in expected}
        uid, gid = bench.kernel.tree.at(f"{here}/stderr").uid, bench.kernel.tree.at(f"{here}/stderr").gid
    assert found == expected
    assert (uid, gid) == (1000, 1000)


def test_the_hosts_file_is_copied_where_no_content_is_given(bench: Bench) -> None:
    bench.stage("directory")
    bench.do("directory")
    copied = bench.host.read_file(f"{bench.spec('directory')['path']}/etc/resolv.conf")
    assert copied == bench.host.read_file("/etc/resolv.conf")


def test_without_its_secrets_it_cannot_be_made(bench: Bench) -> None:
    bench.stage("directory")
    bench.host.secrets.clear()
    result = Effects(HANDLERS, bench.host).do("directory", bench.spec("directory"))
    assert isinstance(result, Failure)
    assert (result.errno, result.step) == (errno.ENOENT, "process file")


def test_a_successor_finishes_it_without_the_secrets_once_they_are_written(bench: Bench) -> None:
    for step in range(1, 100):
        handler, spec = bench.stage("directory")
        try:
            handler.do(spec, fused(bench.host, Fuse(step)))
        except Crash:
            bench.succeed()
            result = Effects(HANDLERS, bench.host).do("directory", spec)
            written = bench.host.exists(f"{spec['path']}/process-1234.json")
            assert (result == {}) == written
        else:
            break
    assert step > 10


@pytest.mark.parametrize("layout", ["hybrid"])
def test_what_do_reported_survives_a_power_cut(layout: str) -> None:
    bench = FakeBench(layout)
    handler, spec = bench.stage("directory")
    handler.do(spec, bench.host)
    before = {name: node.durable_data for name, node in bench.kernel.tree.at(spec["path"]).entries.items()}
    bench.kernel.power_cut()

    here = bench.kernel.tree.at(spec["path"])
    assert {*before} - {*here.entries} <= {"made"}
    assert {*here.entries["etc"].entries} == {"hosts", "hostname", "resolv.conf"}
    assert here.entries["etc"].entries["hosts"].data == b"127.0.0.1 localhost\n"
    # Without the secrets in hand: they are on disk.
    assert handler.do(spec, bench.new_host()) == {}
    assert here.entries["process-1234.json"].data != b""


def test_a_power_cut_at_any_call_never_leaves_a_broken_secret() -> None:
    for step in range(1, 100):
        bench = FakeBench("v1")
        handler, spec = bench.stage("directory")
        try:
            handler.do(spec, fused(bench.host, Fuse(step)))
        except Crash:
            bench.kernel.power_cut()
            secret = bench.kernel.tree.find(f"{spec['path']}/process-1234.json")
            assert secret is None or secret.data != b""
        else:
            break
    assert step > 10


@pytest.mark.parametrize("kind", ["directory", "staging", "layer"])
def test_what_was_removed_stays_removed_after_a_power_cut(kind: str) -> None:
    bench = FakeBench("v1")
    handler, spec = bench.stage(kind) if kind != "layer" else (HANDLERS[kind], bench.spec(kind))
    bench.kernel.tree.make_dirs(spec["path"]) if kind == "layer" else handler.do(spec, bench.host)
    bench.kernel.tree.make_dirs(spec["path"])  # all on disk by now
    handler.undo(spec, {}, bench.host)
    bench.kernel.power_cut()
    above = bench.kernel.tree.find(spec["path"].rpartition("/")[0])
    assert above is None or above.entries == {}


def test_a_layer_is_removed_whole_and_never_made(bench: Bench) -> None:
    handler, spec = HANDLERS["layer"], bench.spec("layer")
    assert handler.probe(spec, bench.host) is None
    result = Effects(HANDLERS, bench.host).do("layer", spec)
    assert isinstance(result, Failure)
    assert result.errno == errno.ENOENT

    for path in (f"{bench.base}/layers", spec["path"], f"{spec['path']}/fs"):
        bench.host.make_dir(path, 0o755)
    assert handler.probe(spec, bench.host) == {}
    for step in (1, 2, 3):
        try:
            handler.undo(spec, {}, fused(bench.host, Fuse(step)))
        except Crash:
            continue
    handler.undo(spec, {}, bench.host)
    assert handler.probe(spec, bench.host) is None
    assert bench.host.subdirs(f"{bench.base}/layers") == []


@pytest.mark.root
def test_undo_refuses_to_remove_through_a_mount(real: LinuxBench, tmp_path: Path) -> None:
    from effects import syscalls

    canary = tmp_path / "canary"
    canary.mkdir()
    (canary / "file").write_text("alive")
    handler, spec = real.stage("directory")
    handler.do(spec, real.host)
    syscalls.mount(str(canary), f"{spec['path']}/upper", None, syscalls.MS_BIND)
    result = Effects(HANDLERS, real.host).undo("directory", spec, {})
    assert isinstance(result, Failure)
    assert result.errno == errno.EBUSY
    syscalls.umount2(result.path, 0)
    assert (canary / "file").read_text() == "alive"
    handler.undo(spec, {}, real.host)
    assert handler.probe(spec, real.host) is None
