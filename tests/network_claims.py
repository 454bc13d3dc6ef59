"""What the kernel has of the networks of one root, and whether each of it has an owner."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
from pathlib import Path

PREFIX = "mydocker "


def unowned(prefix: list[str], root_id: str, run_dir: Path, owners: set[str]) -> list[str]:
    """Links, elements, tables, name servers and their files whose owner is not among `owners` (64 hex ids).

    `prefix`: the words that make a command run where the engine's network is. `owners`: live containers and networks.
    """
    found = [f"link {name} of {who}" for name, who in _links(prefix, root_id) if who not in owners]
    rules = _run([*prefix, "nft", "list", "ruleset"])
    marks = set(
        re.findall(rf'comment "{PREFIX}{root_id} (?:container|network|resolver) ([0-9a-f]{{64}})"', rules)
    )
    found += [f"element of {who}" for who in marks if who not in owners]
    if not owners and f"mydocker-{root_id}" in rules:
        found.append("table")
    found += [f"name server {pid}" for pid, network in servers(run_dir) if network not in owners]
    found += [
        f"name {path}"
        for path in (*run_dir.glob("*/dns/*/*"), *run_dir.glob("other/*/dns/*/*"))
        if not path.name.startswith(".") and path.name not in owners
    ]
    return found


def _links(prefix: list[str], root_id: str) -> list[tuple[str, str]]:
    """(name, owner) of the links that bear this root's mark."""
    mark = f"{PREFIX}{root_id} "
    rows = json.loads(_run([*prefix, "ip", "-j", "link"]))
    return [
        (row["ifname"], row["ifalias"].split()[-1]) for row in rows if row.get("ifalias", "").startswith(mark)
    ]


def servers(run_dir: Path) -> list[tuple[int, str]]:
    """(pid, network's id) of the name servers of a run directory, and of one below it (`tests.kills`)."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            line = Path("/proc", entry, "cmdline").read_bytes()
        except OSError:
            continue  # no process, or it ended while we looked
        place = re.search(
            rb"^dnsmasq:" + re.escape(os.fsencode(run_dir)) + rb"/(?:other/)?[0-9a-f]+/dns/([0-9a-f]{64})",
            line,
        )
        if place:
            found.append((int(entry), place[1].decode()))
    return found


def forget(prefix: list[str], root_id: str, run_dir: Path) -> None:
    """What a boot takes of a root's networks: name servers, links, tables."""
    for pid, _network in servers(run_dir):
        with contextlib.suppress(ProcessLookupError):  # one that answers a single question ends by itself
            os.kill(pid, 9)
    for name, _owner in _links(prefix, root_id):
        # A container's end may just be going with its namespace, which the kernel takes down some time after the last process.
        subprocess.run([*prefix, "ip", "link", "del", name], capture_output=True, check=False)
    assert _links(prefix, root_id) == []
    for family in ("inet", "bridge"):
        command = [*prefix, "nft", "delete", "table", family, f"mydocker-{root_id}"]
        subprocess.run(command, capture_output=True, check=False)


def _run(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
