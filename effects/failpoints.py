"""Die, or stand still, at a step that has a name: for the tests that kill every process of ours before each thing it does. LEAN.

Off unless armed, and then a step costs one comparison. A step is an append to the journal, a call of the host that
changes something, or a deed of a job on disk; what is to happen comes before it is done. Its name says what that is:
"append container.created", "do cgroup: make_dir", "publish the layer".
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar, cast

    T = TypeVar("T")
else:

    def cast(_kind, value):
        return value


# "WHO|ACTION|COUNT|STEP|FILE", where WHO is command or monitor (the one that the command starts). ACTION `kill` or
# `stop` (SIGSTOP): when that process comes to STEP for the COUNTth time. `trace`: nothing, at any step.
# FILE gets a line "PID STEP" at that moment; with `trace` for every step.
VARIABLE = "MYDOCKER_FAILPOINT"
_SIGNALS = {"kill": 9, "stop": 19}
_VERBS = frozenset({"do", "undo", "change"})


class _Plan:
    def __init__(self, action: str, count: str, step: str, file: str) -> None:
        self.action, self.left, self.step, self.file = action, int(count), step, file

    def reached(self, step: str) -> None:
        if self.action != "trace":
            self.left -= step == self.step
            if step != self.step or self.left:
                return
        descriptor = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.write(descriptor, f"{os.getpid()} {step}\n".encode())
        os.close(descriptor)
        if self.action != "trace":
            os.kill(os.getpid(), _SIGNALS[self.action])


_plans: list[_Plan] = []  # one at most; empty: not armed
_within: list[str] = []  # the effect at work, such as "do cgroup: "


def arm(who: str, text: str | None) -> None:
    """Arm this process, a "command" or a "monitor", if `text` (the variable's value) means it."""
    name, *plan = (text or "").split("|")
    if name == who:
        _plans[:] = [_Plan(*plan)]


def step(name: str) -> None:
    """Call before each step."""
    if _plans:
        _plans[0].reached("".join(_within) + name)


def changing(host: T, changes: frozenset[str]) -> T:
    """The same host, with a step before each call of these methods; itself where nothing is armed."""

    def stepping(name: str, found: Any, *arguments: Any, **more: Any) -> Any:
        step(name)
        return found(*arguments, **more)

    return cast("T", _Fused(host, changes, stepping)) if _plans else host


def naming(effects: T) -> T:
    """The same effects, which lend their steps a name; themselves where nothing is armed."""

    def within(verb: str, found: Any, kind: str, *arguments: Any) -> Any:
        _within[:] = [f"{verb} {kind}: "]
        try:
            return found(kind, *arguments)
        finally:
            _within.clear()

    return cast("T", _Fused(effects, _VERBS, within)) if _plans else effects


def appending(journal: T) -> T:
    """The same journal, with a step before each write of a transaction; itself where nothing is armed."""

    def fused(_: str, found: Any, *arguments: Any, **more: Any) -> Any:
        return _Transaction(found(*arguments, **more))

    return cast("T", _Fused(journal, frozenset({"transaction"}), fused)) if _plans else journal


class _Transaction:
    """Dies where it would write, with the journal's lock in its hand."""

    def __init__(self, transaction: Any) -> None:
        self._transaction = transaction
        self._said: list[str] = []

    def __enter__(self) -> Any:
        self._transaction.__enter__()
        return self

    def append(self, stream: str, event: Any, **how: Any) -> Any:
        said: str = event.tag
        if said.startswith("effect."):
            verb = said.removeprefix("effect.")
            said = f"{'undone' if verb == 'done' and event.verb == 'undo' else verb} {event.kind}"
        self._said.append(said)
        return self._transaction.append(stream, event, **how)

    def __exit__(self, kind: object, error: object, trace: object) -> Any:
        if kind is None and self._said:
            step(f"append {', '.join(dict.fromkeys(self._said))}")
        return self._transaction.__exit__(kind, error, trace)


class _Fused:
    """A thing some of whose methods are called through `way(name, method, ...)`."""

    def __init__(self, thing: object, methods: frozenset[str], way: Any) -> None:
        self.__dict__.update(_thing=thing, _methods=methods, _way=way)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._thing, name)
        if name not in self._methods:
            return found

        def called(*arguments: Any, **more: Any) -> Any:
            return self._way(name, found, *arguments, **more)

        return called

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._thing, name, value)
