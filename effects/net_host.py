"""What all networks of a root share: the firewall, and that the host forwards. LEAN."""

from __future__ import annotations

from effects import nft_text
from effects.failure import StepFailed
from effects.rtnetlink import GROUP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from effects.host import BaseChain, Facts, Host, Spec

    Foreign: TypeAlias = list[tuple[str, BaseChain]]

_IP_FORWARD = {"ipv4": "net/ipv4/ip_forward", "ipv6": "net/ipv6/conf/all/forwarding"}
_OLDER = ("/proc/thread-self/net/ip_tables_names", "/proc/thread-self/net/ip6_tables_names")
_ROUTER = "2"  # accept_ra: router advertisements even where this host forwards (ip-sysctl)


class Firewall:
    """Both tables of a root with their chains, sets and rules; and one rule in each foreign chain that may drop.

    spec    table: "mydocker-<root id>"; turned_on: what the facts of `forwarding` say, of all families
    facts   {}

    What is in the sets stays: others hold that. A chain of others that appears later gets its rule by the next
    probe and `do`, and what is marked for it is marked from then on.
    """

    def probe(self, spec: Spec, host: Host) -> Facts | None:
        others = _foreign(host)
        wanted = nft_text.expected(spec["table"], _closed(spec), marked=_may_look(others, host))
        for family, table, chains in wanted:
            rules = host.rules(family, table)
            if any(len(rules.get(chain, ())) != count for chain, count in chains.items()):
                return None
        return None if _unmarked(others, spec, host) else {}

    def do(self, spec: Spec, host: Host) -> Facts:
        others = _foreign(host)
        text = nft_text.firewall(spec["table"], _closed(spec), marked=_may_look(others, host))
        for family, table, chain in _unmarked(others, spec, host):
            text += nft_text.foreign(family, table, chain, spec["table"])
        try:
            host.load_rules(text)
        except StepFailed:
            # nft alters neither hook nor priority of a chain that another version made, nor the type of a set. With the
            # tables go all elements, whose owners find them gone.
            there = _deletions(spec["table"], host)
            if not there:
                raise
            host.load_rules(there + text)
        return {}

    def undo(self, spec: Spec, _facts: Facts, host: Host) -> None:
        table = spec["table"]
        text = _deletions(table, host)
        closed = _closings(host, table)
        text += nft_text.closing(table, closed) if closed else ""
        for family, chain in _foreign(host):
            where = f"{family} {chain['table']} {chain['name']}"
            for handle, comment in host.rules(family, chain["table"]).get(chain["name"], ()):
                if comment == table:
                    text += f"delete rule {where} handle {handle}\n"
        if text:
            host.load_rules(text)


