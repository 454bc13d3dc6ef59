"""The options of run and create, and those of update, as one object each."""

from __future__ import annotations

import os

from cli.declare import argument, flag, gather, value
from cli.health_options import HEALTH, HealthOptions
from cli.network_options import NETWORK, NetworkOptions
from machine import parse, quantities
from machine.capabilities import capability, kept
from machine.errors import InvalidValue
from machine.settings import DEFAULTS
from machine.signals import signal_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

LIMITS = [
    value("memory", "-m", "--memory", "-mem", parse=quantities.memory, metavar="SIZE", help="Memory limit, such as 100m."),
    value("memory_swap", "--memory-swap", parse=quantities.memory_swap, metavar="SIZE", help="Memory and swap together; -1: no limit."),
    value("cpu_shares", "--cpu-shares", "-cpushare", "-c", parse=quantities.cpu_shares, metavar="N", help="Weight among busy containers (1024 is par)."),
    value("cpus", "--cpus", parse=quantities.cpus, metavar="N", help="Number of cpus, such as 1.5."),
    value("cpu_percent", "--cpu-percent", "-cpu", parse=quantities.cpu_percent, metavar="N", help="The same in per cent of one cpu."),
    value("cpuset_cpus", "--cpuset-cpus", "-cpuset", parse=quantities.cpuset, metavar="LIST", help="Run on these cpus only, such as 0-2,4."),
    value("cpuset_mems", "--cpuset-mems", parse=quantities.cpuset, metavar="LIST", help="Use these memory nodes only."),
    value("pids", "--pids-limit", parse=quantities.pids, metavar="N", help="Number of processes and threads; -1: no limit."),
]  # fmt: skip

RESTART = value("restart", "--restart", parse=parse.restart, metavar="POLICY", help="no, always, unless-stopped or on-failure[:N].")  # fmt: skip

ENVIRONMENT = [
    value("env", "-e", "--env", multiple=True, secret=True, metavar="K=V", help="Set a variable; K alone takes the caller's value."),
    value("env_files", "--env-file", multiple=True, metavar="FILE", help="Variables from a file, one K=V a line."),
]  # fmt: skip

DETACH_KEYS = value("detach_keys", "--detach-keys", parse=parse.detach_keys, default=b"\x10\x11", metavar="KEYS", help="Keys that leave it running (ctrl-p,ctrl-q).")  # fmt: skip

TERMINAL = [
    flag("interactive", "-i", "--interactive", help="Keep stdin open."),
    flag("tty", "-t", "--tty", help="Give it a terminal."),
    flag("detach", "-d", "--detach", help="Run in the background and print the id."),
    DETACH_KEYS,
]  # fmt: skip

PROCESS = [
    value("user", "-u", "--user", parse=parse.user, metavar="USER[:GROUP]", help="Run as this user."),
    value("workdir", "-w", "--workdir", parse=parse.container_path, metavar="DIR", help="Working directory."),
]  # fmt: skip

_OTHERS = [
    value("name", "-name", "--name", parse=parse.name, metavar="NAME", help="The container's name."),
    flag("remove", "--rm", default=None, help="Remove it when it ends (as -it does, unless --rm=false)."),
    value("entrypoint", "--entrypoint", metavar="PROGRAM", help="Run this, with the command as its arguments."),
    value("groups", "--group-add", parse=parse.group, multiple=True, metavar="GROUP", help="Another group."),
    flag("init", "--init", help="Run a small init as pid 1, which reaps."),
    value("volumes", "-v", "--volume", parse=parse.volume, multiple=True, metavar="SRC:DST[:ro]", help="Show a directory of the host."),
    value("tmpfs", "--tmpfs", parse=parse.tmpfs, multiple=True, metavar="DIR[:OPTS]", help="Mount an empty tmpfs."),
    flag("read_only", "--read-only", help="Make the root file system read-only."),
    value("shm_size", "--shm-size", parse=quantities.size, metavar="SIZE", help="Size of /dev/shm (64m)."),
    value("hostname", "-h", "--hostname", parse=parse.hostname, metavar="NAME", help="Its host name."),
    value("labels", "-l", "--label", parse=parse.label, multiple=True, metavar="K=V", help="A label."),
    value("cap_add", "--cap-add", parse=capability, multiple=True, metavar="CAP", help="Keep this capability too."),
    value("cap_drop", "--cap-drop", parse=capability, multiple=True, metavar="CAP", help="Drop this capability."),
    flag("privileged", "--privileged", help="All capabilities and devices, nothing masked."),
    value("security", "--security-opt", parse=parse.security_opt, multiple=True, metavar="OPT", help="Such as no-new-privileges."),
    value("stop_signal", "--stop-signal", parse=signal_number, metavar="SIGNAL", help="What stop sends (TERM)."),
    value("stop_timeout", "--stop-timeout", parse=quantities.grace, metavar="TIME", help="How long stop waits before KILL (10s)."),
    value("log_max_size", "--log-max-size", "--max-size", parse=quantities.size, metavar="SIZE", help="Size of one log file (64m)."),
    value("log_max_files", "--log-max-files", "--max-file", parse=lambda text, what: quantities.whole(text, what, least=1, most=1000), metavar="N", help="How many of them are kept (3)."),
    value("log_opt", "--log-opt", multiple=True, metavar="K=V", help="max-size=SIZE or max-file=N."),
]  # fmt: skip

