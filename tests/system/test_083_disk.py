"""`system df` and `prune`, and that nothing is ever removed through a mount."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from tests import claims
from tests.machines import Machine

pytestmark = pytest.mark.root
STRAYS = ("layers/" + "f" * 64, "containers/" + "e" * 64, "staging/" + "d" * 32)


@pytest.fixture
def machine(machine: Machine) -> Machine:
    """With a container that has ended, and wrote something."""
    machine.ok("run", "--name", "ended", "busybox", "dd", "if=/dev/zero", "of=/big", "bs=1M", "count=3")
    return machine


@pytest.fixture
def private(machine: Machine) -> Iterator[Machine]:
    """All its commands run in one mount namespace of their own, so that a test may mount there."""
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", "echo ready; exec cat"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n"
        machine.prefix = ["nsenter", f"--mount=/proc/{holder.pid}/ns/mnt", f"--wdns={machine.root}"]
        yield machine
        machine.kill(*machine.processes())
        machine.prefix = []
        holder.stdin.close()


def mounted(machine: Machine, kind: str, source: Path, target: Path) -> None:
    words = {"bind": ["--bind", str(source)], "tmpfs": ["-t", "tmpfs", "tmpfs"]}[kind]
    subprocess.run([*machine.prefix, "mount", *words, str(target)], check=True)
    subprocess.run([*machine.prefix, "touch", str(target / "canary")], check=True)


def strew(machine: Machine) -> list[str]:
    """What crashes left before there was an event of it."""
    for path in STRAYS:
        (machine.root / path).mkdir(mode=0o700)
        (machine.root / path / "file").write_bytes(bytes(100_000))
    return [str(machine.root / path) for path in STRAYS]


@pytest.mark.parametrize("kind", ["bind", "tmpfs"])
@pytest.mark.parametrize("where", ["", "upper", "upper/deep"])
def test_083_s25_nothing_is_removed_through_a_mount_and_the_name_is_free(
    private: Machine, tmp_path: Path, kind: str, where: str
) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "precious").write_text("kept")
    (victim / "canary").touch()
    container_id = private.inspect("ended")["Id"]
    target = private.root / "containers" / container_id / where
    target.mkdir(exist_ok=True)
    mounted(private, kind, victim, target)

    private.ok("rm", "ended")  # the decision stands; what cannot be undone is a leftover

    assert (victim / "precious").read_text() == "kept"
    assert private.ok("ps", "-q") == ""
    private.ok("create", "--name", "ended", "busybox", "top")
    assert "left behind" in private.ok("why", container_id).lower()
    private.ok("rm", "ended")
    private("replay")
    assert "EBUSY" in private.ok("history", "--no-trunc", container_id)
    _unmount_all(private)
    private.ok("replay")
    claims.hold(private, f"{kind} at {where}")
    assert (victim / "precious").read_text() == "kept"


def _unmount_all(machine: Machine) -> None:
    seen = subprocess.run(
        [*machine.prefix, "cat", "/proc/self/mountinfo"], capture_output=True, text=True, check=True
    )
    for line in seen.stdout.splitlines():
        if str(machine.root) in line.split()[4]:
            subprocess.run([*machine.prefix, "umount", line.split()[4]], check=True)


def test_083_a_stray_with_a_mount_in_it_stays_and_keeps_no_other_from_going(
    private: Machine, tmp_path: Path
) -> None:
    strays = strew(private)
    victim = tmp_path / "victim"
    victim.mkdir()
    mounted(private, "bind", victim, Path(strays[0]) / ".")

    done = private("system", "prune", "-f")

    assert done.returncode == 125
    assert "a mount lies here" in done.stderr
    assert (victim / "canary").exists()
    assert not Path(strays[1]).exists()
    _unmount_all(private)
    assert private("system", "prune", "-f").returncode == 0
    assert not Path(strays[0]).exists()


def test_083_s34_what_no_event_tells_of_is_found_told_and_removed_and_that_is_journalled(
    machine: Machine,
) -> None:
    strays = strew(machine)

    assert set(strays) < set(machine.ok("system", "prune", "--dry-run").splitlines())
    assert all(f"would remove {path}" in machine.ok("replay", "--dry-run") for path in strays)
    rows = [json.loads(line) for line in machine.ok("system", "df", "--format", "json").splitlines()]
    assert [row["TotalCount"] for row in rows if row["Type"] == "Strays"] == ["3"]
    assert all(Path(path).exists() for path in strays)
    out = machine.ok("system", "prune", "-f")

    assert set(strays) < set(out.splitlines())
    assert not any(Path(path).exists() for path in strays)
    event = next(event for event in machine.events() if event["t"] == "host.swept")
    assert (event["count"], event["why"], event["by"]["cmd"]) == (3, "user", "system prune --force")
    assert set(event["paths"]) == set(STRAYS)


def test_083_s28_replay_removes_them_too_and_tells_of_it(machine: Machine) -> None:
    strays = strew(machine)
    out = machine.ok("replay")

    assert all(f"removed {path}: no event tells of it" in out for path in strays)
    assert [event["why"] for event in machine.events() if event["t"] == "host.swept"] == ["replay"]


def test_083_a_way_into_a_container_that_is_not_there_is_removed_and_no_other(machine: Machine) -> None:
    """As a power cut leaves it that comes just after a start: the link is on the disk, what the journal had of it is not."""
    for name in ("runs", "stopped"):
        machine.ok("run", "-d", "--name", name, "busybox", "top")
    folder = machine.root / "mnt"
    (folder / "mine").symlink_to("/srv")
    ways = {name: os.readlink(folder / name) for name in ("runs", "stopped")}
    machine.ok("stop", "-t", "0", "stopped")
    (folder / "stopped").symlink_to(ways["stopped"])
    (folder / "gone").symlink_to(ways["runs"].rpartition("/")[0] + "/" + "0" * 64)
    out = machine.ok("replay")

    assert all(f"removed {folder}/{name}: no event tells of it" in out for name in ("stopped", "gone"))
    assert sorted(os.listdir(folder)) == ["mine", "runs"]


def test_083_prune_takes_what_has_ended_and_nothing_else(machine: Machine) -> None:
    machine.ok("run", "-d", "--name", "runs", "busybox", "top")
    machine.ok("create", "--name", "waits", "busybox", "top")
    machine.ok("import", "busybox.tar", "copy")
    moment = time.time() + 0.001  # it is typed in milliseconds; no command begins and decides within one
    machine.ok("create", "--name", "young", "busybox", "top")
    machine.ok("system", "prune", "-f", "--filter", f"until={moment:.3f}")
    assert machine.ok("ps", "--format", "{{.Names}}").split() == ["runs", "young"]

    out = machine.ok("system", "prune", "-af")

    assert machine.ok("ps", "--format", "{{.Names}}").split() == ["runs"]
    assert machine.ok("images", "--format", "{{.Name}}").split() == ["busybox"]
    assert "Deleted Images:\ncopy\n" in out
    machine.ok("exec", "runs", "true")
    claims.hold(machine, "pruned")


def test_083_prune_removes_layers_that_no_image_has_any_more(machine: Machine, tmp_path: Path) -> None:
    machine.ok("rm", "ended")
    machine.ok("run", "-d", "--name", "k", "busybox", "top")
    for word in ("one", "two"):
        machine.ok("exec", "k", "sh", "-c", f"echo {word} >/word")
        machine.ok("commit", "k", "copy")
        machine.ok("run", "--rm", "copy", "true")
    assert len(list((machine.root / "layers").iterdir())) == 3

    machine.ok("system", "prune", "-f")

    assert len(list((machine.root / "layers").iterdir())) == 2
    assert machine.ok("run", "--rm", "copy", "cat", "/word") == "two\n"
    machine.ok("rmi", "copy")


def test_083_prune_asks_at_a_terminal_and_is_refused_elsewhere(machine: Machine) -> None:
    assert "nothing is removed unasked" in machine.fails("system", "prune", code=2)
    for answer, left in (("n", "ended\n"), ("y", "")):
        asked = pexpect.spawn(
            machine.prefix[0] if machine.prefix else _program(),
            ["system", "prune"],
            env=machine.env,
            encoding="utf-8",
        )
        asked.expect_exact("[y/N] ")
        asked.sendline(answer)
        asked.expect(pexpect.EOF)
        asked.wait()
        assert machine.ok("ps", "--format", "{{.Names}}") == left


def _program() -> str:
    from tests.system.conftest import PROGRAM

    return PROGRAM


def test_083_df_adds_up(machine: Machine) -> None:
    rows = {
        row["Type"]: row
        for row in map(json.loads, machine.ok("system", "df", "--format", "json").splitlines())
    }

    assert list(rows) == ["Images", "Layers", "Containers", "Logs", "Journal", "Strays"]
    assert rows["Containers"]["Size"].startswith("3.")
    assert rows["Containers"]["Reclaimable"].endswith("(100%)")
    assert rows["Journal"]["Reclaimable"] == "0B (0%)"
    assert machine.ok("system", "df").splitlines()[0].split() == [
        "TYPE",
        "TOTAL",
        "ACTIVE",
        "SIZE",
        "RECLAIMABLE",
    ]
    assert (
        json.loads(machine.ok("system", "df", "-v", "--format", "json"))["Containers"][0]["Names"] == "ended"
    )
    assert "no such command" in machine.fails("system", "burn", code=2)
