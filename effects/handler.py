"""What an effect handler is, and the one place that calls one. LEAN."""

from __future__ import annotations

from effects.failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol

    from effects.host import Facts, Host, Spec

    class Handler(Protocol):
        """How one kind of resource is made and unmade. It sees its spec and the host, nothing else.

        probe  observes and changes nothing; what `do` would have returned if the resource is whole, else
               None. It asks for what the last step of `do` leaves, so that half done is not taken for done.
        do     makes it, from nothing or from half done.
        undo   unmakes it, from done, half done or never done; "already gone" is success; facts may be {}.

        A handler may also have
        change(spec, host)         brings what is there to a new spec, in place; where a decision can alter it.
        adopt(spec, facts, host)   takes over from another settler what only a process can hold.

        Errors are OSErrors, best with a step (StepFailed); nothing is caught that is not answered.
        """

        def probe(self, spec: Spec, host: Host, /) -> Facts | None: ...
        def do(self, spec: Spec, host: Host, /) -> Facts: ...
        def undo(self, spec: Spec, facts: Facts, host: Host, /) -> None: ...


class Effects:
    """The handlers bound to a host. An OSError becomes a Failure here and nowhere else.

    Any other exception is a defect of ours and is not caught.
    """

    def __init__(self, handlers: Mapping[str, Handler], host: Host) -> None:
        self._handlers = handlers
        self._host = host

    def probe(self, kind: str, spec: Spec, facts: Facts | None = None) -> Facts | None:
        """The facts of what is there, or None. `facts`, where recorded, let a successor take over first.

        An OSError is raised: not knowing is not the same as knowing that nothing is there.
        """
        handler = self._handlers[kind]
        if facts and hasattr(handler, "adopt"):
            handler.adopt(spec, facts, self._host)
        return handler.probe(spec, self._host)

    def exit_status(self, facts: Facts) -> int | None:
        """How the process of these facts ended, where the kernel can still tell: 0.., or -signal."""
        return self._host.exit_status(facts) if facts.get("pid") else None

    def oom_kills(self, facts: Facts) -> int:
        """How often the kernel killed in the cgroup of these facts for want of memory."""
        return self._host.oom_kills(facts)

    def do(self, kind: str, spec: Spec) -> Facts | Failure:
        """Make it, unless it is there already."""
        handler = self._handlers[kind]
        try:
            found = handler.probe(spec, self._host)
            return handler.do(spec, self._host) if found is None else found
        except OSError as error:
            return Failure.of(error, kind)

    def undo(self, kind: str, spec: Spec, facts: Facts) -> Facts | Failure:
        """Unmake it; {} once it is gone."""
        try:
            self._handlers[kind].undo(spec, facts, self._host)
        except OSError as error:
            return Failure.of(error, f"undo {kind}")
        return {}

    def change(self, kind: str, spec: Spec) -> Facts | Failure:
        """Bring it to `spec` in place; its facts from then on. TypeError for a kind that never changes."""
        handler = self._handlers[kind]
        if not hasattr(handler, "change"):
            raise TypeError(f"a {kind} is never changed in place")
        try:
            facts: Facts = handler.change(spec, self._host)
        except OSError as error:
            return Failure.of(error, f"change {kind}")
        return facts
