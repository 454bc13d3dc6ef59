"""Views show a container's own files, allow what they should, and leave no trace on the host."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from effects import fsview, identity, mounts, syscalls
from tests import tars

pytestmark = pytest.mark.root


@pytest.fixture
def layers(tmp_path: Path) -> Path:
    for name, content in (("low/both", "low"), ("low/gone", "x"), ("low/dir/a", "a"), ("high/both", "high")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    (tmp_path / "high" / "dir").mkdir()
    (tmp_path / "high" / "dir" / "b").write_text("b")
    os.mknod(tmp_path / "high" / "gone", 0o20000, os.makedev(0, 0))
    (tmp_path / "work").mkdir()
    return tmp_path


@pytest.fixture
def opened() -> Iterator[Callable[[int], str]]:
    """A path to look below a view by, as long as the test lasts; and no mount may be left after it."""
    before = Path("/proc/self/mountinfo").read_text()
    views: list[int] = []

    def path(view: int) -> str:
        views.append(view)
        return f"/proc/self/fd/{view}"

    yield path
    for view in views:
        os.close(view)
    assert Path("/proc/self/mountinfo").read_text() == before


def test_a_stopped_containers_view_is_its_upper_over_its_layers(
    layers: Path, opened: Callable[[int], str]
) -> None:
    view = opened(fsview.overlay_view([str(layers / "high"), str(layers / "low")]))
    assert sorted(os.listdir(view)) == ["both", "dir"]
    assert Path(view, "both").read_text() == "high"
    assert sorted(os.listdir(f"{view}/dir")) == ["a", "b"]


@pytest.mark.parametrize("count", [1, 2, 60])
def test_it_is_read_only_however_many_layers_there_are(
    count: int, layers: Path, opened: Callable[[int], str]
) -> None:
    more = [layers / f"layer,{number}:\\" for number in range(count)]
    for number, layer in enumerate(more):
        layer.mkdir()
        (layer / f"file{number}").touch()
    view = opened(fsview.overlay_view([str(layer) for layer in more]))
    assert len(os.listdir(view)) == count
    for attempt in (
        lambda: os.mkdir(f"{view}/new"),
        lambda: os.unlink(f"{view}/file0"),
        lambda: os.utime(f"{view}/file0"),
        lambda: os.open(f"{view}/file0", os.O_WRONLY),
    ):
        with pytest.raises(OSError, match="Errno") as caught:
            attempt()
        assert caught.value.errno == errno.EROFS


def test_devices_in_a_view_do_not_open(layers: Path, opened: Callable[[int], str]) -> None:
    os.mknod(layers / "high" / "null", 0o20666, os.makedev(1, 3))
    os.mknod(layers / "low" / "null", 0o20666, os.makedev(1, 3))
    for view in (
        opened(fsview.overlay_view([str(layers / "high"), str(layers / "low")])),
        opened(fsview.overlay_view([str(layers / "low")])),
    ):
        with pytest.raises(PermissionError):
            os.open(f"{view}/null", os.O_RDONLY)


def test_what_is_written_to_a_stopped_container_lies_in_its_upper(
    layers: Path, opened: Callable[[int], str]
) -> None:
    view = opened(fsview.overlay_rw_view([str(layers / "low")], str(layers / "high"), str(layers / "work")))
    Path(view, "new").write_text("new")
    os.unlink(f"{view}/dir/a")
    assert (layers / "high" / "new").read_text() == "new"
    assert (layers / "low" / "dir" / "a").exists()
    assert os.listdir(f"{view}/dir") == ["b"]


def test_two_writers_on_one_upper_are_refused_and_a_closed_one_is_gone(
    layers: Path, opened: Callable[[int], str]
) -> None:
    paths = ([str(layers / "low")], str(layers / "high"), str(layers / "work"))
    first = fsview.overlay_rw_view(*paths)
    with pytest.raises(OSError, match="busy") as caught:
        fsview.overlay_rw_view(*paths)
    assert (caught.value.errno, caught.value.filename) == (errno.EBUSY, str(layers / "high"))
    os.close(first)
    opened(fsview.overlay_rw_view(*paths))


def test_a_missing_layer_is_an_error_with_its_path(layers: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        fsview.overlay_view([str(layers / "high"), str(layers / "missing")])
    assert caught.value.filename == str(layers / "missing")


@pytest.fixture
def container(layers: Path) -> Iterator[int]:
    """The pid of a process whose root is an overlay of its own with a volume, /proc and a file mounted in it."""
    (layers / "volume").mkdir()
    (layers / "volume" / "secret").write_text("of the volume")
    for name in ("vol", "proc"):
        (layers / "low" / name).mkdir()
    (layers / "high" / "upper").write_text("mine")
    (layers / "hosts").write_text("bound")
    ready, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
        root = mounts.overlay([str(layers / "low")], str(layers / "high"), str(layers / "work"))
        os.fchdir(root)
        syscalls.mount(str(layers / "volume"), "vol", None, syscalls.MS_BIND)
        syscalls.mount(str(layers / "hosts"), "both", None, syscalls.MS_BIND)
        syscalls.mount("proc", "proc", "proc")
        syscalls.pivot_root(".", ".")
        syscalls.umount2(".", syscalls.MNT_DETACH)
        os.write(told, b".")
        signal.pause()
    os.close(told)
    assert os.read(ready, 1) == b"."
    os.close(ready)
    yield pid
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_a_running_containers_view_is_without_what_is_mounted_in_it(
    container: int, opened: Callable[[int], str]
) -> None:
    pidfd = os.pidfd_open(container)
    view = opened(fsview.running_view(pidfd))
    os.close(pidfd)
    assert sorted(os.listdir(view)) == ["both", "dir", "proc", "upper", "vol"]
    assert os.listdir(f"{view}/vol") == os.listdir(f"{view}/proc") == []
    assert Path(view, "both").read_text() == "high"
    with pytest.raises(OSError, match="Read-only"):
        os.mkdir(f"{view}/new")


def test_a_view_outlives_its_container_and_can_be_packed(
    container: int, layers: Path, tmp_path: Path, opened: Callable[[int], str]
) -> None:
    pidfd = os.pidfd_open(container)
    view = opened(fsview.running_view(pidfd))
    os.close(pidfd)
    os.kill(container, signal.SIGKILL)
    volume = os.open(layers / "volume", os.O_RDONLY)
    content = tars.pack(Path(view), grafts=[("/vol", volume)])
    os.close(volume)
    (tmp_path / "out").mkdir()
    tars.unpack(content, tmp_path / "out")
    assert (tmp_path / "out" / "vol" / "secret").read_text() == "of the volume"
    assert (tmp_path / "out" / "upper").read_text() == "mine"


def test_the_root_handle_shows_what_the_container_sees(container: int, opened: Callable[[int], str]) -> None:
    who = identity.identity(container)
    assert who is not None
    root = opened(fsview.root_handle(who))
    assert Path(root, "vol", "secret").read_text() == "of the volume"
    assert Path(root, "both").read_text() == "bound"


def test_no_handle_of_another_process_with_the_pid_is_given(container: int) -> None:
    who = identity.identity(container)
    assert who is not None
    for other in ({**who, "start": who["start"] + 1}, {**who, "boot": "another"}):
        with pytest.raises(OSError, match="is gone") as caught:
            fsview.root_handle(other)  # type: ignore[arg-type]  # mypy takes the union of values for each
        assert caught.value.errno == errno.ESRCH
