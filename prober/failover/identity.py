"""Keeps to one installation: compares the state folder with Redis, at start and at every look."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from redis.exceptions import NoPermissionError, RedisError

from prober.config import last_good
from prober.config.paths import write_whole
from prober.config.secrets import MissingSecretError, reveal
from prober.history.installation import (
    Act,
    Folder,
    InstallationVerdict,
    OtherInstallationError,
    RedisIdentity,
    identify,
    place_of,
    short,
)

if TYPE_CHECKING:
    from prober.history.journal import Record
    from switch.control.writer import FlagWriter, Observed
    from switch.flag import Keys

log = logging.getLogger(__name__)

FILE = "installation"
UNREADABLE = (
    "the Redis user may not read {key}, so that nobody would notice a Redis of another "
    "installation: grant it (~{key} in deploy/redis.acl)"
)
_KNOWN = frozenset({"done", "intent", "incident"})


def new_id() -> str:
    return uuid4().hex


def read(folder: Path, records: Iterable[Record]) -> Folder:
    """What a state folder says of itself. `records`: its journal. Blocks."""
    holds = any(record["kind"] in _KNOWN for record in records)
    try:
        decoded = json.loads((folder / FILE).read_text("utf-8"))
        return Folder(str(folder), str(decoded["id"]), str(decoded["redis"]), holds)
    except (OSError, ValueError, KeyError, TypeError):
        return Folder(str(folder), place=_last_place(folder) if holds else "", holds=holds)


def _last_place(folder: Path) -> str:
    """Where the flags were that a daemon older than ids kept from here; empty if nobody knows."""
    config = last_good.kept(folder)
    if config is None:
        return ""
    try:
        url = "" if config.redis.embedded else reveal(config.redis.url)
        return place_of(url, config.redis.namespace)
    except (MissingSecretError, ValueError):
        return ""


def keep(folder: Path, id: str, place: str) -> None:
    """Writes down whose folder this is; on disk when it returns. Blocks; raises OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_whole(folder / FILE, json.dumps({"id": id, "redis": place}))


class Identity:
    """Which installation this process works for.

    Attributes:
        id: empty while nobody knows.
        held: why nothing may be written, and what to do about it; empty while all is well.
        unreadable: Redis does not let us ask; told as a danger.
        changed: what this process was built on holds no more: it must begin anew.
    """

    def __init__(
        self,
        folder: Folder,
        place: str,
        writer: FlagWriter,
        namespace: str,
        routes: Callable[[], list[Keys]],
        *,
        writes: bool,
    ) -> None:
        self.id = ""
        self.held: InstallationVerdict | None = None
        self.unreadable = ""
        self.changed = asyncio.Event()
        self._folder = folder
        self._place = place
        self._writer = writer
        self._namespace = namespace
        self._routes = routes
        self._writes = writes
        self._fresh = new_id()

    async def begin(self) -> None:
        """The first look, before anything of the folder is used. Never raises for Redis."""
        verdict = await self._settle()
        if verdict.act is Act.HOLD:
            self.held = verdict
        else:
            await self._take(verdict.id)

    async def admit(self, seen: Observed) -> str:
        """Whether what was just seen is ours: gives a new id of ours, if this look made one.

        Raises OtherInstallationError when it is not.
        """
        borne = seen.installation
        self.unreadable = "" if borne is not None else self._unreadable()
        ours = borne == self.id if borne else bool(self.id) and not self._writes
        unsaid = borne is None or (not borne and not seen.writable)
        if self.held is None and (ours or unsaid):
            self._folder = replace(self._folder, holds=self._folder.holds or seen.flag is not None)
            return ""
        if self.held is not None:
            # Somebody may have adopted it meanwhile.
            now = await asyncio.to_thread(read, Path(self._folder.path), ())
            self._folder = replace(now, holds=self._folder.holds) if now.id else self._folder
        verdict = await self._settle()
        if verdict.act is Act.HOLD:
            self.held = verdict
            raise OtherInstallationError(verdict.why)
        if verdict.act is Act.WAIT or not verdict.id:
            raise OtherInstallationError("Redis did not say which installation it belongs to")
        began_held, self.held = self.held is not None and not self.id, None
        if verdict.id == self.id:
            return ""
        if began_held or verdict.id != self._fresh:
            # What stands in SQL and the journal for that one is not in memory.
            self.changed.set()
            raise OtherInstallationError("taking up what this installation left")
        await self._take(verdict.id)
        return verdict.id

    def _unreadable(self) -> str:
        return UNREADABLE.format(key=f"{self._namespace}:installation")

    async def _settle(self) -> InstallationVerdict:
        """Compares, and claims Redis where that is the verdict."""
        for _ in range(3):
            shown = await self._look()
            verdict = identify(self._folder, shown, self._place, self._fresh)
            if verdict.act is not Act.CLAIM or not self._writes:
                return verdict
            try:
                stands = await self._writer.claim(self._namespace, verdict.id, verdict.instead_of)
            except (RedisError, OSError) as error:
                log.info("Redis takes no name yet: %s", error)
                return identify(self._folder, None, self._place, self._fresh)
            if stands == verdict.id:
                log.info("%s belongs to installation %s now", self._place, short(verdict.id))
                return verdict
        return InstallationVerdict(Act.WAIT)

    async def _look(self) -> RedisIdentity | None:
        try:
            return RedisIdentity(*await self._writer.installation(self._namespace, self._routes()))
        except NoPermissionError:
            self.unreadable = self._unreadable()
        except (RedisError, OSError) as error:
            log.info("Redis does not say yet which installation it belongs to: %s", error)
        return None

    async def _take(self, id: str) -> None:
        self.id = id
        if not id or (id, self._place) == (self._folder.id, self._folder.place):
            return
        self._folder = replace(self._folder, id=id, place=self._place)
        try:
            await asyncio.to_thread(keep, Path(self._folder.path), id, self._place)
        except OSError as error:
            log.warning("%s/%s cannot be written: %s", self._folder.path, FILE, error.strerror)
