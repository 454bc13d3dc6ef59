"""The installed program on the real kernel, in a root of its own, and the proof that nothing is left of it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pexpect
import pytest

from tests import cgroups, waiting

if TYPE_CHECKING:
    from tests.machines import Machine
    from tests.networks import Net

HERE = Path(__file__).resolve().parent.parent.parent
PROGRAM = os.environ.get("MYDOCKER_BIN", str(HERE / ".venv" / "bin" / "mydocker"))
NETWORK = re.compile(r"--?net(work)?(=|$)")


class Docker:
    """`mydocker` as a user has it: one root, one run directory."""

    def __init__(self, base: Path) -> None:
        self.root = base / "root"
        self.model = "none"  # of containers for which a test names none; "": what the engine takes then
        self.seen = self.root  # the same directory, as this process finds it
        self.program = PROGRAM
        self.prefix: list[str] = []  # words before each command: another namespace, say
        self.run_dir = base / "run"
        self.env = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "MYDOCKER"))},
            "MYDOCKER_ROOT": str(self.root),
            "MYDOCKER_RUN_DIR": str(self.run_dir),
        }

    def __call__(
        self, *args: str | Path, stdin: str | bytes = "", timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; text out and err."""
        data = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run(
            [*self.prefix, self.program, *self.words(args)],
            input=data,
            cwd=self.root if self.root.is_dir() else None,
            capture_output=True,
            env=self.env,
            timeout=timeout,
            check=False,
        )
        return subprocess.CompletedProcess(
            done.args,
            done.returncode,
            done.stdout.decode(errors="replace"),
            done.stderr.decode(errors="replace"),
        )

    def ok(self, *args: str | Path, stdin: str | bytes = "", timeout: float = 60) -> str:
        """Run a command that must succeed; its standard output."""
        done = self(*args, stdin=stdin, timeout=timeout)
        assert done.returncode == 0, f"{args} ended {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

    def fails(self, *args: str | Path, code: int | None = None) -> str:
        """Run a command that must fail with one clear line; that line."""
        done = self(*args)
        assert done.returncode != 0, f"{args} succeeded: {done.stdout}"
        assert code is None or done.returncode == code, f"{args}: {done.returncode} {done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr
        lines = done.stderr.strip().splitlines()
        assert len(lines) == 1, f"{args} said {done.stderr!r}"
        assert lines[0].startswith("mydocker: ")
        return lines[0]

    def popen(self, *args: str | Path, **more: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen([*self.prefix, self.program, *self.words(args)], env=self.env, **more)

    def terminal(self, *args: str | Path) -> pexpect.spawn[str]:
        """The command at a real terminal of 24 x 80."""
        return pexpect.spawn(self.program, self.words(args), env=self.env, encoding="utf-8", timeout=20)

    def words(self, args: Sequence[str | Path]) -> list[str]:
        """Most tests are of other things than networks, and need none."""
        first, *rest = map(str, args or ("--help",))
        if first not in ("run", "create") or not self.model or any(NETWORK.match(word) for word in rest):
            return [first, *rest]
        return [first, f"--network={self.model}", *rest]

    def inspect(self, name: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(self.ok("inspect", name))
        return found[0]

    def events(self) -> list[dict[str, Any]]:
        """The journal's lines, in order; a line that is just being written has no end yet."""
        files = sorted((self.seen / "journal").glob("0*.jsonl"))
        texts = [file.read_bytes().rpartition(b"\n")[0] for file in files]
        return [json.loads(line) for text in texts for line in text.splitlines()]

    @property
    def root_id(self) -> str:
        return str(self.events()[0]["journal"][:8])

    def cgroups(self) -> list[Path]:
        """The root's cgroups in all hierarchies, those below first."""
        return cgroups.of(self.root_id) if self.events() else []

    def processes(self) -> list[int]:
        """All that lives of this root: commands, monitors, containers, name servers."""
        found = {pid for pid, _ in our_processes(self)}
        if self.events():
            found |= cgroups.members(self.root_id)
        return sorted(pid for pid in found if _lives(pid))

    def kill(self, *pids: int) -> None:
        """SIGKILL, and wait until they are dead."""
        assert 0 not in pids, "that would be our own process group"
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        waiting.ended(*pids)

    def end(self) -> None:
        """Afterwards there is nothing of this root: no process, no cgroup, no file."""
        self.kill(*self.processes())
        for path in self.cgroups():
            waiting.remove_cgroup(path)
        shutil.rmtree(self.root, ignore_errors=True)


def left_behind(docker: Docker) -> list[str]:
    """What the kernel still has of this root: mounts, cgroups, processes. Must be empty after `rm -f` of all."""
    with contextlib.suppress(AssertionError):  # what does not end is told below
        nobody_left(docker, but="dnsmasq:")  # whoever ends one waits for that
    found = [
        f"mount {line}"
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
        if str(docker.root) in line
    ]
    found += [f"cgroup {path}" for path in docker.cgroups()]
    found += [f"process {pid}: {line}" for pid, line in our_processes(docker)]
    for name in ("mnt", "containers", "staging"):
        here = docker.seen / name
        found += [f"file {path}" for path in here.iterdir()] if here.exists() else []
    return found


def nobody_left(docker: Docker, but: str = "no name") -> None:
    """Once no process of this root lives: a monitor answers before it leaves its cgroup and ends."""
    waiting.until(
        lambda: all(line.startswith(but) for _, line in our_processes(docker)),
        lambda: f"{our_processes(docker)} live",
        seconds=10,
    )


def our_processes(docker: Docker) -> list[tuple[int, str]]:
    """Live processes whose arguments, environment or root directory are of this root."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            files = [os.readlink(path) for path in (entry / "fd").iterdir()]
        except OSError:
            continue  # it ended while we looked
        if _lives(int(entry.name)) and (
            str(docker.root) in line or any(str(docker.root) in file for file in files)
        ):
            found.append((int(entry.name), line))
    return found


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.fixture
def docker(tmp_path: Path) -> Iterator[Docker]:
    """An empty root; afterwards every container is removed and nothing may be left of it."""
    docker = Docker(tmp_path)
    docker.root.mkdir()
    yield docker
    ids = docker("ps", "-aq").stdout.split()
    if ids:
        docker("rm", "-f", *ids)
    docker("replay")
    left = left_behind(docker)
    docker.end()
    assert left == []


@pytest.fixture(scope="session")
def busybox_tar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """busybox.tar as the series has it, made once."""
    base = tmp_path_factory.mktemp("busybox")
    docker = Docker(base)
    docker.ok("run", "--rm", "-net", "none", "busybox", "/bin/true")
    return docker.root / "busybox.tar"


@pytest.fixture
def series(docker: Docker, busybox_tar: Path) -> Docker:
    """The series' starting point: a root that holds busybox.tar and nothing else."""
    shutil.copy(busybox_tar, docker.root / "busybox.tar")
    return docker


@pytest.fixture
def machine(tmp_path: Path, busybox_tar: Path) -> Iterator[Machine]:
    """The series' starting point on a machine that may be hurt in any way: afterwards it is switched off."""
    from tests.machines import Machine  # it needs this module

    machine = Machine(tmp_path)
    machine.root.mkdir()
    shutil.copy(busybox_tar, machine.root / "busybox.tar")
    machine.ok("run", "--rm", "busybox", "true")
    yield machine
    machine.kill(*machine.processes())
    machine.reboot()  # takes the cgroups with it


@pytest.fixture
def net(tmp_path: Path, busybox_tar: Path) -> Iterator[Net]:
    """The series' starting point on a machine of a lab; afterwards its network is as it was before."""
    from tests.lab import lab  # for network tests alone
    from tests.networks import Net  # it needs this module

    with lab(tmp_path) as made:
        docker = Net(tmp_path, made)
        docker.root.mkdir()
        shutil.copy(busybox_tar, docker.root / "busybox.tar")
        yield docker
        docker.clear()
        docker("replay")
        left = docker.left()
        docker.end()  # and of the default network, which stays as long as the machine runs
    assert left == []
