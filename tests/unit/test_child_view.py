"""What a container sees of the world, and what it does not: docker's defaults, from inside."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from effects import masks
from effects.last_stage import PATH
from tests.births import Box

pytestmark = pytest.mark.root

MOUNTS = ["/", "/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys", "/etc/hosts"]


def _status(text: str, field: str) -> str:
    (line,) = [line for line in text.splitlines() if line.startswith(f"{field}:")]
    return line.partition(":")[2].strip()


def test_its_process_is_the_first_and_sees_no_other(box: Box) -> None:
    out = box.sh("echo $$; ls -d /proc/[0-9]*; cat /proc/1/comm; true")
    assert out.split() == ["1", "/proc/1", "sh"]


def test_only_its_own_mounts_are_there(box: Box, tmp_path: Path) -> None:
    inside = [line.split()[4] for line in box.sh("cat /proc/self/mountinfo").splitlines()]
    assert sorted(inside) == sorted(box.mounts)
    assert box.mounts[: len(MOUNTS)] == MOUNTS
    assert set(box.mounts[len(MOUNTS) :]) <= {*masks.MASKED, *masks.READ_ONLY}


def test_no_path_of_the_host_shows_in_its_mounts(box: Box, tmp_path: Path) -> None:
    config = str(box.place)
    assert config not in box.sh("cat /proc/mounts")


def test_it_has_dockers_fourteen_capabilities_and_no_way_to_more(box: Box) -> None:
    out = box.sh("cat /proc/self/status")
    assert _status(out, "CapPrm") == _status(out, "CapEff") == _status(out, "CapBnd") == "00000000a80425fb"
    assert _status(out, "CapInh") == _status(out, "CapAmb") == "0000000000000000"
    assert _status(out, "NoNewPrivs") == "0"


def test_capabilities_are_those_asked_for(box: Box) -> None:
    out = box.sh("cat /proc/self/status", caps=["KILL", "NET_ADMIN"], no_new_privileges=True)
    assert int(_status(out, "CapBnd"), 16) == 1 << 5 | 1 << 12
    assert _status(out, "NoNewPrivs") == "1"


def test_another_user_than_root_has_none_but_keeps_the_bounding_set(box: Box) -> None:
    """CVE-2022-24769: nor may it get any through a file's inheritable bits."""
    out = box.sh("id; cat /proc/self/status", user="user", groups=["wheel", "77"])
    assert "uid=1000(user) gid=1001(user) groups=10(wheel),77,2000(extra)" in out
    assert _status(out, "CapBnd") == "00000000a80425fb"
    for field in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert _status(out, field) == "0000000000000000"


def test_a_privileged_one_has_what_the_engine_has(box: Box) -> None:
    with open("/proc/self/status") as file:
        ours = _status(file.read(), "CapPrm")
    out = box.sh("cat /proc/self/status; touch /proc/sys/kernel/hostname && echo writable", privileged=True)
    assert _status(out, "CapEff") == _status(out, "CapBnd") == ours
    assert "writable" in out
    assert not set(box.mounts) & {*masks.MASKED, *masks.READ_ONLY}


def test_a_privileged_one_has_the_hosts_devices(box: Box) -> None:
    out = box.sh("cd /dev; find . -type c -o -type b", privileged=True)
    host = {
        name
        for name in os.listdir("/dev")
        if not os.path.isdir(f"/dev/{name}")
        and not os.path.islink(f"/dev/{name}")
        and name not in ("console", "ptmx")
    }
    assert host <= {line.removeprefix("./") for line in out.split()}


def test_no_descriptor_but_three_is_open(box: Box) -> None:
    """CVE-2024-21626. The fourth is the listing's own."""
    spare = os.open("/", os.O_RDONLY)
    os.set_inheritable(spare, True)
    try:
        out = box.sh("ls /proc/self/fd")
    finally:
        os.close(spare)
    assert out.split() == ["0", "1", "2", "3"]


def test_its_null_is_its_own(box: Box) -> None:
    """Else root inside could change the mode of the host's /dev/null by descriptor 0."""
    mode = os.stat("/dev/null").st_mode
    box.sh("chmod 0600 /proc/self/fd/0")
    assert os.stat("/dev/null").st_mode == mode


def test_it_has_its_hostname_and_domain_of_names(box: Box) -> None:
    assert box.sh("hostname; echo $HOSTNAME") == "box\nbox\n"
    assert os.uname().nodename != "box"


def test_its_loopback_is_up_and_alone(box: Box) -> None:
    assert box.sh(
        "cat /sys/class/net/lo/operstate; ls /sys/class/net; ping -c1 -W1 127.0.0.1 >/dev/null && echo up"
    ) == ("unknown\nlo\nup\n")


def test_with_the_hosts_network_it_has_the_hosts(box: Box) -> None:
    out = box.sh("readlink /proc/self/ns/net; ls /sys/class/net", network="host")
    assert out.split() == [
        os.readlink("/proc/self/ns/net"),
        *sorted(name for _, name in socket.if_nameindex()),
    ]


def test_its_namespaces_are_its_own(box: Box) -> None:
    names = ["cgroup", "ipc", "mnt", "net", "pid", "uts"]
    out = box.sh(f"for n in {' '.join(names)}; do readlink /proc/self/ns/$n; done")
    for name, link in zip(names, out.split(), strict=True):
        assert link != os.readlink(f"/proc/self/ns/{name}")


def test_low_ports_and_ping_need_no_rights_in_its_own_network(box: Box) -> None:
    out = box.sh("cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/net/ipv4/ping_group_range")
    assert out.split() == ["0", "0", "2147483647"]


