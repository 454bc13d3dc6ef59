"""Images, volumes and users that attack the engine while it makes their container. Each test names its report."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from effects import devices, devices_bpf, devnodes, rootfs, syscalls
from effects.failure import StepFailed
from eventstore import plainjson
from tests.births import Box, tree

pytestmark = pytest.mark.root


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A directory of the host's that nothing may touch."""
    place = tmp_path / "canary"
    (place / "sys").mkdir(parents=True)
    for name in ("ptmx", "null", "console", "hosts", "file"):
        (place / name).write_text("untouched\n")
    before = tree(place)
    yield place
    assert tree(place) == before


@pytest.fixture
def evil(box: Box) -> Path:
    """An image layer over the good one, for the test to fill."""
    layer = box.place / "evil"
    layer.mkdir()
    box.config["lower"] = [str(layer), *box.config["lower"]]
    return layer


ATTACKED = """
import os, sys
sys.path.append(sys.argv[1])
sys.path.append(sys.argv[2])
import cve_driver
from effects import interpreter
interpreter._places = lambda: sys.argv[1:3]
config = sys.argv[4]
if sys.argv[3] == "handle":
    os.waitpid(interpreter.spawn("cve_driver", {1: 1, 2: 2}, config), 0)
else:
    sys.argv = ["x", config]
    cve_driver.main()
"""
DRIVER = """
import os, sys
from effects.child import spawn_init
from eventstore import plainjson

def main():
    born = spawn_init(plainjson.loads(sys.argv[1].encode()))
    born.wait_ready()
    born.release()
    born.wait_exec()
"""
# Inside: keep the interpreter's file open, become another program, and write to it, which nothing runs any more.
OVERWRITE = """
import os
fd = os.open("/proc/self/exe", os.O_RDONLY)
os.set_inheritable(fd, True)
os.execv("/bin/sh", ["/bin/sh", "-c", f"read x < /engine-is-gone; printf PWNED 1<>/proc/self/fd/{fd}; echo done $?"])
"""


@pytest.mark.parametrize("entry", ["direct", "shebang"])
@pytest.mark.parametrize(("way", "survives"), [("handle", True), ("plain", False)])
def test_cve_2019_5736_the_hosts_interpreter_is_not_overwritten(
    box: Box, evil: Path, way: str, entry: str, *, survives: bool
) -> None:
    """On a copy of the interpreter; the plain way proves that the attack itself works."""
    if way == "plain" and entry == "shebang":
        return
    copy = box.place / "python-copy"
    shutil.copy(os.path.realpath(sys.executable), copy)
    original = copy.read_bytes()
    (box.place / "cve_driver.py").write_text(DRIVER)
    (evil / "attack").write_text(f"#!/proc/self/exe\n{OVERWRITE}")
    (evil / "attack").chmod(0o755)
    libraries = [path for path in ("/usr", "/lib", "/lib64") if os.path.exists(path)]
    argv = ["/proc/self/exe", "-I", "-S", "-c", OVERWRITE] if entry == "direct" else ["/attack"]
    volumes = [{"source": path, "target": path, "ro": True} for path in libraries]
    gate = box.place / "gate"
    os.mkfifo(gate)
    volumes.append({"source": str(gate), "target": "/engine-is-gone", "ro": False})
    config = plainjson.dumps({**box.config, "argv": argv, "volumes": volumes})
    own = os.path.dirname(os.path.dirname(rootfs.__file__))
    program = [str(copy), "-I", "-S", "-c", ATTACKED, own, str(box.place), way, config.decode()]
    subprocess.run(program, check=True)
    gate.write_text("x\n")
    out, err = box.wait_output("done"), box.output("stderr")
    assert out == ("done 1\n" if survives else "done 0\n"), err
    assert ("Read-only file system" in err) == survives, err
    assert (copy.read_bytes() == original) == survives


@pytest.mark.parametrize("number", range(51))
def test_cve_2024_21626_no_working_directory_by_a_leaked_descriptor(box: Box, number: int) -> None:
    spare = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    os.set_inheritable(spare, True)
    try:
        with pytest.raises(StepFailed) as failed:
            box.start("pwd", cwd=f"/proc/self/fd/{number}")
    finally:
        os.close(spare)
    assert failed.value.step == "cwd"
    assert failed.value.errno in {errno.ELOOP, errno.ENOENT}


