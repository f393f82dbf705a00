"""The last known flags in a small local file, for a start while Redis is away.

The file is an aid and never an authority: it is served until the first good read of Redis, and a
missing, broken or suspicious one is as good as none.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import stat
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from switch.flag import NAME, Candidate, decode_candidates, encode_candidate

log = logging.getLogger("switch")

VERSION = 1
# A thousand routes fit; a file beyond this is not ours.
MAX_BYTES = 1_000_000


class SnapshotError(ValueError):
    """The file is there and cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class RememberedRoute:
    """What an earlier process served of one route.

    Attributes:
        provider: the last one that was served, which the application can call.
    """

    provider: str
    epoch: int
    reason: str = ""
    candidates: tuple[Candidate, ...] = ()


def encode(namespace: str, known: Mapping[str, RememberedRoute]) -> str:
    routes = {
        route: {
            "provider": served.provider,
            "epoch": served.epoch,
            "reason": served.reason,
            "candidates": {c.name: encode_candidate(c) for c in served.candidates},
        }
        for route, served in known.items()
    }
    return json.dumps({"version": VERSION, "namespace": namespace, "routes": routes})


def decode(text: str, namespace: str) -> dict[str, RememberedRoute]:
    """route -> what was served. Raises SnapshotError."""
    try:
        decoded = json.loads(text)
        if decoded["version"] != VERSION:
            raise SnapshotError(
                f"it has version {decoded['version']!r}, this build reads {VERSION}"
            )
        if decoded["namespace"] != namespace:
            raise SnapshotError(f"it is of namespace {decoded['namespace']!r}, not {namespace!r}")
        routes = {
            str(route): RememberedRoute(
                provider=entry["provider"],
                epoch=int(entry["epoch"]),
                reason=str(entry["reason"]),
                candidates=decode_candidates(entry["candidates"]),
            )
            for route, entry in decoded["routes"].items()
        }
    except SnapshotError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SnapshotError(f"it is not a snapshot ({type(error).__name__})") from error
    for entry in routes.values():
        if not isinstance(entry.provider, str) or not NAME.match(entry.provider):
            raise SnapshotError(f"it names provider {entry.provider!r}")
    return routes


class Snapshot:
    """The file of one reader. Neither method raises: each warns once."""

    def __init__(self, path: str | os.PathLike[str], namespace: str, routes: Iterable[str]) -> None:
        self.path = Path(path)
        self._namespace = namespace
        self._routes = frozenset(routes)
        self._written = ""
        self._told_unwritable = False

    def load(self) -> dict[str, RememberedRoute]:
        """Reads the file; empty when it is missing or not to be used."""
        try:
            text = _read(self.path)
            routes = decode(text, self._namespace)
        except FileNotFoundError:
            return {}
        except (OSError, SnapshotError, UnicodeDecodeError) as error:
            log.warning("the snapshot %s is ignored: %s", self.path, error)
            return {}
        self._written = text
        return {route: served for route, served in routes.items() if route in self._routes}

    def save(self, known: Mapping[str, RememberedRoute]) -> None:
        """Puts the whole file in place at once, where it differs from the last one."""
        text = encode(self._namespace, known)
        if text == self._written or not known:
            return
        try:
            _replace(self.path, text)
        except OSError as error:
            if not self._told_unwritable:
                log.warning("the snapshot %s cannot be written: %s", self.path, error)
            self._told_unwritable = True
            return
        self._told_unwritable = False
        self._written = text


def _read(path: Path) -> str:
    # Without O_NONBLOCK a named pipe would hold the application's start for ever.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise SnapshotError("it is not a regular file")
        if status.st_size > MAX_BYTES:
            raise SnapshotError(f"it has {status.st_size} bytes, more than {MAX_BYTES}")
        # Whoever may write this file chooses where the application sends its prompts.
        if status.st_uid not in (os.geteuid(), 0):
            raise SnapshotError(f"it belongs to user {status.st_uid}")
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise SnapshotError(f"others may write it; run: chmod 600 {path}")
        return os.read(handle, MAX_BYTES).decode()
    finally:
        os.close(handle)


def _replace(path: Path, text: str) -> None:
    # mkstemp makes it readable by its owner alone, under a name that no other worker uses.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
