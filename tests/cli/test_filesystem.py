"""A container held still for a job that reads its files, which may end at any moment."""

from __future__ import annotations

import pytest

from cli import filesystem, handover
from effects.control import Connection
from machine.subjects import Container


@pytest.mark.parametrize("says_exit", [False, True])
def test_one_that_ends_as_it_is_to_be_held_still_is_told_as_that(*, says_exit: bool) -> None:
    container = Container("a" * 64)
    container.name = "c1"
    ours, theirs = handover.pair()
    if says_exit:
        Connection(theirs).send({"event": "exit"})
    else:
        theirs.close()

    with pytest.raises(filesystem.NotRunning, match="c1 has just ended"):
        filesystem._freeze(Connection(ours), container)

    ours.close()
    theirs.close()
