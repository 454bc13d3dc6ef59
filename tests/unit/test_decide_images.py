"""What is decided about images, their layers, and jobs."""

from __future__ import annotations

import pytest

from machine import decide, decide_store
from machine import events as ev
from machine.errors import ImageInUse, MachineError, NoSuchImage
from tests.histories import LAYER, History, created, tags

# --- images, layers, jobs ----------------------------------------------------------------------------


def layer(digest: str = LAYER) -> ev.LayerPublished:
    return ev.LayerPublished(digest=digest, size=1, entries=1, path=f"/root/layers/{digest}")


def image(name: str, *layers: str) -> ev.ImagePublished:
    return ev.ImagePublished(name=name, layers=list(layers), source={"path": f"/root/{name}.tar"})


def with_images(**images: list[str]) -> History:
    history = History()
    for name, layers in images.items():
        for digest in layers:
            history.decide(decide_store.publish_image, layer(digest), image(name, *layers))
    return history


def on_image(name: str, *layers: str) -> ev.ContainerCreated:
    return ev.ContainerCreated(**{**created("c1").payload(), "image": name, "layers": list(layers)})


def test_a_known_layer_is_not_published_again() -> None:
    history = with_images(one=[LAYER])

    assert tags(decide_store.publish_image(history.world, layer(), image("two", LAYER))) == [
        "image.published"
    ]


def test_a_removed_layer_is_published_again() -> None:
    history = with_images(one=[LAYER])
    history.decide(decide_store.remove_image, "one")
    history.settle_all()

    assert tags(decide_store.publish_image(history.world, layer(), image("one", LAYER))) == [
        "layer.published",
        "image.published",
    ]


def test_removing_an_image_removes_the_layers_that_nothing_else_needs() -> None:
    history = with_images(one=["shared", "own"], two=["shared"])

    assert [(stream, event.tag) for stream, event in decide_store.remove_image(history.world, "one")] == [
        ("image/one", "image.removed"),
        ("layer/own", "layer.remove_requested"),
    ]


def test_an_image_in_use_is_removed_only_by_force_and_keeps_the_layers_in_use() -> None:
    history = with_images(one=["used", "free"])
    history.decide(decide.create, on_image("one", "used"))
    with pytest.raises(ImageInUse) as caught:
        decide_store.remove_image(history.world, "one")

    assert caught.value.names == ["c1"]
    assert [stream for stream, _ in decide_store.remove_image(history.world, "one", force=True)] == [
        "image/one",
        "layer/free",
    ]


@pytest.mark.parametrize("name", ["one", "never"])
def test_an_image_that_is_not_there_cannot_be_removed(name: str) -> None:
    history = with_images(one=["own"])
    history.decide(decide_store.remove_image, "one")

    with pytest.raises(NoSuchImage):
        decide_store.remove_image(history.world, name)


def test_a_container_cannot_be_created_on_a_layer_that_is_being_removed() -> None:
    history = with_images(one=["own"])
    history.decide(decide_store.remove_image, "one")

    with pytest.raises(NoSuchImage):
        decide.create(history.world, on_image("one", "own"))


def job(digit: str = "1") -> ev.JobStarted:
    return ev.JobStarted(
        id=digit * 32, kind="import", subject="x.tar", target="x", staging=f"/root/staging/{digit}"
    )


def test_a_jobs_end_and_what_it_publishes_are_one_append() -> None:
    history = History()
    history.decide(decide_store.begin_job, job())
    published = decide_store.publish_image(history.world, layer(), image("one", LAYER))

    assert tags(decide_store.finish_job(history.world, "1" * 32, "one", published)) == [
        "layer.published",
        "image.published",
        "job.finished",
    ]


def test_a_job_is_abandoned_once_and_not_after_its_end() -> None:
    history = History()
    history.decide(decide_store.begin_job, job("1"))
    history.decide(decide_store.begin_job, job("2"))
    history.settle_all()
    history.decide(decide_store.finish_job, "2" * 32, "done")
    assert tags(history.decide(decide_store.abandon_job, "1" * 32, "its command died")) == ["job.abandoned"]

    assert decide_store.abandon_job(history.world, "1" * 32, "again") == []
    assert decide_store.abandon_job(history.world, "2" * 32, "too late") == []


def test_every_refusal_has_an_exit_code_of_its_own_or_the_engines() -> None:
    def below(kind: type[MachineError]) -> list[type[MachineError]]:
        return [kind, *(deeper for sub in kind.__subclasses__() for deeper in below(sub))]

    ours = [kind for kind in below(MachineError) if kind.__module__ == "machine.errors"]
    assert {kind.exit_code for kind in ours} == {2, 125}
