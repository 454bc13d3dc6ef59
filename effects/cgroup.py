"""A container's cgroup: made and limited before anything runs in it. LEAN."""

from __future__ import annotations

import errno

from effects import cgroup_tree, devices
from effects.cgroup_limits import memory_and_swap, needed, writes_v1, writes_v2
from effects.failure import StepFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from effects.host import Facts, Host, Spec


class Cgroup:
    """One leaf in all hierarchies, limited; controllers as /proc/self/mountinfo has them, each on its own.

    spec    parent: "mydocker-<root id>"   name: the container's id
            limits: any of memory, memory_swap (bytes; memory_swap counts both together, -1 is unlimited and
                    twice the memory if not given), cpu_shares, cpu_quota, cpu_period (us), cpuset_cpus,
                    cpuset_mems, pids; 0, "" or no key: no such limit
            privileged: no device is forbidden; else all but devices.DEFAULT_RULES
    facts   leaf, at, cgroup2: see cgroup_tree.facts_of; cgroup_tree.places(facts) has the paths

    A limit that the kernel cannot apply fails the effect, with the controller's name in the step.
    """

    def probe(self, spec: Spec, host: Host) -> Facts | None:
        hierarchies = host.hierarchies()
        leaf = _leaf(spec)
        leaves = cgroup_tree.directories(hierarchies, leaf, {})
        if not leaves or not all(map(host.exists, leaves)) or not host.get_mark(leaves[-1]):
            return None
        return cgroup_tree.facts_of(host, hierarchies, leaf)

    def do(self, spec: Spec, host: Host) -> Facts:
        hierarchies = host.hierarchies()
        needs = needed(spec["limits"])
        leaf = _leaf(spec)
        cgroup_tree.make(host, hierarchies, spec["parent"], spec["name"], needs)
        facts = cgroup_tree.facts_of(host, hierarchies, leaf)
        _limit(host, facts, spec["limits"], reset=False)
        if not spec["privileged"]:
            _limit_devices(host, facts, devices.DEFAULT_RULES)
        host.set_mark(cgroup_tree.directories(hierarchies, leaf, {})[-1])
        return facts

    def change(self, spec: Spec, host: Host) -> Facts:
        """New limits in place; those no longer asked for are lifted. Devices stay as they are."""
        facts = cgroup_tree.facts_of(host, host.hierarchies(), _leaf(spec))
        _limit(host, facts, spec["limits"], reset=True)
        return facts

    def undo(self, spec: Spec, facts: Facts, host: Host) -> None:
        cgroup_tree.remove(host, cgroup_tree.directories(host.hierarchies(), _leaf(spec), facts))


def _leaf(spec: Spec) -> str:
    return f"{spec['parent']}/{spec['name']}"


def _limit(host: Host, facts: Facts, limits: dict[str, Any], *, reset: bool) -> None:
    dirs: dict[str, str] = cgroup_tree.places(facts)["dirs"]
    for controller, limit in needed(limits).items():
        if controller not in dirs:
            raise StepFailed(
                f"cgroup {controller}",
                errno.ENODEV,
                f"{limit}: this machine has no {controller} controller for cgroups",
                "/proc/self/mountinfo",
            )
    memory, both = memory_and_swap(limits)
    if 0 < both < memory:
        message = f"memory_swap counts both, and {both} is less than memory alone, {memory}"
        raise StepFailed("cgroup memory", errno.EINVAL, message, dirs["memory"])
    version2 = {controller for controller, mount in facts["at"].items() if mount == facts["cgroup2"]}
    for controller, file, value in writes_v1(limits, reset=reset):
        if controller in dirs and controller not in version2:
            _write(host, controller, f"{dirs[controller]}/{file}", value)
    _limit_v2(host, {controller: dirs[controller] for controller in version2}, limits, reset=reset)
    if "memory" in dirs and "memory" not in version2:
        _limit_memory_v1(host, dirs["memory"], limits, reset=reset)
    if "cpuset" in dirs and "cpuset" not in version2:
        _limit_cpuset_v1(host, dirs["cpuset"], limits, reset=reset)


def _limit_v2(host: Host, dirs: dict[str, str], limits: dict[str, Any], *, reset: bool) -> None:
    for controller, file, value in writes_v2(limits, reset=reset):
        if controller not in dirs:
            continue
        path = f"{dirs[controller]}/{file}"
        if file == "memory.swap.max" and not limits.get("memory_swap") and not host.exists(path):
            continue  # a kernel without swap needs no limit of it
        if controller == "cpuset" and not value:
            if not host.read_file(path).strip():
                continue
            # With processes in it, it cannot become empty again (ENOSPC on Linux 6.1): all that the parent has.
            value = _above(host, path, f"{file}.effective")  # noqa: PLW2901 - what "" stands for
        _write(host, controller, path, value)


def _limit_memory_v1(host: Host, directory: str, limits: dict[str, Any], *, reset: bool) -> None:
    memory, both = memory_and_swap(limits)
    if memory < 0 and both < 0 and not reset:
        return
    with_swap = f"{directory}/memory.memsw.limit_in_bytes"
    writes = [(f"{directory}/memory.limit_in_bytes", memory)]
    if host.exists(with_swap):
        # The limit of memory may at no moment exceed the limit of both.
        wider = memory < 0 or memory > int(host.read_file(with_swap))
        writes.insert(0 if wider else 1, (with_swap, both))
    elif limits.get("memory_swap"):
        raise StepFailed(
            "cgroup memory", errno.ENODEV, "memory_swap: this kernel does not account swap", with_swap
        )
    for path, value in writes:
        _write(host, "memory", path, str(value))


def _limit_cpuset_v1(host: Host, directory: str, limits: dict[str, Any], *, reset: bool) -> None:
    for limit, file in (("cpuset_cpus", "cpuset.cpus"), ("cpuset_mems", "cpuset.mems")):
        if value := limits.get(limit):
            _write(host, "cpuset", f"{directory}/{file}", str(value))
        elif reset:
            path = f"{directory}/{file}"
            _write(host, "cpuset", path, _above(host, path, file))


def _above(host: Host, path: str, file: str) -> str:
    """What the cgroup above that of `path` has in `file`."""
    directory = path.rpartition("/")[0].rpartition("/")[0]
    return host.read_file(f"{directory}/{file}").decode().strip()


def _limit_devices(host: Host, facts: Facts, rules: Sequence[str]) -> None:
    where = cgroup_tree.places(facts)
    directory: str | None = where["dirs"].get("devices")
    if directory is not None:
        _write(host, "devices", f"{directory}/devices.deny", "a")
        for rule in rules:
            _write(host, "devices", f"{directory}/devices.allow", rule)
    elif where["cgroup2"]:
        host.limit_devices(where["cgroup2"], rules)
    else:
        raise StepFailed(
            "cgroup devices",
            errno.ENODEV,
            "this machine has neither the devices controller nor cgroup version 2",
            "/proc/self/mountinfo",
        )


def _write(host: Host, controller: str, path: str, value: str) -> None:
    try:
        host.write_control(path, value)
    except OSError as error:
        file = path.rpartition("/")[2]
        message = f"{file} does not take {value}: {error.strerror}"
        raise StepFailed(f"cgroup {controller}", error.errno or 0, message, path) from error
