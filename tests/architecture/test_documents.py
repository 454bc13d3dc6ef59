"""What documents and docstrings name is there: files, folders, tests, decisions, names of the code, and what they link to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*HERE.glob("*.md"), *HERE.glob("docs/**/*.md")])
FOLDERS = ("cli", "machine", "effects", "eventstore", "tests", "tools", "docs")
SOURCES = [path for folder in FOLDERS[:4] for path in HERE.glob(f"{folder}/**/*.py")]
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
def test_an_anchor_is_a_heading(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:]*)#([^)]+)\)", document.read_text())

    assert [
        link for link in links if link[1] not in anchors(document.parent / link[0] if link[0] else document)
    ] == []


def anchors(document: Path) -> set[str]:
    """As a forge makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


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
    """By its name, by that of its file, or by the beginning of that."""
    files = list((HERE / "tests").rglob("*.py"))
    tests = {name for path in files for name in re.findall(r"def (test_\w+)", path.read_text())}
    named = set(re.findall(r"`(test_\w+)`", document.read_text())) - tests

    assert [name for name in named if not any(path.stem.startswith(name) for path in files)] == []


@each
def test_a_decision_is_there(document: Path) -> None:
    numbers = re.findall(r"ADR (\d{4})", document.read_text())

    assert [number for number in numbers if not list(HERE.glob(f"docs/adr/{number}-*.md"))] == []


def test_a_name_of_the_code_is_there() -> None:
    """`machine.leases.for_start`: the module, and in its text the first name behind it."""
    named = re.compile(rf"`((?:{'|'.join(FOLDERS[:4])})(?:\.[A-Za-z_]+)+)`")
    found = [(path.name, name) for path in [*DOCUMENTS, *SOURCES] for name in named.findall(path.read_text())]

    assert found
    assert [(where, name) for where, name in found if not is_there(name.split("."))] == []


def is_there(name: list[str]) -> bool:
    for depth in range(len(name), 0, -1):
        path = HERE.joinpath(*name[:depth])
        rest = name[depth : depth + 1]
        if path.is_dir() and not rest:
            return True
        module = path.with_suffix(".py")
        if module.exists():
            return not rest or re.search(rf"\b{rest[0]}\b", module.read_text()) is not None
    return False


def test_the_readme_counts_what_the_crash_table_tells() -> None:
    rows = [
        line.split(" | ")
        for line in (HERE / "docs/crash-table.md").read_text().splitlines()
        if line[:2] == "| "
    ]
    commands = {row[0] for row in rows[1:]}
    steps = sum(row[2].count("`") // 2 for row in rows[1:])

    readme = (HERE / "README.md").read_text()
    assert (
        f"{len(commands)} commands and ways to use them, and the containers' monitors, have {steps} steps"
        in readme
    )
