"""What people type, made into settings: names, environment, volumes, users, policies.

Every function takes the text and, for the message, what it was given for; the one error is InvalidValue.
What comes out is JSON, in the words of `machine.settings`.
"""

from __future__ import annotations

from machine.errors import InvalidValue
from machine.quantities import is_digits, size, whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

MAX_NAME = 128
MAX_HOSTNAME = 64  # HOST_NAME_MAX, sethostname(2)
MAX_DNS_LABEL = 63  # RFC 1123
MAX_ACCOUNT = 256  # LOGIN_NAME_MAX
MAX_MODE = 0o7777
MAX_ID = 2**32 - 2  # (uid_t) -1 means "leave it" to the kernel
MAX_PATH = 4095  # PATH_MAX less its NUL

_ALNUM = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
_NAME = _ALNUM | set("_.-")
_ACCOUNT = _NAME | set("@$")

# Asked of SELinux, or of a virtual machine's file sharing: neither is here, so there is nothing to do.
_VOLUME_NOOPS = frozenset({"z", "Z", "cached", "delegated", "consistent", "private", "rprivate"})
_SWITCHES = "ro rw exec noexec suid nosuid dev nodev atime noatime diratime nodiratime relatime sync async"
_TMPFS_FLAGS = frozenset(_SWITCHES.split())
_RESTARTS = ("no", "always", "unless-stopped", "on-failure")
_UNCONFINED = {"seccomp": "unconfined", "apparmor": "unconfined", "label": "disable"}


def plain(text: str, what: str) -> str:
    """The text as it is, if it is text: events hold UTF-8, and the kernel ends strings at NUL."""
    if "\0" in text:
        raise InvalidValue(what, text, "holds a NUL byte")
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise InvalidValue(what, text, "is not UTF-8")
    return text


def command_text(text: str, what: str = "command") -> str:
    """A shell's command: not empty, and without NUL. The message shows nothing of it, since it may hold secrets."""
    if not text.strip() or "\0" in text:
        raise InvalidValue(what, "***", "holds a NUL byte" if "\0" in text else "is empty")
    return text


def name(text: str, what: str = "name") -> str:
    """A container's name, or an image's: letters, digits, and _ . - after the first; 128 at most."""
    if not text or text[0] not in _ALNUM or not _NAME.issuperset(text):
        raise InvalidValue(what, text, "expected letters, digits, and _ . - after the first of them")
    if len(text) > MAX_NAME:
        raise InvalidValue(what, text, f"longer than {MAX_NAME} characters")
    return text


def hostname(text: str, what: str = "hostname") -> str:
    """A host's name of at most 64 characters, as RFC 1123 has it; with `_` too, which names of services have."""
    for part in text.split("."):
        fits = 0 < len(part) <= MAX_DNS_LABEL and part[0] != "-" and part[-1] != "-"
        if not fits or not (_ALNUM | {"-", "_"}).issuperset(part):
            raise InvalidValue(what, text, "expected letters, digits, - and _ in parts joined by dots")
    if len(text) > MAX_HOSTNAME:
        raise InvalidValue(what, text, f"longer than {MAX_HOSTNAME} characters")
    return text


def container_path(text: str, what: str = "path") -> str:
    """An absolute path in the container, without `.`, `..`, doubled and trailing slashes."""
    if not plain(text, what).startswith("/"):
        raise InvalidValue(what, text, "must be absolute")
    if len(text) > MAX_PATH:
        raise InvalidValue(what, text, f"longer than {MAX_PATH} characters")
    parts: list[str] = []
    for part in text.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def _mount_target(text: str, what: str, whole_text: str) -> str:
    target = container_path(text, what)
    if target == "/":
        raise InvalidValue(what, whole_text, "cannot be mounted over the container's root")
    # A mount there could feign what the engine and the kernel's guards read (CVE-2019-19921).
    if target == "/proc" or target.startswith("/proc/"):
        raise InvalidValue(what, whole_text, "cannot be mounted in /proc")
    return target


def volume(text: str, what: str = "volume") -> dict[str, Any]:
    """SOURCE:TARGET[:OPTIONS] as {"source", "target", "ro"}; both absolute, the source left as typed."""
    source, colon, rest = plain(text, what).partition(":")
    target, _, options = rest.partition(":")
    if not colon:
        raise InvalidValue(what, text, "expected SOURCE:TARGET")
    if not source.startswith("/"):
        raise InvalidValue(what, text, "the source must be an absolute path")
    chosen = set(options.split(",")) if options else set()
    unknown = chosen - {"ro", "rw"} - _VOLUME_NOOPS
    if unknown:
        raise InvalidValue(what, text, f"unknown option {min(unknown)!r} [ro and rw are known]")
    if chosen >= {"ro", "rw"}:
        raise InvalidValue(what, text, "both ro and rw")
    return {"source": source, "target": _mount_target(target, what, text), "ro": "ro" in chosen}


def tmpfs(text: str, what: str = "tmpfs") -> dict[str, str]:
    """PATH[:OPTIONS] as {"target", "options"}, each option one that tmpfs of this kernel knows."""
    path, _, options = plain(text, what).partition(":")
    for option in options.split(",") if options else ():
        key, _, value = option.partition("=")
        if key == "size" and value:
            size(value, f"{what} size")
        elif key == "mode" and value:
            _mode(value, text, what)
        elif key in ("uid", "gid", "nr_inodes") and value:
            whole(value, f"{what} {key}", least=0, most=MAX_ID)
        elif option not in _TMPFS_FLAGS:
            raise InvalidValue(what, text, f"unknown option {option!r}")
    return {"target": _mount_target(path, what, text), "options": options}


