"""What of networks the kernel no longer has: all that anybody can find out who may ask it, not only its settler."""

from __future__ import annotations

import contextlib

from machine.plan import wanted
from machine.resources import OF_NETWORKS
from machine.story import THINGS
from machine.subjects import Container, Network

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from machine.subjects import Held, Subject


def gone(subjects: Iterable[Subject]) -> Iterator[tuple[Subject, Held]]:
    """Each of their things that should be there and is not. Of what the kernel does not tell us, nothing."""
    from cli import bootstrap
    from effects.linux import LinuxHost

    effects = bootstrap.kernel(LinuxHost())
    for subject in subjects:
        due = wanted(subject)
        for row in subject.held:
            if row.done and row.kind in OF_NETWORKS and (row.kind, row.key) in due:
                with contextlib.suppress(OSError):
                    if effects.probe(row.kind, row.spec, row.facts) is None:
                        yield subject, row


def called(subject: Subject) -> str:
    """How people call it: `web`, `network shop`."""
    if isinstance(subject, Container):
        return subject.name
    return f"network {subject.name}" if isinstance(subject, Network) else subject.stream


def named(subject: Subject, row: Held) -> str:
    """`its firewall rules` of a container, `the bridge of network shop`."""
    thing = THINGS[row.kind]
    return f"the {thing.removeprefix('its ')} of {called(subject)}" if isinstance(subject, Network) else thing
