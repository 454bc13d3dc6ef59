"""A defect in a monitor, whose stderr is nobody's, is kept for whoever reports it."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Any

import pytest

from cli import handover, monitor
from effects import defects, vintage

if TYPE_CHECKING:
    from pathlib import Path


def broken() -> None:
    raise ZeroDivisionError("on purpose")


def noted(root: Path, who: str) -> None:
    try:
        broken()
    except ZeroDivisionError:
        defects.note(str(root), who)


def test_each_is_kept_with_who_and_where(tmp_path: Path) -> None:
    assert defects.hint(str(tmp_path)) == ""
    for who in ("monitor of container a", "monitor of container b"):
        noted(tmp_path, who)

    file = tmp_path / "defects.txt"
    text = file.read_text()
    assert text.index("monitor of container a") < text.index("monitor of container b")
    assert text.count("in broken") == text.count("ZeroDivisionError: on purpose") == 2
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert str(file) in defects.hint(str(tmp_path))


def test_the_file_has_an_end(tmp_path: Path) -> None:
    file = tmp_path / "defects.txt"
    file.write_bytes(b"x" * (1 << 20))
    noted(tmp_path, "monitor of container a")

    assert file.stat().st_size == 1 << 20


def test_a_root_that_cannot_be_written_to_makes_it_no_worse(tmp_path: Path) -> None:
    noted(tmp_path / "gone", "monitor of container a")
    (tmp_path / "defects.txt").symlink_to(tmp_path / "elsewhere")
    noted(tmp_path, "monitor of container a")

    assert not (tmp_path / "elsewhere").exists()


def test_a_monitor_that_breaks_leaves_its_traceback_and_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def received(_command: object, _look: object) -> tuple[dict[str, Any], list[int]]:
        return {"root": str(tmp_path), "container": {"id": "c0ffee"}}, [0]

    def breaks(*_args: object) -> None:
        broken()

    monkeypatch.setattr(vintage, "watch", lambda: None)  # this process is not the monitor's
    monkeypatch.setattr("_socket.socket", lambda fileno: fileno)
    monkeypatch.setattr(handover, "receive", received)
    monkeypatch.setattr(monitor, "Monitor", breaks)
    with pytest.raises(ZeroDivisionError):
        monitor.main()

    assert "monitor of container c0ffee" in (tmp_path / "defects.txt").read_text()