def test_cve_2026_55686_a_working_directory_behind_a_link_is_made_inside(
    box: Box, evil: Path, canary: Path
) -> None:
    (evil / "way").symlink_to(canary)
    assert box.run("pwd", cwd="/way/made/here") == 0
    assert box.output() == f"{canary}/made/here\n"
    assert (box.place / f"upper/{canary}/made/here").is_dir()


def test_cve_2026_41568_a_mount_point_behind_a_link_is_made_inside(
    box: Box, evil: Path, canary: Path
) -> None:
    (evil / "way").symlink_to(canary)
    (evil / "up").symlink_to("../../../../../../" + str(canary))
    volumes = [
        {"source": "/etc", "target": "/way/v", "ro": True},
        {"source": "/etc/passwd", "target": "/up/f", "ro": True},
    ]
    assert box.run("/bin/cat", "/way/v/passwd", "/up/f", volumes=volumes) == 0
    assert (box.place / f"upper/{canary}/v").is_dir()
    assert (box.place / f"upper/{canary}/f").is_file()


@pytest.mark.parametrize("name", ["dev", "proc", "sys"])
def test_cve_2026_41579_a_link_in_the_place_of_a_system_directory_is_refused(
    box: Box, evil: Path, canary: Path, name: str
) -> None:
    (evil / name).symlink_to(canary)
    with pytest.raises(StepFailed) as failed:
        box.start("true")
    assert (failed.value.step, failed.value.errno) == (f"mount /{name}", errno.ELOOP)


@pytest.mark.parametrize("name", ["dev", "proc", "sys"])
def test_a_file_in_the_place_of_a_system_directory_is_refused(box: Box, evil: Path, name: str) -> None:
    (evil / name).write_text("")
    with pytest.raises(StepFailed) as failed:
        box.start("true")
    assert (failed.value.step, failed.value.errno) == (f"mount /{name}", errno.ENOTDIR)


def test_what_an_image_has_in_dev_and_proc_is_never_seen(box: Box, evil: Path, canary: Path) -> None:
    """CVE-2025-52565, CVE-2025-52881: links for the console and the terminals, a /proc with a sys of its own."""
    for directory in ("dev/pts", "proc/sys/net/ipv4", "proc/self/attr"):
        (evil / directory).mkdir(parents=True)
    for name in ("null", "console", "ptmx", "pts/0", "shm", "mqueue"):
        (evil / "dev" / name).symlink_to(canary / "file")
    (evil / "proc/sys/net/ipv4/ping_group_range").symlink_to(canary / "file")
    born = box.start("/bin/sh", "-c", "tty; echo x > /dev/null; echo x > /dev/console", tty=True)
    with open(os.dup(born.terminal), "rb", buffering=0) as master:
        told = b""
        while not told.endswith(b"x\r\n"):
            told += master.read(100)
    assert told == b"/dev/pts/0\r\nx\r\n"
    os.waitid(os.P_PIDFD, born.pidfd, os.WEXITED)
    born.close()


@pytest.mark.parametrize("name", ["etc/hosts", "etc/resolv.conf"])
def test_an_engines_file_behind_a_link_lands_inside(box: Box, evil: Path, canary: Path, name: str) -> None:
    (evil / "etc").mkdir()
    (evil / name).symlink_to(canary / "hosts")
    (box.place / "etc/new").write_text("ours\n")
    files = {f"/{name}": str(box.place / "etc/new")}
    assert box.sh(f"cat /{name}", files=files) == "ours\n"


@pytest.mark.parametrize("target", ["/proc/sys", "/proc", "/proc/self", "/"])
def test_cve_2019_19921_a_link_that_leads_a_volume_over_proc_or_the_root_is_refused(
    box: Box, evil: Path, target: str
) -> None:
    (evil / "way").symlink_to(target)
    with pytest.raises(StepFailed) as failed:
        box.start("true", volumes=[{"source": "/etc", "target": "/way", "ro": True}])
    assert (failed.value.step, failed.value.errno) == ("mount /way", errno.EINVAL)


