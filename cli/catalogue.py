"""Every command and its one line of help, so that the list needs none of their modules. A test keeps it true."""

from __future__ import annotations

SECTIONS: dict[str, dict[str, str]] = {
    "Containers": {
        "run": "Create a container, start it, and relay what it says.",
        "create": "Create a container without starting it, and print its id.",
        "start": "Start created or ended containers.",
        "attach": "Join a running container's terminal or output.",
        "stop": "Ask containers to end, and kill them when they do not in time.",
        "kill": "Send containers a signal; KILL if none is given.",
        "restart": "Stop containers and start them again.",
        "pause": "Freeze every process of containers.",
        "unpause": "Let paused containers go on.",
        "wait": "Wait until containers have ended, and print the exit code of each.",
        "rm": "Remove containers, and all they wrote that is in no volume.",
        "rename": "Give a container another name.",
        "update": "Change the limits or the restart policy of containers, running ones in place.",
    },
    "Looking in": {
        "ps": "List containers.",
        "logs": "Print what a container wrote, its stdout to stdout and its stderr to stderr.",
        "inspect": "Show all that is known of containers, as JSON.",
        "top": "List the processes of a container.",
        "stats": "Show what containers use.",
        "diff": "List what a container changed in its image.",
        "port": "List the published ports of a container.",
        "exec": "Run a command in a running container.",
        "cp": "Copy files between a container and the host: NAME:PATH one side, a path or - (a tar) the other.",
    },
    "Images": {
        "commit": "Write a container's file system as an image, ROOT/IMAGE.tar; it is held still meanwhile.",
        "images": "List images: those imported, and the tars in ROOT that wait to be.",
        "rmi": "Remove images: the name, ROOT/NAME.tar, and the layers that nothing else needs.",
        "import": "Make an image of a tar: FILE, or - for standard input; named NAME, or after the file.",
        "export": "Write a container's file system as a tar.",
    },
    "Networks": {
        "network": "Create, list and remove networks, and connect containers to them.",
    },
    "The past": {
        "history": "Print every event of a container: when, what, who and why.",
        "events": "Print what happened, any time back: one line an event, oldest first.",
        "why": "Tell in a few sentences how a container came to its present state.",
        "audit": "Print who did what to which container or image, when and why.",
        "journal": "Look after the journal: what it holds, what changed between two moments, archive, snapshot, repair.",
    },
    "The engine": {
        "replay": "Rebuild the state from the journal from zero, and put right whatever is not as it tells.",
        "system": "See what takes the disk, and have back what nothing needs.",
        "systemd": "Print or install systemd's units that look after this root: at boot, and once a minute.",
        "version": "Print the versions of mydocker and of what it stands on.",
        "info": "Print what this engine has and where, and what the kernel offers.",
    },
}

COMMANDS: dict[str, str] = {name: line for section in SECTIONS.values() for name, line in section.items()}


def module_of(name: str) -> str:
    """The module of a command; `import` is no name for one in Python."""
    return "cli.commands.import_" if name == "import" else f"cli.commands.{name}"
