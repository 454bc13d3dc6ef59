"""Option spellings: Go's, docker's and the series', taken apart without re-ordering anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.scan import ScanError, Spelling, scan, with_dashes

FLAG, VALUE = True, False
TABLE = with_dashes(
    {
        text: Spelling(name, is_flag=is_flag)
        for name, is_flag, texts in [
            ("--interactive", FLAG, "-i --interactive"),
            ("--tty", FLAG, "-t --tty"),
            ("--detach", FLAG, "-d --detach"),
            ("--rm", FLAG, "--rm"),
            ("--init", FLAG, "--init"),
            ("--name", VALUE, "-name --name"),
            ("--memory", VALUE, "-m --memory -mem"),
            ("--cpu-shares", VALUE, "-cpushare --cpu-shares"),
            ("--cpuset-cpus", VALUE, "-cpuset --cpuset-cpus"),
            ("--env", VALUE, "-e --env"),
            ("--volume", VALUE, "-v --volume"),
            ("--root", VALUE, "-r --root"),
            ("--network", VALUE, "-net --net --network"),
        ]
        for text in texts.split()
    }
)
ON = "true"


def taken(line: str, *, interspersed: bool = False) -> tuple[list[tuple[str, str]], list[str]]:
    return scan(line.split(), TABLE, interspersed=interspersed)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("-it", [("--interactive", ON), ("--tty", ON)]),
        ("-ti", [("--tty", ON), ("--interactive", ON)]),
        ("-i -t", [("--interactive", ON), ("--tty", ON)]),
        ("-dit", [("--detach", ON), ("--interactive", ON), ("--tty", ON)]),
        ("--interactive --tty", [("--interactive", ON), ("--tty", ON)]),
        ("-tty", [("--tty", ON)]),
        ("-init", [("--init", ON)]),
        ("--d", [("--detach", ON)]),
        ("-d=false", [("--detach", "false")]),
        ("-d=0", [("--detach", "false")]),
        ("--detach=T", [("--detach", ON)]),
        ("--rm", [("--rm", ON)]),
        ("-rm", [("--rm", ON)]),
        ("--rm=false", [("--rm", "false")]),
        ("-rm=false", [("--rm", "false")]),
        ("-it=false", [("--interactive", ON), ("--tty", "false")]),
        ("-name a", [("--name", "a")]),
        ("-name=a", [("--name", "a")]),
        ("--name a", [("--name", "a")]),
        ("--name=a", [("--name", "a")]),
        ("--name=", [("--name", "")]),
        ("-m 5M", [("--memory", "5M")]),
        ("-m5M", [("--memory", "5M")]),
        ("-m=5M", [("--memory", "5M")]),
        ("-mem 5M", [("--memory", "5M")]),
        ("-memory 5M", [("--memory", "5M")]),
        ("--m 5M", [("--memory", "5M")]),
        ("-cpushare 512 -cpuset 0-1", [("--cpu-shares", "512"), ("--cpuset-cpus", "0-1")]),
        ("-cpu-shares=512", [("--cpu-shares", "512")]),
        ("-e A=b=c", [("--env", "A=b=c")]),
        ("-eA=b=c", [("--env", "A=b=c")]),
        ("-e=A=b", [("--env", "A=b")]),
        ("--env=A=b", [("--env", "A=b")]),
        ("-ite A=b", [("--interactive", ON), ("--tty", ON), ("--env", "A=b")]),
        ("-v /a:/b -v /c:/d", [("--volume", "/a:/b"), ("--volume", "/c:/d")]),
        ("-net none -net=host", [("--network", "none"), ("--network", "host")]),
        ("--rm --rm=false", [("--rm", ON), ("--rm", "false")]),
        ("-m -1", [("--memory", "-1")]),
        ("--name -d", [("--name", "-d")]),
        ("--name --", [("--name", "--")]),
    ],
)
def test_every_spelling_means_its_option(line: str, found: list[tuple[str, str]]) -> None:
    assert taken(f"{line} busybox") == (found, ["busybox"])


@pytest.mark.parametrize(
    ("line", "positional"),
    [
        ("busybox ls -l", ["busybox", "ls", "-l"]),
        ("busybox -it", ["busybox", "-it"]),
        ("busybox -- sh", ["busybox", "--", "sh"]),
        ("-- busybox -it", ["busybox", "-it"]),
        ("-- -d", ["-d"]),
        ("-d -- -- x", ["--", "x"]),
        ("- -d", ["-", "-d"]),
        ("busybox sh -c -name", ["busybox", "sh", "-c", "-name"]),
    ],
)
def test_options_end_at_the_first_positional_argument(line: str, positional: list[str]) -> None:
    assert taken(line)[1] == positional


def test_an_empty_argument_is_positional() -> None:
    assert scan(["", "-d"], TABLE, interspersed=False) == ([], ["", "-d"])


def test_options_may_follow_names_where_the_command_says_so() -> None:
    found, positional = taken("c1 -d c2 -- -i", interspersed=True)

    assert (found, positional) == ([("--detach", ON)], ["c1", "c2", "-i"])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--nope", "no such option: --nope"),
        ("--nope=x", "no such option: --nope"),
        ("-x", "no such option: -x"),
        ("-itx", "no such option: -x in -itx"),
        ("-xit", "no such option: -xit"),
        ("--it", "no such option: --it"),
        ("--name", "option --name needs a value"),
        ("-m", "option -m needs a value"),
        ("-itm", "option -m needs a value"),
        ("--rm=maybe", "option --rm is true or false, not 'maybe'"),
        ("-d=", "option -d is true or false, not ''"),
        ("-it=x", "option -t is true or false, not 'x'"),
    ],
)
def test_what_cannot_be_taken_apart_is_refused_with_the_option(line: str, message: str) -> None:
    with pytest.raises(ScanError) as refused:
        taken(line)

    assert str(refused.value) == message


WORDS = st.one_of(
    st.text(max_size=6),
    st.sampled_from(
        ["-it", "-d", "--name", "-m5M", "--rm=false", "--", "-", "busybox", "-net=none", "-e", "A=b", "-x"]
    ),
)


@given(st.lists(WORDS, max_size=8), st.booleans())
def test_no_line_raises_anything_but_scan_error(args: list[str], interspersed: bool) -> None:
    before = list(args)
    try:
        _, positional = scan(args, TABLE, interspersed=interspersed)
    except ScanError:
        positional = []

    assert args == before
    remaining = iter(args)
    assert all(word in remaining for word in positional), "positional arguments keep their order"


@given(st.lists(st.text(), max_size=5))
def test_what_follows_the_image_is_the_containers_untouched(rest: list[str]) -> None:
    assert scan(["-it", "busybox", *rest], TABLE, interspersed=False)[1] == ["busybox", *rest]
