"""The loop of a program that appends in turns with others: reads a count a line, answers with what the appends took."""

from __future__ import annotations

import json
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def serve(append: Callable[[], object]) -> None:
    """A line with a number, as many appends; answers {start, end, times}, all in ns, on one line."""
    print("ready", flush=True)
    clock = time.perf_counter_ns
    for line in sys.stdin:
        times = []
        start = before = clock()
        for _ in range(int(line)):
            append()
            now = clock()
            times.append(now - before)
            before = now
        print(json.dumps({"start": start, "end": before, "times": times}), flush=True)


def share(lines: list[bytes], writer: int, writers: int) -> list[bytes]:
    """The lines of every `writers`-th stream, so that each stream has one writer and keeps its order."""
    streams: dict[bytes, int] = {}
    mine = []
    for line in lines:
        start = line.index(b',"s":"')
        stream = line[start : line.index(b'","v":', start)]
        if streams.setdefault(stream, len(streams)) % writers == writer:
            mine.append(line)
    return mine
