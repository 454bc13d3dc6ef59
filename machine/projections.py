"""What people are shown: rows for `ps` and `images`, the document of `inspect`. Pure: values in, values out."""

from __future__ import annotations

from machine.resources import GONE, LIVE, WATCHED
from machine.world import World

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from machine.subjects import Container

HEALTH_WORDS = {"starting": "health: starting"}  # docker's, where the status alone would not do
UNKNOWN_EXIT = 255  # shown for an exit that nobody could learn; never 0
NOT_FOUND = (2, 20)  # ENOENT, ENOTDIR
# Steps of the container's own program; a test holds them to effects.last_stage.
NOT_INVOKED = ("exec", "user", "cwd")


def exit_code(c: Container) -> int:
    """The code of its last run as a shell shows it; 0 before there was one, 255 where it is unknown."""
    if c.exit is None:
        return 0 if c.error is None else failure_code(c.error)
    code = c.exit["code"]
    return UNKNOWN_EXIT if code is None else int(code)


def failure_code(error: dict[str, Any]) -> int:
    """125 where the engine failed, 127 and 126 where the program was not found or cannot be run (docker's codes)."""
    if error["step"] == "exec" and error["errno"] in NOT_FOUND:
        return 127
    return 126 if error["step"] in NOT_INVOKED else 125


def failure_line(c: Container) -> str:
    """Why its last start failed, in one line; empty where it did not."""
    if c.error is None:
        return ""
    return f"cannot start {c.name}: {c.error['step']}: {c.error['message']}"


def shown_status(c: Container) -> str:
    """The series' words: `stopped` where a user stopped it, `exited` where it ended by itself."""
    if c.status == "exited" and c.stopped_by_user:
        return "stopped"
    return c.status


def long_status(c: Container) -> str:
    """The status with its health, or the code and the reason of an end by itself: `exited (137, oom)`."""
    word = shown_status(c)
    if word in ("running", "paused") and c.health:
        return f"{word} ({HEALTH_WORDS.get(c.health, c.health)})"
    if word == "failed":
        return f"failed ({exit_code(c)})"
    if word != "exited" or c.exit is None:
        return word
    reason = c.exit["reason"]
    return f"exited ({exit_code(c)})" if reason == "exit" else f"exited ({exit_code(c)}, {reason})"


def health(c: Container) -> str:
    """starting, healthy or unhealthy while it is live; none without a check, or an end ago."""
    return c.health if c.health and c.status in LIVE else "none"


def pid(c: Container) -> int:
    """Its first process while it is live, else 0."""
    process = c.process_identity if c.status in LIVE else None
    return int(process["pid"]) if process is not None else 0


def visible(world: World) -> list[Container]:
    """All containers that exist for a user, oldest first."""
    found = [c for c in world.containers.values() if c.status not in GONE]
    return sorted(found, key=lambda c: c.created)


def inspect(c: Container, root: str, probes: dict[str, Any] | None = None) -> dict[str, Any]:
    """One container as docker's `inspect` shapes it, with what only we know under `Held` and `Journal`.

    `probes`: the log of its health check (`cli.health`), where that is of its last run.
    """
    from machine import projections_network  # lists do without
    from machine.moments import rfc3339

    return {
        "Id": c.id,
        "Name": c.name,
        "Created": rfc3339(c.created),
        "Path": c.command[0] if c.command else "",
        "Args": c.command[1:],
        "State": _state(c) | _health(c, probes or {}),
        "Image": c.image,
        "Layers": c.layers,
        "Mounts": _mounts(c),
        "NetworkSettings": projections_network.settings(c),
        "Config": _config(c),
        "HostConfig": _host_config(c),
        "LogPath": f"{root}/containers/{c.id}/log",
        "RootLink": f"{root}/mnt/{c.name}",
        "Held": [{"Kind": row.kind, "Key": row.key, "Done": row.done} for row in c.held],
        "Leftovers": [{"Kind": row.kind, "Key": row.key} for row in c.leftovers],
        "Execs": sorted(c.execs),
        "Journal": {"Stream": c.stream, "Events": c.version, "Anomalies": c.anomalies},
    }


