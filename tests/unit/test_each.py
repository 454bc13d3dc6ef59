"""Many names: begun ahead of those that are waited for, told in their order, one failure not keeping the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cli.each import AHEAD, each
from machine.errors import ForeignRoot, NoSuchContainer

if TYPE_CHECKING:
    from collections.abc import Callable


class Work:
    """Notes what is begun and what is waited for."""

    def __init__(self, fails: str = "", waits: str = "") -> None:
        self.log: list[str] = []
        self.fails, self.waits = fails, waits

    def __call__(self, name: str) -> Callable[[], None]:
        self.log.append(f"begin {name}")
        if name in self.fails:
            raise NoSuchContainer(name)

        def wait() -> None:
            self.log.append(f"wait {name}")
            if name in self.waits:
                raise NoSuchContainer(name)

        return wait


def test_all_are_begun_before_the_first_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    work = Work()

    each("abc", work)

    assert work.log == ["begin a", "begin b", "begin c", "wait a", "wait b", "wait c"]
    assert capsys.readouterr().out == "a\nb\nc\n"


@pytest.mark.parametrize(("fails", "waits"), [("b", ""), ("", "b")])
def test_a_failure_is_told_in_its_turn_and_keeps_nobody(
    fails: str, waits: str, capfd: pytest.CaptureFixture[str]
) -> None:
    work = Work(fails, waits)

    with pytest.raises(SystemExit) as ended:
        each("abc", work)

    assert ended.value.code == NoSuchContainer("b").exit_code
    assert work.log[-1] == "wait c"
    out, err = capfd.readouterr()
    assert out == "a\nc\n"
    assert err.startswith("mydocker: no such container: b")


def test_no_more_are_begun_ahead_than_docker_does() -> None:
    work = Work()
    names = [str(number) for number in range(AHEAD + 5)]

    each(names, work, done=False)

    assert work.log.index("wait 0") == AHEAD + 1
    assert work.log[-AHEAD:] == [f"wait {name}" for name in names[5:]]


def test_what_ends_at_once_is_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    told = []

    def action(name: str) -> None:
        told.append(capsys.readouterr().out)

    each("abc", action)

    assert told == ["", "a\n", "b\n"]


def test_a_defect_is_no_answer_to_a_user() -> None:
    def action(_name: str) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        each("a", action)


def test_what_keeps_all_of_them_is_told_once(capfd: pytest.CaptureFixture[str]) -> None:
    def refuse(_name: str) -> None:
        raise ForeignRoot("/r", "it is a copy")

    with pytest.raises(SystemExit):
        each("abc", refuse)

    assert capfd.readouterr().err.count("\n") == 1
