"""The options of a health check, as docker has them, and what podman adds: --health-on-failure."""

from __future__ import annotations

from cli.declare import flag, value
from machine import parse, quantities
from machine.errors import InvalidValue
from machine.health import ACTIONS, DEFAULTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SHELL = ["/bin/sh", "-c"]
_LEAST = 1_000_000  # ns, docker's: shorter ones are mistakes


def _period(text: str, what: str) -> int:
    """Nanoseconds; 0 stands for the default."""
    period = quantities.duration(text, what)
    if 0 < period < _LEAST:
        raise InvalidValue(what, text, "must be at least 1ms, or 0 for the default")
    return period


def _retries(text: str, what: str) -> int:
    return quantities.whole(text, what, least=0, most=2**31 - 1)


def _action(text: str, what: str) -> str:
    if text not in ACTIONS:
        raise InvalidValue(what, text, f"expected one of {', '.join(ACTIONS)}")
    return text


HEALTH = [
    value("health_cmd", "--health-cmd", parse=parse.command_text, secret=True, metavar="COMMAND", help="A shell's command that fails while it is not well."),
    value("health_interval", "--health-interval", parse=_period, metavar="TIME", help="Between two probes (30s)."),
    value("health_timeout", "--health-timeout", parse=_period, metavar="TIME", help="For one probe, which is killed then (30s)."),
    value("health_start_period", "--health-start-period", parse=_period, metavar="TIME", help="Until failures count (0s)."),
    value("health_start_interval", "--health-start-interval", parse=_period, metavar="TIME", help="Between two probes until then (5s)."),
    value("health_retries", "--health-retries", parse=_retries, metavar="N", help="Failures in a row that make it unhealthy (3)."),
    value("health_on_failure", "--health-on-failure", parse=_action, metavar="ACTION", help="When unhealthy: none, kill, restart or stop."),
    flag("no_healthcheck", "--no-healthcheck", help="None, even if the image has one."),
]  # fmt: skip


class HealthOptions:
    """What was said of the health check. `argv` may hold secrets; empty where no command was given."""

    def __init__(self, values: dict[str, Any]) -> None:
        """Takes its options out of `values`."""
        said = {option.name: values.pop(option.name) for option in HEALTH}
        self.off: bool = said.pop("no_healthcheck")
        command = said.pop("health_cmd")
        self.argv = [*SHELL, command] if command else []
        # 0 is docker's word for "not said".
        self.said = {name.removeprefix("health_"): given for name, given in said.items() if given}
        if self.off and (self.argv or self.said):
            raise InvalidValue("--no-healthcheck", "true", "contradicts the other --health options")

    @property
    def restarts(self) -> bool:
        """Whether it starts an unhealthy container again."""
        return self.said.get("on_failure") == "restart"

    def check(self, image: dict[str, Any]) -> tuple[list[str], dict[str, Any]]:
        """(its argv, the `health` of `machine.settings`) over what the image says; both empty without a check.

        InvalidValue where there is nothing to run.
        """
        of_image = dict(image.get("health", {}))
        argv = self.argv or of_image.pop("argv", [])
        if self.off:
            return [], {}
        if not argv:
            if self.said:
                name = next(iter(self.said))
                option = f"--health-{name.replace('_', '-')}"
                raise InvalidValue(
                    option, str(self.said[name]), "there is no health check [give --health-cmd]"
                )
            return [], {}
        timing = {key: given for key, given in of_image.items() if key in DEFAULTS}
        return argv, {**DEFAULTS, **timing, **self.said}
