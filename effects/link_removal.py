"""Remove a link, without the kernel's long farewell to it. LEAN.

Within the call that asks, the kernel takes the link and its name away (1 ms), and then waits until nothing of its
own can look at it any more (rcu_barrier in netdev_run_todo, net/core/dev.c: 12 ms and more). So another thread
asks, and we go on with the kernel's word that the link is gone; where this process ends meanwhile, it lasts as long
as that call.
"""

from __future__ import annotations

import _thread
import errno
import os
import select

from effects import rtnetlink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from effects.netlink import Message, Netlink

_GONE = {errno.ENODEV, errno.ESRCH}


def remove(index: int) -> None:
    """Returns once no link has this index; one that is gone already is no error. StepFailed where it is refused."""
    watch = rtnetlink.watch_links()
    farewell = _Farewell(rtnetlink.open_route(), rtnetlink.delete_link(index))
    try:
        farewell.await_removal(watch, index)
    finally:
        farewell.close()
        watch.close()


class _Farewell:
    """A thread that has asked for the removal. Its end, and what it was refused with, is to be seen by a pipe."""

    def __init__(self, net: Netlink, request: Message) -> None:
        self._ended, mine = os.pipe2(os.O_CLOEXEC)
        self._refusal: list[OSError] = []
        _thread.start_new_thread(self._ask, (net, request, mine))

    def _ask(self, net: Netlink, request: Message, pipe: int) -> None:
        try:
            net.change("endpoint", [request])
        except OSError as error:
            self._refusal.append(error)
        finally:
            net.close()
            os.close(pipe)

    def await_removal(self, watch: Netlink, index: int) -> None:
        """Until the kernel has told that the link is gone, or the thread has ended. StepFailed."""
        poller = select.poll()
        for source in (watch.fileno(), self._ended):
            poller.register(source, select.POLLIN)
        while all(source != self._ended for source, _ in poller.poll()):
            try:
                if rtnetlink.is_told_gone(watch, index):
                    return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                poller.unregister(
                    watch.fileno()
                )  # too much has happened at once: the thread will have its answer
        if self._refusal and self._refusal[0].errno not in _GONE:
            raise self._refusal[0]

    def close(self) -> None:
        os.close(self._ended)
