"""The rules of the firewall: static text, which varies with the tables' name and what else is on the host. Pure. LEAN.

What comes and goes are elements of its sets (`effects.nft_elements`), each made and removed by the subject that
holds it. A packet costs the same with one published port or a thousand.

Sets of the table `inet`
    bridges            all bridges of our networks
    outward            those that are not internal
    same               each with itself: what comes in and goes out by the same bridge
    own4, own6         bridge . its subnet: who asks a port of his own network by the host's address
    any4, any6         protocol . port -> container: published on all addresses of the host
    ports4, ports6     address . protocol . port -> container: published on one address
    resolvers          container . gateway -> port: where its questions for names are answered, if not by the gateway
Sets of the table `bridge`, all by the host's end of a container
    ports, macs
    senders4, senders6 with MAC and address, at once what a packet says of its sender
    targets6           with address: of neighbour advertisements

Each lookup, and each chain at a hook, touches memory that 64 KiB of data have just driven out of the cache. So a packet
meets one chain in each table, and what is most frequent comes first there: TCP whose sender is who he says, to a
neighbour (one lookup) or through a published port (none). The group that all our devices bear keeps the packets of
others out of these rules; no refusal rests on it.
"""

from __future__ import annotations

from effects.rtnetlink import GROUP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from effects.host import BaseChain

    Closed = Mapping[str, Sequence[str]]

