"""The one atomic flip, and the reads that go with it. Every check is in flip.lua, in Redis."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from importlib.resources import files
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from switch.flag import (
    Candidate,
    Flag,
    Flip,
    Keys,
    MalformedFlagError,
    Mode,
    Op,
    Origin,
    Pin,
    decode_flag,
    decode_flip,
    decode_pin,
    encode_candidate,
    installation_key,
)

DEADLINE_MS = 5_000
STREAM_LENGTH = 1_000
# What one look reads of the stream. It is trimmed loosely, so the whole of it may be longer.
RECENT, WHOLE = 64, 2 * STREAM_LENGTH
_REPLICA_WAIT_MS = 100

_FLIP = files("switch.control").joinpath("flip.lua").read_text("utf-8")

# Only where an epoch exists: an emptied Redis must not be half filled.
_HEARTBEAT = """
if redis.call('GET', KEYS[2]) ~= ARGV[1] or redis.call('HEXISTS', KEYS[1], 'epoch') == 0 then
  return 0
end
local time = redis.call('TIME')
local now = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
redis.call('HSET', KEYS[1], 'checked_at', now, 'mode', ARGV[2], 'frozen', ARGV[3])
return 1
"""

# What may be refused comes first: a full Redis keeps the old list.
_PUBLISH = """
local keep = {}
for i = 1, #ARGV, 2 do keep[ARGV[i]] = true end
if #ARGV > 0 then redis.call('HSET', KEYS[1], unpack(ARGV)) end
for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
  if not keep[name] then redis.call('HDEL', KEYS[1], name) end
end
"""

_CLAIM = """
local stands = redis.call('GET', KEYS[1]) or ''
if stands ~= ARGV[1] then return stands end
redis.call('SET', KEYS[1], ARGV[2])
return ARGV[2]
"""


class FlipUnknownError(Exception):
    """The call timed out or the connection broke: Redis may or may not have applied it."""


class Status(StrEnum):
    COMMITTED = "committed"
    EXPIRED = "expired"
    NOT_LEADER = "not_leader"
    CONFLICT = "conflict"
    EMPTY = "empty"
    PINNED = "pinned"


@dataclass(frozen=True, slots=True)
class Observed:
    """What Redis showed of one route at one moment.

    Attributes:
        time_ms: Redis TIME.
        replication_id: changes when another server takes over as master.
        writable: the server is a master.
        primary: the mirror key as it stands, whoever wrote it.
        flips: the newest entries of the stream, oldest first.
        votes: vantage -> its vote as it stands (switch.control.votes).
        installation: whose flags these are; empty where nobody's name stands, None where our user
            may not read that key.
    """

    time_ms: int
    replication_id: str
    writable: bool
    replicas: int
    flag: Flag | None
    pin: Pin | None
    primary: str | None
    lease: str | None
    flips: tuple[Flip, ...]
    votes: Mapping[str, str] = field(default_factory=dict)
    installation: str | None = ""

    @property
    def live_pin(self) -> Pin | None:
        return self.pin if self.pin and self.pin.live(self.time_ms) else None

    def find(self, decision_id: str) -> Flip | None:
        return next((flip for flip in self.flips if flip.decision_id == decision_id), None)


@dataclass(frozen=True, slots=True)
class PinChange:
    """Sets `pin`, or clears whatever pin stands when `pin` is None."""

    pin: Pin | None


@dataclass(frozen=True, slots=True)
class FlipRequest:
    """One call of the flip script.

    Attributes:
        expected_epoch, expected_decision_id: the flag this decision was made on; 0 and "" for
            a seed.
        floor: the epoch must end above it.
        deadline_ms: Redis TIME after which the call must not land.
    """

    op: Op
    decision_id: str
    provider: str
    reason: str
    actor: str
    deadline_ms: int
    expected_epoch: int = 0
    expected_decision_id: str = ""
    floor: int = 0
    nonce: str = ""
    mode: Mode | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    pin: PinChange | None = None
    origin: Origin = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the script said. `told`: how many subscribers this node told."""

    status: Status
    epoch: int
    decision_id: str
    provider: str
    time_ms: int
    told: int


