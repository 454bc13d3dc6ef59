"""The header walker says what is in an archive, or ArchiveError: never anything else, whatever the bytes."""

from __future__ import annotations

import io
import tarfile
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effects import tarblock
from effects.tarformat import REGULAR, ArchiveError, Entry, nanoseconds, number, records
from effects.tarheader import Reader
from tests import tars


class Bytes:
    """What `effects.tarstream` is on a pipe, on a string."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.position = 0

    def take(self, length: int) -> bytes:
        self.skip(length)
        return self._content[self.position - length : self.position]

    def skip(self, length: int) -> None:
        assert length >= 0
        self.position += length
        if self.position > len(self._content):
            raise ArchiveError(22, "the archive ends too early")


def walk(content: bytes) -> list[Entry]:
    reader = Reader(Bytes(content))
    found = []
    while (entry := reader.next()) is not None:
        found.append(entry)
    return found


VALID = [
    tars.file(b"a", b"content"),
    tars.pax({b"path": b"long" * 50, b"mtime": b"1.5", b"SCHILY.xattr.user.a": b"b"}),
    tars.header(b"b", b"1", link=b"a"),
    tars.header(b"L", b"L", size=6) + tars.data(b"name\0\0"),
    tars.pax({b"GNU.sparse.major": b"1", b"GNU.sparse.minor": b"0", b"GNU.sparse.realsize": b"9000"}),
    tars.file(b"sparse", b"1\n0\n5\n".ljust(512, b"\0") + b"01234"),
    tars.header(b"old", b"S", size=5),
    tars.pax({b"GNU.sparse.map": b"0,5", b"GNU.sparse.size": b"9"}),
    tars.header(b"dev", b"3", device=(1, 3)),
    tars.pax({b"uid": b"5"}, b"g"),
    tars.END,
]


@given(st.binary(max_size=2000))
def test_no_bytes_raise_anything_but_archive_error(content: bytes) -> None:
    with suppress(ArchiveError):
        walk(content)


@given(st.data())
def test_no_damage_to_a_valid_archive_raises_anything_but_archive_error(data: st.DataObject) -> None:
    """Blocks in any order, any bytes of them changed, and their sums made right again."""
    pieces = data.draw(st.lists(st.sampled_from(VALID), min_size=1, max_size=6))
    content = bytearray(b"".join(pieces))
    spots = st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255))
    for at, value in data.draw(st.lists(spots, max_size=8)):
        content[at] = value
    for start in range(0, len(content), 512):
        if data.draw(st.booleans()):
            content[start : start + 512] = tars.summed(bytes(content[start : start + 512]))
    try:
        for entry in walk(bytes(content)):
            assert entry.size >= 0
            assert entry.length >= 0
            assert 0 <= entry.uid < 2**32 - 1
            assert b"\0" not in entry.name
    except ArchiveError:
        pass


@given(st.integers(-(2**95), 2**95 - 1))
def test_base_256_numbers_of_either_sign_are_read(value: int) -> None:
    field = bytearray((value % 2**96).to_bytes(12, "big"))
    # The format keeps the top bit for itself; the next is the sign.
    if -(2**94) <= value < 2**94:
        field[0] = field[0] | 0x80
        assert number(bytes(field), "x", 0) == value


@given(st.integers(0, 8**11 - 1))
def test_octal_numbers_are_read_however_they_are_ended(value: int) -> None:
    for field in (b"%011o\0", b"%011o ", b"%12o", b"%o\0junk"):
        if len(field % value) <= 12 or field == b"%o\0junk":
            assert number(field % value, "x", 0) == value


@pytest.mark.parametrize("field", [b"-1", b"0x1f", b"0o17", b"1_0", b"89", b"+7", b"7 7", b"\xb2"])
def test_what_python_takes_for_a_number_but_tar_does_not_is_refused(field: bytes) -> None:
    if field[0] & 0x80:
        return
    with pytest.raises(ArchiveError):
        number(field.ljust(12, b"\0"), "x", 0)


@given(st.integers(-(10**19), 10**19))
def test_a_time_is_read_and_written_to_the_nanosecond(value: int) -> None:
    header = tarblock.member(tarblock.Member(b"x", REGULAR, mode=0, mtime=value))
    assert walk(header + tars.END)[0].mtime == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"1", 10**9),
        (b"1.", 10**9),
        (b"1.5", 1_500_000_000),
        (b"0.0000000019", 1),
        (b"-0.5", -500_000_000),
        (b"1700000000.123456789", 1_700_000_000_123_456_789),
    ],
)
def test_times_as_others_write_them(text: bytes, value: int) -> None:
    assert nanoseconds(text) == value


@pytest.mark.parametrize("text", [b"", b".5", b"1e9", b"nan", b"inf", b"1.5x", b"0x1", b"9" * 5000, b"1.-5"])
def test_no_other_times_are_read(text: bytes) -> None:
    with pytest.raises(ArchiveError):
        nanoseconds(text)


@given(
    st.lists(st.tuples(st.binary(min_size=1).filter(lambda key: b"=" not in key), st.binary(max_size=2000)))
)
def test_pax_records_are_read_as_written(pairs: list[tuple[bytes, bytes]]) -> None:
    content = b"".join(tars.record(key, value) for key, value in pairs)
    assert records(content) == pairs
    assert content == b"".join(tarblock._record(key, value) for key, value in pairs)


@pytest.mark.parametrize(
    "content",
    [
        b"5 a=b\n",
        b"7 a=b\n",
        b"6 a=bX",
        b"4 ab\n",
        b"5 =b\n",
        b" a=b\n",
        b"-6 a=b\n",
        b"0 a=b\n",
        b"99999999 a=b\n",
    ],
)
def test_damaged_pax_records_are_refused(content: bytes) -> None:
    with pytest.raises(ArchiveError):
        records(content)


def test_a_header_whose_sum_is_wrong_is_refused_with_its_place() -> None:
    good = tars.file(b"good")
    bad = bytearray(tars.header(b"bad"))
    bad[0] ^= 1
    with pytest.raises(ArchiveError, match="damaged tar header at byte 1024"):
        walk(good + bytes(bad) + tars.END)
    with pytest.raises(ArchiveError, match="not a tar archive"):
        walk(b"PK\3\4".ljust(1024, b"x"))


@pytest.mark.parametrize("length", [0, 100, 512, 600, 1024])
def test_an_archive_that_just_stops_is_broken(length: int) -> None:
    with pytest.raises(ArchiveError, match="too early"):
        walk(tars.file(b"good")[:length])


def test_one_block_of_zeros_ends_an_archive() -> None:
    assert [entry.name for entry in walk(tars.file(b"a") + bytes(512))] == [b"a"]


@pytest.mark.parametrize("kind", [b"M", b"N", b"A", b"\xff"])
def test_a_type_that_nobody_knows_is_refused(kind: bytes) -> None:
    with pytest.raises(ArchiveError, match="unknown type"):
        walk(tars.header(b"x", kind) + tars.END)


@given(
    st.binary(min_size=1, max_size=300).filter(lambda name: b"\0" not in name and not name.endswith(b"/")),
    st.binary(max_size=300).filter(lambda name: b"\0" not in name),
    st.integers(0, 2**32 - 2),
    st.integers(0, 2**60),
)
def test_a_written_header_is_read_back(name: bytes, link: bytes, owner: int, size: int) -> None:
    member = tarblock.Member(name, b"2", mode=0o7654, uid=owner, gid=owner, size=0, link=link)
    entry = walk(tarblock.member(member) + tars.END)[0]
    assert (entry.name, entry.link, entry.uid, entry.gid, entry.mode) == (name, link, owner, owner, 0o7654)
    regular = tarblock.Member(name, REGULAR, mode=0, size=size)
    reader = Reader(Bytes(tarblock.member(regular)))
    told = reader.next()
    assert told is not None
    assert told.size == size


@given(
    st.text(
        st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=300
    ).filter(lambda name: not name.endswith("/")),
    st.integers(0, 2**40),
)
def test_the_standard_library_reads_the_written_header_alike(name: str, mtime: int) -> None:
    encoded = name.encode()
    content = tarblock.member(tarblock.Member(encoded, REGULAR, mode=0o644, mtime=mtime * 10**9)) + tars.END
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        member = tar.next()
    assert member is not None
    assert member.name == name
    assert member.mtime == mtime
