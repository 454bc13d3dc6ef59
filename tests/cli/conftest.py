"""A root with a journal, and no kernel object behind it unless a test makes one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.written import Written


@pytest.fixture
def past(tmp_path: Path) -> Written:
    """An empty journal, but for this boot."""
    return Written(tmp_path)
