"""Volumes, tmpfs and files of a container; and that no mount ever shows on the host, nor the other way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from effects import rootfs
from eventstore import plainjson
from tests.births import Box, end

pytestmark = pytest.mark.root


@pytest.fixture
def data(tmp_path: Path) -> Path:
    place = tmp_path / "data"
    (place / "sub").mkdir(parents=True)
    (place / "file").write_text("host\n")
    return place


def test_a_volume_is_the_hosts_directory(box: Box, data: Path) -> None:
    volumes = [{"source": str(data), "target": "/mnt/v", "ro": False}]
    assert box.sh("cat /mnt/v/file; echo inside > /mnt/v/new", volumes=volumes) == "host\n"
    assert (data / "new").read_text() == "inside\n"
    assert box.mounts[box.mounts.index("/sys") + 1] == "/mnt/v"


def test_a_read_only_volume_is_so_with_all_mounts_below_it(box: Box, data: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "below", data / "sub"], check=True)
    try:
        volumes = [{"source": str(data), "target": "/v", "ro": True}]
        assert box.run("/bin/sh", "-c", "echo x > /v/x", volumes=volumes) == 1
        assert box.run("/bin/sh", "-c", "echo x > /v/sub/x", volumes=volumes) == 1
        assert box.output("stderr").count("Read-only file system") == 2
        (data / "sub/written").write_text("the host still can")
    finally:
        subprocess.run(["umount", data / "sub"], check=True)


def test_a_file_can_be_a_volume(box: Box, data: Path) -> None:
    volumes = [{"source": str(data / "file"), "target": "/some/where/f", "ro": False}]
    assert box.sh("cat /some/where/f", volumes=volumes) == "host\n"


def test_parents_are_mounted_before_what_lies_in_them_whatever_their_order(box: Box, data: Path) -> None:
    volumes = [
        {"source": str(data / "sub"), "target": "/a/b/c", "ro": False},
        {"source": str(data), "target": "/a/b", "ro": False},
        {"source": str(data), "target": "/a-b", "ro": False},
    ]
    out = box.sh(
        "ls /a /a/b; cat /a/b/file; ls -A /a/b/c",
        volumes=volumes,
        tmpfs=[{"target": "/a", "options": "mode=755"}],
    )
    assert out.split() == ["/a:", "b", "/a/b:", "c", "file", "sub", "host"]
    own = [path for path in box.mounts if path.startswith("/a")]
    assert own == ["/a", "/a/b", "/a/b/c", "/a-b"]


def test_a_volume_over_an_engines_file_wins(box: Box, data: Path) -> None:
    volumes = [{"source": str(data / "file"), "target": "/etc/hosts", "ro": True}]
    assert box.sh("cat /etc/hosts", volumes=volumes) == "host\n"


def test_a_file_of_the_engines_is_mounted_even_where_the_image_has_none(box: Box, data: Path) -> None:
    files = {"/etc/resolv.conf": str(data / "file"), "/new/dir/f": str(data / "file")}
    assert box.sh("cat /etc/resolv.conf /new/dir/f", files=files) == "host\nhost\n"


def test_a_tmpfs_has_dockers_flags_and_its_own(box: Box) -> None:
    tmpfs = [{"target": "/t", "options": ""}, {"target": "/u", "options": "size=1m,exec,dev,ro,mode=700"}]
    lines = {
        line.split()[1]: line.split()[3].split(",")
        for line in box.sh("cat /proc/mounts", tmpfs=tmpfs).splitlines()
    }
    assert {"rw", "nosuid", "nodev", "noexec"} <= set(lines["/t"])
    assert {"ro", "nosuid", "size=1024k", "mode=700"} <= set(lines["/u"])
    assert not {"noexec", "nodev"} & set(lines["/u"])


def test_a_refused_tmpfs_option_is_named_by_the_kernel(box: Box) -> None:
    with pytest.raises(OSError, match="nosuchthing"):
        box.spawn("true", tmpfs=[{"target": "/t", "options": "nosuchthing=1"}])


def test_what_a_container_mounts_over_its_own_dev_shm_is_its_own_affair(box: Box, data: Path) -> None:
    volumes = [{"source": str(data), "target": "/dev/shm", "ro": False}]
    assert box.sh("cat /dev/shm/file", volumes=volumes) == "host\n"


SHARED = """
import os, sys
sys.path.append(sys.argv[1])
from effects.child import spawn_init
from eventstore import plainjson

def mounts():
    with open("/proc/self/mountinfo") as file:
        return file.read()

config = plainjson.loads(sys.argv[2].encode())
before = mounts()
assert "shared:" in before, before
born = spawn_init(config)
born.wait_ready()
assert mounts() == before, "the host sees a mount"
born.release()
born.wait_exec()
assert mounts() == before
os.waitid(os.P_PIDFD, born.pidfd, os.WEXITED)
assert mounts() == before
print("unchanged")
"""


def test_a_host_whose_mounts_are_all_shared_sees_none_of_the_containers(box: Box, data: Path) -> None:
    own = os.path.dirname(os.path.dirname(rootfs.__file__))
    config = {
        **box.config,
        "argv": ["/bin/sh", "-c", "umount /v; mount -t tmpfs x /mnt; umount /dev/shm"],
        "volumes": [{"source": str(data), "target": "/v", "ro": False}],
        "caps": [*box.config["caps"], "SYS_ADMIN"],
    }
    script = 'mount --make-rshared / && exec "$@"'
    program = [sys.executable, "-I", "-S", "-c", SHARED, own, plainjson.dumps(config).decode()]
    done = subprocess.run(
        ["unshare", "-m", "--propagation", "shared", "sh", "-c", script, "sh", *program],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("unchanged\n", "")


def test_a_later_mount_of_the_hosts_does_not_show_inside(box: Box, data: Path) -> None:
    os.mkfifo(data / "go")
    volumes = [{"source": str(data), "target": "/v", "ro": False}]
    born = box.start("/bin/sh", "-c", "read x < /v/go; ls /v/sub", volumes=volumes)
    subprocess.run(["mount", "-t", "tmpfs", "later", data / "sub"], check=True)
    try:
        (data / "sub/seen").write_text("")
        (data / "go").write_text("x\n")
        assert end(born) == 0
        assert box.output() == ""
    finally:
        subprocess.run(["umount", data / "sub"], check=True)
