"""Journals of the past lead to where they led, and nothing is left to do in them: as Temporal's replay tests.

They are never edited (SHA256SUMS). tools/record-golden adds to them; a changed event needs a new schema number.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from effects import process_file
from effects.failure import Failure
from effects.handler import Effects
from effects.registry import HANDLERS
from eventstore.bulk import bulk_decoder
from eventstore.codec import GENESIS, decode, encode, link_of, parse
from eventstore.codec import link as chain_link
from eventstore.event import Event
from machine.events import EVENTS, SCHEMA
from machine.evolve_effects import UNREAD
from machine.plan import leftover_steps, plan
from machine.subjects import Held
from machine.world import World
from tests.event_order import violations
from tests.golden import SCENARIOS, fingerprint, recorded, shapes
from tests.world import PLACES, SECRETS, Computer

HERE = Path(__file__).parent
JOURNALS = sorted((HERE / "journals").glob("*.jsonl"))
NEWEST = [path for path in JOURNALS if f"-{SCHEMA.number}." in path.name]
each = pytest.mark.parametrize("path", JOURNALS, ids=lambda path: path.stem)
newest = pytest.mark.parametrize("path", NEWEST, ids=lambda path: path.stem)


def events_of(path: Path) -> list[Event]:
    """Decoded as written with the schema that the name tells."""
    written = int(path.name.partition(".")[0].rpartition("-")[2])
    return [decode(line, SCHEMA, written) for line in path.read_bytes().splitlines(keepends=True)]


def world_of(events: list[Event]) -> World:
    world = World()
    for event in events:
        world.apply(event)
    return world


def includes(found: Any, recorded: Any) -> bool:
    """Whether all that was recorded is so; what a later version knows beside it is its own."""
    if isinstance(recorded, dict):
        return isinstance(found, dict) and all(
            key in found and includes(found[key], value) for key, value in recorded.items()
        )
    if isinstance(recorded, list):
        return isinstance(found, list) and len(found) == len(recorded) and all(map(includes, found, recorded))
    return bool(found == recorded)


@each
def test_a_golden_journal_leads_to_where_it_led(path: Path) -> None:
    recorded_world = json.loads(path.with_suffix(".world.json").read_bytes())

    assert includes(world_of(events_of(path)).dump(), recorded_world)


@each
def test_a_golden_journal_leads_to_the_status_in_its_name(path: Path) -> None:
    world = world_of(events_of(path))
    status = path.stem.rpartition(".")[2]
    found = {container.status for container in world.containers.values()}
    found |= {network.status for network in world.networks.values()} if not world.containers else set()
    found |= {image.status for image in world.images.values() if image.name != "busybox"}

    # What is removed or abandoned without a trace is not there at all.
    assert found == {status} or (status in ("abandoned", "removed") and not found)


@each
def test_settling_a_golden_journal_plans_nothing(path: Path) -> None:
    """An engine that would specify something otherwise leaves what runs alone."""
    world = world_of(events_of(path))

    assert [plan(subject, PLACES) for subject in world.subjects()] == [None] * len(list(world.subjects()))
    assert all(bool(leftover_steps(c)) == (c.status == "removed") for c in world.containers.values())


@each
def test_what_an_old_journal_tells_is_made_and_unmade_by_todays_handlers(path: Path) -> None:
    """They are given specifications and facts as they were written then: a key that came since is an upcaster's to add."""
    computer, world = Computer(), World()
    computer.host.secrets[SECRETS] = process_file.encode(["/bin/sh"], {})
    effects = Effects(HANDLERS, computer.host)

    def unmake(row: Held) -> None:
        effects.probe(row.kind, row.spec, row.facts)
        assert not isinstance(effects.undo(row.kind, row.spec, row.facts), Failure)

    event: Any
    for event in events_of(path):
        subject = world.subject(event.s)
        world.apply(event)
        if event.tag == "effect.undo" and subject is not None:
            for row in (*subject.held, *subject.leftovers):
                if (row.kind, row.key) == (event.kind, event.key):
                    unmake(row)
        elif event.tag in ("effect.do", "effect.change"):
            getattr(effects, event.tag.removeprefix("effect."))(event.kind, event.spec)
    for subject in world.subjects():
        for row in reversed((*subject.leftovers, *subject.held)):
            unmake(row)


@each
def test_a_golden_journal_is_in_order_and_has_no_anomaly(path: Path) -> None:
    events = events_of(path)

    assert violations(events) == []
    assert [s.anomalies for s in world_of(events).subjects() if s.anomalies] == []


@newest
def test_both_decoders_read_the_same_in_a_golden_journal(path: Path) -> None:
    for bulk in (bulk_decoder(SCHEMA), bulk_decoder(SCHEMA, UNREAD)):
        assert world_of(bulk(path.read_bytes())).dump() == world_of(events_of(path)).dump()


@each
def test_a_golden_journal_is_chained_and_encodes_to_its_own_bytes(path: Path) -> None:
    previous = GENESIS
    for line in path.read_bytes().splitlines(keepends=True):
        covered = line[: line.rindex(b',"h":"')]
        assert link_of(line) == chain_link(previous, covered)
        previous = link_of(line)
        if path in NEWEST:
            assert covered.startswith(encode(decode(line, SCHEMA)))


def test_no_golden_file_was_ever_edited() -> None:
    sums = dict(line.split()[::-1] for line in (HERE / "journals/SHA256SUMS").read_text().splitlines())
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (HERE / "journals").glob("*.json*")
    }

    assert found == sums


def test_every_event_is_in_a_golden_journal() -> None:
    tags = {parse(line)["t"] for path in JOURNALS for line in path.read_bytes().splitlines(keepends=True)}

    assert {event.tag for event in EVENTS} - tags == set()


def test_the_events_are_those_of_their_schema_number() -> None:
    """An event was added or changed: give SCHEMA a new number and an upcaster, then tools/record-golden."""
    known = json.loads((HERE / f"schema-{SCHEMA.number}.json").read_bytes())

    assert fingerprint(SCHEMA) == known
    assert [[*fields] for fields in fingerprint(SCHEMA).values()] == [[*fields] for fields in known.values()]


def test_specifications_and_leases_are_those_of_their_schema_number() -> None:
    """A key came or went, which newer handlers will look for in rows of old: a new SCHEMA number and an upcaster."""
    assert shapes() == json.loads((HERE / f"shapes-{SCHEMA.number}.json").read_bytes())


def test_every_schema_so_far_has_its_fingerprint_and_its_journals() -> None:
    numbers = {int(path.stem.rpartition("-")[2]) for path in HERE.glob("schema-*.json")}

    assert numbers == set(range(1, SCHEMA.number + 1))
    assert numbers == {int(path.stem.rpartition("-")[2]) for path in HERE.glob("shapes-*.json")}
    assert {int(path.name.partition(".")[0].rpartition("-")[2]) for path in JOURNALS} == numbers


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_recording_is_repeatable(scenario: str) -> None:
    assert recorded(scenario) == recorded(scenario)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_is_recorded(scenario: str) -> None:
    """Run tools/record-golden."""
    name, _, status = scenario.partition(".")

    assert (HERE / f"journals/{name}-{SCHEMA.number}.{status}.jsonl").exists()