def _mode(value: str, text: str, what: str) -> None:
    if not frozenset("01234567").issuperset(value) or int(value, 8) > MAX_MODE:
        raise InvalidValue(what, text, "mode is an octal number such as 1777")


def check_targets(volumes: Iterable[dict[str, Any]], mounts: Iterable[dict[str, str]] = ()) -> None:
    """Refuse two volumes or tmpfs at one place: the series' engine emptied a host directory so."""
    seen: set[str] = set()
    for mount in (*volumes, *mounts):
        if mount["target"] in seen:
            raise InvalidValue("volumes", mount["target"], "two of them at this place")
        seen.add(mount["target"])


def env(text: str, environ: Mapping[str, str], what: str = "environment variable") -> tuple[str, str] | None:
    """KEY=VALUE as a pair; KEY alone takes `environ`'s value, or is None where it has none."""
    key, equals, value = text.partition("=")
    if not key or any(char.isspace() for char in key):
        raise InvalidValue(what, key, "expected KEY=VALUE or KEY" if not key else "the key holds white space")
    if "\0" in text:
        raise InvalidValue(what, key, "holds a NUL byte")
    if equals:
        return key, value
    return (key, environ[key]) if key in environ else None


def env_file(text: str, environ: Mapping[str, str], what: str = "environment file") -> dict[str, str]:
    """The variables of a file of KEY=VALUE or KEY lines; `#` lines are comments, values stay as they are.

    The message names the line by its number, never by what it holds.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        entry = line.removesuffix("\r").lstrip()
        if not entry or entry.startswith("#"):
            continue
        try:
            pair = env(entry, environ, what)
        except InvalidValue as error:
            raise InvalidValue(what, f"line {number}", error.why) from None
        if pair:
            found[pair[0]] = pair[1]
    return found


def label(text: str, what: str = "label") -> tuple[str, str]:
    """KEY=VALUE, or KEY with an empty value."""
    key, _, value = plain(text, what).partition("=")
    if not key.strip():
        raise InvalidValue(what, text, "expected KEY=VALUE or KEY")
    return key, value


def user(text: str, what: str = "user") -> str:
    """UID, UID:GID, NAME or NAME:GROUP as typed; the names are looked up in the container."""
    account, colon, rest = text.partition(":")
    group(account, what)
    if colon:
        group(rest, what)
    return text


def group(text: str, what: str = "group") -> str:
    """A group's (or user's) name or number as typed."""
    if is_digits(text):
        whole(text, what, least=0, most=MAX_ID)
    elif (
        not text or text[0] not in _ALNUM | {"_"} or not _ACCOUNT.issuperset(text) or len(text) > MAX_ACCOUNT
    ):
        raise InvalidValue(what, text, "expected a name or a number, and :GROUP after a user if wanted")
    return text


def restart(text: str, what: str = "restart policy") -> dict[str, Any]:
    """no, always, unless-stopped or on-failure[:N] as {"policy", "max"}; max 0 is without end."""
    policy, colon, count = text.partition(":")
    if policy not in _RESTARTS or (colon and policy != "on-failure"):
        raise InvalidValue(what, text, "expected no, always, unless-stopped or on-failure[:N]")
    return {"policy": policy, "max": whole(count, what, least=0, most=2**31 - 1) if colon else 0}


def security_opt(text: str, what: str = "security option") -> tuple[str, bool]:
    """("no-new-privileges", True or False), or (seccomp, apparmor or label, False): switched off.

    Only what is really done is taken: a profile that nobody would load is refused.
    """
    key, _, value = text.replace(":", "=", 1).partition("=") if "=" not in text else text.partition("=")
    if key == "no-new-privileges" and value in ("", "true", "false"):
        return key, value != "false"
    if _UNCONFINED.get(key) == value:
        return key, False
    raise InvalidValue(what, text, "expected no-new-privileges[=false] or seccomp=unconfined")


def filters(texts: Iterable[str], known: Iterable[str], what: str = "filter") -> dict[str, list[str]]:
    """KEY=VALUE each, as {key: values}; a key that is not in `known` is refused."""
    found: dict[str, list[str]] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or key not in known:
            raise InvalidValue(what, text, f"expected KEY=VALUE with one of {', '.join(sorted(known))}")
        found.setdefault(key, []).append(value)
    return found


def detach_keys(text: str, what: str = "detach keys") -> bytes:
    """The bytes of "ctrl-p,ctrl-q", of single characters or DEL; an empty text is no way to detach."""
    keys = bytearray()
    for key in text.split(",") if text else ():
        control = key.lower().removeprefix("ctrl-")
        if len(key) == 1 and key.isascii():
            keys.append(ord(key))
        elif key == "DEL":
            keys.append(0x7F)
        elif control != key.lower() and len(control) == 1 and control in "@abcdefghijklmnopqrstuvwxyz[\\]^_":
            keys.append(ord(control.upper()) & 0x1F)
        else:
            raise InvalidValue(what, text, "expected keys such as a or ctrl-p, joined by commas")
    return bytes(keys)


def location(text: str, what: str = "path") -> tuple[str, str]:
    """(container, path) of NAME:PATH, or ("", path) of a path on the host; `-` is ("", "-").

    A text that begins with / or . is the host's, whatever colons it holds.
    """
    container, colon, path = text.partition(":")
    if not colon or text[:1] in ("/", "."):
        if not text:
            raise InvalidValue(what, text, "is empty")
        return "", text
    if not container or not path:
        raise InvalidValue(what, text, "expected NAME:PATH")
    return container, path
