"""Start-up is a feature: what each part of the program may load, checked in a fresh process."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent.parent.parent
PROGRAM = Path(
    os.environ.get("MYDOCKER_BIN", HERE / ".venv" / "bin" / "mydocker")
)  # as `sh tools/install` puts it
OURS = {"cli", "machine", "effects", "eventstore"}

# All of the standard library that the monitor, the joiner and the program's first lines may load.
LEAN_LIBRARY = {
    *("__future__", "os", "errno", "fcntl", "gc", "time", "select", "struct", "_struct"),
    *("_signal", "_socket", "_json", "_sha256", "_sha2", "binascii", "ctypes", "ctypes._endian", "_ctypes"),
}
# Must be lean whatever they say of themselves; besides these, every module whose docstring says LEAN.
PROGRAMS = {"cli.entry", "cli.early", "cli.monitor", "effects.joiner"}
# Heavy, and for few commands: never with what every command loads.
HEAVY = {
    "msgspec",
    "transitions",
    "watchdog",
    "typing_extensions",
    "asyncio",
    "logging",
    "argparse",
    "subprocess",
}


def loaded(statement: str, *, flags: tuple[str, ...] = ("-I",)) -> set[str]:
    """The modules that a fresh interpreter has after the statement and had not before."""
    site = next(path for path in sys.path if path.endswith("site-packages"))
    program = f"""
import sys
sys.path[:0] = [{str(HERE)!r}, *{[site] if "-S" not in flags else []!r}]
before = set(sys.modules)
{statement}
print(*(set(sys.modules) - before))
"""
    done = subprocess.run(
        [sys.executable, *flags, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def lean_modules() -> list[str]:
    """The programs, and the modules that call themselves LEAN."""
    declared = set()
    for folder in OURS:
        for path in (HERE / folder).rglob("*.py"):
            docstring = ast.get_docstring(ast.parse(path.read_bytes())) or ""
            if "LEAN" in docstring:
                declared.add(".".join(path.relative_to(HERE).with_suffix("").parts))
    return sorted(declared | PROGRAMS)


@pytest.mark.parametrize("module", lean_modules())
def test_a_lean_module_loads_only_the_lean_library(module: str) -> None:
    # `os` is in every process but one of -S, which has it for 1.1 ms with all it brings.
    with_os = loaded("import os", flags=("-I", "-S"))
    modules = loaded(f"import {module}", flags=("-I", "-S"))

    assert {name for name in modules - with_os if name.partition(".")[0] not in OURS} <= LEAN_LIBRARY


def test_the_command_line_itself_needs_click_and_nothing_heavy() -> None:
    modules = loaded("import cli.main")

    assert not {name.partition(".")[0] for name in modules} & HEAVY
    assert not {name for name in modules if name.partition(".")[0] in {"effects", "eventstore"}}
    assert not {name for name in modules if name.startswith("cli.commands.")}


def test_ours_add_nothing_to_what_click_brings() -> None:
    ours = {name for name in loaded("import cli.main") if name.partition(".")[0] not in OURS}

    assert ours - loaded("import click") <= {"importlib", "importlib._abc"}


@pytest.mark.parametrize("args", [["--version"], ["--help"]])
def test_help_and_version_load_no_command(args: list[str]) -> None:
    modules = loaded(
        f"import io, sys; sys.stdout, out = io.StringIO(), sys.stdout; import cli.main; cli.main.main({args!r}); sys.stdout = out"
    )

    assert not {name.partition(".")[0] for name in modules} & (HEAVY | {"effects", "eventstore"})
    assert not {name for name in modules if name.startswith("cli.commands.")}


@pytest.mark.parametrize(
    "module", ["cli.commands.run", "cli.commands.start", "cli.commands.ps", "cli.monitor"]
)
def test_what_has_no_network_loads_nothing_of_what_networks_need(module: str) -> None:
    decided = "import machine.decide, machine.plan, machine.evolve"
    of_networks = {
        "networks",
        "leases",
        "addresses",
        "ports",
        "network_errors",
        "plan_network",
        "parse_network",
    }

    assert not {f"machine.{name}" for name in of_networks} & loaded(f"import {module}; {decided}")
    assert "cli.networking" not in loaded(f"import {module}")


def test_a_command_on_the_kernel_loads_links_and_rules_with_the_first_call_that_needs_them() -> None:
    modules = loaded("import effects.linux, effects.registry; effects.linux.LinuxHost()")

    assert not {name for name in modules if "net" in name.partition(".")[2] or "nft" in name}


def test_the_entry_starts_its_companion_before_click() -> None:
    assert "click" not in loaded("import cli.entry")
    assert "click" not in loaded("import cli.early")


def test_the_products_environment_has_no_typing_extensions() -> None:
    """Its mere presence makes `import msgspec` 10 ms slower."""
    python = PROGRAM.parent / "python"
    done = subprocess.run(
        [python, "-c", "import typing_extensions"], capture_output=True, check=False, timeout=30
    )

    assert b"ModuleNotFoundError" in done.stderr


def test_the_product_holds_neither_tests_nor_tools() -> None:
    site = next((PROGRAM.parent.parent / "lib").glob("python*/site-packages"))

    assert not [name for name in ("tests", "tools", "docs") if (site / name).exists()]
