"""Links, tables of nftables, servers and ports in memory."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from effects import rtnetlink
from tests.fake_files import FileTree, Node, oserror

if TYPE_CHECKING:
    from collections.abc import Sequence

    from effects.host import BaseChain, Element, Facts, Link
    from tests.fake_kernel import FakeKernel, Process

FORWARD = ("/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding")
CONF4, CONF6 = "/proc/sys/net/ipv4/conf", "/proc/sys/net/ipv6/conf"
PID_FILE = "--pid-file=/tmp/"


class FakeLink:
    """A bridge, or one end of a pair whose other end is in the namespace of `owner`."""

    def __init__(self, index: int, name: str, kind: str) -> None:
        self.index, self.name, self.kind = index, name, kind
        self.alias, self.master, self.up = "", 0, False
        self.addresses: list[str] = []
        self.owner: Process | None = None
        self.inside: Facts = {}  # device, mac; addresses and whether it has the default route, once furnished

    @property
    def exists(self) -> bool:
        return self.owner is None or self.owner.state != "dead"


class FakeTable:
    """Chains with (handle, comment) of each rule; sets with key -> (data, owner)."""

    def __init__(self) -> None:
        self.chains: dict[str, list[tuple[int, str]]] = {}
        self.sets: dict[str, dict[bytes, tuple[bytes, str]]] = {}
        self.hooks: dict[
            str, tuple[str, bool]
        ] = {}  # chain -> where it hooks in, and whether it drops by policy


class FakeNet:
    """The network of one boot. `taken`: (protocol, address, port) that processes of the host listen on."""

    def __init__(self, tree: FileTree) -> None:
        self.tree = tree
        self._links: dict[str, FakeLink] = {}
        self.tables: dict[tuple[str, str], FakeTable] = {}
        self.taken: dict[tuple[str, str, int], str] = {}
        self._handles = 0
        for path in FORWARD:
            tree.make_file(path, b"0")

    @property
    def links(self) -> dict[str, FakeLink]:
        """A namespace that dies takes both ends of its pairs with it."""
        self._links = {name: link for name, link in self._links.items() if link.exists}
        return self._links

    @property
    def leftovers(self) -> list[str]:
        found = [f"link {name}" for name in self.links]
        found += [f"table {family} {table}" for family, table in self.tables if table.startswith("mydocker-")]
        return found + [f"forwarding {path}" for path in FORWARD if self.tree.at(path).data != b"0"]

    def add_link(self, name: str, kind: str) -> FakeLink:
        if name in self.links:
            raise oserror(errno.EEXIST, name)
        self._handles += 1
        link = FakeLink(self._handles, name, kind)
        self._links[name] = link
        for conf in (CONF4, CONF6):
            self.tree.make_dirs(f"{conf}/{name}")
        self.tree.make_file(f"{CONF4}/{name}/route_localnet", b"0")
        for setting in ("accept_ra", "accept_dad", "disable_ipv6"):
            self.tree.make_file(f"{CONF6}/{name}/{setting}", b"1")
        return link

    def by_index(self, index: int) -> FakeLink:
        for link in self.links.values():
            if link.index == index:
                return link
        raise oserror(errno.ENODEV, str(index))

    def remove_link(self, index: int) -> None:
        link = self.by_index(index)
        del self._links[link.name]
        for conf in (CONF4, CONF6):
            del self.tree.at(conf).entries[link.name]
        for other in self._links.values():
            other.master = 0 if other.master == index else other.master

    # --- nft -f ---------------------------------------------------------------------------------------

    def load(self, text: str) -> None:
        """As nft_text writes it: a brace ends a line or a block, a rule is a line."""
        table, chain = FakeTable(), ""
        for line in text.splitlines():
            words = line.split()
            match words:
                case ["table", family, name, "{"]:
                    table = self.tables.setdefault((family, name), FakeTable())
                case ["set" | "map", name, "{", *_]:
                    table.sets.setdefault(name, {})
                case ["chain", name, "{"]:
                    chain = name
                    table.chains.setdefault(chain, [])
                case ["type", "filter", "hook", hook, *more]:
                    table.hooks[chain] = hook, "drop;" in more
                case ["}"] | ["#", *_] | ["type", *_]:
                    pass
                case _ if line.startswith("\t\t"):
                    table.chains[chain].append(self._rule(line))
                case _:
                    self._do(words, line)

    def _do(self, words: list[str], line: str) -> None:
        match words:
            case ["add", "chain", family, name, chain]:
                self.tables[family, name].chains.setdefault(chain, [])
            case ["flush", "chain", family, name, chain]:
                self.tables[family, name].chains[chain].clear()
            case ["delete", "table", family, name]:
                del self.tables[family, name]
            case ["delete", "chain", family, name, chain]:
                del self.tables[family, name].chains[chain]
            case ["delete", "rule", family, name, chain, "handle", handle]:
                rules = self.tables[family, name].chains[chain]
                rules[:] = [rule for rule in rules if rule[0] != int(handle)]
            case ["insert", "rule", family, name, chain, *_]:
                self.tables[family, name].chains[chain].insert(0, self._rule(line))
            case _:
                raise AssertionError(line)

    def _rule(self, line: str) -> tuple[int, str]:
        self._handles += 1
        return self._handles, line.partition('comment "')[2].rstrip('"')


class FakeNetwork:
    """The network half of a fake host: what `effects.host` promises, on a FakeNet."""

    def __init__(self, kernel: FakeKernel) -> None:
        self._kernel = kernel
        self._held: dict[str, list[tuple[str, str, int]]] = {}

    @property
    def _net(self) -> FakeNet:
        return self._kernel.net

    def let_go(self) -> None:
        """What dies with the process."""
        self._held.clear()

    # --- links ---------------------------------------------------------------------------------------

    def link(self, name: str) -> Link | None:
        link = self._net.links.get(name)
        return None if link is None else _shown(link)

    def links(self) -> list[Link]:
        return [_shown(link) for link in self._net.links.values()]

    def addresses(self, index: int) -> list[str]:
        return list(self._net.by_index(index).addresses)

    def make_bridge(self, name: str, mac: str) -> None:
        self._net.add_link(name, "bridge").inside = {"mac": mac}

    def make_veth(self, name: str, mac: str, peer: str, identity: Facts) -> None:
        owner = self._kernel.find(identity)
        if owner is None or not owner.lives:
            raise oserror(errno.ESRCH, name)
        link = self._net.add_link(name, "veth")
        link.owner, link.inside = owner, {"device": peer, "mac": mac}

    def set_link(self, index: int, *, alias: str, up: bool) -> None:
        link = self._net.by_index(index)
        link.alias, link.up = alias, link.up or up

    def join_bridge(self, index: int, master: int, *, alias: str, mac: str, addresses: Sequence[str]) -> None:
        link = self._net.by_index(index)
        assert self._net.by_index(master).kind == "bridge"
        assert mac == link.inside["mac"]
        assert addresses
        link.alias, link.up, link.master = alias, True, master

    def add_address(self, index: int, address: str) -> None:
        addresses = self._net.by_index(index).addresses
        if address not in addresses:
            addresses.append(address)

    def delete_link(self, index: int) -> None:
        if any(link.index == index for link in self._net.links.values()):
            self._net.remove_link(index)

    def furnish(self, identity: Facts, device: str, of: int, plan: Facts) -> None:
        owner, link = self._kernel.find(identity), self._net.by_index(of)
        if owner is None or not owner.lives:
            raise oserror(errno.ESRCH, device)
        if link.owner is not owner or link.inside["device"] != device:
            raise oserror(errno.ENODEV, device)
        link.inside.update(addresses=list(plan["addresses"]), default=plan["default"])

    # --- firewall --------------------------------------------------------------------------------------

    def chains(self, family: str) -> dict[str, list[str]]:
        return {name: list(table.chains) for (its, name), table in self._net.tables.items() if its == family}

    def base_chains(self, family: str) -> list[BaseChain]:
        return [
            {"table": name, "name": chain, "hook": hook, "drops": drops, "owned": False}
            for (its, name), table in self._net.tables.items()
            for chain, (hook, drops) in table.hooks.items()
            if its == family and hook in {"input", "forward"}
        ]

    def rules(self, family: str, table: str) -> dict[str, list[tuple[int, str]]]:
        found = self._net.tables.get((family, table), FakeTable())
        return {chain: list(rules) for chain, rules in found.chains.items() if rules}

    def element_data(self, table: str, element: Element) -> bytes | None:
        family, name, key, _data = element
        sets = self._net.tables.get((family, table), FakeTable()).sets
        found = sets.get(name, {}).get(key)
        return None if found is None else found[0]

    def has_elements(self, table: str, elements: list[Element]) -> bool:
        return all(self.element_data(table, element) == element[3] for element in elements)

    def owned_elements(self, table: str, owner: str) -> list[Element]:
        return [
            (family, name, key, data)
            for (family, its), found in self._net.tables.items()
            for name, elements in found.sets.items()
            for key, (data, whose) in elements.items()
            if its == table and whose == owner
        ]

    def change_elements(self, table: str, owner: str, delete: list[Element], add: list[Element]) -> None:
        sets = {
            (family, name): elements
            for (family, its), found in self._net.tables.items()
            for name, elements in found.sets.items()
            if its == table
        }
        for family, name, key, _ in delete:
            if key not in sets.get((family, name), {}):
                raise oserror(errno.ENOENT, table)
        for family, name, _key, _ in add:
            if (family, name) not in sets:
                raise oserror(errno.ENOENT, table)
        for family, name, key, _ in delete:
            del sets[family, name][key]
        for family, name, key, data in add:
            if sets[family, name].get(key, (data, ""))[0] != data:
                raise oserror(errno.EBUSY, table)
            sets[family, name][key] = (data, owner)

    def load_rules(self, text: str) -> None:
        self._net.load(text)

    # --- ports and servers -------------------------------------------------------------------------------

    def hold_ports(self, owner: str, ports: Sequence[tuple[str, str, int]]) -> None:
        for port in ports:
            if port in self._net.taken and port not in self._held.get(owner, []):
                raise oserror(errno.EADDRINUSE, str(port))
        self._held[owner] = list(ports)

    def drop_ports(self, owner: str) -> None:
        self._held.pop(owner, None)

    def forget_flows(self, ports: Sequence[tuple[str, int]]) -> None:
        """There are no packets here."""

    def free_port(self) -> int:
        taken = [word for one in self._kernel.processes.values() for word in one.config.get("argv", ())]
        return next(port for port in range(40000, 50000) if f"--port={port}" not in taken)

    def run_server(self, name: str, argv: Sequence[str], directory: str, cgroup: str) -> None:
        parent = self._net.tree.at(directory)
        if name in self._kernel.missing:
            raise oserror(errno.ENOENT, name)
        listens = _listens(argv)
        for other in self._kernel.processes.values():
            if other.lives and listens & _listens(other.config.get("argv", ())):
                raise oserror(errno.EADDRINUSE, name)
        process = self._kernel.add_process({"argv": list(argv)})
        process.state = "running"
        (pid_file,) = [word.removeprefix(PID_FILE) for word in argv if word.startswith(PID_FILE)]
        parent.entries[pid_file] = node = Node("file")
        node.data = f"{process.pid}\n".encode()

    def processes_with(self, argument: str) -> list[Facts]:
        pids = list(self._kernel.processes)
        return [found for pid in pids if (found := self.process_with(pid, argument)) is not None]

    def dying(self, program: str) -> list[Facts]:
        return []  # here death is a moment

    def process_with(self, pid: int, argument: str) -> Facts | None:
        process = self._kernel.processes.get(pid)
        if process is None or not process.lives or argument not in process.config.get("argv", ()):
            return None
        return {"pid": pid, "start": process.start, "boot": self._kernel.boot}


def _listens(argv: Sequence[str]) -> set[tuple[str, str]]:
    """(interface, port) of each."""
    port = next((word for word in argv if word.startswith("--port=")), "--port=53")
    return {(word, port) for word in argv if word.startswith("--interface=")}


def _shown(link: FakeLink) -> Any:
    return {
        "index": link.index,
        "name": link.name,
        "kind": link.kind,
        "alias": link.alias,
        "group": rtnetlink.GROUP,
        "master": link.master,
        "peer": 0,
        "mac": "",
        "up": link.up,
    }
