"""systemd's units for one root: what looks after its containers at boot, and once a minute. Pure: text."""

from __future__ import annotations

from cli.places import DEFAULT_ROOT, Places
from machine.errors import InvalidValue
from machine.home import USUAL_RUN_DIR

DIRECTORY = "/etc/systemd/system"  # for units of the administrator's, systemd.unit(5)
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_.")

# No sandboxing options: seccomp filters, bounding sets, no-new-privileges and mount namespaces are inherited, so each
# would reach into the containers that are started from here, and make them others than those started by hand.
_SERVICE = """\
# Written by `mydocker systemd`. Puts right what a crash or a reboot left, and starts what its restart policy says.
[Unit]
Description=Put the containers in {title} right
After=local-fs.target network.target nftables.service firewalld.service
RequiresMountsFor={root_word}
ConditionPathExists={root_raw}/journal

[Service]
Type=oneshot
ExecStart={command}
# Not RemainAfterExit: the timer starts it again. What it starts, the containers' monitors, lives on when it ends.
KillMode=process
OOMPolicy=continue
TasksMax=infinity
TimeoutStartSec=15min
UMask=0077
# A line where something was put right, and none a minute where nothing was.
SyslogIdentifier=mydocker
SyslogLevel=notice
LogLevelMax=notice

[Install]
WantedBy=multi-user.target
"""

_TIMER = """\
# Written by `mydocker systemd`. Gives containers whose monitor was killed a new one, within a minute.
[Unit]
Description=Look after the containers in {title} every minute

[Timer]
OnBootSec=1min
OnUnitInactiveSec=1min
AccuracySec=10s

[Install]
WantedBy=timers.target
"""


def unit_name(root: str) -> str:
    """`mydocker-replay`, and the root behind it where that is not the default, as `systemd-escape --path` has it."""
    if root == DEFAULT_ROOT:
        return "mydocker-replay"
    return f"mydocker-replay-{_escaped(root.strip('/')) or '-'}"


def units(program: str, places: Places) -> dict[str, str]:
    """File name -> its text. `program`: the absolute path of ours. InvalidValue for a path that no unit can hold."""
    for path in (program, places.root, places.run_dir):
        if path and not path.isprintable():
            raise InvalidValue("path", path, "a unit file cannot hold it")
    words = [program]
    if places.root != DEFAULT_ROOT:
        words += ["-r", places.root]
    if places.run_dir not in ("", USUAL_RUN_DIR):
        words += ["--run-dir", places.run_dir]
    filled = {
        "title": places.root.replace("%", "%%"),
        "root_raw": places.root.replace("%", "%%"),
        "root_word": _word(places.root),
        "command": " ".join(
            _word(word).replace("$", "$$") for word in [*words, "replay", "--fast", "--quiet"]
        ),
    }
    name = unit_name(places.root)
    return {f"{name}.service": _SERVICE.format(**filled), f"{name}.timer": _TIMER.format(**filled)}


def _word(text: str) -> str:
    """One word as systemd.syntax(7) takes it; % is for specifiers."""
    if text and _PLAIN.union("/-").issuperset(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def _escaped(path: str) -> str:
    """As systemd.unit(5) makes a name of a path: / is -, all but plain characters are hexadecimal."""
    parts = []
    for number, byte in enumerate(path.encode()):
        char = chr(byte)
        if char == "/":
            parts.append("-")
        elif char in _PLAIN and not (char == "." and number == 0):
            parts.append(char)
        else:
            parts.append(f"\\x{byte:02x}")
    return "".join(parts)
