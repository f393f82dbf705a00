"""What systemd hands to the daemon, read from the unit's own files. Values are never shown.

For commands at a shell: `sudo -u prober prober history` has neither the unit's environment nor its
credentials, and systemd gives them to nobody else.
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from prober.config.secrets import MissingSecretError, references

if TYPE_CHECKING:
    from prober.config.schema import Config

# Another unit than the one whose ExecStart names the configuration: a name, or a file.
UNIT = "PROBER_UNIT"
# systemd's order: what an administrator wrote hides what a package brought.
FOLDERS = tuple(
    Path(folder, "systemd/system")
    for folder in ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")
)
CREDENTIAL_STORES = (Path("/etc/credstore"), Path("/run/credstore"), Path("/usr/lib/credstore"))
USUAL_CONFIG = "/etc/prober/prober.toml"
# What changes how requests are made, or who makes them, beside the secrets.
STEERING = re.compile(
    r"^(PROBER_VANTAGE|STATE_DIRECTORY|SSL_CERT_(FILE|DIR))$|^(AWS|GOOGLE)_|^(HTTPS?|ALL|NO)_PROXY$",
    re.IGNORECASE,
)
_PLACES = {"%%": "%", "%E": "/etc", "%S": "/var/lib", "%t": "/run", "%C": "/var/cache"}


@dataclass(frozen=True)
class Unit:
    """A service that runs the daemon.

    Attributes:
        name: "prober.service".
        settings: the lines of [Service], drop-ins and resets applied. Some hold values.
    """

    name: str
    settings: tuple[tuple[str, str], ...] = field(repr=False)

    def all(self, key: str) -> list[str]:
        return [_placed(value, self.name) for name, value in self.settings if name == key]

    @property
    def user(self) -> str:
        return (self.all("User") or ["root"])[-1]

    @property
    def environment_files(self) -> list[Path]:
        return [
            Path(name)
            for pattern in self.all("EnvironmentFile")
            for name in sorted(glob.glob(pattern.removeprefix("-"))) or [pattern.removeprefix("-")]
        ]

    @property
    def passing(self) -> list[str]:
        """What systemd-run needs to hand the same over: `--property` values, without a value."""
        keys = ("EnvironmentFile", "LoadCredential", "LoadCredentialEncrypted", "StateDirectory")
        return [f"{key}={value}" for key in keys for value in self.all(key)]

    def gives_credential(self, name: str) -> bool:
        """Whether the unit has a line for this credential, of whatever kind."""
        return any(
            key.startswith(("LoadCredential", "SetCredential")) and value.partition(":")[0] == name
            for key, value in self.settings
        )


@dataclass(frozen=True)
class Handed:
    """Everything the unit hands over that this user may read.

    Attributes:
        closed: files that are there and could not be read.
    """

    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    closed: tuple[Path, ...] = ()


NOTHING = Handed()


def find(config: Path, environment: Mapping[str, str]) -> Unit | None:
    """The unit that runs the daemon on this very file, or the one that PROBER_UNIT names."""
    if named := environment.get(UNIT, ""):
        return _load(named, FOLDERS)
    names = {path.name for folder in FOLDERS for path in folder.glob("prober*.service")}
    units = (_load(name, FOLDERS) for name in sorted(names) if not name.endswith("@.service"))
    return next((unit for unit in units if unit and _runs(unit, config)), None)


def _runs(unit: Unit, config: Path) -> bool:
    words = [word for line in unit.all("ExecStart") for word in _words(line)]
    if "run" not in words:
        return False
    assigned = dict(word.split("=", 1) for line in unit.all("Environment") for word in _words(line)
                if "=" in word)  # fmt: skip
    path = assigned.get("PROBER_CONFIG", USUAL_CONFIG)
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word in ("--config", "-c"):
            path = following
        elif word.startswith("--config="):
            path = word.partition("=")[2]
    return os.path.realpath(path) == os.path.realpath(config)


def handed(unit: Unit) -> Handed:
    """Reads what the unit hands over; what may not be read is named in `closed`."""
    environment: dict[str, str] = {}
    credentials: dict[str, str] = {}
    closed: list[Path] = []
    for line in unit.all("Environment"):
        environment |= dict(word.split("=", 1) for word in _words(line) if "=" in word)
    for path in unit.environment_files:
        environment |= parse_environment(_text(path, closed))
    for folder in unit.all("StateDirectory")[-1:]:
        environment["STATE_DIRECTORY"] = f"/var/lib/{folder.split()[0]}"
    for line in unit.all("SetCredential"):
        name, _, value = line.partition(":")
        credentials[name] = value
    for line in unit.all("LoadCredential"):
        name, _, place = line.partition(":")
        credentials |= dict(_credential(name, Path(place or name), closed))
    return Handed(environment, credentials, tuple(closed))


def _credential(name: str, path: Path, closed: list[Path]) -> Iterator[tuple[str, str]]:
    if not path.is_absolute():
        path = next((p for s in CREDENTIAL_STORES if os.path.exists(p := s / path)), path)
    if os.path.isdir(path):
        for file in sorted(path.iterdir()) if os.access(path, os.R_OK) else ():
            yield f"{name}_{file.name}", _text(file, closed)
    elif text := _text(path, closed):
        yield name, text


def _text(path: Path, closed: list[Path]) -> str:
    """What a file holds; nothing where it is not there."""
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, ValueError):
        closed.append(path)
        return ""


def of_process(config: Config, environment: Mapping[str, str]) -> Handed:
    """What this process was handed of what its configuration points at."""
    wanted, credentials = set(), {}
    for ref in references(config):
        if ref.env is not None:
            wanted.add(ref.env)
        elif ref.credential is not None:
            with contextlib.suppress(MissingSecretError):
                credentials[ref.credential] = ref.read()
    named = {k: v for k, v in environment.items() if k in wanted or STEERING.search(k)}
    return Handed(named, credentials)


# -- the formats ----------------------------------------------------------------------------------


def _load(name: str, folders: Iterable[Path]) -> Unit | None:
    """A unit by its name, or by the path of its file; with its drop-ins."""
    if os.sep in name:
        main: Path | None = Path(name)
        places: list[Path] = [Path(name).parent]
    else:
        name = name if name.endswith(".service") else f"{name}.service"
        places = list(folders)
        main = next((p for n in _names(name) for f in places if os.path.isfile(p := f / n)), None)
    if main is None or not os.path.isfile(main):
        return None
    dropped = {
        path.name: path
        for base in reversed(_names(Path(name).name))
        for folder in reversed(places)
        for path in (folder / f"{base}.d").glob("*.conf")
    }
    files = [main, *(dropped[key] for key in sorted(dropped))]
    texts = [_text(file, []) for file in files]
    return Unit(Path(name).name, parse_service(texts))


def _names(name: str) -> list[str]:
    """The unit's own file, then the template of an instance."""
    stem, at, _ = name.partition("@")
    return [name, f"{stem}@.service"] if at else [name]


