"""Maps of sparse tar members, in the four ways that GNU tar has written them: which parts are there.

Source: GNU tar manual, "Storing Sparse Files" (old GNU format, pax formats 0.0, 0.1 and 1.0).
"""

from __future__ import annotations

from effects.tarformat import BLOCK, broken, decimal, number, unsigned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from effects.tarformat import Entry, Stream

MAX_SEGMENTS = 200_000  # of one file


def read_old(entry: Entry, block: bytes, stream: Stream) -> None:
    """Old GNU: four parts in the header, 21 more in each extension block."""
    entry.length = unsigned(number(block[483:495], "size", stream.position), "size", entry.name)
    segments: list[tuple[int, int]] = []
    area, more = block[386:482], block[482]
    while True:
        for at in range(0, len(area), 24):
            if area[at] == 0:
                break
            offset = number(area[at : at + 12], "sparse map", stream.position)
            segments.append((offset, number(area[at + 12 : at + 24], "sparse map", stream.position)))
        if not more:
            break
        if len(segments) > MAX_SEGMENTS:
            raise broken(f"sparse file of more than {MAX_SEGMENTS} parts", entry.name)
        extension = stream.take(BLOCK)
        area, more = extension[:504], extension[504]
    entry.sparse = segments


def read_from_data(entry: Entry, pax: dict[bytes, bytes], stream: Stream) -> None:
    """1.0: decimal numbers before the data, one a line, the number of pairs first, padded to a block."""
    entry.length = decimal(pax.get(b"GNU.sparse.realsize", b""), "sparse size")
    left, rest = entry.size, b""
    numbers: list[int] = []
    wanted = 1
    while len(numbers) < wanted:
        if left < BLOCK:
            raise broken("sparse map longer than its member", entry.name)
        left -= BLOCK
        *lines, rest = (rest + stream.take(BLOCK)).split(b"\n")
        for line in lines[: wanted - len(numbers)] if numbers else lines:
            numbers.append(decimal(line, "sparse map"))
            wanted = 1 + 2 * numbers[0]
            if wanted > 2 * MAX_SEGMENTS:
                raise broken(f"sparse file of more than {MAX_SEGMENTS} parts", entry.name)
            if len(numbers) == wanted:
                break
        if len(rest) > BLOCK:
            raise broken("damaged sparse map", entry.name)
    entry.sparse = list(zip(numbers[1::2], numbers[2::2], strict=True))


def read_from_pax(entry: Entry, pax: dict[bytes, bytes]) -> None:
    """0.1, and 0.0 as the header reader has rewritten it: "offset,length,offset,length..." in the header."""
    entry.length = decimal(pax.get(b"GNU.sparse.size", b""), "sparse size")
    numbers = [decimal(part, "sparse map") for part in pax[b"GNU.sparse.map"].split(b",") if part]
    entry.sparse = list(zip(numbers[::2], numbers[1::2], strict=False))


def check(entry: Entry) -> None:
    """Parts in order, within the file, and as long together as the member's data."""
    end = total = 0
    for offset, length in entry.sparse or ():
        if offset < end or length < 0:
            raise broken("sparse map is not in order", entry.name)
        end = offset + length
        total += length
    if end > entry.length or total != entry.size:
        raise broken("sparse map does not fit its file", entry.name)