def test_the_environment_is_dockers_defaults_and_what_was_given(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLER_SECRET", "canary")
    assert box.run("/bin/env") == 0
    assert box.output().splitlines() == [
        f"PATH={PATH}",
        "HOSTNAME=box",
        "HOME=/root",
    ]
    given = {"PATH": "/bin", "HOME": "/elsewhere", "X": "a=b\nc", "HOSTNAME": "other"}
    assert box.run("/bin/busybox", "env", "-0", env=given) == 0
    assert set(box.output().rstrip("\0").split("\0")) == {f"{key}={value}" for key, value in given.items()}


def test_the_home_is_the_users(box: Box) -> None:
    assert box.sh("echo $HOME", user="1000") == "/home/user\n"
    assert box.sh("echo $HOME", user="4242") == "/\n"


def test_every_masked_path_of_this_kernel_shows_nothing(box: Box) -> None:
    present = [path for path in masks.MASKED if os.path.exists(path)]
    assert "/proc/keys" in present
    assert "/sys/firmware" in present
    script = "for p in {}; do if [ -d $p ]; then ls -A $p; else cat $p; fi; done"
    assert box.sh(script.format(" ".join(present))) == ""
    assert set(present) <= set(box.mounts)


def test_every_read_only_path_is_so_and_cannot_be_remounted(box: Box) -> None:
    mounted = {
        line.split()[1]: line.split()[3].split(",") for line in box.sh("cat /proc/mounts").splitlines()
    }
    for path in filter(os.path.exists, masks.READ_ONLY):
        assert "ro" in mounted[path]
        assert box.run("/bin/mount", "-o", "remount,rw,bind", path) == 1
        assert "ermission denied" in box.output("stderr")


def test_sys_and_sysctls_are_read_only(box: Box) -> None:
    for path in ("/sys/kernel/mm/ksm/run", "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger"):
        if os.path.exists(path):
            assert box.run("/bin/sh", "-c", f"echo 0 > {path}") == 1
            assert "Read-only file system" in box.output("stderr")


def test_the_standard_devices_are_there_and_work(box: Box) -> None:
    out = box.sh(
        "head -c2 /dev/zero | wc -c; head -c2 /dev/urandom | wc -c; echo x > /dev/null; cat /dev/null;"
        "echo x > /dev/full 2>/dev/null || echo full; ls -l /dev/ | awk 'NR>1{print $1, $NF}'"
    )
    assert out.split("\n")[:3] == ["2", "2", "full"]
    for line in (
        "crw-rw-rw- null",
        "crw-rw-rw- tty",
        "lrwxrwxrwx pts/ptmx",
        "lrwxrwxrwx /proc/self/fd",
        "drwxrwxrwt shm",
    ):
        assert line in out


def test_shared_memory_has_the_size_asked_for(box: Box) -> None:
    out = box.sh("df -k /dev/shm | tail -1", shm_size=3 << 20)
    assert out.split()[1] == "3072"


def test_signals_are_at_their_defaults(box: Box) -> None:
    assert box.run("cat", "/proc/self/status") == 0
    out = box.output()
    for field in ("SigBlk", "SigIgn"):
        assert int(_status(out, field), 16) == 0


def test_files_are_made_as_umask_022_has_it(box: Box) -> None:
    old = os.umask(0o077)
    try:
        assert box.sh("umask; mkdir /d; stat -c %a /d", cwd="/made/here").split() == ["0022", "755"]
        assert (box.place / "upper/made/here").stat().st_mode & 0o777 == 0o755
    finally:
        os.umask(old)


def test_the_oom_score_is_not_the_callers(box: Box) -> None:
    with open("/proc/self/oom_score_adj", "r+") as file:
        old = file.read()
        # Only upwards from here: we may lack CAP_SYS_RESOURCE, to come down again below where we began.
        file.write(str(int(old) + 10))
        file.flush()
        try:
            assert box.sh("cat /proc/self/oom_score_adj") == "0\n"
        finally:
            file.seek(0)
            file.write(old)


def test_the_session_keyring_is_its_own(box: Box) -> None:
    born = box.start("sleep", "1000")
    with open("/proc/keys") as keys:
        new = [line for line in keys.read().splitlines() if f"_ses.{box.config['id'][:8]}" in line]
    assert len(new) == 1
    born.abandon()


def test_a_read_only_root_takes_no_write_but_dev_does(box: Box) -> None:
    assert box.run("/bin/sh", "-c", "echo x > /dev/shm/x && echo x > /file", read_only=True) == 1
    assert "Read-only file system" in box.output("stderr")
    assert box.run("/bin/sh", "-c", "echo x > /etc/hosts", read_only=True) == 1


def test_the_working_directory_of_a_read_only_container_is_made_too(box: Box) -> None:
    assert box.run("/bin/pwd", read_only=True, cwd="/made/for/it") == 0
    assert box.output() == "/made/for/it\n"


def test_its_own_cgroup_namespace_hides_where_it_is(box: Box) -> None:
    assert {line.split(":", 2)[2] for line in box.sh("cat /proc/self/cgroup").splitlines()} == {"/"}


def test_an_init_of_the_hosts_reaps_for_the_program(box: Box) -> None:
    out = box.sh(
        "readlink /proc/1/exe; cat /proc/1/comm; echo $$ | wc -c; (echo x > /dev/init) 2>/dev/null || echo ro",
        init="/usr/bin/tini-static",
    )
    assert out.split() == ["/dev/init", "init", "2", "ro"]
