"""Honest but unusual callers: their environment, limits and rights are no trap, and what cannot be is told in one line."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.system.conftest import PROGRAM, Docker

PYTHON_NONSENSE = {
    "PYTHONHOME": "/nowhere",
    "PYTHONPATH": "/nowhere",
    "PYTHONUTF8": "7",
    "PYTHONWARNINGS": "error",
    "PYTHONDEVMODE": "1",
    "PYTHONIOENCODING": "nonsense",
}


def call(
    docker: Docker, *words: str, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """The words as they are, with the engine's places in the environment."""
    return subprocess.run(
        words,
        cwd=docker.root.parent,
        env={**docker.env, **(env or {})},
        capture_output=True,
        check=False,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize(
    "more", [PYTHON_NONSENSE, {"LC_ALL": "C"}, {"LC_ALL": "xx_YY.nonsense"}, {"TMPDIR": "/nowhere"}]
)
@pytest.mark.parametrize(
    "words", [("ps", "-q"), ("run", "--rm", "--network", "none", "busybox", "echo", "hello")]
)
def test_054_the_callers_environment_is_not_ours(
    series: Docker, words: tuple[str, ...], more: dict[str, str]
) -> None:
    done = call(series, PROGRAM, *words, env=more)
    assert (done.returncode, done.stderr) == (0, b"")


def test_054_a_file_open_beyond_the_limit_is_left_to_its_caller(series: Docker) -> None:
    script = 'exec 63</dev/null; ulimit -n 40; exec "$0" run --rm --network none busybox ls /proc/self/fd'
    done = call(series, "bash", "-c", script, PROGRAM)
    assert (done.returncode, done.stderr) == (0, b"")
    assert "63" not in done.stdout.decode().split()


def test_054_a_removed_directory_is_no_trap_and_is_told_where_it_counts(series: Docker) -> None:
    script = 'mkdir gone && cd gone && rmdir ../gone && "$0" run --rm --network none busybox true && "$0" -r here ps'
    done = call(series, "sh", "-c", script, PROGRAM)
    assert (done.returncode, done.stderr) == (
        125,
        b"mydocker: the current directory has been removed [cd to one that is there]\n",
    )


@pytest.mark.parametrize(
    "words", [("wait", "c"), ("stop", "-t", "100000000", "c")], ids=lambda words: words[0]
)
def test_054_who_waits_for_years_waits(series: Docker, words: tuple[str, ...]) -> None:
    """poll(2) counts to 24 days."""
    series.ok("run", "-d", "--name", "c", "--network", "none", "busybox", "sleep", "1000")
    with subprocess.Popen(
        [PROGRAM, *words], env=series.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as waiting:
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(1)
        series.ok("kill", "c")
        assert waiting.communicate(timeout=30)[1] == b""
    assert waiting.returncode == 0


def test_054_three_who_restart_one_at_once_wait_for_one_end_each(series: Docker) -> None:
    series.ok("run", "-d", "--name", "c", "--network", "none", "busybox", "sleep", "1000")
    many = [
        subprocess.Popen([PROGRAM, "restart", "-t", "0", "c"], env=series.env, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    told = [one.communicate(timeout=60)[1] for one in many]
    assert ([one.returncode for one in many], told) == ([0] * 4, [b""] * 4)
    assert series.inspect("c")["State"]["Running"]


def test_054_a_caller_who_ignores_his_children_does_not_make_us_ignore_ours(
    series: Docker, tmp_path: Path
) -> None:
    ignoring = ("env", "--ignore-signal=CHLD", PROGRAM)
    for words in (
        ("run", "--name", "c", "--network", "none", "busybox", "true"),
        ("cp", "c:/bin/busybox", str(tmp_path / "busybox")),
        ("export", "-o", str(tmp_path / "c.tar"), "c"),
        ("import", str(tmp_path / "c.tar"), "imported"),
        ("commit", "c", "committed"),
    ):
        done = call(series, *ignoring, *words)
        assert (done.returncode, b"Traceback" in done.stderr) == (0, False), (words, done.stderr)


def test_054_a_root_on_an_overlay_is_told_as_that(series: Docker) -> None:
    """As in a container without a volume: overlayfs takes no upper layer there (EINVAL)."""
    script = (
        'mount -t tmpfs none . && cd "$PWD" && mkdir l u w m && mount -t overlay -o lowerdir=l,upperdir=u,workdir=w none m'
        ' && exec "$0" -r m/root run --network none busybox true'
    )
    place = series.root.parent / "overlaid"
    place.mkdir()
    done = call(series, "unshare", "-m", "sh", "-c", f"cd {place} && {script}", PROGRAM)
    assert done.returncode == 125
    assert b"cannot hold an overlay's upper layer" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "less", [("unshare", "-r"), ("setpriv", "--bounding-set", "-all")], ids=lambda less: less[0]
)
def test_054_a_root_without_roots_rights_is_told_before_anything_is_decided(
    series: Docker, less: tuple[str, ...]
) -> None:
    series.ok("ps")
    done = call(series, *less, PROGRAM, "run", "--rm", "--network", "none", "busybox", "true")
    assert done.returncode == 125
    assert done.stderr.startswith(b"mydocker: this root may not make mounts")
    assert done.stderr.count(b"\n") == 1
    assert series.ok("ps", "-aq") == ""  # else the next replay would run what was refused


@pytest.mark.parametrize(
    "words",
    [
        ("ps",),
        ("logs", "c"),
        ("run", "--rm", "--network", "none", "busybox", "echo", "hello"),
        ("exec", "c", "echo", "hello"),
    ],
)
def test_054_a_full_output_is_told_as_the_outputs(series: Docker, words: tuple[str, ...]) -> None:
    series.ok(
        "run", "-d", "--name", "c", "--network", "none", "busybox", "sh", "-c", "echo hello; exec sleep 1000"
    )
    series.ok("logs", "c")
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [PROGRAM, *words], env=series.env, stdout=full, stderr=subprocess.PIPE, check=False, timeout=60
        )
    assert (done.returncode, done.stderr) == (125, b"mydocker: stdout: No space left on device\n")
