"""A place for one journal, and the usual ways to append to it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from eventstore.journal import Journal
from eventstore.schema import Schema
from tests.journal_events import BY, SCHEMA, Noted, World

if TYPE_CHECKING:
    from eventstore.writer import Transaction

REPOSITORY = Path(__file__).resolve().parents[2]


def forget_recovery(directory: str) -> None:
    """As after a boot: what is in the lock's file means nothing any more."""
    path = f"{directory}/lock"
    if os.path.exists(path):
        os.truncate(path, 0)


class Home:
    """A place for one journal."""

    def __init__(self, root: Path) -> None:
        self.directory = str(root / "journal")

    def create(self, **options: Any) -> Journal:
        return Journal.create(self.directory, SCHEMA, **options)

    def open(self, schema: Schema = SCHEMA, **options: Any) -> Journal:
        return Journal.open(self.directory, schema, **options)

    def segments(self) -> list[str]:
        return sorted(name for name in os.listdir(self.directory) if name.endswith(".jsonl"))


def transaction(journal: Journal, world: World, op: str = "op") -> Transaction:
    return journal.transaction(world, by=BY, why="user", op=op)


def note(journal: Journal, world: World, *texts: str, stream: str = "thing/1") -> None:
    with transaction(journal, world, texts[0]) as tx:
        for text in texts:
            tx.append(stream, Noted(text=text))


def abandon(journal: Journal, world: World) -> None:
    """A transaction that fails after it has appended."""

    def fail() -> None:
        with transaction(journal, world) as tx:
            tx.append("thing/1", Noted(text="lost"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