def _state(c: Container) -> dict[str, Any]:
    from machine.moments import rfc3339

    ended = c.exit or {}
    return {
        "Status": shown_status(c),
        "Running": c.status in ("running", "paused", "stopping"),
        "Paused": c.status == "paused",
        "OOMKilled": ended.get("reason") == "oom",
        "Pid": pid(c),
        "ExitCode": exit_code(c),
        "ExitReason": ended.get("reason", ""),
        "Error": failure_line(c),
        "StartedAt": rfc3339(c.started),
        "FinishedAt": rfc3339(c.finished),
        "StoppedByUser": c.stopped_by_user,
        "RestartCount": c.restarts,
        "MonitorPid": c.monitor["pid"] if c.monitor is not None and c.status in WATCHED else 0,
    }


def _health(c: Container, probes: dict[str, Any]) -> dict[str, Any]:
    from machine.moments import rfc3339

    if not c.health:
        return {}
    log = [
        {
            "Start": rfc3339(probe["start"]),
            "End": rfc3339(probe["end"]),
            "ExitCode": probe["code"],
            "Output": probe["output"],
        }
        for probe in probes.get("log", ())
    ]
    return {"Health": {"Status": c.health, "FailingStreak": probes.get("failures", 0), "Log": log}}


def _healthcheck(c: Container) -> dict[str, Any]:
    """Docker's Healthcheck. What it runs is a secret, and may be one of an image's own."""
    check = c.setting("health")
    if not check:
        return {}
    keys = {"interval": "Interval", "timeout": "Timeout", "start_period": "StartPeriod"}
    keys |= {"start_interval": "StartInterval", "retries": "Retries", "on_failure": "OnFailure"}
    return {
        "Healthcheck": {"Test": ["CMD", "***"], **{keys[key]: check[key] for key in keys if key in check}}
    }


def _mounts(c: Container) -> list[dict[str, Any]]:
    volumes = [
        {"Type": "bind", "Source": v["source"], "Destination": v["target"], "RW": not v["ro"]}
        for v in c.setting("volumes")
    ]
    return volumes + [
        {"Type": "tmpfs", "Source": "", "Destination": t["target"], "RW": True} for t in c.setting("tmpfs")
    ]


def _config(c: Container) -> dict[str, Any]:
    return {
        "Hostname": c.hostname,
        "User": c.setting("user"),
        "Tty": c.setting("tty"),
        "OpenStdin": c.setting("stdin"),
        "EnvKeys": c.env_keys,  # the values are secrets: they are in no journal and no inspect
        "Cmd": c.command,
        **_healthcheck(c),
        "Image": c.image,
        "WorkingDir": c.setting("cwd"),
        "Labels": c.setting("labels"),
        "StopSignal": c.setting("stop_signal"),
        "StopTimeout": c.setting("stop_timeout"),
    }


def _host_config(c: Container) -> dict[str, Any]:
    limits = c.setting("limits")
    return {
        "NetworkMode": c.setting("network"),
        "AutoRemove": c.setting("auto_remove"),
        "Memory": limits.get("memory", 0),
        "MemorySwap": limits.get("memory_swap", 0),
        "CpuShares": limits.get("cpu_shares", 0),
        "CpuQuota": limits.get("cpu_quota", 0),
        "CpuPeriod": limits.get("cpu_period", 0),
        "CpusetCpus": limits.get("cpuset_cpus", ""),
        "CpusetMems": limits.get("cpuset_mems", ""),
        "PidsLimit": limits.get("pids", 0),
        "Caps": c.setting("caps"),
        "Privileged": c.setting("privileged"),
        "ReadonlyRootfs": c.setting("read_only"),
        "NoNewPrivileges": c.setting("no_new_privileges"),
        "ShmSize": c.setting("shm_size"),
        "RestartPolicy": c.setting("restart"),
        "LogConfig": c.setting("log"),
        "Init": bool(c.setting("init")),
    }
