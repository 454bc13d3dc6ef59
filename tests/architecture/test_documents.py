"""What the documents name is there: files, folders, tests, decisions, and what they link to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*HERE.glob("*.md"), *HERE.glob("docs/**/*.md")])
FOLDERS = ("cli", "machine", "effects", "eventstore", "tests", "tools", "docs")
each = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(HERE)))


def words(text: str) -> set[str]:
    """What is set in the type of a program, a word at a time."""
    code = re.findall(r"`([^`\n]+)`", text) + re.findall(
        r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL
    )
    return {word.strip(".,;:()'\"") for piece in code for word in piece.split()}


@each
def test_a_link_leads_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)", document.read_text())

    assert [to for to in targets if "://" not in to and not (document.parent / to).exists()] == []


@each
def test_a_file_of_ours_is_there(document: Path) -> None:
    """Also without its ending; an N or an asterisk stands for anything."""
    named = re.compile(rf"(?:{'|'.join(FOLDERS)})/[\w./*-]*")
    paths = {word.rstrip("/") for word in words(document.read_text()) if named.fullmatch(word)}
    patterns = {path: re.sub(r"\bN\b", "*", path) for path in paths}

    assert [path for path, pattern in patterns.items() if not exists(pattern)] == []


def exists(pattern: str) -> bool:
    return any(list(HERE.glob(pattern + ending)) for ending in ("", ".py"))


@each
def test_a_test_is_there(document: Path) -> None:
    """By its name, by that of its file, or by the begin of that."""
    files = list((HERE / "tests").rglob("*.py"))
    tests = {name for path in files for name in re.findall(r"def (test_\w+)", path.read_text())}
    named = set(re.findall(r"`(test_\w+)`", document.read_text())) - tests

    assert [name for name in named if not any(path.stem.startswith(name) for path in files)] == []


@each
def test_a_decision_is_there(document: Path) -> None:
    numbers = re.findall(r"ADR (\d{4})", document.read_text())

    assert [number for number in numbers if not list(HERE.glob(f"docs/adr/{number}-*.md"))] == []
