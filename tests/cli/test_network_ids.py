"""Ids of networks, of which the first digits are in names of devices."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from cli import networking
from cli.session import Session
from machine.subjects import Network


def test_a_new_network_shares_the_beginning_of_its_id_with_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(str(tmp_path / "root"), str(tmp_path / "run"), "")
    there = Network("abcd" + "0" * 60)
    session.engine().world.networks[there.id] = there
    random: Any = iter([bytes.fromhex("abcd" + "1" * 60), bytes.fromhex("abce" + "1" * 60)])
    monkeypatch.setattr(os, "urandom", lambda _count: next(random))

    assert networking.new_id(session) == "abce" + "1" * 60
