"""What a container was asked to be, less its secrets: the `settings` of `container.created`.

A plain dict of JSON values, so that an older engine's events keep their meaning: a key that is not
there has its default from here, and keys are only ever added.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SIGKILL = 9  # signal(7)
SHORT = 12  # digits of an id where people meet it: in lists, in messages, as a hostname

# CAP_* names; docker's fourteen (mask 0xa80425fb).
DEFAULT_CAPS = (
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SYS_CHROOT",
    "MKNOD",
    "AUDIT_WRITE",
    "SETFCAP",
)

DEFAULTS: dict[str, Any] = {
    "hostname": "",  # the first digits of the id where empty: see Container.hostname
    "cwd": "/",
    "user": "",
    "groups": [],
    "tty": False,
    "stdin": False,
    "auto_remove": False,
    "volumes": [],  # {"source", "target", "ro"}
    "tmpfs": [],  # {"target", "options"}
    "network": "none",  # none, host, container:<id>, or bridge: the networks of `connections`
    "connections": [],  # {"network": id, "name", "ip", "ip6", "mac", "aliases"}, the first first
    "ports": [],  # as asked: {"address": "" or the host's, "host_port": 0 for any, "port", "protocol"}
    "publish_all": False,
    "exposed": [],  # {"port", "protocol"}
    "dns": [],
    "dns_search": [],
    "dns_options": [],
    "hosts": [],  # NAME:IP each; host-gateway stands for the gateway's address
    "limits": {},  # memory, memory_swap, cpu_shares, cpu_quota, cpu_period, cpuset_cpus, cpuset_mems, pids
    "caps": list(DEFAULT_CAPS),
    "privileged": False,
    "read_only": False,
    "no_new_privileges": False,
    "init": "",  # path of the program that becomes pid 1 and reaps
    "shm_size": 64 << 20,
    "labels": {},
    "stop_signal": 15,
    "stop_timeout": 10_000_000_000,  # ns
    "restart": {"policy": "no", "max": 0},
    "health": {},  # see `machine.health`; its command is in the process file
    "log": {"max_size": 64 << 20, "keep": 3},
}


def setting(settings: dict[str, Any], key: str) -> Any:
    """The value of `key`, or its default; KeyError for a key that no engine ever had."""
    return settings[key] if key in settings else DEFAULTS[key]
