"""What the first process of a container, and every later one, is made from: JSON values. LEAN, types only."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypedDict

    from effects.identity import Identity

    class Volume(TypedDict):
        source: str  # absolute, on the host
        target: str  # absolute, in the container
        ro: bool

    class Tmpfs(TypedDict):
        target: str
        options: str  # "size=64m,mode=1777"

    class StageConfig(TypedDict):
        """What the last stage needs: of the first process, and of one that joins later.

        argv, env, cwd: as execve(2) takes them, text with surrogateescape.
        user     "" | UID | NAME, each with :GID or :GROUP; groups: further ones
        caps     names without CAP_; privileged: all that we have instead
        joins    `tasks` files of cgroup version 1 to write "0" to
        cgroup2  the version 2 directory to be born in, or ""
        """

        argv: list[str]
        env: dict[str, str]
        cwd: str
        user: str
        groups: list[str]
        tty: bool
        caps: list[str]
        privileged: bool
        no_new_privileges: bool
        joins: list[str]
        cgroup2: str

    class InitConfig(StageConfig):
        """The container besides.

        lower      absolute directories of the layers, uppermost first; upper, work: of the overlay
        auto_remove  whether `upper` is thrown away with the container: it need never reach the disk
        files      container path -> host path, bound over
        stdio      stdout, stderr, stdin -> FIFO; stdin may be ""; unused with a tty
        init       path of a static init on the host, or ""
        network    "host"; "container": that of the process `netns`; else one of its own
        shm_size   bytes
        """

        id: str
        name: str
        hostname: str
        lower: list[str]
        upper: str
        work: str
        auto_remove: bool
        volumes: list[Volume]
        tmpfs: list[Tmpfs]
        files: dict[str, str]
        network: str
        netns: Identity
        stdin: bool
        stdio: dict[str, str]
        read_only: bool
        init: str
        shm_size: int
