"""What run, create, update and exec make of a command line, and what the journal keeps of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
import pytest

from cli import options, run_options
from cli.options import Command, Declared, gather
from cli.places import Places
from cli.run_options import CONTAINER, ExecOptions, RunOptions, container_options, exec_options, limit_options
from machine.errors import InvalidValue
from machine.settings import DEFAULTS

M = 1 << 20
S = 1_000_000_000


def a_command(decorate: Any, name: str, **attributes: Any) -> Command:
    """A command that returns what its decorator gave it."""

    def given(**values: Any) -> Any:
        return values

    return click.command(name, cls=Command, **attributes)(decorate(given))


RUN = a_command(container_options, "run", interspersed=False)
EXEC = a_command(exec_options, "exec", interspersed=False)
UPDATE = a_command(limit_options, "update")


def parsed(command: Command, *args: str) -> Any:
    return command.main(list(args), prog_name=command.name, standalone_mode=False)


def run(*args: str) -> RunOptions:
    options: RunOptions = parsed(RUN, *args)["options"]
    return options


@pytest.mark.parametrize(
    ("args", "field", "expected"),
    [
        ("--name=a", "name", "a"),
        ("-name a", "name", "a"),
        ("-it", "tty", True),
        ("-ti", "interactive", True),
        ("-i -t", "tty", True),
        ("-d", "detach", True),
        ("-d=false", "detach", False),
        ("", "remove", None),
        ("--rm", "remove", True),
        ("--rm=false", "remove", False),
        ("-rm=false", "remove", False),
        ("-m 5M", "limits", {"memory": 5 * M}),
        ("-mem 100m", "limits", {"memory": 100 * M}),
        ("-m 64m --memory-swap -1", "limits", {"memory": 64 * M, "memory_swap": -1}),
        ("-cpushare 512", "limits", {"cpu_shares": 512}),
        ("--cpu-shares=512", "limits", {"cpu_shares": 512}),
        ("-cpuset 0-1", "limits", {"cpuset_cpus": "0-1"}),
        ("--cpuset-cpus 1,0 --cpuset-mems 0", "limits", {"cpuset_cpus": "0-1", "cpuset_mems": "0"}),
        ("--cpus 1.5", "limits", {"cpu_quota": 150_000, "cpu_period": 100_000}),
        ("-cpu 50", "limits", {"cpu_quota": 50_000, "cpu_period": 100_000}),
        ("--pids-limit 10", "limits", {"pids": 10}),
        ("-e name=nicktming -e A=1 -e A=2", "env", {"name": "nicktming", "A": "2"}),
        ("-v /a:/b -v /c:/d:ro", "volumes", [{"source": "/a", "target": "/b", "ro": False}, {"source": "/c", "target": "/d", "ro": True}]),
        ("-h web", "hostname", "web"),
        ("--hostname web", "hostname", "web"),
        ("-w /x/../y", "workdir", "/y"),
        ("-u 1000:1000", "user", "1000:1000"),
        ("--group-add 5 --group-add audio", "groups", ["5", "audio"]),
        ("--entrypoint /bin/sh", "entrypoint", "/bin/sh"),
        ("--entrypoint=", "entrypoint", ""),
        ("--init", "init", True),
        ("--read-only", "read_only", True),
        ("--tmpfs /run:size=64m", "tmpfs", [{"target": "/run", "options": "size=64m"}]),
        ("-l a=b --label c", "labels", {"a": "b", "c": ""}),
        ("--privileged", "privileged", True),
        ("--security-opt no-new-privileges", "security", {"no-new-privileges": True}),
        ("--shm-size 1g", "shm_size", 1 << 30),
        ("--stop-signal INT", "stop_signal", 2),
        ("--stop-timeout 3", "stop_timeout", 3 * S),
        ("--restart on-failure:3", "restart", {"policy": "on-failure", "max": 3}),
        ("", "detach_keys", b"\x10\x11"),
        ("--detach-keys ctrl-x", "detach_keys", b"\x18"),
        ("--detach-keys=", "detach_keys", b""),
        ("--max-size 1m --max-file 2", "log", {"max_size": M, "keep": 2}),
        ("--log-opt max-size=1m --log-opt max-file=2", "log", {"max_size": M, "keep": 2}),
        ("", "log", DEFAULTS["log"]),
    ],
)  # fmt: skip
def test_every_option_of_run_arrives(args: str, field: str, expected: object) -> None:
    assert getattr(run(*args.split(), "busybox"), field) == expected


def test_image_and_command_are_taken_as_they_are() -> None:
    options = run("-it", "busybox", "sh", "-c", "echo  a", "--", "-it", "\udcff")

    assert options.image == "busybox"
    assert options.argv == ["sh", "-c", "echo  a", "--", "-it", "\udcff"]


def test_every_declared_option_is_a_field() -> None:
    fields = vars(run("busybox"))

    assert set(RunOptions.__annotations__) == set(fields)


@pytest.mark.parametrize(
    ("args", "goes"),
    [
        ("-it", True),
        ("-it --rm=false", False),
        ("-dit", False),
        ("-t", False),
        ("", False),
        ("--rm", True),
        ("-d --rm", True),
        ("-it --restart always", False),
    ],
)
def test_a_terminal_in_front_goes_at_its_end_as_in_the_series(args: str, goes: bool) -> None:
    assert run(*args.split(), "busybox").auto_remove() is goes


def test_nothing_said_is_nothing_set() -> None:
    assert run("busybox").settings() == {}


def test_the_settings_are_in_the_machines_words() -> None:
    line = """-dit --rm -h web -w / -u 0 --group-add 5 -m 64m -v /a:/b --tmpfs /t --read-only --cap-drop ALL
        --security-opt no-new-privileges --shm-size 1m --stop-signal 15 --stop-timeout -1 --label a=b
        --max-size 1m -net host --privileged=false busybox"""

    said = run(*line.split()).settings()

    assert set(said) <= set(DEFAULTS)
    assert said == {
        "tty": True,
        "stdin": True,
        "auto_remove": True,
        "hostname": "web",
        "cwd": "/",  # though it is the default: the image may have another
        "user": "0",
        "groups": ["5"],
        "limits": {"memory": 64 * M},
        "volumes": [{"source": "/a", "target": "/b", "ro": False}],
        "tmpfs": [{"target": "/t", "options": ""}],
        "read_only": True,
        "caps": [],
        "no_new_privileges": True,
        "shm_size": M,
        "stop_signal": 15,
        "stop_timeout": -1,
        "labels": {"a": "b"},
        "log": {"max_size": M, "keep": 3},
    }


@pytest.mark.parametrize(
    ("args", "why"),
    [
        ("-m 5X", "invalid --memory '5X'"),
        ("-mem 0", "invalid --memory '0'"),
        ("-name ../x", "invalid --name '../x'"),
        ("-v /only", "invalid --volume '/only': expected SOURCE:TARGET"),
        ("-v rel:/x", "invalid --volume 'rel:/x': the source must be"),
        ("-v /a:/x -v /b:/x", "two of them at this place"),
        ("-v /a:/x --tmpfs /x", "two of them at this place"),
        ("--memory-swap 1g", "give --memory too"),
        ("--cpus 1 -cpu 50", "--cpus says it already"),
        ("--rm --restart always", "contradicts --rm"),
        ("-net a/b", "invalid --network 'a/b'"),
        ("--log-opt compress=true", "expected max-size=SIZE or max-file=N"),
        ("-e =x", "invalid --env ''"),
    ],
)
def test_what_cannot_be_is_refused_by_the_option_it_came_by(args: str, why: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        run(*args.split(), "busybox")

    assert why in str(refused.value)
    assert refused.value.exit_code == 2


def test_variables_come_from_files_first_and_from_the_caller_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FROM_HOST", "h")
    monkeypatch.delenv("UNSET", raising=False)
    file = tmp_path / "env"
    file.write_text("A=file\nB=file\nFROM_HOST\n")

    env = run("-e", "A=typed", "-e", "UNSET", "--env-file", str(file), "busybox").env

    assert env == {"A": "typed", "B": "file", "FROM_HOST": "h"}


def test_the_callers_environment_does_not_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "canary")

    assert run("busybox").env == {}


def test_an_environment_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_bytes(b"A=\xff\n")

    with pytest.raises(InvalidValue, match="is not UTF-8"):
        run("--env-file", str(file), "busybox")


def test_run_has_h_for_the_hostname_and_others_for_help() -> None:
    def names(command: Command, *args: str) -> list[str]:
        return command.get_help_option_names(command.make_context("x", list(args)))

    assert names(RUN, "busybox") == ["--help"]
    assert set(names(UPDATE)) == {"--help", "-h"}


def test_update_gives_only_what_was_said() -> None:
    assert parsed(UPDATE, "-m", "1g", "--restart", "always") == {
        "settings": {"limits": {"memory": 1 << 30}, "restart": {"policy": "always", "max": 0}}
    }
    assert parsed(UPDATE) == {"settings": {}}


def test_exec_stops_at_the_container_and_passes_the_rest() -> None:
    options: ExecOptions = parsed(EXEC, "-it", "-e", "A=1", "-u", "5", "-w", "/x", "c1", "/bin/ls", "-l")[
        "options"
    ]

    assert (options.container, options.argv) == ("c1", ["/bin/ls", "-l"])
    assert (options.interactive, options.tty, options.detach) == (True, True, False)
    assert (options.env, options.user, options.workdir) == ({"A": "1"}, "5", "/x")


def test_exec_needs_a_command() -> None:
    with pytest.raises(click.UsageError):
        parsed(EXEC, "c1")


def journalled(command: Command, *args: str) -> str:
    """What the journal would keep of it."""
    with command.make_context(command.name, list(args)) as context:
        return options.typed(context)


@pytest.mark.parametrize(
    ("args", "kept"),
    [
        (["-it", "-name", "a", "busybox", "sh"], "run --interactive --tty --name=a busybox sh"),
        (["--rm=false", "busybox"], "run --rm=false busybox"),
        (["-e", "K=canary", "--env=canary", "busybox"], "run --env=*** --env=*** busybox"),
        (["busybox", "sh", "-c", "echo canary"], "run busybox sh ..."),
        (["busybox", "\udcff"], "run busybox \\udcff"),
    ],
)
def test_the_journal_keeps_the_command_without_its_secrets(args: list[str], kept: str) -> None:
    assert journalled(RUN, *args) == kept


def test_what_the_journal_keeps_is_bounded() -> None:
    assert len(journalled(RUN, "-l", "a=" + "x" * 5000, "busybox")) == 1024


@pytest.mark.parametrize(
    ("typed", "environ", "expected"),
    [
        ([], {}, ("/var/lib/mydocker", "")),
        ([], {"MYDOCKER_ROOT": "/e", "MYDOCKER_RUN_DIR": "/er"}, ("/e", "/er")),
        (["-r", "/t", "--run-dir=/tr"], {"MYDOCKER_ROOT": "/e"}, ("/t", "/tr")),
        (["-root=/t"], {}, ("/t", "")),
        (["-r", "/a", "-r", "/b/"], {}, ("/b", "")),
        (["-r", ""], {"MYDOCKER_ROOT": ""}, ("/var/lib/mydocker", "")),
        (["-r", "rel"], {}, (f"{os.getcwd()}/rel", "")),
    ],
)
def test_the_places_are_typed_or_of_the_environment_or_the_defaults(
    typed: list[str], environ: dict[str, str], expected: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MYDOCKER_ROOT", "MYDOCKER_RUN_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name, text in environ.items():
        monkeypatch.setenv(name, text)
    where: Places = parsed(a_command(options.pass_places, "ps"), *typed)["places"]

    assert (where.root, where.run_dir) == expected


def test_no_spelling_stands_for_two_options() -> None:
    seen: dict[str, str] = {}
    for option in RUN.params:
        for text in option.opts if isinstance(option, click.Option) else ():
            assert seen.setdefault(text, str(option.name)) == option.name


def test_every_option_has_a_spelling_with_two_dashes_and_a_line_of_help() -> None:
    for option in RUN.params:
        if isinstance(option, click.Option):
            assert any(text.startswith("--") for text in option.opts), option.opts
            assert option.help, option.opts
            assert option.help.endswith("."), option.opts


def test_only_root_gets_past_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(options.NeedsRoot, match="you are uid 1000"):
        run("busybox")


def test_gather_takes_its_own_options_and_leaves_the_others() -> None:
    one: list[Declared] = [options.flag("a", "--a", help="."), options.value("b", "--b", help=".")]
    command = a_command(lambda f: options.flag("c", "--c", help=".")(gather("both", one, dict)(f)), "x")

    assert parsed(command, "--a", "--c") == {"both": {"a": True, "b": None}, "c": True}


def test_the_declared_options_are_all_gathered() -> None:
    assert len({option.name for option in CONTAINER}) == len(CONTAINER)
    assert run_options.RESTART in CONTAINER
