"""What went wrong, as data: the step, the kernel's errno, one message, the path. LEAN."""

from __future__ import annotations


class StepFailed(OSError):
    """An OSError that knows what was being attempted: `step` is for people, such as "cgroup memory"."""

    def __init__(self, step: str, code: int, message: str, path: str | None = None) -> None:
        super().__init__(code, message, path)
        self.step = step


class Failure:
    """An effect's outcome where the kernel refused: what `effect.failed` will say."""

    __slots__ = ("errno", "message", "path", "step")

    def __init__(self, *, errno: int, step: str, message: str, path: str) -> None:
        self.errno, self.step, self.message, self.path = errno, step, message, path

    @classmethod
    def of(cls, error: OSError, step: str) -> Failure:
        """`step` is what was attempted, where the error itself does not carry a finer one."""
        path = error.filename
        if isinstance(path, bytes):
            path = path.decode(errors="surrogateescape")
        return cls(
            errno=error.errno or 0,
            step=getattr(error, "step", "") or step,
            message=error.strerror or str(error),
            path="" if path is None else str(path),
        )

    def __repr__(self) -> str:
        return (
            f"Failure(errno={self.errno}, step={self.step!r}, message={self.message!r}, path={self.path!r})"
        )


def refused(step: str, error: OSError) -> StepFailed:
    """The same error, told as the failure of `step`."""
    return StepFailed(step, error.errno or 0, error.strerror or str(error), error.filename)


def place(error: BaseException) -> str:
    """FILE:LINE where it was raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "?" if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
