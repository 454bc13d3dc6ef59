"""Capabilities: names and numbers as the kernel has them, and sets that hold exactly what is asked."""

from __future__ import annotations

import os
import re

import pytest

from effects import caps
from machine.capabilities import CAPABILITIES
from tests.births import DEFAULT_CAPS

HEADER = "/usr/include/linux/capability.h"


def test_the_default_mask_is_dockers() -> None:
    assert caps.mask(DEFAULT_CAPS) == 0x00000000A80425FB


def test_the_names_are_those_that_the_command_line_knows() -> None:
    assert caps.NAMES == CAPABILITIES


def test_the_numbers_are_the_kernels() -> None:
    assert caps.NAMES.index("SYS_ADMIN") == 21
    assert caps.NAMES.index("CHECKPOINT_RESTORE") == 40
    if os.path.exists(HEADER):
        with open(HEADER) as file:
            told = re.findall(r"^#define CAP_(\w+)\s+(\d+)$", file.read(), re.MULTILINE)
        assert {name: int(number) for name, number in told} == {name: i for i, name in enumerate(caps.NAMES)}


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(OSError, match="no such capability: CAP_CHOWN"):
        caps.mask(["CAP_CHOWN"])


def _in_child(act: str) -> dict[str, int]:
    """The sets of a child after `act`."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        exec(act)
        with open("/proc/self/status", "rb") as status:
            os.write(writer, b"".join(line for line in status if line.startswith(b"Cap")))
        os._exit(0)
    os.close(writer)
    with open(reader) as answer:
        told = dict(line.split(":") for line in answer)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    return {key: int(value, 16) for key, value in told.items()}


@pytest.mark.root
@pytest.mark.parametrize("names", [[], ["CHOWN"], DEFAULT_CAPS, ["CHECKPOINT_RESTORE", "SYS_ADMIN"]])
def test_root_keeps_exactly_these_and_can_get_no_other(names: list[str]) -> None:
    keep = caps.mask(names)
    sets = _in_child(f"caps.drop_bounding({keep}); caps.set_exactly({keep}, root=True)")
    assert sets == {"CapInh": 0, "CapPrm": keep, "CapEff": keep, "CapBnd": keep, "CapAmb": 0}


@pytest.mark.root
def test_another_user_keeps_none() -> None:
    keep = caps.mask(["CHOWN"])
    sets = _in_child(
        f"caps.drop_bounding({keep}); os.setresuid(5, 5, 5); caps.set_exactly({keep}, root=False)"
    )
    assert sets == {"CapInh": 0, "CapPrm": 0, "CapEff": 0, "CapBnd": keep, "CapAmb": 0}


@pytest.mark.root
def test_what_we_lack_is_named() -> None:
    assert caps.missing(caps.held()) == []
    lacking = [name for i, name in enumerate(caps.NAMES) if not caps.held() >> i & 1]
    assert caps.missing(caps.mask(caps.NAMES)) == lacking
