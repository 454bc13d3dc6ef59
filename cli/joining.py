"""What a further process of a running container is made from: its first process's rights, place and user. LEAN."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from machine.subjects import Container

_SAME = ("caps", "privileged", "no_new_privileges", "groups", "cwd", "user")


def stage_config(container: Container, argv: list[str], env: dict[str, str]) -> dict[str, Any]:
    """A StageConfig (`effects.init_config`) without a terminal; its cgroups, `joins` and `cgroup2`, are the caller's."""
    return {**{key: container.setting(key) for key in _SAME}, "argv": argv, "env": env, "tty": False}
