"""The command line that this process runs, for whoever asks below it: its places, and how the journal keeps it."""

from __future__ import annotations

from cli.places import Places

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MASK = "***"
LONGEST = 1024  # characters of a command line in the journal
OWNED = 2  # positional arguments that are ours: an image or container, and its program


class Call:
    """`typed` holds no secret."""

    __slots__ = ("places", "typed")

    def __init__(self, places: Places, typed: str) -> None:
        self.places, self.typed = places, typed


_calls: list[Call] = []


def enter(call: Call) -> None:
    """Say what runs from now on."""
    _calls.append(call)


def current() -> Call:
    """What runs now."""
    return _calls[-1]


def for_the_journal(
    name: str, options: Sequence[tuple[str, str, bool, bool]], positional: list[str], *, cut: bool
) -> str:
    """A command line as people read it, cut to `LONGEST`. Options: (name, text, is a flag, is secret).

    Secrets are masked; with `cut`, a container's own arguments are left out.
    """
    words = [name]
    for option, text, is_flag, secret in options:
        if is_flag:
            words.append(option if text == "true" else f"{option}=false")
        else:
            words.append(f"{option}={MASK if secret else text}")
    words += [*positional[:OWNED], "..."] if cut and len(positional) > OWNED else positional
    return " ".join(words).encode(errors="backslashreplace").decode()[:LONGEST]
