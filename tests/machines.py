"""A machine that things happen to: its processes die, its run directory goes, it boots again, its disk is full."""

from __future__ import annotations

import shutil
import subprocess
import uuid
from pathlib import Path
from typing import Any

from effects import cgroup_tree
from tests import cgroups, network_claims
from tests.system.conftest import PROGRAM, Docker
from tests.waiting import until

# Of the tests' own network namespace.
FORWARDING = (Path("/proc/sys/net/ipv4/ip_forward"), Path("/proc/sys/net/ipv6/conf/all/forwarding"))
BOOT_ID = "/proc/sys/kernel/random/boot_id"
IN_ANOTHER_BOOT = f'mount --bind "$0" {BOOT_ID} && exec "$@"'


class Machine(Docker):
    """One root, and what a test may do to it."""

    def popen(self, *args: str | Path, more_env: dict[str, str] | None = None, **more: Any) -> Any:
        return subprocess.Popen(
            [*self.prefix, PROGRAM, *self.words(args)], env={**self.env, **(more_env or {})}, **more
        )

    def clear(self) -> None:
        """No container, no image but the first, no file that a command of `tests.kills` left."""
        self.ok("rm", "-f", "k", "k2")
        if (self.seen / "copy.tar").exists() or any(
            event["s"] == "image/copy" for event in self.events()[-100:]
        ):
            self("rmi", "-f", "copy")
        for name in ("passwd", "out.tar"):
            (self.seen / name).unlink(missing_ok=True)
        for name in self.networks().values():
            self.ok("network", "rm", name)

    def networks(self) -> dict[str, str]:
        """Id -> name."""
        if not any(event["t"] == "network.created" for event in self.events()):
            return {}
        listed = self.ok("network", "ls", "--no-trunc", "--format", "{{.ID}} {{.Name}}")
        return dict(row.split() for row in listed.splitlines())

    # --- what happens to it --------------------------------------------------------------------------

    def suffer(self, what: str, name: str) -> None:
        """One of the disasters of `tests.kills`."""
        match what:
            case "!monitor":
                self.kill(int(self.inspect(name)["State"]["MonitorPid"]))
            case "!stray":
                (self.seen / "layers" / ("f" * 64)).mkdir(mode=0o700)
            case "!flush":
                subprocess.run(["nft", "flush", "ruleset"], check=True)
                subprocess.run(["ip", "link", "del", "n1"], check=True)
            case "!home":
                home = f"/mydocker-{self.root_id}/{cgroup_tree.MONITORS}\n"
                place = Path(f"/proc/{self.inspect(name)['State']['MonitorPid']}/cgroup")
                until(lambda: home in place.read_text(), "its monitor stays where it was")
            case _:
                raise AssertionError(what)

    def lose_run_dir(self) -> None:
        shutil.rmtree(self.run_dir, ignore_errors=True)

    def reboot(self) -> None:
        """All that a power cut takes: processes, cgroups, the run directory. Then another boot id.

        What it cannot take here are writes that were not synced; tests/vm switches a whole machine off.
        """
        self.kill(*self.processes())
        cgroups.remove(self.root_id)
        network_claims.forget([], self.root_id, self.run_dir)
        for path in FORWARDING:
            path.write_text("0")
        self.lose_run_dir()
        boot = self.root.parent / "boot_id"
        boot.unlink(missing_ok=True)  # a monitor of the boot before has the old file
        boot.write_text(f"{uuid.uuid4()}\n")
        private = ["unshare", "--mount", "--propagation", "private"]
        self.prefix = [*private, "sh", "-c", IN_ANOTHER_BOOT, str(boot)]