CONTAINER = [*TERMINAL, *_OTHERS, *NETWORK, *PROCESS, *ENVIRONMENT, *LIMITS, *HEALTH, RESTART]


def limits_of(values: dict[str, Any]) -> dict[str, Any]:
    """The `limits` of `machine.settings`: only those that were given. Takes them out of `values`."""
    taken = {option.name: values.pop(option.name) for option in LIMITS}
    cpus, percent = taken.pop("cpus"), taken.pop("cpu_percent")
    if cpus and percent:
        raise InvalidValue("--cpu-percent", str(percent[0] // 1000), "--cpus says it already")
    taken["cpu_quota"], taken["cpu_period"] = cpus or percent or (None, None)
    limits = {key: amount for key, amount in taken.items() if amount is not None}
    quantities.check_limits(limits)
    return limits


def environment_of(values: dict[str, Any]) -> dict[str, str]:
    """The variables of --env-file and -e, the latter last. Takes them out of `values`."""
    found: dict[str, str] = {}
    for path in values.pop("env_files"):
        found |= parse.env_file(_text(path), os.environ, path)
    for text in values.pop("env"):
        pair = parse.env(text, os.environ, "--env")
        if pair:
            found[pair[0]] = pair[1]
    return found


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except UnicodeDecodeError:
        raise InvalidValue("--env-file", path, "is not UTF-8") from None


class RunOptions:
    """What run and create were told: the options, the image, and the container's command.

    Names are those of `machine.settings` where it has them; `settings()` is what differs from its
    defaults. Secrets are in `env`, `argv` and `health` only.
    """

    image: str
    argv: list[str]
    name: str | None
    interactive: bool
    tty: bool
    detach: bool
    remove: bool | None  # None: not said
    entrypoint: str | None  # "" : the image's own is not wanted
    init: bool
    env: dict[str, str]
    limits: dict[str, Any]
    volumes: list[dict[str, Any]]
    tmpfs: list[dict[str, str]]
    network: NetworkOptions
    hostname: str | None
    workdir: str | None
    user: str | None
    groups: list[str]
    labels: dict[str, str]
    caps: list[str]
    privileged: bool
    read_only: bool
    security: dict[str, bool]
    shm_size: int | None
    stop_signal: int | None
    stop_timeout: int | None  # ns; -1: never kill
    restart: dict[str, Any]
    detach_keys: bytes
    log: dict[str, int]
    health: HealthOptions

    def __init__(self, values: dict[str, Any]) -> None:
        self.limits, self.env = limits_of(values), environment_of(values)
        self.log, self.health = _log_of(values), HealthOptions(values)
        self.network = NetworkOptions(values)
        self.labels, self.security = dict(values.pop("labels")), dict(values.pop("security"))
        self.caps = kept(values.pop("cap_add"), values.pop("cap_drop"), privileged=values["privileged"])
        self.restart = values.pop("restart") or DEFAULTS["restart"]
        self.__dict__.update(
            (name, list(given) if isinstance(given, tuple) else given) for name, given in values.items()
        )
        parse.check_targets(self.volumes, self.tmpfs)
        if self.remove and self.restart["policy"] != "no":
            raise InvalidValue("--restart", self.restart["policy"], "contradicts --rm")
        if self.remove and self.health.restarts:
            raise InvalidValue("--health-on-failure", "restart", "contradicts --rm")

    def auto_remove(self) -> bool:
        """Whether the container goes when it ends: as said, else as in the series: with -it in front."""
        if self.remove is not None:
            return self.remove
        stays = self.restart["policy"] != "no" or self.health.restarts
        return self.interactive and self.tty and not self.detach and not stays

    def settings(self) -> dict[str, Any]:
        """The container's specification in the words of `machine.settings`: only what was said.

        What was not said is for the image, then for the defaults. `init` (a program's path) is for the
        caller to add.
        """
        perhaps: dict[str, Any] = {
            "hostname": self.hostname,
            "cwd": self.workdir,
            "user": self.user,
            "shm_size": self.shm_size,
            "stop_signal": self.stop_signal,
            "stop_timeout": self.stop_timeout,
        }
        always: dict[str, Any] = {
            "groups": self.groups,
            "tty": self.tty,
            "stdin": self.interactive,
            "auto_remove": self.auto_remove(),
            "volumes": self.volumes,
            "tmpfs": self.tmpfs,
            "limits": self.limits,
            "privileged": self.privileged,
            "read_only": self.read_only,
            "no_new_privileges": self.security.get("no-new-privileges", False),
            "labels": self.labels,
            "restart": self.restart,
            "log": self.log,
        }
        said = {key: given for key, given in perhaps.items() if given is not None}
        said |= {key: given for key, given in always.items() if given != DEFAULTS[key]}
        # The default is a list with an order of its own: the same capabilities are the default.
        return said if set(self.caps) == set(DEFAULTS["caps"]) else said | {"caps": self.caps}


def _log_of(values: dict[str, Any]) -> dict[str, int]:
    """The `log` of `machine.settings`. Takes its options out of `values`."""
    log: dict[str, int] = dict(DEFAULTS["log"])
    given = {"max-size": values.pop("log_max_size"), "max-file": values.pop("log_max_files")}
    for text in values.pop("log_opt"):
        key, _, amount = text.partition("=")
        if key == "max-size":
            given[key] = quantities.size(amount, "--log-opt max-size")
        elif key == "max-file":
            given[key] = quantities.whole(amount, "--log-opt max-file", least=1, most=1000)
        else:
            raise InvalidValue("--log-opt", text, "expected max-size=SIZE or max-file=N")
    for key, ours in (("max-size", "max_size"), ("max-file", "keep")):
        if given[key] is not None:
            log[ours] = given[key]
    return log


def container_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give the command `options`, a RunOptions: all of run's and create's options, IMAGE and the command."""
    positional = [
        argument("image"),
        argument("argv", many=True, required=False, metavar="[COMMAND [ARG]...]"),
    ]
    return gather("options", [*positional, *CONTAINER], RunOptions)(function)


def limit_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give the command `settings`: the limits and the restart policy that were given, and only those."""
    return gather("settings", [*LIMITS, RESTART], _changes)(function)


def _changes(values: dict[str, Any]) -> dict[str, Any]:
    policy, limits = values.pop("restart"), limits_of(values)
    return ({"limits": limits} if limits else {}) | ({"restart": policy} if policy else {})


class ExecOptions:
    """What exec was told: in which container, what to run, and how. Secrets are in `env` and `argv` only."""

    container: str
    argv: list[str]
    interactive: bool
    tty: bool
    detach: bool
    env: dict[str, str]
    user: str | None
    workdir: str | None
    detach_keys: bytes

    def __init__(self, values: dict[str, Any]) -> None:
        self.env, self.argv = environment_of(values), list(values.pop("argv"))
        self.__dict__.update(values)


def exec_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give the command `options`, an ExecOptions: all of exec's options, NAME and the command."""
    positional = [
        argument("container", metavar="NAME"),
        argument("argv", many=True, metavar="COMMAND [ARG]..."),
    ]  # fmt: skip
    return gather("options", [*positional, *TERMINAL, *PROCESS, *ENVIRONMENT], ExecOptions)(function)
