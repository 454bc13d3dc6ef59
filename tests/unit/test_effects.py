"""Where an error of the kernel becomes an outcome, and where it does not."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from effects import process_file
from effects.failure import Failure, StepFailed
from effects.handler import Effects
from effects.trees import ensure_dir, ensure_dir_durably
from tests.fakes import FakeHost

if TYPE_CHECKING:
    from effects.handler import Handler
    from effects.host import Facts, Host, Spec


class Refusing:
    """A handler whose every verb fails with `error`."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def probe(self, _spec: Spec, _host: Host) -> Facts | None:
        return None

    def do(self, _spec: Spec, _host: Host) -> Facts:
        raise self.error

    def undo(self, _spec: Spec, _facts: Facts, _host: Host) -> None:
        raise self.error


def effects(handler: Handler) -> Effects:
    return Effects({"thing": handler}, FakeHost())


def told(result: Facts | Failure) -> tuple[int, str, str, str]:
    assert isinstance(result, Failure)
    return result.errno, result.step, result.message, result.path


def test_an_error_with_a_step_keeps_it() -> None:
    refusing = effects(Refusing(StepFailed("mount /proc", errno.EPERM, "not permitted", "/proc")))
    expected = (errno.EPERM, "mount /proc", "not permitted", "/proc")
    assert told(refusing.do("thing", {})) == expected
    assert told(refusing.undo("thing", {}, {})) == expected


def test_an_error_without_one_is_told_by_the_kind() -> None:
    refusing = effects(Refusing(OSError(errno.ENOSPC, "disk full", "/x")))
    assert told(refusing.do("thing", {})) == (errno.ENOSPC, "thing", "disk full", "/x")
    assert told(refusing.undo("thing", {}, {})) == (errno.ENOSPC, "undo thing", "disk full", "/x")


def test_an_error_without_errno_or_path_is_told_nevertheless() -> None:
    assert told(effects(Refusing(OSError("odd"))).do("thing", {})) == (0, "thing", "odd", "")


def test_a_path_in_bytes_is_text_in_the_outcome() -> None:
    error = OSError(errno.ENOENT, "gone", b"/x-\xff")
    assert told(effects(Refusing(error)).do("thing", {}))[3] == "/x-\udcff"


@pytest.mark.parametrize("error", [KeyError("pid"), RuntimeError("bug"), AssertionError()])
def test_a_defect_of_ours_is_not_caught(error: Exception) -> None:
    refusing = effects(Refusing(error))
    with pytest.raises(type(error)):
        refusing.do("thing", {})
    with pytest.raises(type(error)):
        refusing.undo("thing", {}, {})


def test_what_never_changes_in_place_refuses_a_change() -> None:
    with pytest.raises(TypeError, match="a thing is never changed in place"):
        effects(Refusing(KeyError())).change("thing", {})


def test_a_process_file_brings_back_what_is_no_utf8() -> None:
    argv, env = ["sh", "-c", "\udcff\u20ac\n"], {"KEY": "va\x00lue \udc80"}
    content = process_file.encode(argv, env)
    assert content.isascii()
    assert process_file.decode(content, "/p") == (argv, env)


@pytest.mark.parametrize("content", [b"", b"{", b'{"argv":[]}', b"[]", b"\xff", b'{"argv":[],"env":{}}x'])
def test_a_damaged_process_file_is_told_with_its_path(content: bytes) -> None:
    with pytest.raises(StepFailed, match="damaged") as refused:
        process_file.decode(content, "/p")
    assert (refused.value.errno, refused.value.filename) == (errno.EBADMSG, "/p")


def test_a_directory_is_made_with_all_above_it_up_to_the_root() -> None:
    host = FakeHost()

    ensure_dir(host, "/new/deep/er")
    ensure_dir_durably(host, "/other/one")

    assert all(map(host.exists, ("/new", "/new/deep/er", "/other/one")))
