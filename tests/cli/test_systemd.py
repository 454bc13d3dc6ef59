"""systemd's units: every option and path in them, for the default root and for odd ones; and what they call."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.places import DEFAULT_ROOT, Places
from cli.scan import scan
from cli.units import unit_name, units
from machine.errors import InvalidValue

PROGRAM = "/bin/true"  # for systemd-analyze, which looks whether it can be run
ROOTS = ["/", DEFAULT_ROOT, "/srv/boxes", "/srv/my boxes", '/srv/"%i$HOME\\x', "/srv/.hidden/-a", "/srv/ä"]

# section -> option -> whether the value is one of those that systemd.unit(5), .service(5), .exec(5), .kill(5),
# .resource-control(5) and .timer(5) have.
KNOWN: dict[str, dict[str, Callable[[str], bool]]] = {
    "Unit": {
        "Description": bool,
        "After": lambda text: all(word.endswith((".target", ".service")) for word in text.split()),
        "RequiresMountsFor": lambda text: text.lstrip('"').startswith("/"),
        "ConditionPathExists": lambda text: text.startswith("/"),
    },
    "Service": {
        "Type": lambda text: text == "oneshot",
        "ExecStart": lambda text: text.startswith(PROGRAM),
        "KillMode": lambda text: text == "process",
        "OOMPolicy": lambda text: text == "continue",
        "TasksMax": lambda text: text == "infinity",
        "TimeoutStartSec": lambda text: text == "15min",
        "UMask": lambda text: text == "0077",
        "SyslogIdentifier": lambda text: text == "mydocker",
        "SyslogLevel": lambda text: text == "notice",
        "LogLevelMax": lambda text: text == "notice",
    },
    "Timer": {
        "OnBootSec": lambda text: text == "1min",
        "OnUnitInactiveSec": lambda text: text == "1min",
        "AccuracySec": lambda text: text == "10s",
    },
    "Install": {"WantedBy": lambda text: text in ("multi-user.target", "timers.target")},
}


def of(root: str) -> dict[str, str]:
    return units(PROGRAM, Places(root, ""))


def parsed(text: str) -> list[tuple[str, str, str]]:
    """(section, option, value) of each line that is no comment."""
    section, found = "", []
    for line in filter(None, text.split("\n")):
        if line.startswith("["):
            section = line.strip("[]")
        elif not line.startswith("#"):
            option, _, value = line.partition("=")
            found.append((section, option, value))
    return found


def words_of(command: str) -> list[str]:
    """As systemd reads an ExecStart: shell-like quotes, $$ and %% for the characters themselves."""
    return [word.replace("$$", "$").replace("%%", "%") for word in shlex.split(command)]


@pytest.mark.parametrize("root", ROOTS)
def test_every_line_is_one_that_systemd_has(root: str) -> None:
    for text in of(root).values():
        for section, option, value in parsed(text):
            assert KNOWN[section][option](value), f"{option}={value}"


@pytest.mark.parametrize("root", ROOTS)
def test_the_service_calls_us_for_that_very_root(root: str) -> None:
    service = next(text for name, text in of(root).items() if name.endswith(".service"))
    (command,) = [value for _, option, value in parsed(service) if option == "ExecStart"]
    where = [] if root == DEFAULT_ROOT else ["-r", root]

    assert words_of(command) == [PROGRAM, *where, "replay", "--fast", "--quiet"]


def test_what_it_calls_is_an_option_of_replay() -> None:
    from cli.commands.replay import replay

    found, rest = scan(["--fast", "--quiet"], replay.table(), interspersed=True)
    assert ([name for name, _ in found], rest) == (["--fast", "--quiet"], [])


@pytest.mark.parametrize("root", ROOTS)
def test_systemd_itself_finds_no_fault_with_them(root: str, tmp_path: Path) -> None:
    for name, text in of(root).items():
        (tmp_path / name).write_text(text)
    for name in of(root):
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", tmp_path / name],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("root", "name"),
    [
        (DEFAULT_ROOT, "mydocker-replay"),
        ("/srv/boxes", "mydocker-replay-srv-boxes"),
        ("/srv/my-boxes", "mydocker-replay-srv-my\\x2dboxes"),
        ("/.hidden", "mydocker-replay-\\x2ehidden"),
        ("/", "mydocker-replay--"),
    ],
)
def test_roots_have_units_of_their_own_named_as_systemd_escapes_paths(root: str, name: str) -> None:
    assert unit_name(root) == name
    assert set(of(root)) == {f"{name}.service", f"{name}.timer"}


def test_a_path_that_would_begin_a_new_line_is_refused() -> None:
    with pytest.raises(InvalidValue, match="a unit file cannot hold it"):
        of("/srv/a\nExecStart=/bin/evil")


def test_install_writes_them_and_says_what_is_next(tmp_path: Path) -> None:
    """By a link of our name, which the units then call."""
    here = Path(__file__).resolve().parent.parent.parent
    program = tmp_path / "mydocker"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(here)!r})\nfrom cli.entry import main\nmain()\n"
    )
    program.chmod(0o755)
    done = subprocess.run(
        [program, "-r", "/srv/boxes", "systemd", "--install", "--directory", tmp_path],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == (
        "now: systemctl daemon-reload && systemctl enable --now"
        " mydocker-replay-srv-boxes.service mydocker-replay-srv-boxes.timer"
    )
    text = (tmp_path / "mydocker-replay-srv-boxes.service").read_text()
    assert f"ExecStart={program} -r /srv/boxes replay --fast --quiet\n" in text
    assert (tmp_path / "mydocker-replay-srv-boxes.timer").stat().st_mode & 0o777 == 0o644
