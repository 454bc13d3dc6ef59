"""Inside the virtual machine: what its kernel has of networks, against what the journal holds.

Run as `python3 -m tests.vm.guest_network CLAIM`, where CLAIM is a JSON object; prints a JSON list of what is wrong.

root_id    of the engine
owners     ids of live containers, and of networks
bridges    names of bridges that must be there
doors      {"id", "addresses", "ports"} of containers that serve their /etc on port 80
free       TCP ports that nobody may hold any more
"""

from __future__ import annotations

import errno
import json
import socket
import sys
import time
from pathlib import Path
from typing import Any

from effects import hostnet
from tests.network_claims import unowned

RUN_DIR = Path("/run/mydocker")
PATIENCE = 120.0  # seconds for a server that was just started
SHORT = 12  # digits of an id that are a container's name for itself


def main(claim: dict[str, Any]) -> None:
    """See the module."""
    wrong = unowned([], claim["root_id"], RUN_DIR, set(claim["owners"]))
    wrong += [f"no bridge {name}" for name in claim["bridges"] if name not in hostnet.links()]
    wrong += [f"port {port} is taken" for port in claim["free"] if _is_taken(port)]
    for door in claim["doors"]:
        ways = [
            *((address, 80) for address in door["addresses"]),
            *(("127.0.0.1", port) for port in door["ports"]),
        ]
        wrong += [
            f"{address}:{port}: {said}" for address, port in ways if (said := _said(door, address, port))
        ]
    print(json.dumps(wrong))


def _is_taken(port: int) -> bool:
    """Also by a socket that only keeps it, which /proc/net/tcp does not list."""
    with socket.socket() as door:
        try:
            door.bind(("", port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return True
    return False


def _said(door: dict[str, Any], address: str, port: int) -> str:
    """What is there instead of that container; "" if it is there."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            answer = _fetched(address, port)
        except OSError as error:
            if time.monotonic() > end:
                return str(error)
            time.sleep(0.1)
            continue
        return "" if answer == door["id"][:SHORT] else f"{answer} answers"


def _fetched(address: str, port: int) -> str:
    """The last line of http://ADDRESS:PORT/hostname; without http.client, which takes a second to load in an emulated machine."""
    with socket.create_connection((address, port), PATIENCE) as door, door.makefile("rb") as answer:
        door.sendall(b"GET /hostname HTTP/1.0\r\n\r\n")
        return answer.read().decode().rpartition("\r\n\r\n")[2].strip()


main(json.loads(sys.argv[1]))
