"""A container's argv and environment, in a file of their own: they may hold secrets, so no event has them. LEAN."""

from __future__ import annotations

import errno

from effects.failure import StepFailed
from eventstore import plainjson


def encode(argv: list[str], env: dict[str, str]) -> bytes:
    """The content of a process file; text that is not UTF-8 (lone surrogates) comes back as it was."""
    return plainjson.dumps({"argv": argv, "env": env})


def decode(content: bytes, path: str) -> tuple[list[str], dict[str, str]]:
    """(argv, environment). EBADMSG where the file at `path` is damaged."""
    try:
        found = plainjson.loads(content)
        argv, env = found["argv"], found["env"]
    except (ValueError, KeyError, TypeError) as error:
        raise StepFailed("process file", errno.EBADMSG, f"damaged: {error!r}", path) from error
    return argv, env