class Forwarding:
    """That the kernel forwards packets of one family; left as it was found.

    spec    family: "ipv4" or "ipv6"; table: as the firewall's
    facts   turned_on: settings below /proc/sys that we changed: forwarding itself, which was 0; and accept_ra of
            devices, which was 1: a host that forwards would not hear its router any more

    If it was off, the host must not become a router for others: before it is turned on, a chain of the firewall's
    table drops whatever neither comes from nor goes to a bridge of ours. It stands before the firewall, and after it.
    Several roots share the one switch; who comes later finds such a chain of another root, and the last one to go turns
    it off.
    """

    def probe(self, spec: Spec, host: Host) -> Facts | None:
        if _read(host, _IP_FORWARD[spec["family"]]) == "0":
            return None
        ours = self._turned_on(spec, host)
        # On because of another root, it is our affair as well.
        return {"turned_on": ours} if ours or self._noted(spec, host) is None else None

    def do(self, spec: Spec, host: Host) -> Facts:
        name, family = _IP_FORWARD[spec["family"]], spec["family"]
        found_off, known = _read(host, name) == "0", self._noted(spec, host)
        if found_off or known is not None:
            settings = [*(known or ()), *(self._advertised(spec, host) if found_off else ())]
            host.load_rules(nft_text.closing(spec["table"], {family: settings}))
            for setting in settings if found_off else ():
                _write(host, setting, _ROUTER)
        if found_off:
            _write(host, name, "1")
        return {"turned_on": self._turned_on(spec, host)}

    def undo(self, spec: Spec, facts: Facts, host: Host) -> None:
        name = _IP_FORWARD[spec["family"]]
        ours = facts.get("turned_on") or self._turned_on(spec, host)
        if ours and not self._used_by_others(spec, host):
            if _read(host, name) != "0":
                _write(host, name, "0")
            for setting in ours:
                if setting != name and _read(host, setting) == _ROUTER:
                    _write(host, setting, "1")
        self._open(spec, host)

    def _open(self, spec: Spec, host: Host) -> None:
        """The chain is emptied; its table goes, if nothing else is in it."""
        table, family = spec["table"], spec["family"]
        closed = _closings(host, table)
        if family not in closed:
            return
        if nft_text.stands(host.chains("inet")[table]) or len(closed) > 1:
            host.load_rules(f"flush chain inet {table} {family}\n")
        else:
            host.load_rules(f"delete table inet {table}\n")

    def _turned_on(self, spec: Spec, host: Host) -> list[str]:
        settings = _closings(host, spec["table"]).get(spec["family"])
        return [] if settings is None else [_IP_FORWARD[spec["family"]], *settings]

    def _noted(self, spec: Spec, host: Host) -> list[str] | None:
        """What is known to have been changed, by us before a crash or by another root; None if nobody did."""
        tables = [table for table in host.chains("inet") if nft_text.is_ours(table)]
        found = [_closings(host, table).get(spec["family"]) for table in tables]
        notes = [settings for settings in found if settings is not None]
        return list(dict.fromkeys(setting for note in notes for setting in note)) if notes else None

    def _used_by_others(self, spec: Spec, host: Host) -> bool:
        """Whether another root has a bridge; which families that one forwards for is not to be seen.

        A bridge of our own is no reason: it was for the plan to say that this family is not needed any more.
        """
        mine = f"mydocker {spec['table'].removeprefix('mydocker-')} "
        bridges = (link for link in host.links() if link["group"] == GROUP and link["kind"] == "bridge")
        return not all(link["alias"].startswith(mine) for link in bridges)

    def _advertised(self, spec: Spec, host: Host) -> list[str]:
        """The accept_ra settings, of devices that are not ours, that forwarding would switch off."""
        if spec["family"] == "ipv4":
            return []
        names = [f"net/ipv6/conf/{link['name']}/accept_ra" for link in host.links() if link["group"] != GROUP]
        return [name for name in names if _read(host, name) == "1"]


def _deletions(table: str, host: Host) -> str:
    """Of the root's tables that are there."""
    return "".join(
        f"delete table {family} {table}\n" for family in nft_text.FAMILIES if table in host.chains(family)
    )


def _closings(host: Host, table: str) -> dict[str, list[str]]:
    """Family -> the settings noted there, of each family that a table closes."""
    if table not in host.chains("inet"):
        return {}
    rules = host.rules("inet", table)
    return {
        family: [comment for _handle, comment in rules[family] if comment]
        for family in nft_text.IP_FAMILIES
        if family in rules
    }


def _closed(spec: Spec) -> dict[str, list[str]]:
    """Family -> the further settings that were changed, of each family that was turned on."""
    mine = set(_IP_FORWARD.values())
    return {
        family: [setting for setting in spec["turned_on"] if setting not in mine and family == "ipv6"]
        for family, name in _IP_FORWARD.items()
        if name in spec["turned_on"]
    }


def _foreign(host: Host) -> Foreign:
    """(family, chain) of all that may have a rule of ours: its policy may have been another then."""
    chains = ((family, chain) for family in nft_text.FOREIGN_FAMILIES for chain in host.base_chains(family))
    return [(family, chain) for family, chain in chains if not nft_text.is_ours(chain["table"])]


def _unmarked(others: Foreign, spec: Spec, host: Host) -> list[tuple[str, str, str]]:
    """(family, table, chain) of foreign chains that may drop and lack the rule of this root."""
    found = []
    for family, chain in others:
        if not nft_text.may_drop(family, chain):
            continue
        rules = host.rules(family, chain["table"]).get(chain["name"], ())
        if all(comment != spec["table"] for _handle, comment in rules):
            found.append((family, chain["table"], chain["name"]))
    return found


def _may_look(others: Foreign, host: Host) -> bool:
    """Whether there are rules of others that may ask what passes for its mark: of nftables, or of the older iptables."""
    return any(chain["hook"] == "forward" for _family, chain in others) or any(
        host.exists(path) and host.read_file(path).strip() for path in _OLDER
    )


def _read(host: Host, name: str) -> str:
    """A setting's value; "" where the kernel has no such thing."""
    path = f"/proc/sys/{name}"
    return host.read_file(path).decode().strip() if host.exists(path) else ""


def _write(host: Host, name: str, value: str) -> None:
    host.write_control(f"/proc/sys/{name}", value)