class FlagWriter:
    """Writes flags. Its client must not retry; `switch.connect.connect_async` gives such a one."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._heartbeat = client.register_script(_HEARTBEAT)
        self._publish = client.register_script(_PUBLISH)
        self._claim = client.register_script(_CLAIM)

    async def observe(self, keys: Keys, *, events: int = RECENT) -> Observed:
        """Reads everything about a route in one transaction.

        Raises RedisError when Redis cannot be read, MalformedFlagError when what it holds is
        not a flag.
        """
        try:
            return await self._observe(keys, events, named=True)
        except NoPermissionError:
            # Rights granted before installations had a key; if it was another key, this says so.
            return await self._observe(keys, events, named=False)

    async def _observe(self, keys: Keys, events: int, *, named: bool) -> Observed:
        async with self._client.pipeline(transaction=True) as pipe:
            pipe.time()
            pipe.info("replication")
            pipe.hgetall(keys.state)
            pipe.hgetall(keys.pin)
            pipe.get(keys.primary)
            pipe.get(keys.lease)
            pipe.xrevrange(keys.events, count=events)
            pipe.hgetall(keys.votes)
            if named:
                pipe.get(keys.installation)
            try:
                time, info, state, pin, primary, lease, entries, votes, *more = await pipe.execute()
            except ResponseError as error:
                if "WRONGTYPE" in str(error):
                    raise MalformedFlagError(f"a key of {keys.state!r} has another type") from error
                raise
        flips = tuple(_flips(keys.route, reversed(entries)))
        return Observed(
            time_ms=time[0] * 1000 + time[1] // 1000,
            replication_id=str(info.get("master_replid", "")),
            writable=info.get("role") == "master",
            replicas=int(info.get("connected_slaves", 0)),
            flag=_signed(decode_flag(keys.route, state), flips),
            pin=decode_pin(pin),
            primary=primary,
            lease=lease,
            flips=flips,
            votes=votes,
            installation=(more[0] or "") if named else None,
        )

    async def installation(self, namespace: str, routes: Iterable[Keys]) -> tuple[str, bool]:
        """Whose flags these are (empty: nobody says), and whether one of `routes` has a flag.

        Raises RedisError; NoPermissionError where our user may not know.
        """
        async with self._client.pipeline(transaction=False) as pipe:
            pipe.get(installation_key(namespace))
            for keys in routes:
                pipe.hexists(keys.state, "epoch")
            id, *flags = await pipe.execute()
        return id or "", any(flags)

    async def claim(self, namespace: str, id: str, instead_of: str = "") -> str:
        """Names the installation whose flags these are, where `instead_of` stands.

        Gives the name that stands now. Raises RedisError.
        """
        holder = await self._claim(keys=[installation_key(namespace)], args=[instead_of, id])
        return str(holder)

    async def flip(self, keys: Keys, request: FlipRequest, *, replicas: int = 0) -> Answer:
        """Runs the script once. Raises FlipUnknownError or, when nothing was written, RedisError.

        With `replicas`, waits a moment until one of them has the write too.
        """
        change = request.pin
        pin = change.pin if change else None
        args = [
            request.op.value,
            request.decision_id,
            str(request.expected_epoch),
            request.expected_decision_id,
            request.floor,
            request.deadline_ms,
            request.nonce,
            request.provider,
            request.reason,
            json.dumps(request.evidence, separators=(",", ":")),
            request.actor,
            request.mode.value if request.mode else "",
            keys.changed,
            STREAM_LENGTH,
            ("set" if pin else "clear") if change else "keep",
            pin.owner if pin else "",
            pin.reason if pin else "",
            pin.until_ms if pin else "",
            request.origin.value,
        ]
        names = [keys.state, keys.primary, keys.pin, keys.events, keys.lease]
        # Whole text, not its hash: one round trip, whatever the server has forgotten. On one
        # connection with WAIT, which asks about that connection's own writes.
        async with self._client.pipeline(transaction=False) as pipe:
            pipe.eval(_FLIP, len(names), *names, *args)
            if replicas:
                pipe.wait(1, _REPLICA_WAIT_MS)
            try:
                # Replication being slow, or not ours to ask about, undoes no flip.
                reply = (await pipe.execute(raise_on_error=False))[0]
            except (RedisConnectionError, RedisTimeoutError) as error:
                raise FlipUnknownError(str(error)) from error
        if isinstance(reply, Exception):
            raise reply
        return Answer(
            status=Status(reply[0]),
            epoch=int(reply[1]),
            decision_id=reply[2],
            provider=reply[3],
            time_ms=int(reply[4]),
            told=int(reply[5]),
        )

    async def heartbeat(self, keys: Keys, nonce: str, mode: Mode, frozen_until: int) -> bool:
        """Notes the look just taken, where a flag exists and the lease is ours.

        Raises RedisError.
        """
        written = await self._heartbeat(
            keys=[keys.state, keys.lease], args=[nonce, mode.value, frozen_until or ""]
        )
        return bool(written)

    async def publish(self, keys: Keys, candidates: Iterable[Candidate]) -> None:
        """Replaces the candidates key in one step, in the order given. Raises RedisError."""
        placed = (replace(c, order=order) for order, c in enumerate(candidates))
        args = [part for c in placed for part in (c.name, encode_candidate(c))]
        await self._publish(keys=[keys.candidates], args=args)


def _signed(flag: Flag | None, flips: tuple[Flip, ...]) -> Flag | None:
    """The flag with the origin of its own event.

    A vantage of before the field writes none, and leaves the one of the flag before in `state`.
    """
    written = next((f for f in flips if flag and f.decision_id == flag.decision_id), None)
    return replace(flag, origin=written.origin) if flag and written else flag


def _flips(route: str, entries: Iterable[tuple[str, Mapping[str, str]]]) -> Iterable[Flip]:
    for _, entry in entries:
        try:
            yield decode_flip(route, entry)
        except MalformedFlagError:
            continue  # written by hand or by a later version; the state is the truth


__all__ = [
    "DEADLINE_MS",
    "RECENT",
    "WHOLE",
    "Answer",
    "FlagWriter",
    "FlipRequest",
    "FlipUnknownError",
    "Observed",
    "PinChange",
    "RedisError",
    "Status",
]
