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
import time

from effects import rtnetlink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from effects.netlink import Netlink

_GONE = {errno.ENODEV, errno.ESRCH}


_TURN = 0.0005  # seconds between looks at a thread that is about to end


class Removal:
    """Of the link with this index, as another thread has it done. How that ended is to be seen by a pipe."""

    def __init__(self, index: int) -> None:
        self._index = index
        self._watch = rtnetlink.watch_links()
        self._ended, theirs = os.pipe2(os.O_CLOEXEC)
        self._failure: list[Exception] = []
        self._thread = 0
        _thread.start_new_thread(self._ask, (rtnetlink.open_route(), theirs))

    def _ask(self, net: Netlink, pipe: int) -> None:
        self._thread = _thread.get_native_id()
        try:
            net.change("endpoint", [rtnetlink.delete_link(self._index)])
        except Exception as error:  # noqa: BLE001 - raised again by who waits for us
            self._failure.append(error)
        finally:
            net.close()
            os.close(pipe)

    def await_it(self) -> None:
        """Until no link has this index; one that was gone already is no error. StepFailed where it is refused."""
        poller = select.poll()
        for source in (self._watch.fileno(), self._ended):
            poller.register(source, select.POLLIN)
        try:
            while all(source != self._ended for source, _ in poller.poll()):
                if self._is_told(poller):
                    return
        finally:
            self._watch.close()
        for error in self._failure:
            if not isinstance(error, OSError) or error.errno not in _GONE:
                raise error

    def _is_told(self, poller: select.poll) -> bool:
        try:
            return rtnetlink.is_told_gone(self._watch, self._index)
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            poller.unregister(self._watch.fileno())  # too much has happened at once: the thread will hear it
            return False

    def is_over(self) -> bool:
        """Whether the kernel is done with it, and nothing is left to finish."""
        poller = select.poll()
        poller.register(self._ended, select.POLLIN)
        if not poller.poll(0):
            return False
        self.finish()
        return True

    def finish(self) -> None:
        """Until the thread is gone too. To be called once."""
        os.read(self._ended, 1)
        os.close(self._ended)
        # It goes just after that; to join it needs `threading`, which takes 5 ms to load.
        while os.path.exists(f"/proc/self/task/{self._thread}"):
            time.sleep(_TURN)
