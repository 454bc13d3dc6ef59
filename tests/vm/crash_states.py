"""Judge the states in which a power cut may have left a disk: python -m tests.vm.crash_states PLAN.json

Run by the test in a mount namespace of its own (`unshare -m`): each state is mounted there. PLAN: see Plan.
Prints one line for each state that breaks the promise, and last how many there were.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any, TypedDict

from eventstore.journal import Journal
from eventstore.verify import verify
from machine.events import SCHEMA
from machine.world import World
from tests.vm.blocklog import BlockLog, Disk
from tests.vm.promise import check_acknowledged


class Plan(TypedDict):
    """`acknowledged`: (bytes of the log at that moment, command, container's name)."""

    base: str
    log: str
    acknowledged: list[tuple[int, str, str]]
    seed: str
    most: int  # states
    until: str  # no further state once this is wrong with one; "": all


def main(plan: Plan) -> None:
    base = Path(plan["base"])
    log = BlockLog(Path(plan["log"]))
    disk = Disk(log, base)
    place = base.parent
    cuts = _cuts(log, plan)
    for number, (cut, chance) in enumerate(cuts):
        # A file of its own: a loop device may keep the one before for a moment.
        image = place / f"state{number}"
        disk.state(cut, chance, image)
        size = log.entries[cut - 1].end
        acknowledged = [(verb, name) for at, verb, name in plan["acknowledged"] if at <= size]
        wrong = _wrong(image, place, acknowledged)
        image.unlink()
        if wrong:
            print(f"cut {cut}, state {number}, {len(acknowledged)} acknowledged: {wrong}")
            if plan["until"] and plan["until"] in wrong:
                break
    print(json.dumps({"states": len(cuts), "entries": len(log.entries), "flushes": len(log.flushes())}))


def _cuts(log: BlockLog, plan: Plan) -> list[tuple[int, random.Random | None]]:
    """(entry, chance) in order: at every flush with all before it, and in between with parts lost."""
    chance = random.Random(plan["seed"])
    flushes = [index for index in log.flushes() if index]
    cuts: list[tuple[int, random.Random | None]] = [(index, None) for index in flushes]
    for before, after in zip(flushes, [*flushes[1:], len(log.entries)], strict=True):
        cuts += [(chance.randint(before + 1, after), random.Random(chance.random())) for _ in range(2)]
    if len(cuts) > plan["most"]:
        cuts = chance.sample(cuts, plan["most"])
    return sorted(cuts, key=lambda cut: cut[0])


def _wrong(image: Path, place: Path, acknowledged: list[tuple[str, str]]) -> str:
    """What is wrong with one state; "" if nothing."""
    mounted = place / "mounted"
    mounted.mkdir(exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "ext4", "-o", "loop", image, mounted], capture_output=True, check=False, text=True
    )
    if done.returncode:
        return f"the file system is gone: {done.stderr.strip()}"
    try:
        return _wrong_in(str(mounted / "root"), acknowledged)
    finally:
        subprocess.run(["umount", mounted], check=True)


def _wrong_in(root: str, acknowledged: list[tuple[str, str]]) -> str:
    if not os.path.exists(f"{root}/journal"):
        return "the journal is gone" if acknowledged else ""
    world = World()
    try:
        journal = Journal.open_or_create(f"{root}/journal", SCHEMA)
        journal.refresh(world)
        journal.close()
        report = verify(f"{root}/journal")
        lines = [json.loads(line) for line in _lines(root)]
        check_acknowledged(acknowledged, lines)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        return f"{type(error).__name__}: {error}"
    if report.findings or report.torn:
        return "; ".join(map(str, report.findings)) or "torn after a recovery"
    return _missing_files(root, lines)


def _lines(root: str) -> list[bytes]:
    files = sorted(Path(root, "journal").glob("0*.jsonl"))
    return [line for file in files for line in file.read_bytes().splitlines()]


def _missing_files(root: str, events: list[dict[str, Any]]) -> str:
    """What was published is there, whole."""
    gone = {
        (e["t"].split(".")[0], e.get("name") or e.get("digest")) for e in events if e["t"] == "image.removed"
    }
    for event in events:
        if event["t"] == "image.published" and ("image", event["name"]) not in gone:
            size = event["source"].get("size")
            path = Path(root, Path(event["source"]["path"]).name)
            if not path.exists() or path.stat().st_size != size:
                return f"image {event['name']} was published, and its file is not whole"
        if event["t"] == "layer.published":
            layer = Path(root, "layers", event["digest"], "fs")
            there = sum(len(dirs) + len(files) for _, dirs, files in os.walk(layer)) + 1  # itself
            hollow = [path for path in layer.glob("bin/busybox") if not path.stat().st_size]
            if there < event["entries"] or hollow:
                return f"layer {event['digest'][:12]} was published with {event['entries']} entries, {there} are there"
    return ""


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
