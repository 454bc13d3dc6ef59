"""What the planner would specify for a network, and for a container on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from effects.host import Facts, Spec

DEVICE, GATEWAYS, LENGTHS = "contract0", ["10.99.0.1", "fd99::1"], {"10": "/24", "fd": "/64"}
ADDRESSES, MAC = ["10.99.0.2", "fd99::2"], "02:42:0a:63:00:02"
PORT = {"address": "0.0.0.0", "host_port": 8080, "port": 80, "protocol": "tcp", "to": ADDRESSES[0]}
LOCAL = {**PORT, "address": "::1", "protocol": "udp", "to": ADDRESSES[1]}


def network_spec(kind: str, base: str, root_id: str, container_id: str, facts: Facts) -> Spec:
    """`facts`: pid, start, boot of the init; "on": what forwarding has turned on."""
    mark, host_device = f"mydocker {root_id}", f"md{root_id}-0123"
    names = f"{base}/run/{root_id}/dns/net"
    bridge = {"device": DEVICE, "gateways": [_long(gateway) for gateway in GATEWAYS], "internal": False}
    identity = {key: facts[key] for key in ("pid", "start", "boot")}
    specs: dict[str, Spec] = {
        "forwarding": {"family": "ipv4"},
        "firewall": {"turned_on": facts["on"]},
        "bridge": {**bridge, "mark": f"{mark} network net"},
        "dns": {**bridge, "directory": names, "network": "net", "cgroup": f"mydocker-{root_id}"},
        "resolver": {
            "container": container_id,
            "directory": f"{base}/run/{root_id}/dns",
            "networks": ["net"],
            "devices": [DEVICE],
            "clients": [{"address": ADDRESSES[0], "gateway": GATEWAYS[0]}],
            "outward": True,
            "cgroup": f"mydocker-{root_id}",
            "mark": f"{mark} resolver {container_id}",
        },
        "endpoint": {
            **identity,
            "device": "eth0",
            "host_device": host_device,
            "bridge": DEVICE,
            "mac": MAC,
            "gateways": GATEWAYS,
            "default": True,
            "names": ["contract", "alias"],
            "addresses": [_long(address) for address in ADDRESSES],
            "mark": f"{mark} container {container_id}",
            "names_file": f"{names}/{container_id}",
        },
        "rules": {
            "mark": f"{mark} container {container_id}",
            "networks": [{"device": DEVICE, "subnets": ["10.99.0.0/24", "fd99::/64"], "internal": False}],
            "hosts": [{"device": host_device, "mac": MAC, "addresses": ADDRESSES}],
            "ports": [PORT, LOCAL],
        },
    }
    return {"mark": mark, "table": f"mydocker-{root_id}", **specs[kind]}


def _long(address: str) -> str:
    return f"{address}{LENGTHS[address[:2]]}"
