"""In a plain chroot: its directory is no mount point, so the engine's own root cannot be made private, nor pivoted from."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.networks import Net
from tests.system.conftest import HERE, Docker

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

SEEN = ("usr", "etc", "proc", "sys", "dev", str(HERE)[1:])  # of the machine, inside
LINKS = ("bin", "sbin", "lib", "lib64")
LISTENING = "until netstat -lnt | grep -q :80; do :; done"  # each nc serves one client


def there(net: Net, *words: str | Path) -> str:
    """What a program on the engine's host says, in that machine's mounts."""
    done = subprocess.run([*net.prefix, *words], capture_output=True, text=True, check=True)
    return done.stdout


def mounts(net: Net) -> list[str]:
    return there(net, "cat", "/proc/self/mountinfo").splitlines()


@pytest.fixture
def inside(net: Net, tmp_path: Path, busybox_tar: Path) -> Iterator[Docker]:
    """The program in a chroot on the engine's host, whose mounts are shared, as systemd makes them."""
    place = tmp_path / "chroot"
    for name in (*SEEN, "tmp", "run", "engine"):
        (place / name).mkdir(parents=True, exist_ok=True)
    for name in LINKS:
        (place / name).symlink_to(f"usr/{name}")
    shutil.copy(busybox_tar, place / "engine")
    script = ["mount --make-rshared /"]
    script += [f"mount --rbind /{shlex.quote(name)} {shlex.quote(str(place / name))}" for name in SEEN]
    there(net, "sh", "-ec", "\n".join(script))
    docker = Docker(tmp_path)
    docker.root, docker.seen, docker.run_dir = Path("/engine"), place / "engine", Path("/run/engine")
    docker.env |= {"MYDOCKER_ROOT": "/engine", "MYDOCKER_RUN_DIR": "/run/engine"}
    docker.prefix = [*net.prefix, "chroot", str(place)]
    yield docker
    docker("rm", "-f", "web", "peer")
    docker("network", "rm", "n1")


def test_a_container_lives_and_is_looked_into_in_a_chroot(net: Net, inside: Docker) -> None:
    before = mounts(net)
    assert not any(line.split()[4] == str(inside.seen.parent) for line in before)  # a plain one

    inside.ok("run", "-d", "--name", "web", "-v", "/etc:/host:ro", "busybox", "sleep", "1000")

    assert inside.ok("exec", "web", "ls", "/host/hostname") == "/host/hostname\n"
    shown = inside.ok("exec", "web", "cat", "/proc/self/mountinfo").splitlines()
    assert shown
    assert not any(str(inside.seen.parent) in line.split(" - ")[0].split()[4] for line in shown)
    inside.ok("exec", "web", "touch", "/new")
    assert there(net, "chroot", inside.seen.parent, "ls", "/engine/mnt/web/new") == "/engine/mnt/web/new\n"
    inside.ok("cp", "/etc/hostname", "web:/copied")
    inside.ok("commit", "web", "image")
    inside.ok("stop", "-t", "0", "web")
    assert inside.ok("diff", "web").split() == ["A", "/copied", "A", "/new"]
    assert inside.ok("run", "--rm", "image", "ls", "/copied") == "/copied\n"
    assert "nothing to do" in inside.ok("replay")
    assert mounts(net) == before
    inside.ok("rm", "web")


def test_a_network_works_in_a_chroot_name_port_and_all(net: Net, inside: Docker) -> None:
    before = mounts(net)
    inside.ok("network", "create", "--subnet", "192.168.77.0/24", "n1")
    serve = ("busybox", "sh", "-c", "while :; do echo hello | nc -l -p 80; done")
    inside.ok("run", "-d", "--name", "web", "-net", "n1", "-p", "8080:80", *serve)
    inside.ok("run", "-d", "--name", "peer", "-net", "n1", "busybox", "sleep", "1000")

    assert "192.168.77.2" in inside.ok("exec", "peer", "nslookup", "web")
    inside.ok("exec", "web", "sh", "-c", LISTENING)
    assert inside.ok("exec", "peer", "sh", "-c", "nc web 80 </dev/null") == "hello\n"
    inside.ok("exec", "web", "sh", "-c", LISTENING)
    assert net.lab.neighbour.ask(net.lab.HOST, 8080) == "hello"
    assert mounts(net) == before
    inside.ok("rm", "-f", "web", "peer")
    inside.ok("network", "rm", "n1")