def test_a_loop_of_links_ends(box: Box, evil: Path) -> None:
    (evil / "a").symlink_to("b")
    (evil / "b").symlink_to("a")
    with pytest.raises(StepFailed) as failed:
        box.start("true", volumes=[{"source": "/etc", "target": "/a/v", "ro": True}])
    assert failed.value.errno == errno.ELOOP


def test_cve_2021_30465_a_mount_point_that_is_exchanged_for_a_link_meanwhile_stays_inside(
    box: Box, canary: Path
) -> None:
    """A volume is shared with somebody who swaps the directory of our mount point for a link, all the time."""
    shared = box.place / "shared"
    (shared / "spot").mkdir(parents=True)
    (shared / "link").symlink_to(canary)
    pid = os.fork()
    if pid == 0:
        try:
            place = os.open(shared, os.O_PATH)
            while True:
                syscalls.renameat2(place, "spot", place, "link", syscalls.RENAME_EXCHANGE)
        finally:
            os._exit(0)
    try:
        volumes = [
            {"source": str(shared), "target": "/s", "ro": False},
            {"source": "/etc", "target": "/s/spot/new/deep", "ro": True},
        ]
        won = 0
        for _ in range(150):
            try:
                won += box.run("true", volumes=volumes) == 0
            except StepFailed as failed:
                assert failed.step == "mount /s/spot/new/deep"  # noqa: PT017 - both ends are right
        assert won
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)


@pytest.mark.parametrize(
    "make",
    [
        os.mkfifo,
        lambda path: Path(path).write_text(""),
        lambda path: os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5)),
    ],
)
def test_cve_2025_31133_only_the_kernels_null_is_a_mask(
    tmp_path: Path, make: Callable[[str], object]
) -> None:
    make(str(tmp_path / "null"))
    handle = os.open(tmp_path / "null", os.O_PATH)
    with pytest.raises(OSError, match="not the kernel's null device"):
        devnodes.require_null(handle)
    os.close(handle)
    null = os.open("/dev/null", os.O_PATH)
    devnodes.require_null(null)
    os.close(null)


# Attack 17: device nodes in a layer, and made inside.


def _controller(version: int) -> str:
    with open("/proc/self/mountinfo") as mounts:
        for line in mounts:
            left, right = line.split(" - ")
            fstype, _source, options = right.split()
            if (version == 2 and fstype == "cgroup2") or (version == 1 and "devices" in options.split(",")):
                return left.split()[4]
    raise AssertionError(f"no cgroup version {version} with devices is mounted")


@pytest.fixture(params=[1, 2])
def guarded(box: Box, request: pytest.FixtureRequest) -> Iterator[Box]:
    """A container under the default device rules, of either version."""
    directory = f"{_controller(request.param)}/mydocker-test-{os.getpid()}"
    os.mkdir(directory)
    if request.param == 1:
        Path(directory, "devices.deny").write_text("a")
        for rule in devices.rules(privileged=False):
            Path(directory, "devices.allow").write_text(rule)
        box.config["joins"] = [f"{directory}/tasks"]
    else:
        devices_bpf.attach(directory, devices.rules(privileged=False))
        box.config["cgroup2"] = directory
    yield box
    box.close()
    os.rmdir(directory)


