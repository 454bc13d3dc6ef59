"""Names, environment, volumes, users and policies: what is taken, what is refused, and in which words."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from machine import parse
from machine.errors import InvalidValue

HOST = {"HOME": "/root", "EMPTY": ""}


@pytest.mark.parametrize("text", ["a", "container01", "a_b.c-d", "0", "A" * 128])
def test_a_name_is_letters_digits_and_three_marks(text: str) -> None:
    assert parse.name(text) == text


@pytest.mark.parametrize(
    "text", ["", "../x", "a/b", ".a", "-a", "_a", "a b", "a\n", "é", "A" * 129, "a:b", "a\x1b[2J"]
)
def test_p0_8_a_name_that_could_leave_its_directory_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="--name"):
        parse.name(text, "--name")


@pytest.mark.parametrize("text", ["web", "web-1.example.org", "a" * 63, "0", "my_db", "_ldap._tcp.corp"])
def test_a_hostname_is_rfc_1123s_or_has_underscores_too(text: str) -> None:
    assert parse.hostname(text) == text


@pytest.mark.parametrize("text", ["", "-a", "a-", "a..b", ".a", "a" * 64, "a." * 32 + "a", "a b", "ü"])
def test_what_is_no_hostname_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        parse.hostname(text)


@pytest.mark.parametrize(
    ("text", "path"),
    [("/", "/"), ("/a", "/a"), ("//a//b/", "/a/b"), ("/a/./b", "/a/b"), ("/a/../b", "/b"), ("/../..", "/"), ("/a b", "/a b")],
)  # fmt: skip
def test_a_container_path_is_absolute_and_normal(text: str, path: str) -> None:
    assert parse.container_path(text) == path


@pytest.mark.parametrize("text", ["", "a", "./a", "/a\0", "/\udcff", "/" + "a" * 5000])
def test_what_is_no_container_path_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        parse.container_path(text)


@pytest.mark.parametrize(
    ("text", "source", "target", "ro"),
    [
        ("/nicktming/v1:/c1", "/nicktming/v1", "/c1", False),
        ("/a:/b:ro", "/a", "/b", True),
        ("/a:/b:rw", "/a", "/b", False),
        ("/a:/b:ro,z", "/a", "/b", True),
        ("/a/../l:/b/../c/", "/a/../l", "/c", False),
        ("/a:/process", "/a", "/process", False),
        ("/a b:/ä", "/a b", "/ä", False),
    ],
)
def test_a_volume_is_source_and_target(text: str, source: str, target: str, ro: bool) -> None:
    assert parse.volume(text) == {"source": source, "target": target, "ro": ro}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("/only", "expected SOURCE:TARGET"),
        ("rel:/x", "source must be an absolute path"),
        (":/x", "source must be an absolute path"),
        ("/a:x", "must be absolute"),
        ("/a:", "must be absolute"),
        ("/a:/", "over the container's root"),
        ("/a:/b/..", "over the container's root"),
        ("/a:/proc", "in /proc"),
        ("/a:/x/../proc/sys", "in /proc"),
        ("/a:/b:rx", "unknown option 'rx'"),
        ("/a:/b:shared", "unknown option 'shared'"),
        ("/a:/b:ro,rw", "both ro and rw"),
        ("/a:/b:ro:z", "unknown option 'ro:z'"),
        ("/a:/b:,", "unknown option ''"),
        ("/a\udcff:/b", "not UTF-8"),
    ],
)
def test_a_volume_that_cannot_be_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(InvalidValue, match=why):
        parse.volume(text)


def test_p0_3_two_volumes_at_one_place_are_refused() -> None:
    volumes = [parse.volume(text) for text in ("/a:/x", "/b:/x/y", "/c:/z/../x")]

    parse.check_targets(volumes[:2])
    with pytest.raises(InvalidValue, match="'/x': two of them"):
        parse.check_targets(volumes)


def test_a_tmpfs_over_a_volume_is_refused() -> None:
    with pytest.raises(InvalidValue, match="'/x'"):
        parse.check_targets([parse.volume("/a:/x")], [parse.tmpfs("/x")])


@pytest.mark.parametrize(
    ("text", "target", "options"),
    [
        ("/run", "/run", ""),
        ("/run/:size=64m,mode=1777", "/run", "size=64m,mode=1777"),
        ("/t:ro,noexec,uid=5,nr_inodes=10", "/t", "ro,noexec,uid=5,nr_inodes=10"),
    ],
)
def test_a_tmpfs_is_a_path_and_options(text: str, target: str, options: str) -> None:
    assert parse.tmpfs(text) == {"target": target, "options": options}


@pytest.mark.parametrize(
    "text",
    ["", "run", "/", "/proc/x", "/t:size=", "/t:size=x", "/t:mode=8", "/t:mode=77777", "/t:huge=always", "/t:lowerdir=/",
     "/t:uid=-1", "/t:,", "/t:mode=", "/t:ro=1"],
)  # fmt: skip
def test_a_tmpfs_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        parse.tmpfs(text)


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("name=nicktming", ("name", "nicktming")),
        ("A=", ("A", "")),
        ("A=b=c", ("A", "b=c")),
        ("A= b ", ("A", " b ")),
        ("HOME", ("HOME", "/root")),
        ("EMPTY", ("EMPTY", "")),
        ("UNSET", None),
        ("A=\udcff", ("A", "\udcff")),
    ],
)
def test_a_variable_is_given_or_taken_from_the_caller(text: str, pair: tuple[str, str] | None) -> None:
    assert parse.env(text, HOST) == pair


@pytest.mark.parametrize("text", ["", "=x", "A B=x", "A\t=x", "A=\0"])
def test_what_is_no_variable_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        parse.env(text, HOST)


def test_a_refused_variable_does_not_show_its_value() -> None:
    with pytest.raises(InvalidValue) as refused:
        parse.env("MY KEY=canary", HOST)

    assert "canary" not in str(refused.value)


def test_an_environment_file_is_read_as_docker_reads_it() -> None:
    text = '\ufeff# comment\n\nA=1\r\n  B= two \nHOME\nUNSET\nA=3\nQ="x" # kept\n'

    assert parse.env_file(text, HOST) == {"A": "3", "B": " two ", "HOME": "/root", "Q": '"x" # kept'}


def test_a_bad_line_of_an_environment_file_is_named_by_its_number_only() -> None:
    with pytest.raises(InvalidValue, match="'line 2': the key holds white space") as refused:
        parse.env_file("A=1\nMY KEY=canary\n", HOST, "/etc/env")

    assert "/etc/env" in str(refused.value)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "pair"), [("a=b", ("a", "b")), ("a", ("a", "")), ("a.b/c=d=e", ("a.b/c", "d=e"))]
)
def test_a_label_is_a_key_and_perhaps_a_value(text: str, pair: tuple[str, str]) -> None:
    assert parse.label(text) == pair


@pytest.mark.parametrize("text", ["", "=b", " =b", "a=\udcff"])
def test_what_is_no_label_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        parse.label(text)


@pytest.mark.parametrize(
    "text", ["0", "1000:1000", "nobody", "nobody:nogroup", "_apt", "a.b@c", "4294967294"]
)
def test_a_user_is_a_name_or_number_and_perhaps_a_group(text: str) -> None:
    assert parse.user(text) == text


@pytest.mark.parametrize(
    "text", ["", ":", "a:", ":a", "a:b:c", "-1", "4294967295", "a b", "a\n", "root:\x1b"]
)
def test_what_is_no_user_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        parse.user(text)


@pytest.mark.parametrize(
    ("text", "policy", "most"),
    [
        ("no", "no", 0),
        ("always", "always", 0),
        ("unless-stopped", "unless-stopped", 0),
        ("on-failure", "on-failure", 0),
        ("on-failure:3", "on-failure", 3),
    ],
)
def test_a_restart_policy_is_dockers(text: str, policy: str, most: int) -> None:
    assert parse.restart(text) == {"policy": policy, "max": most}


@pytest.mark.parametrize(
    "text", ["", "never", "always:3", "on-failure:", "on-failure:-1", "on-failure:x", "no:"]
)
def test_what_is_no_restart_policy_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        parse.restart(text)


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("no-new-privileges", ("no-new-privileges", True)),
        ("no-new-privileges:true", ("no-new-privileges", True)),
        ("no-new-privileges=false", ("no-new-privileges", False)),
        ("seccomp=unconfined", ("seccomp", False)),
        ("apparmor:unconfined", ("apparmor", False)),
        ("label=disable", ("label", False)),
    ],
)
def test_a_security_option_is_one_we_can_keep(text: str, option: tuple[str, bool]) -> None:
    assert parse.security_opt(text) == option


@pytest.mark.parametrize(
    "text", ["", "seccomp=/p.json", "apparmor=docker-default", "no-new-privileges=maybe", "x=y"]
)
def test_a_profile_that_nobody_would_load_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        parse.security_opt(text)


def test_filters_gather_by_key_and_name_the_known_ones() -> None:
    assert parse.filters(["a=1", "b=2=3", "a=4"], {"a", "b"}) == {"a": ["1", "4"], "b": ["2=3"]}
    for text in ("c=1", "a", "=x", ""):
        with pytest.raises(InvalidValue, match="one of a, b"):
            parse.filters([text], {"b", "a"})


@pytest.mark.parametrize(
    ("text", "keys"),
    [("ctrl-p,ctrl-q", b"\x10\x11"), ("ctrl-P", b"\x10"), ("a", b"a"), ("ctrl-@,z", b"\0z"), ("ctrl-[", b"\x1b"), ("", b"")],
)  # fmt: skip
def test_detach_keys_are_dockers(text: str, keys: bytes) -> None:
    assert parse.detach_keys(text) == keys


@pytest.mark.parametrize("text", ["ab", "ctrl-", "ctrl-1", "ctrl-pq", ",", "é", "ctrl-p,"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        parse.detach_keys(text)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("container01:/bin/top", ("container01", "/bin/top")),
        ("c:rel", ("c", "rel")),
        ("/nicktming/a:b", ("", "/nicktming/a:b")),
        ("./a:b", ("", "./a:b")),
        ("dir", ("", "dir")),
        ("-", ("", "-")),
    ],
)
def test_a_location_is_in_a_container_or_on_the_host(text: str, place: tuple[str, str]) -> None:
    assert parse.location(text) == place


@pytest.mark.parametrize("text", ["", ":", "c:", ":/x"])
def test_what_is_no_location_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        parse.location(text)


PARSERS: list[Callable[[str], object]] = [
    parse.name,
    parse.hostname,
    parse.container_path,
    parse.volume,
    parse.tmpfs,
    lambda text: parse.env(text, HOST),
    lambda text: parse.env_file(text, HOST),
    parse.label,
    parse.user,
    parse.group,
    parse.restart,
    parse.security_opt,
    lambda text: parse.filters([text], {"a", "id"}),
    parse.detach_keys,
    parse.location,
]
TEXTS = st.one_of(
    st.text(st.characters()), st.text(alphabet="/abc:.,=- \t\n\0\udcff0123roz%ctrl", max_size=30)
)


@given(st.sampled_from(PARSERS), TEXTS)
def test_no_text_raises_anything_but_invalid_value(parser: Callable[[str], object], text: str) -> None:
    with suppress(InvalidValue):
        parser(text)


@given(st.text(alphabet="/.ab", max_size=30))
def test_a_normal_path_is_its_own_normal_form(text: str) -> None:
    path = parse.container_path("/" + text)

    assert parse.container_path(path) == path
    assert not {"", ".", ".."} & set(path.split("/")[1:]) or path == "/"


_PARTS = st.text(alphabet="abcXYZ019 _-.ä", min_size=1, max_size=8).filter(lambda part: part.strip("."))


@given(st.lists(_PARTS, min_size=1, max_size=4), st.lists(_PARTS, min_size=1, max_size=4), st.booleans())
def test_every_volume_comes_back(source: list[str], target: list[str], ro: bool) -> None:
    volume = {"source": "/" + "/".join(source), "target": "/" + "/".join(target), "ro": ro}

    assert parse.volume(f"{volume['source']}:{volume['target']}:{'ro' if ro else 'rw'}") == volume
