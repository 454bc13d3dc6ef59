"""From options to a created container: the image, its defaults, the secrets, the one decision."""

from __future__ import annotations

import os

from cli import images
from cli.network_options import ALONE
from cli.run_options import RunOptions
from cli.session import Session
from cli.shown import printable, shown
from effects import process_file
from machine import decide
from machine.engine import Engine
from machine.errors import EffectFailure, InvalidValue, MachineError
from machine.events import ContainerCreated
from machine.settings import DEFAULTS, SHORT
from machine.subjects import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
INIT_PROGRAMS = ("tini-static", "tini", "catatonit")


class NoInit(MachineError):
    def __init__(self) -> None:
        super().__init__(f"--init: none of {', '.join(INIT_PROGRAMS)} is installed [apt-get install tini]")


def create(session: Session, options: RunOptions) -> tuple[Container, int]:
    """A container in status `created`, and the descriptor that holds its lock, for whoever settles it next.

    Raises InvalidValue, NoSuchImage, NameInUse, EffectFailure; then nothing of it is left.
    """
    engine = session.engine()
    image = images.resolve(session, options.image)
    config = images.config(session, image)
    container_id = os.urandom(32).hex()
    argv = _argv(options, config)
    env = {"PATH": PATH, **config.get("env", {}), **options.env}
    process = f"process-{os.urandom(8).hex()}.json"
    health_argv, health = options.health.check(config)
    session.secrets[process] = process_file.encode(argv, env, health_argv)
    network = _network(session, options)
    created = ContainerCreated(
        id=container_id,
        name=options.name or container_id[:SHORT],
        image=image.name,
        layers=image.layers,
        command=shown(argv),
        process=process,
        env_keys=sorted(map(printable, env)),
        settings=_settings(options, config)
        | network
        | _exposed(options, config)
        | ({"health": health} if health else {}),
    )
    _mend_owner(session, created.name)
    lock = session.locks.take(container_id)
    assert lock is not None, "a random id is nobody else's"
    try:
        return _made(engine, created), lock
    except BaseException:
        os.close(lock)
        raise


def _network(session: Session, options: RunOptions) -> dict[str, Any]:
    asked = options.network
    if asked.model in ALONE:
        called = {"hostname": os.uname().nodename} if asked.model == "host" and not options.hostname else {}
        return (
            asked.settings()
            | called
            | ({"network": asked.model} if asked.model != DEFAULTS["network"] else {})
        )
    from cli import networking  # what has no network does without

    return networking.settings(session, asked)


def _made(engine: Engine, created: ContainerCreated) -> Container:
    engine.decide(decide.create, created)
    container = engine.world.containers[created.id]
    engine.settle(container.stream)
    if container.status != "created":
        raise creation_failure(container)
    return container


def _mend_owner(session: Session, name: str) -> None:
    """What a dead command left with the name that we want: it may be about to go."""
    owner = session.engine().world.names.get(name)
    if owner is not None:
        session.settler().mend(f"container/{owner}")


def creation_failure(container: Container) -> EffectFailure:
    """What kept it from being created; it is removed already."""
    error = container.error or {"step": container.status, "message": "meanwhile, by another command"}
    return EffectFailure.of(f"cannot create {container.name}", error)


def _argv(options: RunOptions, config: dict[str, Any]) -> list[str]:
    if options.entrypoint is None:
        entrypoint, default = config.get("entrypoint", []), config.get("cmd", [])
    else:
        entrypoint, default = [options.entrypoint] if options.entrypoint else [], []
    argv = [*entrypoint, *(options.argv or default)]
    if not argv or not argv[0]:
        raise InvalidValue(
            "command", " ".join(argv), f"none was given, and the image {options.image} has none"
        )
    return argv


def _settings(options: RunOptions, config: dict[str, Any]) -> dict[str, Any]:
    image_has = {"cwd": config.get("workdir", ""), "user": config.get("user", "")}
    settings = {key: text for key, text in image_has.items() if text}
    settings |= options.settings()
    if config.get("labels"):
        settings["labels"] = {**config["labels"], **settings.get("labels", {})}
    if options.init:
        settings["init"] = _init_program()
    return settings


def _exposed(options: RunOptions, config: dict[str, Any]) -> dict[str, Any]:
    """The image's ports, and those of --expose besides; {} where it has none. InvalidValue for what is no port."""
    if not config.get("exposed"):
        return {}
    from machine import ports  # most images have none

    found = [one for text in config["exposed"] for one in ports.exposed(str(text), "port of the image")]
    return {"exposed": [*found, *(one for one in options.network.exposed if one not in found)]}


def _init_program() -> str:
    import shutil

    for name in INIT_PROGRAMS:
        found = shutil.which(name, path="/usr/bin:/usr/sbin:/bin:/sbin:/usr/libexec/podman:/usr/local/bin")
        if found:
            return found
    raise NoInit