def test_device_nodes_open_nothing_that_the_rules_do_not_allow(guarded: Box, evil: Path) -> None:
    os.mknod(evil / "disk", stat.S_IFBLK | 0o666, os.makedev(254, 0))
    os.mknod(evil / "mem", stat.S_IFCHR | 0o666, os.makedev(1, 1))
    os.mknod(evil / "zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    script = "mknod /tmp/d b 254 0 && cat /tmp/d; cat /disk; cat /mem; head -c1 /zero | wc -c"
    assert guarded.run("/bin/sh", "-c", script) == 0
    assert guarded.output() == "1\n"
    assert guarded.output("stderr").count("Operation not permitted") == 3


def test_rights_alone_open_nothing(guarded: Box) -> None:
    """A privileged container gets rules of its own; it is not the rights that decide."""
    script = "mknod /tmp/k c 1 11 && head -c1 /tmp/k"
    assert guarded.run("/bin/sh", "-c", script, privileged=True) == 1


def test_the_standard_devices_and_terminals_work_under_the_rules(guarded: Box) -> None:
    born = guarded.start(
        "/bin/sh", "-c", "head -c1 /dev/urandom >/dev/null && echo x >/dev/tty && tty", tty=True
    )
    with open(os.dup(born.terminal), "rb", buffering=0) as master:
        told = b""
        while b"pts" not in told:
            told += master.read(100)
    assert told.split() == [b"x", b"/dev/pts/0"]
    os.waitid(os.P_PIDFD, born.pidfd, os.WEXITED)
    born.close()


def test_a_version_2_cgroup_is_shown_as_its_own_root_and_read_only(guarded: Box) -> None:
    """Of version 1 nothing is shown: it would be the host's."""
    out = guarded.sh(
        "ls /sys/fs/cgroup | grep -c cgroup.procs; grep /sys/fs/cgroup /proc/self/mountinfo; true"
    )
    if not guarded.config["cgroup2"]:
        assert out == "0\n"
        return
    count, mountinfo = out.splitlines()
    assert count == "1"
    assert mountinfo.split()[3:6] == ["/", "/sys/fs/cgroup", "ro,nosuid,nodev,noexec,relatime"]
    assert guarded.run("/bin/mkdir", "/sys/fs/cgroup/x") == 1
    assert guarded.run("/bin/sh", "-c", "cat /sys/fs/cgroup/cgroup.procs") == 0
    assert guarded.output() == "1\n"


def test_a_container_without_its_cgroup_directory_in_version_2_is_not_made(box: Box) -> None:
    with pytest.raises(StepFailed):
        box.spawn("true", cgroup2="/sys/fs/cgroup/no-such")


# Attack 21: users and the files that name them.


@pytest.mark.parametrize(
    "user",
    [
        "4294967296",
        "-1",
        "2147483648:0",
        "0:2147483648",
        "0x0",
        " 0",
        "0 ",
        "root:x:y",
        "1e3",
        "+0",
        "\u0660",
    ],
)
def test_cve_2024_40635_ids_out_of_range_and_in_disguise_are_refused(box: Box, user: str) -> None:
    with pytest.raises(StepFailed) as failed:
        box.start("id", user=user)
    assert failed.value.step == "user"


def test_cve_2026_46680_digits_are_an_id_and_not_an_accounts_name(box: Box, evil: Path) -> None:
    (evil / "etc").mkdir()
    (evil / "etc/passwd").write_text("1:x:0:0::/root:/bin/sh\n")
    (evil / "etc/group").write_text("1:x:0:\n")
    assert box.sh("id -u; id -g; id -G", user="1:1") == "1\n1\n1\n"
    assert box.sh("id -u; id -g; id -G", user="1") == "1\n0\n0\n"


@pytest.mark.parametrize("kind", ["fifo", "huge", "link", "device", "directory"])
def test_cve_2024_9676_a_hostile_passwd_neither_hangs_nor_fills_memory(
    box: Box, evil: Path, canary: Path, kind: str
) -> None:
    (evil / "etc").mkdir()
    passwd = evil / "etc/passwd"
    match kind:
        case "fifo":
            os.mkfifo(passwd)
        case "huge":
            with open(passwd, "wb") as file:
                file.truncate(1 << 40)
        case "link":
            (canary.parent / "accounts").write_text("user:x:0:0::/:/bin/sh\n")
            passwd.symlink_to(canary.parent / "accounts")
        case "device":
            passwd.symlink_to("/dev/zero")
        case _:
            passwd.mkdir()
    with pytest.raises(StepFailed) as failed:
        box.start("id", user="user")
    expected = {
        "fifo": errno.EINVAL,
        "huge": errno.EFBIG,
        "link": errno.ENOENT,
        "device": errno.EINVAL,
        "directory": errno.EINVAL,
    }
    assert (failed.value.step, failed.value.errno) == ("user", expected[kind])


def test_a_broken_passwd_entry_makes_nobody_root(box: Box, evil: Path) -> None:
    (evil / "etc").mkdir()
    (evil / "etc/passwd").write_text("app:x:nonsense:5::/:/bin/sh\nother:x:5:nonsense::/:/bin/sh\n")
    for user in ("app", "other", "5"):
        with pytest.raises(StepFailed) as failed:
            box.start("id", user=user)
        assert (failed.value.step, failed.value.errno) == ("user", errno.EINVAL)
