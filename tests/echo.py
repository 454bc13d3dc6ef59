"""A server for tests: answers whoever asks with its name and the asker's address. `echo.py NAME DESCRIPTOR...`

The sockets are made by the test, each in the network namespace of the machine that it plays.
"""

from __future__ import annotations

import selectors
import socket
import sys


def main() -> None:
    """Answer until killed; the word "ready" comes first."""
    name = sys.argv[1]
    doors = selectors.DefaultSelector()
    for number in sys.argv[2:]:
        doors.register(socket.socket(fileno=int(number)), selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        for key, _ in doors.select():
            assert isinstance(key.fileobj, socket.socket)
            answer(key.fileobj, name)


def answer(door: socket.socket, name: str) -> None:
    """One request of whichever protocol."""
    if door.type == socket.SOCK_DGRAM:
        _, asker = door.recvfrom(2048)
        door.sendto(line(name, asker[0]), asker)
        return
    caller, asker = door.accept()
    with caller:
        caller.sendall(line(name, asker[0]))


def line(name: str, address: str) -> bytes:
    """What it says; IPv4 on a socket of both families is shown as IPv4."""
    return f"{name} {address.removeprefix('::ffff:')}\n".encode()


if __name__ == "__main__":
    main()
