"""`port`: where on the host a container's ports are."""

from __future__ import annotations

import pytest

from cli.commands import port as command
from machine import events as ev
from machine.errors import InvalidValue
from tests.written import Written

PORTS = [
    {"port": 80, "protocol": "tcp", "address": "0.0.0.0", "host_port": 8080},
    {"port": 80, "protocol": "tcp", "address": "::", "host_port": 8080},
    {"port": 53, "protocol": "udp", "address": "127.0.0.1", "host_port": 5353},
]


def publishing(past: Written) -> None:
    """A container that was started with these ports."""
    stream = f"container/{past.born('c1', 'a')}"
    past.note(stream, ev.ContainerStartRequested(ports=PORTS))


def test_a_container_without_published_ports_prints_nothing(
    past: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    past.born("c1", "a")

    assert past.mydocker(capfd, "port", "c1") == (0, [], "")


def test_every_published_port_is_listed_as_docker_lists_it(
    past: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    publishing(past)

    assert past.mydocker(capfd, "port", "c1") == (
        0,
        ["80/tcp -> 0.0.0.0:8080", "80/tcp -> [::]:8080", "53/udp -> 127.0.0.1:5353"],
        "",
    )


@pytest.mark.parametrize(
    ("wanted", "lines"),
    [
        ("80", ["0.0.0.0:8080", "[::]:8080"]),
        ("80/tcp", ["0.0.0.0:8080", "[::]:8080"]),
        ("53/udp", ["127.0.0.1:5353"]),
    ],
)
def test_one_port_is_told_alone(
    past: Written, capfd: pytest.CaptureFixture[str], wanted: str, lines: list[str]
) -> None:
    publishing(past)

    assert past.mydocker(capfd, "port", "c1", wanted) == (0, lines, "")


@pytest.mark.parametrize("wanted", ["81", "53", "80/udp"])
def test_a_port_that_is_not_published_is_an_error(
    past: Written, capfd: pytest.CaptureFixture[str], wanted: str
) -> None:
    publishing(past)

    code, lines, err = past.mydocker(capfd, "port", "c1", wanted)

    assert (code, lines) == (125, [])
    assert err.startswith(f"mydocker: no public port {wanted.partition('/')[0]}/")


def test_an_unknown_container_is_refused(past: Written, capfd: pytest.CaptureFixture[str]) -> None:
    assert past.mydocker(capfd, "port", "none")[0] == 125


@pytest.mark.parametrize("text", ["", "http", "0", "65536", "80/", "80/TCP", "-1", "80/tcp/udp", "8 0"])
def test_what_is_no_port_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        command.inner_port(text)
