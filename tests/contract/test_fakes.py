"""The fake is no easier than the door it stands for."""

from __future__ import annotations

import pytest

from effects.host import CHANGES
from effects.host import __file__ as host_file
from tests.contract.bench import FakeBench
from tests.fakes import LIMIT, OBSERVATIONS, Fuse, fused


def test_every_method_of_host_is_either_a_change_or_an_observation() -> None:
    import ast
    from pathlib import Path

    tree = ast.parse(Path(host_file).read_text())
    (host,) = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == "Host"]
    methods = {node.name for node in host.body if isinstance(node, ast.FunctionDef)}
    assert methods == CHANGES | OBSERVATIONS
    assert not CHANGES & OBSERVATIONS


def test_a_handler_that_does_not_come_to_rest_is_stopped() -> None:
    host = fused(FakeBench("v1").host, Fuse())
    for _ in range(LIMIT - 1):
        host.sync("/")
    with pytest.raises(AssertionError, match="does not come to rest"):
        host.sync("/")
