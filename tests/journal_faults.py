"""System calls that fail."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class FaultyOs:
    """`os`, with some calls replaced."""

    def __init__(self, **calls: Callable[..., Any]) -> None:
        self.__dict__.update(calls)

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


def failing(number: int, times: int = 1, call: Callable[..., Any] = lambda *_: None) -> Callable[..., Any]:
    """A call that reports `number` the first `times` times."""
    left = [times]

    def do(*arguments: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise OSError(number, os.strerror(number))
        return call(*arguments)

    return do


def half_then(number: int) -> Callable[[int, bytes], int]:
    """A write(2) of half of it, and then none."""
    calls = []

    def write(file: int, data: bytes) -> int:
        calls.append(data)
        if len(calls) == 1:
            return os.write(file, data[: len(data) // 2])
        raise OSError(number, os.strerror(number))

    return write
