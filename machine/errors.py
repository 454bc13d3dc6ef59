"""What the engine refuses, and why, as one small tree.

MachineError                 exit 125
├── InvalidValue             an option or argument cannot mean anything; exit 2
├── IllegalTransition        the container's status does not allow the command
├── NoSuchContainer          no container by that name, id or unique id prefix
├── ForeignRoot              the root is not at home here
├── OtherRunDir              what lives has its things in another run directory
├── UnfitRunDir              nothing can be made in the run directory
├── DamagedJournal           bytes that were written are no longer as they were
├── AmbiguousPrefix          several ids begin so
├── NameInUse                another container has the name
├── NoSuchImage              neither an image nor ROOT/NAME.tar
├── ImageInUse               containers still stand on it
├── BrokenImage              its tar cannot be unpacked
└── EffectFailure            a step failed; errno, step and path are told; exit 125, 126 or 127
"""

from __future__ import annotations

from errno import ENOSPC

from machine.settings import SHORT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

SHOWN = 5  # of many ids in a message


class MachineError(Exception):
    """Base of all refusals; `exit_code` is what the command ends with."""

    exit_code = 125


class InvalidValue(MachineError):
    exit_code = 2

    def __init__(self, what: str, value: str, why: str) -> None:
        self.what, self.value, self.why = what, value, why
        super().__init__(f"invalid {what} {value!r}: {why}")


class IllegalTransition(MachineError):
    def __init__(self, trigger: str, *, name: str, status: str, allowed: tuple[str, ...]) -> None:
        self.trigger, self.name, self.status, self.allowed = trigger, name, status, allowed
        choices = ", ".join(allowed) or "nothing"
        super().__init__(f"cannot {trigger} {name}: it is {status} (which allows: {choices})")


class NoSuchContainer(MachineError):
    def __init__(self, reference: str, hint: str = "mydocker ps lists them") -> None:
        self.reference = reference
        super().__init__(f"no such container: {reference} [{hint}]")


class ForeignRoot(MachineError):
    """The root is not at home here (`machine.home.strange`)."""

    def __init__(self, root: str, why: str) -> None:
        self.root, self.why = root, why
        super().__init__(
            f"{root} is only read: {why} [if it is used nowhere else: mydocker replay --moved adopts it]"
        )


class OtherRunDir(MachineError):
    """`names`: of the containers that live, and have what is theirs in `used`."""

    def __init__(self, root: str, *, used: str, asked: str, names: list[str]) -> None:
        self.root, self.used, self.asked, self.names = root, used, asked, names
        some = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
        super().__init__(
            f"{root} is in use with the run directory {used}, not with {asked} "
            f"[leave --run-dir and MYDOCKER_RUN_DIR away, or stop {some} first]"
        )


class UnfitRunDir(MachineError):
    def __init__(self, path: str, why: str) -> None:
        self.path, self.why = path, why
        super().__init__(f"cannot use {path} as the run directory: {why}")


class DamagedJournal(MachineError):
    """`what` the journal found; nothing is written to it until somebody has decided what becomes of it."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} [mydocker audit verify tells all of it; what is at its end, journal repair cuts off]"
        )


class AmbiguousPrefix(MachineError):
    def __init__(self, reference: str, ids: list[str]) -> None:
        self.reference, self.ids = reference, ids
        some = ", ".join(i[:SHORT] for i in ids[:SHOWN]) + (", ..." if len(ids) > SHOWN else "")
        super().__init__(f"{reference} begins {len(ids)} container ids: {some}")


class NameInUse(MachineError):
    def __init__(self, name: str, container_id: str) -> None:
        self.name, self.container_id = name, container_id
        super().__init__(f"the name {name} is in use by container {container_id[:SHORT]} [rm or rename it]")


class NoSuchImage(MachineError):
    def __init__(self, image: str, looked: str) -> None:
        self.image, self.looked = image, looked
        super().__init__(f"no such image: {image} [neither an image nor {looked}; see mydocker images]")


class ImageInUse(MachineError):
    def __init__(self, image: str, names: list[str]) -> None:
        self.image, self.names = image, names
        super().__init__(f"image {image} is in use by {', '.join(names)} [remove them first]")


class BrokenImage(MachineError):
    def __init__(self, image: str, why: str) -> None:
        self.image, self.why = image, why
        super().__init__(f"cannot import {image}: {why}")


class EffectFailure(MachineError):
    """A resource could not be made or unmade; built from the journal's `effect.failed`."""

    def __init__(self, name: str, step: str, message: str, *, exit_code: int = 125) -> None:
        self.name, self.step = name, step
        self.exit_code = exit_code
        super().__init__(f"{name}: {step}: {message}")

    @classmethod
    def of(cls, name: str, error: dict[str, Any]) -> Self:
        """From what a subject keeps as its `error`; without a message it was interrupted."""
        hint = " [mydocker system prune makes room]" if error.get("errno") == ENOSPC else ""
        return cls(name, error["step"], f"{error.get('message', 'interrupted')}{hint}")