def parse_service(texts: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """The lines of [Service] of a unit and its drop-ins; an empty one resets its key."""
    pairs: list[tuple[str, str]] = []
    for text in texts:
        section = ""
        for line in _logical_lines(text):
            if line.startswith("["):
                section = line.strip("[]")
                continue
            key, equals, value = (part.strip() for part in line.partition("="))
            if section != "Service" or not equals:
                continue
            if value:
                pairs.append((key, value))
            else:
                pairs = [pair for pair in pairs if pair[0] != key]
    return tuple(pairs)


def _logical_lines(text: str) -> Iterator[str]:
    whole = ""
    for line in text.splitlines():
        if line.lstrip().startswith(("#", ";")):
            continue  # also between the parts of a long line
        whole += line
        if whole.endswith("\\"):
            whole = whole[:-1] + " "
            continue
        if whole.strip():
            yield whole.strip()
        whole = ""
    if whole.strip():
        yield whole.strip()


def parse_environment(text: str) -> dict[str, str]:
    """An EnvironmentFile, by systemd.exec(5): quotes, backslashes and comments of its own kind."""
    assigned: dict[str, str] = {}
    rest = text.replace("\r\n", "\n")
    while rest:
        line, _, after = rest.partition("\n")
        name, equals, _ = line.partition("=")
        if line.lstrip().startswith(("#", ";")) or not equals:
            while line.endswith("\\") and after:  # a comment goes on like any line
                line, _, after = after.partition("\n")
            rest = after
            continue
        value, rest = _value(rest[len(name) + 1 :])
        assigned[name.strip()] = value
    return assigned


def _value(text: str) -> tuple[str, str]:
    """(the value that begins here, what follows its line)."""
    value, kept, state, at = "", 0, "", 0  # state: "" before it, a quote within one, else "bare"
    while at < len(text):
        char, at = text[at], at + 1
        if char == "\\" and state != "'" and at < len(text):
            char, at = text[at], at + 1
            if state == '"' and char not in '"\\`$\n':
                char = f"\\{char}"
            value += char.removesuffix("\n")  # there the line goes on
            kept, state = len(value), state or "bare"
        elif state in ("'", '"'):
            value, state = (value, "") if char == state else (value + char, state)
            kept = len(value)
        elif char == "\n":
            break
        elif not state and char in "'\" \t":
            state = char.strip()
        else:
            value, state = value + char, "bare"
            kept = kept if char.isspace() else len(value)
    return value[:kept], text[at:]


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return []


def _placed(value: str, name: str) -> str:
    """A setting with systemd's specifiers filled in, as far as they are the same for everybody."""
    stem = name.removesuffix(".service")
    prefix, _, instance = stem.partition("@")
    known = {**_PLACES, "%n": name, "%N": stem, "%p": prefix, "%i": instance, "%I": instance}
    return re.sub(r"%.", lambda match: known.get(match.group(), match.group()), value)
