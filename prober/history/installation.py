"""Whether a state folder and a Redis belong together, and which id both bear. Pure.

An installation is one set of daemons that keep one set of flags. Its id is random, made once, and
stands in Redis, in the state folder and with every row of history. What bears another id is never
used to restore, to repair or to alert. The database is not asked here: installations share one,
and each sees its own rows only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import parse_qs, urlsplit

from switch.flag import DEFAULT_NAMESPACE

_SERVICE = re.compile(r"[\w.-]{1,64}\Z")


class OtherInstallationError(Exception):
    """This Redis must not be used together with this state folder; the message says why."""


class Act(StrEnum):
    """What a daemon does about its installation.

    USE: go by the id. CLAIM: write it to Redis, then look again. WAIT: Redis will say; until then
    the folder's own records may be used. HOLD: probe, and write nothing.
    """

    USE = "use"
    CLAIM = "claim"
    WAIT = "wait"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class Folder:
    """A state folder.

    Attributes:
        id: empty in one that is new, or older than ids.
        place: where the flags were that it was last used with; empty if nobody knows.
        holds: it knows flags or incidents.
    """

    path: str = ""
    id: str = ""
    place: str = ""
    holds: bool = False


@dataclass(frozen=True, slots=True)
class RedisIdentity:
    """What Redis bears; `holds`: a flag of one of our routes stands there."""

    id: str = ""
    holds: bool = False


@dataclass(frozen=True, slots=True)
class InstallationVerdict:
    """`instead_of`: what Redis must still bear for a claim. `you`: how to make it so on purpose."""

    act: Act
    id: str = ""
    instead_of: str = ""
    why: str = ""
    you: str = ""


def identify(
    folder: Folder, redis: RedisIdentity | None, here: str, fresh: str
) -> InstallationVerdict:
    """Whether `folder` and the Redis at `here` may be used together.

    Args:
        redis: None where it does not answer, or may not be asked.
        here: the place that the configuration names, from `place_of`.
        fresh: the id of a new installation, should there be none.
    """
    elsewhere = bool(folder.place) and folder.place != here
    if redis is None:
        if folder.holds and elsewhere:
            return _moved(folder, here, "does not answer")
        return (
            InstallationVerdict(Act.USE, folder.id)
            if folder.id and not elsewhere
            else InstallationVerdict(Act.WAIT)
        )
    if redis.id:
        return _named(folder, redis, here, elsewhere=elsewhere)
    if folder.id and not elsewhere:
        # Emptied, or older than ids: what the folder knows is what is restored.
        return InstallationVerdict(Act.CLAIM, folder.id)
    if folder.holds and elsewhere:
        return _moved(folder, here, "bears no installation")
    if folder.holds and not folder.place and not redis.holds:
        return _moved(folder, here, "is empty")
    return InstallationVerdict(Act.CLAIM, fresh)


def _named(
    folder: Folder, redis: RedisIdentity, here: str, *, elsewhere: bool
) -> InstallationVerdict:
    if folder.id == redis.id or not folder.holds:
        return InstallationVerdict(Act.USE, redis.id)
    if not folder.id:
        # Older than ids: the first vantage of an installation gives the others theirs.
        return _two(folder, redis, here) if elsewhere else InstallationVerdict(Act.USE, redis.id)
    if not redis.holds and not elsewhere:
        # A newcomer named an emptied Redis before those who know its flags could.
        return InstallationVerdict(Act.CLAIM, folder.id, instead_of=redis.id)
    return _two(folder, redis, here)


def short(id: str) -> str:
    """As much of an id as people compare."""
    return id[:8]


def _owner(folder: Folder) -> str:
    named = f"installation {short(folder.id)}" if folder.id else "an installation without an id"
    return f"{named}, whose flags are in {folder.place}" if folder.place else named


def _two(folder: Folder, redis: RedisIdentity, here: str) -> InstallationVerdict:
    return InstallationVerdict(
        Act.HOLD,
        why=(
            f"the state folder {folder.path} belongs to {_owner(folder)}, but {here} belongs to "
            f"installation {short(redis.id)}"
        ),
        you=(
            "correct [redis] or [daemon].state_dir; or, if they shall belong together, run "
            "`prober adopt redis` (the folder joins the installation of this Redis) or "
            "`prober adopt folder` (this Redis joins the installation of the folder)"
        ),
    )


def _moved(folder: Folder, here: str, what: str) -> InstallationVerdict:
    return InstallationVerdict(
        Act.HOLD,
        why=(
            f"the state folder {folder.path} belongs to {_owner(folder)}, but [redis] names "
            f"{here}, which {what}"
        ),
        you=(
            "give another installation its own [daemon].state_dir; or, if these flags shall move "
            "there, run `prober adopt folder`; to begin anew, `prober adopt new`"
        ),
    )


def place_of(url: str, namespace: str) -> str:
    """Where flags are kept, without a secret: "cache.example:6379/0". `url` "": embedded."""
    named = "" if namespace == DEFAULT_NAMESPACE else f", namespace {namespace}"
    return (_address(url) if url else "the embedded Redis") + named


def _address(url: str) -> str:
    parts = urlsplit(url)
    hosts = parts.netloc.rpartition("@")[2].lower()
    path, asked = parts.path.strip("/"), parse_qs(parts.query)
    db = asked.get("db", ["0"])[-1]
    if parts.scheme == "unix":
        return f"{parts.path} db {db}"
    if "sentinel" in parts.scheme:
        service = path if _SERVICE.match(path) else ""
        return f"{service} of {','.join(sorted(hosts.split(',')))} db {db}"
    # A password that is not percent-encoded must not end up in a path.
    db = path if path.isdigit() else db
    return f"{hosts if ':' in hosts.rpartition(']')[2] else f'{hosts}:6379'}/{db}"
