"""What is refused about networks, addresses and ports: more of `machine.errors`, loaded where there is a network.

MachineError
├── NoSuchNetwork            no network by that name, id or unique id prefix
├── NetworkExists            another network has the name
├── DeviceExists             a link of the host has the name, and is none of ours
├── NetworkInUse             live containers are on it; of the default network, any
├── SubnetTaken              another network, or the host itself, has addresses of it
├── NoPool                   none of the default pools is free
├── PoolExhausted            every address is somebody's
├── AddressTaken             another container has the address
├── AddressUnfit             it lies outside, or is no host's
├── NetworkGone              a container refers to a network that was removed
├── NotConnected, Connected  disconnect, connect: it is so already
├── NoNetworkOfItsOwn        a container of another network model cannot be connected
├── PortTaken                another container has the port of the host
├── PortBusy                 a process of the host has it
├── NoFreePort               all of a range are taken
├── TooManyPorts             an event cannot hold all of its published ports
├── Unpublishable            nothing of the container can be published
├── NetnsInUse               other containers are in its network namespace
└── NetnsGone                the container whose network namespace is to be joined does not run
"""

from __future__ import annotations

from machine.errors import SHOWN, MachineError
from machine.settings import SHORT


def some(names: list[str]) -> str:
    """The first few of them."""
    return ", ".join(sorted(names)[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


class NoSuchNetwork(MachineError):
    def __init__(self, reference: str) -> None:
        self.reference = reference
        super().__init__(f"no such network: {reference} [mydocker network ls lists them]")


class NetworkExists(MachineError):
    def __init__(self, name: str, network_id: str) -> None:
        self.name, self.network_id = name, network_id
        super().__init__(
            f"a network {name} exists already: {network_id[:SHORT]} [mydocker network rm removes it]"
        )


class DeviceExists(MachineError):
    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"cannot create network {name}: this host has a link of that name, which is not ours"
        )


class NetworkInUse(MachineError):
    """`how`: what to do with the users."""

    def __init__(self, name: str, users: list[str], how: str) -> None:
        self.name, self.users = name, users
        super().__init__(f"network {name} is in use by {some(users)} [{how} them first]")


class SubnetTaken(MachineError):
    def __init__(self, subnet: str, owner: str) -> None:
        self.subnet, self.owner = subnet, owner
        super().__init__(f"subnet {subnet} overlaps {owner} [choose another with --subnet]")


class NoPool(MachineError):
    def __init__(self) -> None:
        super().__init__("none of the default address pools is free [choose a subnet with --subnet]")


class PoolExhausted(MachineError):
    def __init__(self, network: str, subnet: str) -> None:
        self.network, self.subnet = network, subnet
        super().__init__(
            f"network {network} has no free address left in {subnet} [remove containers, or use another network]"
        )


class AddressTaken(MachineError):
    def __init__(self, address: str, network: str, owner: str) -> None:
        self.address, self.network, self.owner = address, network, owner
        super().__init__(f"address {address} of network {network} is taken by {owner}")


class AddressUnfit(MachineError):
    def __init__(self, address: str, network: str, why: str) -> None:
        self.address, self.network, self.why = address, network, why
        super().__init__(f"address {address} cannot be a container's on network {network}: {why}")


class NetworkGone(MachineError):
    def __init__(self, container: str, network: str) -> None:
        self.container, self.network = container, network
        super().__init__(
            f"cannot start {container}: its network {network} was removed [mydocker network disconnect {network} {container}]"
        )


class Connected(MachineError):
    def __init__(self, container: str, network: str) -> None:
        self.container, self.network = container, network
        super().__init__(f"{container} is on network {network} already")


class NotConnected(MachineError):
    def __init__(self, container: str, network: str) -> None:
        self.container, self.network = container, network
        super().__init__(f"{container} is not on network {network}")


class NoNetworkOfItsOwn(MachineError):
    def __init__(self, container: str, model: str) -> None:
        self.container, self.model = container, model
        super().__init__(f"{container} cannot be on a network: it was created with --network {model}")


class PortTaken(MachineError):
    def __init__(self, port: str, owner: str) -> None:
        self.port, self.owner = port, owner
        super().__init__(f"port {port} of the host is taken by container {owner}")


class PortBusy(MachineError):
    """`protocol`, `address`, `port`: what is asked of the host; `owner`: a process, where one can be told."""

    def __init__(self, protocol: str, address: str, port: int, owner: str = "") -> None:
        self.protocol, self.address, self.port, self.owner = protocol, address, port, owner
        who = owner or "a process of the host"
        super().__init__(f"port {outside(address, port)}/{protocol} of the host is taken by {who}")


class NoFreePort(MachineError):
    def __init__(self, first: int, last: int, protocol: str) -> None:
        self.first, self.last, self.protocol = first, last, protocol
        super().__init__(f"all ports {first}-{last}/{protocol} of the host are taken")


class TooManyPorts(MachineError):
    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(
            f"cannot publish {count} ports of one container, of which each address family counts [use fewer, or --network host]"
        )


class Unpublishable(MachineError):
    def __init__(self, container: str, why: str) -> None:
        self.container, self.why = container, why
        super().__init__(f"no port of {container} can be published: {why}")


class NetnsInUse(MachineError):
    def __init__(self, container: str, users: list[str]) -> None:
        self.container, self.users = container, users
        super().__init__(
            f"cannot rm {container}: {some(users)} {'is' if len(users) == 1 else 'are'} in its network [remove them first]"
        )


class NetnsGone(MachineError):
    def __init__(self, container: str, target: str, why: str) -> None:
        self.container, self.target, self.why = container, target, why
        super().__init__(f"cannot start {container} in the network of {target}: {why}")


def outside(address: str, port: int) -> str:
    """ADDRESS:PORT of the host, as people write it."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
