"""A container's argv and environment, and its health check's argv, in a file of their own: they may hold secrets, so no event has them. LEAN."""

from __future__ import annotations

import errno

from effects.failure import StepFailed
from eventstore import plainjson

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def encode(argv: list[str], env: dict[str, str], health: list[str] | None = None) -> bytes:
    """The content of a process file; text that is not UTF-8 (lone surrogates) comes back as it was.

    `health`: argv of its health check.
    """
    return plainjson.dumps({"argv": argv, "env": env, **({"health": health} if health else {})})


def decode(content: bytes, path: str) -> tuple[list[str], dict[str, str]]:
    """(argv, environment). EBADMSG where the file at `path` is damaged."""
    found = _decoded(content, path)
    return found["argv"], found["env"]


def decode_health(content: bytes, path: str) -> list[str]:
    """The argv of its health check; empty where it has none. EBADMSG."""
    return list(_decoded(content, path).get("health", ()))


def _decoded(content: bytes, path: str) -> dict[str, Any]:
    try:
        found = plainjson.loads(content)
        return {**found, "argv": found["argv"], "env": found["env"]}
    except (ValueError, KeyError, TypeError) as error:
        raise StepFailed("process file", errno.EBADMSG, f"damaged: {error!r}", path) from error
