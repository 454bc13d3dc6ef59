"""A stream of any usual compression is unpacked, hashed and bounded; a broken one is one clear error."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
from pathlib import Path

import pytest

from effects import archive, decompress
from effects.archive import ArchiveError
from effects.tarstream import SLOT
from eventstore.zstd import ZstdDecoder
from tests import tars

pytestmark = pytest.mark.root

PROGRAMS = ["gzip", "bzip2", "xz", "zstd"]
NOISE = os.urandom(700_000)
CONTENT = tars.file(b"noise", NOISE) + tars.file(b"zeros", bytes(5_000_000)) + tars.file(b"last") + tars.END


def compressed(program: str, content: bytes, *options: str) -> bytes:
    return subprocess.run([program, "-c", *options], input=content, capture_output=True, check=True).stdout


@pytest.fixture(params=["cat", *PROGRAMS])
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def packed(form: str, content: bytes = CONTENT) -> bytes:
    return content if form == "cat" else compressed(form, content)


def test_every_compression_gives_the_same_files_and_the_same_digest(form: str, tmp_path: Path) -> None:
    unpacked = tars.unpack(packed(form), tmp_path)
    assert unpacked.digest == hashlib.sha256(CONTENT).hexdigest()
    assert (unpacked.size, unpacked.entries, unpacked.config, unpacked.skipped) == (len(CONTENT), 3, {}, [])
    assert (tmp_path / "noise").read_bytes() == NOISE
    assert (tmp_path / "zeros").read_bytes() == bytes(5_000_000)


def test_it_reads_from_a_pipe_that_gives_a_byte_at_a_time(form: str, tmp_path: Path) -> None:
    small = tars.file(b"f", b"content") + tars.END
    out, feed = os.pipe()
    child = os.fork()
    if child == 0:
        for byte in packed(form, small):
            os.write(feed, bytes([byte]))
        os._exit(0)
    os.close(feed)
    try:
        unpacked = archive.unpack(out, str(tmp_path))
    finally:
        os.close(out)
        os.waitpid(child, 0)
    assert unpacked.digest == hashlib.sha256(small).hexdigest()
    assert (tmp_path / "f").read_bytes() == b"content"


def test_it_unpacks_into_a_descriptor_and_leaves_none_open(tmp_path: Path) -> None:
    source, target = os.memfd_create("archive"), os.open(tmp_path, os.O_PATH)
    os.write(source, CONTENT)
    os.lseek(source, 0, os.SEEK_SET)
    before = os.listdir("/proc/self/fd")
    archive.unpack(source, target)
    assert os.listdir("/proc/self/fd") == before
    os.close(source)
    os.close(target)
    assert (tmp_path / "last").read_bytes() == b"new"


@pytest.mark.parametrize("program", PROGRAMS)
def test_streams_one_after_the_other_are_one(program: str, tmp_path: Path) -> None:
    middle = len(CONTENT) // 3
    content = b"".join(compressed(program, part) for part in (CONTENT[:middle], CONTENT[middle:]))
    # What block devices and `dd conv=sync` leave behind.
    assert tars.unpack(content + bytes(1000), tmp_path).digest == hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize("room", [1, 1000, SLOT])
@pytest.mark.parametrize("program", ["cat", *PROGRAMS])
def test_the_end_may_fall_on_any_piece_of_the_output(program: str, room: int) -> None:
    """As long as one piece, a little less, a little more: what the decoder still holds is not forgotten."""
    for length in (room - 1, room, room + 1, 3 * room):
        source = os.memfd_create("archive")
        os.write(source, packed(program, bytes(length)))
        os.lseek(source, 0, os.SEEK_SET)
        stream, buffer, lengths = decompress.Source(source), memoryview(bytearray(room)), []
        while got := stream.read_into(buffer):
            lengths.append(got)
        os.close(source)
        assert sum(lengths) == length


def test_the_digest_goes_to_the_last_byte_of_the_stream(tmp_path: Path) -> None:
    trailing = CONTENT + bytes(2 << 20) + b"and more"
    unpacked = tars.unpack(trailing, tmp_path)
    assert (unpacked.digest, unpacked.size) == (hashlib.sha256(trailing).hexdigest(), len(trailing))


def test_a_cut_archive_is_broken_wherever_it_is_cut(form: str, tmp_path: Path) -> None:
    whole = packed(form)
    for number, length in enumerate((0, 1, 5, 600, len(whole) // 2, len(whole) - 1100)):
        (tmp_path / str(number)).mkdir()
        with pytest.raises(ArchiveError) as caught:
            tars.unpack(whole[:length], tmp_path / str(number))
        assert caught.value.errno == errno.EINVAL
        assert caught.value.strerror


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_missing_last_byte_is_an_error_even_where_the_tar_is_whole(program: str, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=f"{program} data ends too early"):
        tars.unpack(packed(program)[:-1], tmp_path)


@pytest.mark.parametrize("program", PROGRAMS)
def test_damaged_data_are_an_error_of_the_archive(program: str, tmp_path: Path) -> None:
    """Of the format, or of the tar inside: bzip2 gives what it has decoded before it knows better."""
    content = bytearray(packed(program))
    for at in range(40_000, 40_100):
        content[at] ^= 0x55
    with pytest.raises(ArchiveError, match=f"{program} data is damaged|not a tar archive|damaged tar header"):
        tars.unpack(bytes(content), tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"hello", "too early"),
        (b"#!/bin/sh\n" * 200, "not a tar archive"),
        (b"\x1f\x8b not gzip at all", "gzip data is damaged"),
        (b"\x28\xb5\x2f\xfd not zstd", "zstd data is damaged"),
    ],
)
def test_what_is_no_archive_is_told_so(content: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=message):
        tars.unpack(content, tmp_path)
    assert os.listdir(tmp_path) == []


def test_an_error_of_the_file_system_comes_through_with_its_name(tmp_path: Path) -> None:
    content = tars.pax({b"path": b"n" * 300}) + tars.file(b"x") + tars.END
    with pytest.raises(OSError, match="File name too long") as caught:
        tars.unpack(content, tmp_path)
    assert os.fsencode(caught.value.filename) == b"n" * 300
    assert vars(caught.value)["step"] == "unpack"


def test_a_long_answer_of_the_child_does_not_wait_for_a_parent_that_waits_for_it(tmp_path: Path) -> None:
    """More configuration than a pipe holds, then more zeros than the shared memory holds."""
    config = b'{"labels": "%s"}' % (b"x" * 900_000)
    content = tars.pax({b"MYDOCKER.config": config}, b"g") + CONTENT + bytes(20 << 20)
    assert len(tars.unpack(content, tmp_path).config["labels"]) == 900_000


@pytest.mark.parametrize("text", [b"not json", b"[1]", b'"x"', b"[" * 100_000, b"\xff"])
def test_a_configuration_that_is_none_is_refused(text: bytes, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="configuration is not"):
        tars.unpack(tars.pax({b"MYDOCKER.config": text}, b"g") + CONTENT, tmp_path)


def test_progress_is_told_in_bytes_of_the_source(form: str, tmp_path: Path) -> None:
    told: list[int] = []
    content = packed(form)
    tars.unpack(content, tmp_path, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == len(content)


def test_an_interrupted_unpack_leaves_no_child(tmp_path: Path) -> None:
    def interrupt(_done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tars.unpack(CONTENT, tmp_path, progress=interrupt)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_a_child_that_is_killed_ends_the_unpack(tmp_path: Path) -> None:
    def kill(_done: int) -> None:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as children:
            os.kill(int(children.read().split()[-1]), signal.SIGKILL)

    with pytest.raises(OSError, match="killed by SIGKILL"):
        tars.unpack(CONTENT * 1, tmp_path, progress=kill)


def test_an_xz_or_zstd_that_wants_a_giant_window_is_refused(tmp_path: Path) -> None:
    huge = compressed("zstd", CONTENT, "--ultra", "--long=31", "--no-check", "-1", "--stream-size=4000000000")
    with pytest.raises(ArchiveError, match="zstd data is damaged: Frame requires too much memory"):
        tars.unpack(huge, tmp_path)
    giant = compressed("xz", CONTENT, "--lzma2=dict=1GiB", "-T1")
    with pytest.raises(ArchiveError, match="xz data is damaged: Memory usage limit"):
        tars.unpack(giant, tmp_path)


def test_a_missing_libzstd_is_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_name: str) -> None:
        raise OSError("cannot open shared object file")

    monkeypatch.setattr("eventstore.zstd.ctypes.CDLL", missing)
    with pytest.raises(OSError, match="apt-get install libzstd1"):
        ZstdDecoder()
