"""The legal states of a container, as one `transitions` machine without a model and without callbacks.

This is the truth; `machine.table` is generated from it (`tools/generate-table`), so that commands
need not import `transitions` (25 ms). A test proves that the two say the same for every pair.
"""

from __future__ import annotations

from transitions import Machine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from transitions.core import TransitionConfigDict

STATUSES = (
    "absent",  # no such container
    "creating",  # the decision is in the journal, the directory not yet on disk
    "created",  # its directory is there, it has not run yet
    "starting",  # its monitor makes cgroup, init, links; the first instruction has not run
    "running",  # its first instruction has run
    "paused",  # its processes are frozen
    "stopping",  # asked to end; the signal is sent, the deadline runs
    "exited",  # ended, by itself or because it was asked to; code and reason are kept
    "restarting",  # ended, and a restart policy will start it again; or it could not, for want of its network
    "failed",  # the last start did not come to its first instruction
    "removing",  # its name is free already; what it holds is being undone
    "removed",  # known only while something of it could not be undone
)

# Users' verbs; only these are named in messages. The other triggers are facts.
VERBS = (
    "start",
    "stop",
    "kill",
    "pause",
    "unpause",
    "restart",
    "rm",
    "exec",
    "rename",
    "update",
    "connect",
    "disconnect",
    "commit",
    "cp",
)

# `reason` of `container.exited`.
EXIT_REASONS = {
    "exit": "it ended by itself, with a code",
    "signal": "a signal ended it; the code is 128 + its number",
    "oom": "the kernel killed in it for want of memory; where the code is unknown, that is all that could be learnt",
    "lost: monitor": "it ended while nobody watched it; the code is unknown unless somebody could still tell it",
    "lost: moved": "the root was moved or copied away from under it; the code is unknown",
    "lost: reboot": "the machine went down under it; the code is unknown",
}

LIVE = ["starting", "running", "paused", "stopping"]
SETTLED = ["created", "running", "paused", "exited", "restarting", "failed"]

_TRANSITIONS: list[TransitionConfigDict] = [
    {"trigger": "create", "source": "absent", "dest": "creating"},
    {"trigger": "ready", "source": "creating", "dest": "created"},
    {"trigger": "start", "source": ["created", "exited", "failed", "restarting"], "dest": "starting"},
    {"trigger": "released", "source": "starting", "dest": "running"},
    {"trigger": "released", "source": "stopping", "dest": "stopping"},
    {"trigger": "fail", "source": "creating", "dest": "removing"},
    {"trigger": "fail", "source": ["starting", "stopping"], "dest": "failed"},
    {"trigger": "stop", "source": LIVE, "dest": "stopping"},
    {"trigger": "stop", "source": "restarting", "dest": "exited"},
    {"trigger": "kill", "source": ["running", "paused", "stopping"], "dest": "="},
    {"trigger": "pause", "source": "running", "dest": "paused"},
    {"trigger": "unpause", "source": "paused", "dest": "running"},
    {"trigger": "exec", "source": "running", "dest": "running"},
    {"trigger": "exit", "source": LIVE, "dest": "exited"},
    {"trigger": "exit", "source": "removing", "dest": "removing"},
    {"trigger": "restart", "source": "exited", "dest": "restarting"},
    # A restart whose network could not be made: it is tried again.
    {"trigger": "put_off", "source": "starting", "dest": "restarting"},
    {
        "trigger": "rm",
        "source": ["creating", "created", "exited", "failed", "restarting"],
        "dest": "removing",
    },
    # `rm -f`: the same from a live one.
    {"trigger": "rm_force", "source": LIVE, "dest": "removing"},
    {"trigger": "forget", "source": "removing", "dest": "removed"},
    {"trigger": "rename", "source": SETTLED, "dest": "="},
    {"trigger": "update", "source": SETTLED, "dest": "="},
    {"trigger": "connect", "source": SETTLED, "dest": "="},
    {"trigger": "disconnect", "source": SETTLED, "dest": "="},
    {"trigger": "commit", "source": SETTLED, "dest": "="},
    {"trigger": "cp", "source": SETTLED, "dest": "="},
]


def lifecycle() -> Machine:
    """The machine: `events`, `get_transitions` and diagrams; it has no model to move."""
    return Machine(
        model=None,
        states=list(STATUSES),
        initial="absent",
        auto_transitions=False,
        transitions=_TRANSITIONS,
    )


def table() -> dict[str, dict[str, str]]:
    """Trigger -> status -> next status, read off the machine."""
    found: dict[str, dict[str, str]] = {}
    for name, event in lifecycle().events.items():
        for source, ways in event.transitions.items():
            dest = ways[0].dest
            assert dest is not None  # there are no internal transitions
            found.setdefault(name, {})[str(source)] = str(dest)
    return found
