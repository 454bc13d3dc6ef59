"""Containers under load: several users at once, each of whom remembers what was acknowledged to them."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.vm.engine import Engine
from tests.vm.machine import PATIENCE, PowerLost

LOST = 255

POLICIES = ("no", "no", "no", "always", "unless-stopped", "on-failure")
# A user's command, and the event of it that its acknowledgement vouches for.
VOUCHES = {
    "run": "container.start_requested",
    "start": "container.start_requested",
    "stop": "container.stop_requested",
    "kill": "container.kill_requested",
    "pause": "container.pause_requested",
    "unpause": "container.unpause_requested",
    "rename": "container.renamed",
    "rm": "container.remove_requested",
    "update": "container.updated",
    "exec": "exec.exited",
    "commit": "image.published",
    "cp": "job.finished",
    "network create": "network.created",
    "network rm": "network.remove_requested",
    "network connect": "container.connected",
    "network disconnect": "container.disconnected",
}
PORTS = itertools.count(20000)  # none is asked for twice


@dataclass
class Known:
    """What is acknowledged of one container. `status`: as `inspect` has it (exited: stopped too), or gone."""

    name: str
    policy: str = "no"
    auto_remove: bool = False
    status: str = "gone"
    code: int = 0
    stopped: bool = False  # by its user
    files: list[str] = field(default_factory=list)
    networks: set[str] = field(default_factory=set)
    port: int | None = 0  # of the host, where it is on a network: its port 80; None: not known
    asked: str = ""  # the command whose end nobody saw

    def after_boot(self) -> tuple[str, int]:
        """The status that it must have now, and its code."""
        if self.status == "gone" or (self.status == "running" and self.auto_remove):
            return "gone", 0
        if self.status not in {"running", "exited"}:
            return self.status, self.code
        again = {"always": True, "unless-stopped": not self.stopped, "on-failure": self.status == "running"}
        if again.get(self.policy, False):
            return "running", 0
        return ("exited", LOST) if self.status == "running" else ("exited", self.code)


@dataclass
class KnownNetwork:
    """What is acknowledged of one network. `status`: there or gone."""

    name: str
    status: str = "gone"
    asked: str = ""


class Load:
    """`users` threads that live containers' lives until the power goes."""

    def __init__(
        self,
        engine: Engine,
        seed: str,
        users: int,
        *,
        known: dict[str, Known],
        networks: dict[str, KnownNetwork],
        at: Callable[[], int] = int,
    ) -> None:
        self.engine, self.known, self.networks, self._at = engine, known, networks, at
        self.told: list[tuple[int, str, str]] = []  # when (as `at` counts), command, container's name
        self._progress = threading.Condition()
        self._stopping = False
        self.images: list[str] = []
        self.busy = ""  # what the last command was at when the power went, for the eye
        self.failures: list[BaseException] = []
        self._old, self._old_networks = list(known), list(networks)
        self._threads = [
            threading.Thread(target=self._user, args=(f"{seed}u{number}", random.Random(f"{seed} {number}")))
            for number in range(users)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def wait(self, acknowledged: int) -> None:
        """Until so many commands were acknowledged."""
        with self._progress:
            enough = self._progress.wait_for(
                lambda: len(self.told) >= acknowledged or self.failures, timeout=PATIENCE * acknowledged
            )
        assert enough or self.failures, f"{len(self.told)} commands acknowledged, not {acknowledged}"

    def stop(self) -> None:
        """After what is being done now."""
        self._stopping = True
        self.join()

    def join(self) -> None:
        """After the cut: what went wrong before it is raised here."""
        for thread in self._threads:
            thread.join()
        if self.failures:
            raise self.failures[0]

    def _user(self, name: str, chance: random.Random) -> None:
        try:
            if name.endswith("u0"):
                self._clear(chance)
            for number in range(1000):
                self._life(f"{name}n{number}", chance)
        except PowerLost:
            return
        except BaseException as error:  # noqa: BLE001 - it is raised by join
            with self._progress:
                self.failures.append(error)
                self._progress.notify()

    def _clear(self, chance: random.Random) -> None:
        """Of the containers that earlier boots left, one stays, to be asked after again; and its networks."""
        old = [self.known[name] for name in self._old]
        chance.shuffle(old)
        for known in old[1:]:
            self._ask(known, f"rm -f {known.name}")
            known.status = "gone"
        used = old[0].networks if old else set()
        for name in self._old_networks:
            if name not in used and self.networks[name].status == "there":
                self._unmake(self.networks[name])

    def _life(self, name: str, chance: random.Random) -> None:
        known = Known(name, policy=chance.choice(POLICIES))
        known.auto_remove = known.policy == "no" and chance.random() < 0.3
        self.known[name] = known
        network = chance.choice(("none", "bridge", f"{name}n"))
        if chance.random() < 0.2:
            known.policy, known.auto_remove = "no", True
            network = "none" if network == "none" else "bridge"
            self._ask(known, f"run --rm --network {network} --name {name} busybox sh -c 'exit 7'", code=7)
            return
        self._run(known, network)
        known.status = "running"
        deeds = [self._exec, self._copy, self._rename, self._pause, self._update, self._commit, self._stop]
        deeds += [self._connect, self._disconnect]
        for deed in chance.sample(deeds, chance.randint(0, 4)):
            deed(known)
        if chance.random() < 0.4:
            self._ask(known, f"rm -f {known.name}")
            known.status = "gone"
            for one in known.networks - {"bridge"}:
                self._unmake(self.networks[one])

    def _run(self, known: Known, network: str) -> None:
        option = "--rm" if known.auto_remove else f"--restart {known.policy}"
        place = "--network none"
        if network != "none":
            known.networks, known.port = {network}, next(PORTS)
            place = f"--network {network} -p {known.port}:80"
        if network not in {"none", "bridge"}:
            self._make(network)
        self._ask(known, f"run -d {option} {place} --name {known.name} busybox httpd -f -h /etc")

    def _ask(self, known: Known | KnownNetwork, command: str, *, code: int = 0) -> str:
        if self._stopping:
            raise PowerLost
        known.asked = self.busy = command
        done = self.engine(command)
        assert done.code == code, f"{command} ended {done.code}: {done.out}{done.err}"
        with self._progress:
            verb = next(verb for verb in VOUCHES if command.startswith(f"{verb} "))
            self.told.append((self._at(), verb, known.name))
            self._progress.notify()
        known.asked = ""
        return done.out

    def _exec(self, known: Known) -> None:
        if known.status == "running":
            self._ask(known, f"exec {known.name} true")

    def _copy(self, known: Known) -> None:
        if known.status != "gone":
            self._ask(known, f"cp /etc/passwd {known.name}:/copied")
            known.files.append("copied")

    def _rename(self, known: Known) -> None:
        if known.status != "gone":
            new = known.name + "r"
            self.known[new] = known
            self._ask(known, f"rename {known.name} {new}")
            del self.known[known.name]
            known.name = new

    def _pause(self, known: Known) -> None:
        if known.status == "running":
            self._ask(known, f"pause {known.name}")
            self._ask(known, f"unpause {known.name}")

    def _update(self, known: Known) -> None:
        if known.status != "gone":
            self._ask(known, f"update -m 64m {known.name}")

    def _commit(self, known: Known) -> None:
        if known.status != "gone":
            self._ask(known, f"commit {known.name} i{known.name}")
            self.images.append(f"i{known.name}")

    def _connect(self, known: Known) -> None:
        """To one more network, where it is on any."""
        if known.status != "gone" and known.networks:
            name = f"{known.name}m"
            self._make(name)
            self._ask(known, f"network connect {name} {known.name}")
            known.networks.add(name)

    def _disconnect(self, known: Known) -> None:
        """From one of several."""
        if known.status != "gone" and len(known.networks) > 1:
            name = next(name for name in known.networks if name.endswith("m"))
            self._ask(known, f"network disconnect {name} {known.name}")
            known.networks.remove(name)
            self._unmake(self.networks[name])

    def _make(self, name: str) -> None:
        network = self.networks[name] = KnownNetwork(name)
        self._ask(network, f"network create {name}")
        network.status = "there"

    def _unmake(self, network: KnownNetwork) -> None:
        self._ask(network, f"network rm {network.name}")
        network.status = "gone"

    def _stop(self, known: Known) -> None:
        if known.status == "running":
            self._ask(known, f"stop -t 0 {known.name}")
            known.status = "gone" if known.auto_remove else "exited"
            known.stopped, known.code = True, -1  # whichever of the two signals it was
