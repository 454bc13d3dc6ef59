"""How boots, and the events of layers, images and jobs, change the world."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from eventstore.event import Event
from machine import decide
from machine import events as ev
from machine.subjects import Held
from tests.histories import BOOT, C1, LAYER, MACHINE, STREAM, History, c1, failing, in_status

# --- boots -------------------------------------------------------------------------------------------


def test_a_boot_drops_what_died_with_the_kernel_and_keeps_what_lies_on_disk() -> None:
    history = in_status("running")
    history.note("host", ev.HostBooted(boot="boot-2", machine=MACHINE))

    assert [row.kind for row in c1(history).held] == ["directory", "root_link"]
    assert (c1(history).pending, c1(history).signals, c1(history).monitor) == (None, [], None)
    assert (history.world.host.boot, history.world.host.boots) == ("boot-2", 2)


def test_the_same_boot_noted_twice_drops_nothing() -> None:
    history = in_status("running")
    before = c1(history).dump()
    history.note("host", ev.HostBooted(boot=BOOT, machine=MACHINE))

    assert c1(history).dump() == before


def test_a_boot_forgets_a_removed_container_whose_leftovers_died_with_it() -> None:
    history = in_status("running")
    history.decide(decide.remove, "c1", force=True)
    history.settle(STREAM, failing(("undo", "cgroup")))

    history.note("host", ev.HostBooted(boot="boot-2", machine=MACHINE))

    assert history.world.containers == {}


# --- layers, images, jobs ----------------------------------------------------------------------------

STARTED = {"kind": "import", "subject": "x", "target": "x", "staging": "/s"}
JOB = "job/1"


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (JOB, [ev.JobFinished()]),
        (JOB, [ev.JobAbandoned(reason="x")]),
        (JOB, [ev.EffectDo(kind="staging", key="1", spec={})]),
        (f"layer/{LAYER}", [ev.LayerRemoveRequested()]),
        (f"layer/{LAYER}", [ev.EffectDo(kind="layer", key=LAYER, spec={})]),
        (f"layer/{LAYER}", [ev.ImageRemoved(name="x")]),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0].tag,
)
def test_an_impossible_event_of_a_job_or_layer_is_only_an_anomaly(stream: str, events: list[Event]) -> None:
    history = History()
    noted = history.note(stream, copy.deepcopy(events[0]))
    subject = history.world.subject(stream)

    assert subject is not None
    assert (subject.status, subject.held, subject.anomalies) == ("absent", [], [noted.n])


def test_a_job_that_has_ended_does_not_begin_again() -> None:
    history = History()
    history.note(JOB, ev.JobStarted(id="1", **STARTED))
    history.settle(JOB)
    history.note(JOB, ev.JobAbandoned(reason="x"))
    late = history.note(JOB, ev.JobStarted(id="1", **STARTED))

    assert history.world.jobs["1"].status == "abandoned"
    assert history.world.jobs["1"].anomalies == [late.n]


def test_a_removed_image_keeps_its_stream_and_its_name_may_come_again() -> None:
    history = History()
    published: dict[str, Any] = {"name": "one", "layers": [LAYER], "source": {"path": "/x.tar"}}
    history.note("image/one", ev.ImagePublished(**published))
    history.note("image/one", ev.ImageRemoved(name="one"))
    assert (history.world.images["one"].status, history.world.version("image/one")) == ("removed", 2)

    again = history.note("image/one", ev.ImagePublished(**published))

    assert (history.world.images["one"].status, again.v) == ("published", 3)


@pytest.mark.parametrize("stream", ["", "nonsense", "nonsense/x", "journal"])
def test_a_stream_of_another_kind_concerns_no_subject(stream: str) -> None:
    history = History()
    history.note(stream, ev.HostBooted(boot="x", machine="y"))

    assert list(history.world.subjects()) == [history.world.host]
    assert history.world.host.boot == ""


def test_a_held_row_knows_its_intent_and_is_not_done() -> None:
    row = Held(7, "cgroup", C1, {})

    assert (row.n, row.done, row.stale) == (7, False, False)
