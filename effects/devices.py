"""Device files: what a container finds in /dev, and what its device rules allow. LEAN, data.

Rules are as devices.allow of cgroup version 1 takes them: TYPE MAJOR:MINOR ACCESS, TYPE being a for all, b or
c, * for any number, ACCESS some of r, w, m (mknod). The list is docker's (docker 29, runc 1.5).
"""

from __future__ import annotations

# Nodes made in every /dev: name, major, minor, all of mode 0666.
NODES = (
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
)

# Anything may be created with mknod, since a node alone opens nothing.
DEFAULT_RULES = (
    "c *:* m",
    "b *:* m",
    *(f"c {major}:{minor} rwm" for _name, major, minor in NODES),
    "c 5:1 rwm",  # console
    "c 5:2 rwm",  # ptmx
    "c 136:* rwm",  # pts
)
PRIVILEGED_RULES = ("a *:* rwm",)


def rules(*, privileged: bool) -> list[str]:
    """All that a container may open or make; everything else is denied."""
    return list(PRIVILEGED_RULES if privileged else DEFAULT_RULES)
