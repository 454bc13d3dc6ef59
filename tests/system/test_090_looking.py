"""Looking into containers that really run, and afterwards: top, stats, diff, port, export, history, info."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from pathlib import Path

from tests.system.conftest import PROGRAM, Docker

SCRIPT = "echo new > /tmp/new; rm /bin/wget; echo kept > /vol/kept; echo ready; exec sleep 1000"
CHANGED = ["C /bin", "D /bin/wget", "C /tmp", "A /tmp/new"]


def run(series: Docker, *options: str) -> str:
    """Run c090 with SCRIPT, and wait until its last line before the exec is in its log."""
    (series.root.parent / "vol").mkdir()
    volume = f"{series.root.parent}/vol:/vol"
    container_id = series.ok(
        "run", "-d", "-name", "c090", "-v", volume, *options, "busybox", "sh", "-c", SCRIPT
    )
    with series.popen("logs", "-f", "c090", stdout=subprocess.PIPE) as logs:
        assert logs.stdout is not None
        assert logs.stdout.readline() == b"ready\n"
        logs.terminate()
    return container_id.strip()


def export(series: Docker) -> bytes:
    return subprocess.run([PROGRAM, "export", "c090"], env=series.env, capture_output=True, check=True).stdout


def members(data: bytes) -> dict[str, int]:
    """Names and sizes in a tar."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {member.name.removeprefix("./"): member.size for member in tar.getmembers()}


def test_a_running_container_is_seen_as_it_is(series: Docker) -> None:
    run(series, "-m", "64m")
    pid = series.inspect("c090")["State"]["Pid"]

    assert series.ok("top", "c090").splitlines()[1].split()[:2] == ["root", str(pid)]
    assert series.ok("top", "c090", "-o", "pid,comm").split() == ["PID", "COMMAND", str(pid), "sleep"]
    stats = json.loads(series.ok("stats", "--no-stream", "--format", "json", "c090"))
    assert stats["MemUsage"].endswith(" / 64MiB")
    assert (stats["Name"], stats["PIDs"]) == ("c090", "1")
    assert series.ok("diff", "c090").splitlines() == CHANGED
    assert series.ok("port", "c090") == ""


def test_its_files_are_the_same_running_and_stopped_and_its_volumes_left_out(
    series: Docker, tmp_path: Path
) -> None:
    run(series)
    running = export(series)
    assert series.inspect("c090")["State"]["Status"] == "running"
    series.ok("stop", "-t", "0", "c090")

    assert members(export(series)) == members(running)
    assert series.ok("diff", "c090").splitlines() == CHANGED
    found = members(running)
    assert found["tmp/new"] == 4
    assert "vol" in found
    assert not {"vol/kept", "bin/wget"} & set(found)
    series.ok("export", "-o", str(tmp_path / "c090.tar"), "c090")
    assert members((tmp_path / "c090.tar").read_bytes()) == found
    assert "export" in series.ok("history", "--jobs")


def test_a_stopped_container_has_no_processes_to_look_at(series: Docker) -> None:
    run(series)
    series.ok("stop", "-t", "0", "c090")

    assert "cannot top c090: it is stopped" in series.fails("top", "c090", code=125)
    assert series.ok("stats", "--no-stream", "c090").splitlines()[1].split()[1:3] == ["c090", "--"]
    series.fails("port", "c090", "80", code=125)


def test_the_stream_of_stats_ends_with_the_container(series: Docker) -> None:
    run(series)
    with series.popen("stats", "--format", "{{.Name}}", stdout=subprocess.PIPE) as watch:
        assert watch.stdout is not None
        assert watch.stdout.readline() == b"c090\n"
        series.ok("rm", "-f", "c090")
        watch.communicate(timeout=20)

    assert watch.returncode == 0


def test_history_tells_a_whole_life_after_it_is_over(series: Docker) -> None:
    container_id = run(series)
    series.ok("rm", "-f", "c090")

    told = series.ok("history", "c090")

    for words in (
        "created from busybox",
        "made its cgroup",
        "ran its program",
        "asked to be removed, alive or not",
    ):
        assert words in told
    assert f"root, pid {told.split(', pid ')[1].split(':')[0]}: run --network=none --detach" in told
    assert "anomaly" not in told
    assert series.ok("history", container_id[:12]) == told
    lines = [json.loads(line) for line in series.ok("history", "--format", "json", "c090").splitlines()]
    assert lines == [event for event in series.events() if event["s"] == f"container/{container_id}"]


def test_info_counts_what_is_there(series: Docker) -> None:
    run(series)

    info = json.loads(series.ok("info", "--format", "json"))

    assert (info["Containers"], info["ContainerStates"]["running"], info["Images"]) == (1, 1, 1)
    assert info["RootId"] == series.root_id
    assert info["Journal"]["Events"] == series.events()[-1]["n"]
