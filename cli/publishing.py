"""The end of a job whose result got its name by a rename, be it by its command or, where that died, by whoever comes next."""

from __future__ import annotations

import os

from effects import layers
from eventstore.segments import sync_directory
from machine import decide_store
from machine.events import ImagePublished

TYPE_CHECKING = False
if TYPE_CHECKING:
    from machine.decide import Decision
    from machine.engine import Engine


def finish_publishing(engine: Engine, job_id: str, *, why: str = "user") -> bool:
    """Finish a job whose result has the name that it was to have; False where it has not. Its lock is held."""
    job = engine.world.jobs.get(job_id)
    if job is None or job.publishing is None:
        return False
    path, inode, image = (job.publishing[key] for key in ("path", "inode", "image"))
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return False
    if found.st_ino != inode:
        return False
    sync_directory(os.path.dirname(path))  # the rename may not be on disk yet
    published: Decision = []
    if image:  # its layer is extracted by the first run, like that of any tar
        event = ImagePublished(name=image, layers=[], source=layers.source_of(path, found))
        published = decide_store.publish_image(engine.world, None, event)
    engine.decide(decide_store.finish_job, job_id, path, published, why=why)
    return True