FAMILIES = ("inet", "bridge")
_ALONE_CHAIN = "alone"  # the chain at the hook while there is no firewall
IP_FAMILIES = ("ipv4", "ipv6")
# Chains of others that may drop what a verdict of ours has accepted. One rule at their top lets pass what bears our mark.
# These whatever their policy, which may change with the next command (iptables-nft, docker, ufw), or is no "drop"
# although they end with one (firewalld); beside them every chain whose policy is "drop".
_MAY_DROP = {
    *(("ip", "filter", chain) for chain in ("FORWARD", "INPUT")),
    *(("ip6", "filter", chain) for chain in ("FORWARD", "INPUT")),
    *(("inet", "firewalld", chain) for chain in ("filter_FORWARD", "filter_INPUT")),
}
_PLAIN = dict.fromkeys(map(ord, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_.-"))
FOREIGN_FAMILIES = ("inet", "ip", "ip6")
MARKS = "marks"  # a chain that no packet comes to; it has a rule where all that passes is marked
MARK = 0x02000000  # one bit: kube-proxy has 0x4000 and 0x8000, tailscale 0xff0000

_INET = """\
table inet {table} {{
	set bridges {{ type ifname; }}
	set outward {{ type ifname; }}
	set same {{ type ifname . ifname; }}
	set own4 {{ type ifname . ipv4_addr; flags interval; }}
	set own6 {{ type ifname . ipv6_addr; flags interval; }}
	map any4 {{ type inet_proto . inet_service : ipv4_addr . inet_service; }}
	map any6 {{ type inet_proto . inet_service : ipv6_addr . inet_service; }}
	map ports4 {{ type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }}
	map ports6 {{ type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service; }}
	map resolvers {{ type ipv4_addr . ipv4_addr : inet_service; }}
	chain publish {{
		meta l4proto {{ tcp, udp }} dnat ip to ip daddr . meta l4proto . th dport map @ports4
		meta nfproto ipv4 fib daddr type local meta l4proto {{ tcp, udp }} dnat ip to meta l4proto . th dport map @any4
		meta l4proto {{ tcp, udp }} dnat ip6 to ip6 daddr . meta l4proto . th dport map @ports6
		meta nfproto ipv6 fib daddr type local meta l4proto {{ tcp, udp }} dnat ip6 to meta l4proto . th dport map @any6
	}}
	chain prerouting {{
		# Before the translations of others, which may take 127.0.0.1 for an address of theirs.
		type nat hook prerouting priority -101; policy accept;
		ip daddr 127.0.0.0/8 iifname @bridges drop
		# Translated, it would not be a martian any more: a port on 127.0.0.1 stays there.
		iifname != "lo" ip daddr 127.0.0.0/8 return
		iifname @bridges meta l4proto {{ tcp, udp }} th dport 53 redirect to : ip saddr . ip daddr map @resolvers
		# Who asks his own gateway asks the network's server, of whatever root, also where a container's is published.
		iifgroup {group} meta l4proto {{ tcp, udp }} th dport 53 fib daddr . iif type local return
		jump publish
	}}
	chain output {{
		type nat hook output priority -100; policy accept;
		# The kernel routes nothing from elsewhere to ::1, answers neither. Refused at once, who asks `localhost`
		# goes on to 127.0.0.1.
		ip6 daddr ::1 return
		jump publish
	}}
	chain postrouting {{
		type nat hook postrouting priority 100; policy accept;
		oifname . ip saddr @own4 ct status dnat masquerade
		oifname . ip6 saddr @own6 ct status dnat masquerade
		oifname @bridges ip saddr 127.0.0.0/8 masquerade
		iifname @outward oifname != @bridges masquerade
	}}
	chain {marks} {{
{noted}	}}
	chain pass {{
		meta mark set meta mark or {mark:#010x}
		accept
	}}
	chain inward {{
		oifname != @outward drop
		# A way out that is narrower than a bridge (a tunnel, a cloud), whose complaints (ICMP) may be lost.
		tcp flags syn tcp option maxseg size set rt mtu
		ct state established,related goto pass
		ct state invalid drop
		ct status dnat goto pass
		drop
	}}
	chain between {{
		iifname . oifname @same goto pass
		iifname != @outward drop
		goto inward
	}}
	chain onward {{
		oifname @bridges goto between
		iifname != @outward drop
		tcp flags syn tcp option maxseg size set rt mtu
		ct state established,related goto pass
		ct state invalid drop
		goto pass
	}}
{others}	chain forward {{
		type filter hook forward priority -1; policy accept;
		# What a bridge passes from port to port comes here too, with br_netfilter.
		iifgroup {group} oifgroup {group} iifname . oifname @same {accept}
		# A connection to a published port that has been let in.
		oifgroup {group} ct status dnat ct state established tcp flags & syn == 0 {accept}
		iifgroup {group} ct status dnat ct state established tcp flags & syn == 0 {accept}
		iifname @bridges goto onward
		oifname @bridges goto inward
		goto others
	}}
	chain loopback {{
		ct direction reply goto pass
		drop
	}}
	chain host {{
		# Our bridges route it (for published ports), and so answers come in; nothing else does.
		ip daddr 127.0.0.0/8 goto loopback
		fib daddr . iif type local meta l4proto {{ tcp, udp }} th dport 53 goto pass
		meta l4proto {{ tcp, udp }} ct original proto-dst 53 ct status dnat goto pass
		ct state established,related goto pass
		iifname @outward return
		meta l4proto icmpv6 icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept
		drop
	}}
	chain input {{
		type filter hook input priority -1; policy accept;
		iifname @bridges goto host
	}}
}}
"""

# What was not routed before us is not routed now; what a bridge of others passes on was never routed.
_OTHERS = """\
	chain others {{
		iifgroup != {group} oifgroup != {group} meta iifkind != "bridge" meta nfproto vmap {{ ipv4 : goto ipv4, ipv6 : goto ipv6 }}
	}}
"""
_CLOSED = """\
	chain {family} {{
{rules}	}}
"""
# As long as there is no firewall around these.
_ALONE = """\
	chain {alone} {{
		type filter hook forward priority -1; policy accept;
		goto others
	}}
"""

_BRIDGE = """\
table bridge {table} {{
	set ports {{ type ifname; }}
	set macs {{ type ifname . ether_addr; }}
	set senders4 {{ type ifname . ether_addr . ipv4_addr; }}
	set senders6 {{ type ifname . ether_addr . ipv6_addr; }}
	set targets6 {{ typeof iifname . @nh,384,128; }}
	chain prerouting {{
		type filter hook prerouting priority -300; policy accept;
		# Nothing that the chains below forbid is TCP.
		iifgroup {group} ether type ip ip protocol tcp iifname . ether saddr . ip saddr @senders4 accept
		iifgroup {group} ether type ip6 meta l4proto tcp iifname . ether saddr . ip6 saddr @senders6 accept
		iifname @ports goto port
	}}
	chain port {{
		ether type ip goto port4
		ether type ip6 goto port6
		ether type arp iifname . ether saddr @macs goto port-arp
		drop
	}}
	chain port-arp {{
		arp htype 1 arp ptype ip arp hlen 6 arp plen 4 iifname . arp saddr ether @macs goto port-arp-address
		drop
	}}
	chain port-arp-address {{
		iifname . arp saddr ether . arp saddr ip @senders4 accept
		arp saddr ip 0.0.0.0 accept
		drop
	}}
	chain port4 {{
		udp sport 67 drop
		iifname . ether saddr . ip saddr @senders4 accept
		drop
	}}
	chain port6 {{
		udp sport 547 drop
		icmpv6 type {{ nd-router-advert, nd-redirect }} drop
		icmpv6 type nd-neighbor-advert iifname . @nh,384,128 != @targets6 drop
		iifname . ether saddr . ip6 saddr @senders6 accept
		iifname . ether saddr != @macs drop
		ip6 saddr :: icmpv6 type {{ nd-neighbor-solicit, mld-listener-report, mld2-listener-report }} accept
		drop
	}}
}}
"""


def firewall(table: str, closed: Closed, *, marked: bool) -> str:
    """Both tables, in one transaction; their rules anew, the elements of their sets as they are.

    `closed`: families, ipv4 and ipv6, whose forwarding was off before us, each with its settings for `closing`.
    `marked`: whether chains of others look at the mark of what passes.
    """
    # `closing` may have made it, or not.
    alone = f"add chain inet {table} {_ALONE_CHAIN}\nflush chain inet {table} {_ALONE_CHAIN}\ndelete chain inet {table} {_ALONE_CHAIN}\n"
    return _again(_inet(table, closed, marked=marked)) + alone + _again(_bridge(table))


def closing(table: str, closed: Closed) -> str:
    """Only what keeps the host from becoming a router for others, in these families; what is there stays.

    The settings: what else was changed for it, as comments: it is known then even where no facts were recorded.
    """
    frame = "".join(f"\tchain {family} {{\n\t}}\n" for family in IP_FAMILIES)
    chains = "".join(_closed(family, closed[family]) for family in closed)
    rest = _OTHERS.format(group=GROUP) + _ALONE.format(alone=_ALONE_CHAIN)
    return f"table inet {table} {{\n{frame}}}\n" + _again(f"table inet {table} {{\n{chains}{rest}}}\n")


def expected(table: str, closed: Closed, *, marked: bool) -> list[tuple[str, str, dict[str, int]]]:
    """(family, table, how many rules each of its chains has) of both tables. What is marked for nobody does no harm."""
    counts = _count(_inet(table, closed, marked=marked))
    if not marked:
        del counts[MARKS]
    return [("inet", table, counts), ("bridge", table, _count(_bridge(table)))]


def stands(chains: Sequence[str]) -> bool:
    """Whether these, of the table `inet`, are those of the whole firewall and not only of `closing`."""
    return "forward" in chains


def may_drop(family: str, chain: BaseChain) -> bool:
    """Whether a chain of others needs that rule. What `nft` could not name has been made without it: left alone."""
    if chain["owned"] or not all(
        name.translate(_PLAIN) == "" and name[:1].isalpha() for name in (chain["table"], chain["name"])
    ):
        return False
    return chain["drops"] or (family, chain["table"], chain["name"]) in _MAY_DROP


def is_ours(table: str) -> bool:
    """Whether it is a table of any root."""
    return table.startswith("mydocker-")


def foreign(family: str, table: str, chain: str, comment: str) -> str:
    """The rule in a chain of others, at its top."""
    mark = f"meta mark and {MARK:#010x} == {MARK:#010x}"
    return f'insert rule {family} {table} {chain} {mark} accept comment "{comment}"\n'


def _inet(table: str, closed: Closed, *, marked: bool) -> str:
    chains = "".join(_closed(family, closed.get(family)) for family in IP_FAMILIES)
    others = chains + _OTHERS.format(group=GROUP)
    accept = f"meta mark set meta mark or {MARK:#010x} accept" if marked else "accept"
    noted = "\t\tcontinue\n" if marked else ""
    names = {"table": table, "mark": MARK, "marks": MARKS, "group": GROUP}
    return _INET.format(**names, others=others, accept=accept, noted=noted)


def _bridge(table: str) -> str:
    return _BRIDGE.format(table=table, group=GROUP)


def _closed(family: str, settings: Iterable[str] | None) -> str:
    """The chain of a family; without rules where it is not closed: `settings` None."""
    rules = (
        ""
        if settings is None
        else "".join(f'\t\tcontinue comment "{one}"\n' for one in settings) + "\t\tdrop\n"
    )
    return _CLOSED.format(family=family, rules=rules)


def _again(text: str) -> str:
    """The table, with every chain made and emptied first: it may be there, in part or whole."""
    _table, family, table, _brace = text.partition("\n")[0].split()
    bare = "\n".join(filter(_is_frame, text.splitlines()))
    flushes = "".join(f"flush chain {family} {table} {chain}\n" for chain in _count(text))
    return f"{bare}\n{flushes}{text}"


def _is_frame(line: str) -> bool:
    """Whether it is of a set, or of a chain as it stands without rules."""
    return not line.startswith("\t\t") or line.startswith("\t\ttype ")


def _count(text: str) -> dict[str, int]:
    counts: dict[str, int] = {}
    chain = ""
    for line in text.splitlines():
        words = line.split()
        if line.startswith("\tchain "):
            chain = words[1]
            counts[chain] = 0
        elif line.startswith("\t\t") and words[0] not in {"type", "#"}:
            counts[chain] += 1
    return counts
