"""What people read: the series' tables to the byte, JSON lines, templates, sizes; and no escape gets through."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli import render
from cli.escape import json_line, safe
from cli.render import Column, documents, listing, table
from cli.template import Template
from machine.errors import InvalidValue

S = 1_000_000_000
HEADINGS = ["ID", "NAME", "PID", "STATUS", "COMMAND", "CREATED"]

# As the series' articles print it: every cell padded to the widest and 3, and to 12 at least.
ARTICLE_22 = """\
ID                     NAME          PID         STATUS      COMMAND     CREATED
15555975245549425111   container01   14158       running     /bin/top    2019-04-18 22:25:24
15555975563445863921   container02   14218       running     /bin/top    2019-04-18 22:25:56
"""
STOPPED = """\
ID                     NAME        PID         STATUS      COMMAND     CREATED
15555171266202920071   test                    stopped     /bin/top    2019-04-18 00:05:26
"""


@pytest.mark.parametrize("text", [ARTICLE_22, STOPPED])
def test_a_table_is_the_seriess_to_the_byte(text: str) -> None:
    rows = [[line[:20], *line[23:].split(maxsplit=4)] for line in text.splitlines()[1:]]
    rows = [row if len(row) == 6 else [*row[:2], "", *row[2].split(), " ".join(row[3:])] for row in rows]
    if text is STOPPED:
        rows = [["15555171266202920071", "test", "", "stopped", "/bin/top", "2019-04-18 00:05:26"]]

    assert "".join(f"{line}\n" for line in table(HEADINGS, rows)) == text


def test_an_empty_table_is_its_header() -> None:
    assert table(HEADINGS, []) == ["ID          NAME        PID         STATUS      COMMAND     CREATED"]


def test_wide_characters_take_two_columns_and_combining_ones_none() -> None:
    lines = table(["A", "B"], [["容器容器容器", "x"], ["e\u0301", "y"]])

    assert lines == ["A" + " " * 14 + "B", "容器容器容器" + " " * 3 + "x", "e\u0301" + " " * 14 + "y"]


ATTACKS = [
    ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
    ("\x1b[2J", "\\x1b[2J"),
    ("\x9b31m", "\\x9b31m"),
    ("a\rb", "a\\rb"),
    ("a\nb\tc", "a\\nb\\tc"),
    ("\u202egnp.exe", "\\u202egnp.exe"),
    ("\u2066x\u2069", "\\u2066x\\u2069"),
    ("\u2028", "\\u2028"),
    ("\x7f", "\\x7f"),
    ("\x00", "\\x00"),
    ("\udcff", "\\xff"),
    ("\ud800", "\\ud800"),
    ("\U000e0001", "\\U000e0001"),
]


@pytest.mark.parametrize(("text", "shown"), ATTACKS)
def test_attack_25_nothing_steers_the_terminal(text: str, shown: str) -> None:
    assert safe(text) == shown
    assert table(["A", "B"], [["x", text]])[1].endswith(shown)
    assert shown in "".join(listing([{"n": text}], [Column("n", "N")], "{{.n}}"))


@pytest.mark.parametrize("text", ["plain", "容器", "é ü ß", "", "a b"])
def test_what_is_harmless_stays_readable(text: str) -> None:
    assert safe(text) == text
    assert text in json_line({"k": text})


@given(st.text())
def test_whatever_the_text_it_is_one_printable_line(text: str) -> None:
    assert safe(text).isprintable()
    assert json_line([text]).isprintable()


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)))  # fmt: skip
def test_json_comes_back_whatever_was_in_it(value: Any) -> None:
    assert json.loads(json_line(value)) == value


COLUMNS = [Column("Names", "NAME"), Column("Status", "STATUS"), Column("Labels", "LABELS")]
ROWS: list[dict[str, Any]] = [
    {
        "Names": "web",
        "Status": "running",
        "Labels": {"a.b": "c"},
        "Mounts": ["/x", "/y"],
        "Pid": 7,
        "Tty": True,
        "Nothing": None,
        "Inner": {"80/tcp": [{"HostPort": "8080"}]},
    },
    {
        "Names": "database-01",
        "Status": "exited",
        "Labels": {},
        "Mounts": [],
        "Pid": None,
        "Tty": False,
        "Nothing": None,
        "Inner": {},
    },
]
FIELDS = ["Mounts", "Pid", "Tty", "Nothing", "Inner"]


def listed(form: str, rows: list[dict[str, Any]] | None = None) -> list[str]:
    return list(listing(ROWS if rows is None else rows, COLUMNS, form, fields=FIELDS))


@pytest.mark.parametrize(
    ("form", "first"),
    [
        ("{{.Names}}\\t{{.Status}}", "web\trunning"),
        ("{{.Names}}: {{ .Status }}!", "web: running!"),
        ("{{json .Labels}}", '{"a.b":"c"}'),
        ("{{json .Mounts}}", '["/x","/y"]'),
        ('{{index .Labels "a.b"}}', "c"),
        ('{{index .Labels "none"}}', ""),
        ("{{index .Mounts 1}}", "/y"),
        ('{{join .Mounts ", "}}', "/x, /y"),
        ("{{upper .Names}}{{lower .Names}}", "WEBweb"),
        ("{{len .Mounts}}", "2"),
        ("{{.Pid}} {{.Tty}}", "7 true"),
        ("{{.Labels}}", '{"a.b":"c"}'),
        ("constant", "constant"),
        ("a\\nb\\\\c", "a\nb\\c"),
        ("a {{- .Names -}} b", "awebb"),
        ("{{.Names | upper | json}}", '"WEB"'),
        ("{{if .Pid}}up{{else}}down{{end}}{{if .Nothing}}x{{end}}", "up"),
        ('{{if eq .Status "exited"}}1{{else if .Tty}}2{{else}}3{{end}}', "2"),
        ("{{range .Mounts}}[{{.}}]{{end}}{{range .Nothing}}x{{else}}none{{end}}", "[/x][/y]none"),
        ("{{range $n, $m := .Mounts}}{{$n}}={{$m}} {{$.Names}};{{end}}", "0=/x web;1=/y web;"),
        ("{{range $key, $value := .Labels}}{{$key}}: {{$value}}{{end}}", "a.b: c"),
        ('{{range .Mounts}}{{.}}{{"\\n"}}{{end}}', "/x\n/y\n"),
        ("{{range .Mounts}}{{println . $.Pid}}{{end}}", "/x 7\n/y 7\n"),
        ("{{with .Labels}}{{len .}}{{end}}{{$p := .Pid}}{{$p}}", "17"),
        ("{{/* nothing */}}{{not .Pid}} {{and .Pid .Names}} {{or .Nothing .Names}}", "false web web"),
        ('{{(index .Inner "80/tcp" 0).HostPort}}', "8080"),
        ("{{range $p, $at := .Inner}}{{$p}} -> {{(index $at 0).HostPort}}{{end}}", "80/tcp -> 8080"),
    ],
)
def test_a_template_prints_what_gos_would(form: str, first: str) -> None:
    assert listed(form, ROWS[:1]) == [first]


def test_a_row_as_json_has_all_fields() -> None:
    expected = {key: ROWS[0][key] for key in ["Names", "Status", "Labels", *FIELDS]}

    assert json.loads(listed("json")[0]) == expected
    assert json.loads(listed("{{json .}}")[0]) == ROWS[0]
    assert len(listed("json")) == 2


def test_no_rows_are_a_header_or_nothing() -> None:
    assert listed("", []) == listed("table", []) == ["NAME        STATUS      LABELS"]
    assert listed("json", []) == listed("{{.Names}}", []) == []


def test_a_table_template_has_headings() -> None:
    assert listed("table {{.Names}}\\t{{.Pid}}\\t{{upper .Status}}") == [
        "NAME          PID         STATUS",
        "web           7           RUNNING",
        "database-01               EXITED",
    ]


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ("{{.Nme}}", "no field .Nme [fields: Names, Status, Labels, Mounts, Pid, Tty, Nothing, Inner]"),
        ("{{json .Nope}}", "no field .Nope"),
        ("table {{.Nope}}", "no field .Nope"),
        ("{{.Names", "a {{ without its }}"),
        ("{{}}", "cannot do ''"),
        ("{{Names}}", "cannot do 'Names'"),
        ("{{range .Mounts}}{{.}}", "range without its end"),
        ("{{if .Pid}}{{else}}", "if without its end"),
        ("{{.Names}}{{end}}", "end without its beginning"),
        ("{{len (.Names}}", "a ( without its )"),
        ("{{.Names)}}", ") without its beginning"),
        ("{{.Names .Status}}", "cannot do '.Names'"),
        ("{{upper | .Names}}", "upper takes .Field and 0 more"),
        ("{{.Names | .Status}}", "cannot do '.Status'"),
        ("{{if .Nope}}{{end}}", "no field .Nope"),
        ("{{x := .Names}}", "expected $NAME before :="),
        ("{{printf .Names}}", "cannot do 'printf'"),
        ('{{index .Labels "a}}', "a quote without its end"),
        ("{{index .Labels}}", "index takes .Field and 1 more"),
        ("{{join .Names}}", "join takes .Field and 1 more"),
    ],
)
def test_a_template_that_cannot_be_is_refused_before_any_row(form: str, why: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        listed(form, [])

    assert why in str(refused.value)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ("{{.Names.Deep}}", "no field 'Deep'"),
        ("{{range .Labels.x}}{{end}}", "no field 'x' in .Labels.x"),
        ("{{range .Names}}{{end}}", "range is for lists and maps"),
        ("{{$nobody}}", "no variable $nobody"),
        ("{{.Labels.x}}", "no field 'x' in .Labels.x [fields: a.b]"),
        ('{{join .Names ","}}', "join does not apply to .Names"),
        ("{{index .Mounts 2}}", "index does not apply to .Mounts"),
        ("{{len .Pid}}", "len does not apply to .Pid"),
    ],
)
def test_a_template_that_does_not_fit_a_row_says_so(form: str, why: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        listed(form)

    assert why in str(refused.value)


def test_inspects_nested_fields_are_reached() -> None:
    assert Template("{{.State.Pid}} {{json .State}}").fill({"State": {"Pid": 7}}) == '7 {"Pid":7}'


@given(st.text(alphabet='{}.|"`Names json index\\ \x1b', max_size=30))
def test_no_template_raises_anything_but_invalid_value(form: str) -> None:
    try:
        listed(form)
    except InvalidValue:
        return


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0B"), (999, "999B"), (1000, "1kB"), (4_263_000, "4.26MB"), (999_999, "1MB"), (205_000_000, "205MB"), (2**63, "9.22EB")],
)  # fmt: skip
def test_a_size_has_three_digits_in_powers_of_1000(count: int, shown: str) -> None:
    assert render.human_size(count) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0B"),
        (1023, "1023B"),
        (1024, "1KiB"),
        (5 << 20, "5MiB"),
        (1_572_864, "1.5MiB"),
        (1_234_567, "1.177MiB"),
    ],
)
def test_memory_is_in_powers_of_1024(count: int, shown: str) -> None:
    assert render.binary_size(count) == shown


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "Less than a second"),
        (0, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (119, "About a minute"),
        (120, "2 minutes"),
        (3599, "59 minutes"),
        (3600, "About an hour"),
        (5400, "2 hours"),
        (47 * 3600, "47 hours"),
        (48 * 3600, "2 days"),
        (13 * 86400, "13 days"),
        (14 * 86400, "2 weeks"),
        (60 * 86400, "2 months"),
        (729 * 86400, "24 months"),
        (730 * 86400, "2 years"),
    ],
)
def test_an_age_is_in_dockers_words(seconds: int, words: str) -> None:
    assert render.age(seconds * S) == words


def test_a_time_is_local_in_the_seriess_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    try:
        assert render.local_time(1555597524 * S + 999_999_999) == "2019-04-18 22:25:24"
        assert render.local_time(10**30) == f"@{10**21}"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_documents_are_one_json_text_in_one_line_with_json_for_a_template() -> None:
    found = [{"Name": "a", "Labels": {"k": "v"}}, {"Name": "b", "Labels": {}}]

    assert documents(found, "json") == ['[{"Name":"a","Labels":{"k":"v"}},{"Name":"b","Labels":{}}]']
    assert documents(found, "{{.Name}}") == ["a", "b"]
    assert documents(found, None)[0].startswith('[\n    {\n        "Name": "a"')
