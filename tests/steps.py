"""What can be asked of a `tests.world.Computer`, and what its container's program does."""

from __future__ import annotations

from typing import Any

from effects import process_file
from machine import decide, decide_store
from machine import events as ev
from tests.fakes import fused
from tests.world import LAYER, SECOND, SECRETS, Computer, Step, an_id


def create(name: str = "c1", **settings: Any) -> Step:
    """A container with secrets that only the asking process knows."""

    def step(computer: Computer) -> None:
        if name in computer.world.names:
            return
        computer.ids += 1
        computer.host.secrets[SECRETS] = process_file.encode(["/bin/sh"], {"SECRET": "canary"})
        computer.decide(
            decide.create,
            ev.ContainerCreated(
                id=an_id(computer.ids),
                name=name,
                image="busybox",
                layers=[LAYER],
                command=["/bin/sh"],
                process=SECRETS,
                env_keys=["SECRET"],
                settings=settings,
            ),
        )

    return step


def start(computer: Computer) -> None:
    computer.decide(decide.start, "c1")


def ask_to_start(computer: Computer) -> None:
    """The decision alone: whoever would settle it dies."""
    computer.engine.decide(decide.start, "c1")


def stop(computer: Computer) -> None:
    computer.decide(decide.stop, "c1")
    computer.note_exits()


def deafen(computer: Computer) -> None:
    computer.deaf = True


def let_the_deadline_pass(computer: Computer) -> None:
    """Ten seconds later SIGKILL follows, and the exit is noted."""
    computer.clock.now += 10 * SECOND
    for container in list(computer.world.containers.values()):
        computer.engine.decide(decide.overdue, container.id, computer.clock.now, why="monitor")
    computer.settle_all()
    computer.note_exits()


def pause(computer: Computer) -> None:
    computer.decide(decide.pause, "c1")


def unpause(computer: Computer) -> None:
    computer.decide(decide.unpause, "c1")


def end_with(status: int) -> Step:
    """The program ends by itself, and its monitor sees that."""

    def step(computer: Computer) -> None:
        process = computer.program_of("c1")
        if process is not None:
            process.end(status << 8)
        computer.note_exits()

    return step


def remove(*, force: bool = False) -> Step:
    return lambda computer: computer.decide(decide.remove, "c1", force=force)


def rename(computer: Computer) -> None:
    computer.decide(decide.rename, "c1", "c2")


def update(**limits: Any) -> Step:
    return lambda computer: computer.decide(decide.update, "c1", limits=limits, restart=None)


def run_a_job(digest: str, *, fails: bool = False, publishes: bool = False) -> Step:
    """As an import: stage, publish by rename, and tell of layer, image and the job's end in one append."""

    def step(computer: Computer) -> None:
        computer.ids += 1
        job_id, staging = an_id(computer.ids), f"/root/staging/{an_id(computer.ids)}"
        computer.decide(
            decide_store.begin_job,
            ev.JobStarted(id=job_id, kind="import", subject="x.tar", target="x", staging=staging),
        )
        host, layer = fused(computer.host, computer.fuse), f"/root/layers/{digest}"
        host.make_dir(f"{staging}/fs", 0o755)
        host.sync(staging)
        if fails:
            computer.decide(decide_store.abandon_job, job_id, "it was no tar")
            return
        if not host.exists(layer):
            host.rename(staging, layer)
        host.sync("/root/layers")
        if publishes:  # a commit tells of the file first, and gives it its name then
            intent = ev.JobPublishing(path="/root/x.tar", inode=7, image="x")
            computer.decide(decide.note, f"job/{job_id}", intent)
        published = decide_store.publish_image(
            computer.world,
            ev.LayerPublished(digest=digest, size=1, entries=1, path=layer),
            ev.ImagePublished(name="x", layers=[digest], source={"path": "/root/x.tar"}),
        )
        computer.decide(decide_store.finish_job, job_id, "x", published)

    return step


def remove_image(name: str) -> Step:
    return lambda computer: computer.decide(decide_store.remove_image, name)
