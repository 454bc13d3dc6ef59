"""One root and several run directories: what lives has its things in one of them, and whatever it is called, it works."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.machines import Machine
from tests.networks import Net
from tests.system.conftest import Docker

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

RUN = ("run", "-d", "--name", "c1", "busybox", "sleep", "1000")
WRITERS = [
    ["run", "--rm", "busybox", "true"],
    ["create", "busybox", "true"],
    ["start", "c1"],
    ["restart", "c1"],
    ["exec", "c1", "true"],
    ["attach", "c1"],
    ["cp", "/etc/hostname", "c1:/"],
    ["commit", "c1", "image"],
    ["stop", "c1"],
    ["kill", "c1"],
    ["pause", "c1"],
    ["rename", "c1", "c2"],
    ["update", "-m", "100m", "c1"],
    ["rm", "-f", "c1", "c2"],
    ["network", "create", "--subnet", "192.168.77.0/24", "n1"],
    ["replay", "--quiet"],
    ["system", "prune", "-f"],
]
READERS = [
    ["ps"],
    ["inspect", "c1"],
    ["logs", "c1"],
    ["top", "c1"],
    ["stats", "--no-stream", "c1"],
    ["history", "c1"],
    ["why", "c1"],
    ["audit", "verify"],
    ["replay", "--dry-run"],
    ["network", "ls"],
    ["info"],
]


def elsewhere(docker: Docker, run_dir: Path | None) -> Docker:
    """The same root, with another run directory; None: with none that anybody asked for."""
    other = type(docker).__new__(type(docker))
    other.__dict__.update(docker.__dict__)
    other.env = {key: text for key, text in docker.env.items() if key != "MYDOCKER_RUN_DIR"}
    if run_dir is not None:
        other.run_dir = run_dir
        other.env["MYDOCKER_RUN_DIR"] = str(run_dir)
    return other


def test_as_long_as_something_lives_a_second_one_is_for_readers_only(series: Docker, tmp_path: Path) -> None:
    series.ok(*RUN)
    other, before = elsewhere(series, tmp_path / "other"), series.events()
    told = f"{series.root} is in use with the run directory {series.run_dir}, not with {other.run_dir} ["

    for command in WRITERS:
        assert told in other.fails(*command, code=125), command
    for command in READERS:
        other.ok(*command)

    assert series.events() == before
    assert not other.run_dir.exists()
    assert other.ok("info", "--format", "{{.RunDir}}") == f"{series.run_dir}\n"
    series.ok("rm", "-f", "c1")


def test_who_asks_for_none_works_with_the_one_in_use(series: Docker) -> None:
    series.ok(*RUN)
    plain = elsewhere(series, None)

    assert plain.ok("exec", "c1", "echo", "hi") == "hi\n"
    plain.ok(*(word.replace("c1", "c2") for word in RUN))
    assert (series.root / "mnt" / "c2").readlink().is_relative_to(series.run_dir)
    plain.ok("rm", "-f", "c1", "c2")
    assert not Path("/run/mydocker", series.root_id).exists()


def test_where_nothing_lives_another_one_takes_effect_and_lasts(series: Docker, tmp_path: Path) -> None:
    series.ok(*RUN)
    series.ok("stop", "-t", "0", "c1")
    other = elsewhere(series, tmp_path / "other")

    other.ok("start", "c1")

    assert (series.root / "mnt" / "c1").readlink().is_relative_to(other.run_dir)
    assert (series.root / "mnt" / "c1" / "bin" / "busybox").exists()
    assert "is in use with the run directory" in series.fails("stop", "c1", code=125)
    assert elsewhere(series, None).ok("exec", "c1", "echo", "hi") == "hi\n"
    assert f"the run directory is {other.run_dir} from now on" in other.ok("history", "--no-trunc", "host")
    other.ok("rm", "-f", "c1")
    series.ok("run", "--rm", "busybox", "true")


def test_after_a_boot_any_will_do(machine: Machine, tmp_path: Path) -> None:
    machine.ok(*RUN)
    machine.reboot()
    other = elsewhere(machine, tmp_path / "other")

    other.ok("start", "c1")

    assert (machine.root / "mnt" / "c1").readlink().is_relative_to(other.run_dir)
    assert "is in use with the run directory" in machine.fails("stop", "c1", code=125)
    other.ok("rm", "-f", "c1")


def test_names_of_a_network_are_known_in_whichever_one_it_is(net: Net, tmp_path: Path) -> None:
    net.network("n1", "192.168.77.0/24")
    net.ok("run", "-d", "--name", "web", "-net", "n1", "busybox", "sleep", "1000")
    other, plain = elsewhere(net, tmp_path / "other"), elsewhere(net, None)
    ask = ("run", "--rm", "-net", "n1", "busybox", "nslookup", "web")
    assert "is in use with the run directory" in other.fails(*ask, code=125)
    assert "192.168.77.2" in plain.ok(*ask)
    plain.ok("stop", "-t", "0", "web")

    other.ok("start", "web")
    assert "192.168.77.2" in other.ok(*ask)
    assert "192.168.77.2" in plain.ok(*ask)
    assert not list(net.run_dir.glob("*/dns/*"))  # its server went with it

    shutil.rmtree(other.run_dir)  # as it may at any time
    assert "192.168.77.2" in plain.ok(*ask)
    assert "nothing to do" in plain.ok("replay")
    shutil.rmtree(other.run_dir)
    assert "web" in plain.ok("replay")
    assert "192.168.77.2" in plain.ok(*ask)
    assert (net.root / "mnt" / "web").readlink().is_relative_to(other.run_dir)
    other.ok("rm", "-f", "web")
    other.ok("network", "rm", "n1")


def test_where_it_can_be_made_no_more_what_lives_is_ended_all_the_same(
    series: Docker, tmp_path: Path
) -> None:
    series.ok(*RUN)
    shutil.rmtree(series.run_dir)
    series.run_dir.touch()

    assert series.ok("exec", "c1", "echo", "hi") == "hi\n"
    series.ok("stop", "-t", "0", "c1")
    elsewhere(series, tmp_path / "other").ok("start", "c1")
    elsewhere(series, None).ok("rm", "-f", "c1")


# --- what it may be called, and where it may be ---------------------------------------------------------

LONG = "/".join(["x" * 200] * 18)  # 3,617 bytes: a socket's name has 108 at most, a path 4,095
FIT = {
    "it has spaces": "a b",
    "it has a line feed": "a\nb",
    "it has what dnsmasq and mount take for an end": "a:b,c=d",
    "it has what a shell takes for something": "a'b\"c\\d$e%f",
    "it is not UTF-8": "a\udce9",
    "its path is long": LONG,
    "it is a link": "link",
    "it is a link to nowhere": "dangling",
    "it is below the root": "root/run",
    "it is the root": "root",
    "it is above the root": ".",
}


@pytest.mark.parametrize("name", FIT.values(), ids=FIT.keys())
def test_a_network_and_its_names_work_where(net: Net, tmp_path: Path, name: str) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to("target")
    (tmp_path / "dangling").symlink_to("nowhere/yet")
    other = elsewhere(net, tmp_path / name)

    other.ok("network", "create", "--subnet", "192.168.77.0/24", "n1")
    other.ok("run", "-d", "--name", "web", "-net", "n1", "busybox", "sleep", "1000")

    assert "192.168.77.2" in other.ok("run", "--rm", "-net", "n1", "busybox", "nslookup", "web")
    assert (net.root / "mnt" / "web" / "bin" / "busybox").exists()
    assert "nothing to do" in other.ok("replay")
    other.ok("rm", "-f", "web")
    other.ok("network", "rm", "n1")


def _file(base: Path) -> Path:
    (base / "file").touch()
    return base / "file"


def _read_only(base: Path) -> Path:
    (base / "ro").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", base / "ro"], check=True)
    return base / "ro"


UNFIT: dict[str, tuple[Callable[[Path], Path], str]] = {
    "it is a file": (_file, "/file is a file, not a directory [move it away, or name another one]"),
    "it is below a file": (lambda base: _file(base) / "x", "/file is a file, not a directory [move it away,"),
    "it is on a file system that is only read": (_read_only, "nothing can be written there [name another"),
    "it cannot be made on one": (lambda base: _read_only(base) / "x", "Read-only file system"),
    "it cannot be made in /proc": (lambda _: Path("/proc/x"), "No such file or directory"),
    "its path is too long": (lambda base: base / f"{LONG}/{LONG}", "its path is longer than 3935 bytes"),
    "a name in it is too long": (lambda base: base / ("x" * 300), "File name too long"),
    "it would lie among containers": (lambda base: base / "root/containers/x", "is the engine's own ["),
    "it would lie among links": (lambda base: base / "root/mnt", "is the engine's own ["),
}


@pytest.fixture
def unmounted(tmp_path: Path) -> Iterator[None]:
    yield
    subprocess.run(["umount", tmp_path / "ro"], capture_output=True, check=False)


@pytest.mark.usefixtures("unmounted")
@pytest.mark.parametrize(("place", "why"), UNFIT.values(), ids=UNFIT.keys())
def test_it_is_refused_in_one_line_and_nothing_is_written_where(
    series: Docker, tmp_path: Path, place: Callable[[Path], Path], why: str
) -> None:
    series.ok("create", "--name", "c1", "busybox", "true")
    before = series.events()
    unfit = elsewhere(series, place(tmp_path))

    for command in (["start", "c1"], ["run", "--name", "c2", "busybox", "true"]):
        told = unfit.fails(*command, code=125)
        assert told.startswith("mydocker: cannot use ")
        assert why in told

    assert series.events() == before
    series.ok("rm", "c1")
