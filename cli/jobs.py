"""Work with half-made things: a job in the journal, and a staging directory that never outlives it."""

from __future__ import annotations

import os

from cli.publishing import finish_publishing
from cli.session import Session
from effects import failpoints
from machine import decide, decide_store
from machine.errors import EffectFailure
from machine.events import JobPublishing, JobStarted
from machine.subjects import Job

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from machine.decide import Decision


class Work:
    """`with Work(session, "import", about, target) as work:` then `work.finish(...)`, else it is abandoned.

    The job's lock is held all the while: when this process dies, the next command finds it free and undoes
    what is half made.
    """

    def __init__(self, session: Session, kind: str, about: str, target: str) -> None:
        self.session = session
        self.id = os.urandom(16).hex()
        self.staging = f"{session.root}/staging/{self.id}"
        self._started = JobStarted(id=self.id, kind=kind, subject=about, target=target, staging=self.staging)
        self._stream = f"job/{self.id}"
        self._lock = -1
        self._finished = False

    def __enter__(self) -> Self:
        engine = self.session.engine()
        lock = self.session.locks.take(self.id)
        assert lock is not None, "a random id is nobody else's"
        self._lock = lock
        engine.decide(decide_store.begin_job, self._started)
        job = engine.settle(self._stream)
        staging = job.holding("staging") if isinstance(job, Job) else None
        if staging is None or not staging.done:
            self._end("staging could not be made")
            error = job.error if isinstance(job, Job) else None
            raise EffectFailure.of(f"cannot {self._started.kind}", error or {"step": "staging directory"})
        return self

    def publish(self, made: str, path: str, image: str = "") -> None:
        """Give the file `made`, which is on disk, the name `path`; the job is done, and `image` is published, if named.

        Killed at any moment, whoever comes next finds either nothing at `path`, or this, and finishes the job.
        """
        engine = self.session.engine()
        intent = JobPublishing(path=path, inode=os.stat(made).st_ino, image=image)
        engine.decide(decide.note, self._stream, intent)
        failpoints.step("publish ROOT/IMAGE.tar")
        os.rename(made, path)
        assert finish_publishing(engine, self.id), "it was renamed"
        self._finished = True

    def finish(self, result: str, published: Decision | None = None) -> None:
        """The job is done, and what it published exists: one append."""
        self.session.engine().decide(decide_store.finish_job, self.id, result, published)
        self._finished = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _where: TracebackType | None
    ) -> None:
        self._end(str(error) or (kind.__name__ if kind is not None else "left unfinished"))

    def _end(self, reason: str) -> None:
        engine = self.session.engine()
        if not self._finished:
            engine.decide(decide_store.abandon_job, self.id, reason)
        engine.settle(self._stream)
        os.close(self._lock)
