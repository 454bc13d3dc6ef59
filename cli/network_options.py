"""The options of run and create about networks. What parses them is loaded when one is typed."""

from __future__ import annotations

from cli.declare import flag, value
from machine.errors import InvalidValue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

DEFAULT = "bridge"
ALONE = ("none", "host")


def _by(name: str, module: str = "parse_network") -> Callable[[str, str], object]:
    """A parser of `machine`, imported when it is first needed."""

    def parse(text: str, what: str) -> object:
        # Not by importlib, which takes 0.5 ms to load.
        return getattr(__import__(f"machine.{module}", fromlist=[name]), name)(text, what)

    return parse


def _model(text: str, what: str) -> object:
    return text if text in (*ALONE, DEFAULT) else _by("model")(text, what)


ADDRESS = [
    value("ip", "--ip", parse=_by("ip"), metavar="ADDRESS", help="Its IPv4 address on the network."),
    value("ip6", "--ip6", parse=_by("ip6"), metavar="ADDRESS", help="Its IPv6 address on the network."),
    value("mac", "--mac-address", parse=_by("mac"), metavar="MAC", help="Its MAC address on the network."),
]
NETWORK = [
    value("network", "--network", "-net", "--net", parse=_model, multiple=True, metavar="NETWORK", help="none, host, container:NAME, or a network's name (bridge)."),
    *ADDRESS,
    value("aliases", "--network-alias", "--net-alias", parse=_by("hostname", "parse"), multiple=True, metavar="NAME", help="Another name for it on the network."),
    value("ports", "-p", "--publish", parse=_by("published", "ports"), multiple=True, metavar="[[IP:]PORT:]PORT[/udp]", help="A port of the host that leads to one of the container."),
    flag("publish_all", "-P", "--publish-all", help="Publish every exposed port, to any of the host."),
    value("exposed", "--expose", parse=_by("exposed", "ports"), multiple=True, metavar="PORT[/udp]", help="A port for -P."),
    value("dns", "--dns", parse=_by("any_address"), multiple=True, metavar="ADDRESS", help="Ask this name server, and no other."),
    value("dns_search", "--dns-search", parse=_by("search"), multiple=True, metavar="DOMAIN", help="A domain for names without a dot."),
    value("dns_options", "--dns-option", "--dns-opt", parse=_by("option"), multiple=True, metavar="OPT", help="Such as ndots:2; see resolv.conf(5)."),
    value("hosts", "--add-host", parse=_by("host"), multiple=True, metavar="NAME:IP", help="A line for /etc/hosts; host-gateway is the host."),
]  # fmt: skip


class NetworkOptions:
    """What was said of the network.

    `model`: none, host, container:NAME, or the name of a network of ours. `networks`: of several, that first one
    and the others; addresses and aliases are for the first, as in docker.
    """

    def __init__(self, values: dict[str, Any]) -> None:
        """Takes its options out of `values`."""
        said = {option.name: values.pop(option.name) for option in NETWORK}
        self.networks: list[str] = list(dict.fromkeys(said.pop("network"))) or [DEFAULT]
        self.model = self.networks[0]
        self.aliases = list(said.pop("aliases"))
        self.address = {key: said.pop(key) or "" for key in ("ip", "ip6", "mac")}
        self.publish_all: bool = said.pop("publish_all")
        self.ports = [one for some in said.pop("ports") for one in some]
        self.exposed = [one for some in said.pop("exposed") for one in some]
        self.names = {key: list(given) for key, given in said.items()}  # dns, dns_search, dns_options, hosts
        if self.ports or self.exposed:
            from machine import ports

            ports.check_count(self.ports, "--publish")
            ports.check_count(self.exposed, "--expose")
            ports.check_asked(self.ports)
        alone = next(filter(_is_alone, self.networks), None)
        if alone is not None:
            if len(self.networks) > 1:
                raise InvalidValue("--network", alone, "no other network goes with it")
            self._refuse_what_needs_a_network()

    def _refuse_what_needs_a_network(self) -> None:
        given = {
            "--publish": self.ports,
            "--publish-all": self.publish_all,
            "--ip": self.address["ip"],
            "--ip6": self.address["ip6"],
            "--mac-address": self.address["mac"],
            "--network-alias": self.aliases,
        }
        if self.model.startswith("container:"):
            given |= {"--dns": self.names["dns"], "--add-host": self.names["hosts"]}
            given |= {"--dns-search": self.names["dns_search"], "--dns-option": self.names["dns_options"]}
        for option, said in given.items():
            if said:
                raise InvalidValue(option, _shown(said), f"it cannot go with --network {self.model}")

    def settings(self) -> dict[str, Any]:
        """What differs from the defaults of `machine.settings`, less the networks themselves."""
        said: dict[str, Any] = {"ports": self.ports, "exposed": self.exposed, "publish_all": self.publish_all}
        return {key: given for key, given in {**said, **self.names}.items() if given}


def _is_alone(model: str) -> bool:
    """Whether that is on no network of ours."""
    return model in ALONE or model.startswith("container:")


def _shown(said: Any) -> str:
    if isinstance(said, list) and said and isinstance(said[0], dict):
        return str(said[0]["port"])
    return str(said[0]) if isinstance(said, list) else "true" if said is True else str(said)
