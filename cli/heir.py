"""The helper of a monitor that is to go on as this version of the program: what is its container, and can we watch it?

Started by a monitor of another version (`cli.succession`), with root and container id as arguments. It folds the
journal, which that one may be unable to read, answers with the request that a command would give to a new monitor, and
ends. Where it cannot, it says nothing.
"""

from __future__ import annotations

import _socket
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

WHY = "upgrade"


def main() -> int:
    """Answer on the socket that we were started with."""
    from cli.handover import MONITOR_FD
    from cli.report import exit_code_of
    from effects import defects
    from effects.control import Connection

    root, container_id = sys.argv[1:]
    connection = Connection(_socket.socket(fileno=MONITOR_FD))
    try:
        _answer(connection, root, container_id)
    except ImportError:
        return 1  # half an installation: there will be a whole one soon
    except Exception as error:
        code = exit_code_of(error)
        if code is not None:
            return code  # an older version than the journal's, or the world's doing
        # Our stderr is nobody's.
        defects.note(root, f"helper by which the monitor of container {container_id} would go on")
        raise
    return 0


def _answer(connection: Any, root: str, container_id: str) -> None:
    import cli.monitor  # noqa: F401 - whether it is there, and whole, is what is asked
    from cli.request import request_of
    from cli.session import Session
    from effects import interpreter
    from machine import decide

    session = Session(root, "", "monitor")
    try:
        engine = session.engine()
        container = decide.find(engine.refresh(), container_id)
        request = request_of(engine, container, why=WHY, observe=True)
        connection.send({"argv": interpreter.command("cli.monitor"), "request": {**request, "heir": True}})
    finally:
        session.close()
