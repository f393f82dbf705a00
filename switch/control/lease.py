"""Which vantage may write a route's flag: a lease with a random nonce, renewed while alive.

Beside it the ballot, in which every vantage says what it sees.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from redis.asyncio import Redis

from switch.connect import SOCKET_TIMEOUT_S
from switch.control.votes import Vote, encode_vote

if TYPE_CHECKING:
    from switch.flag import Keys

_RENEW = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return 1
end
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
return 0
"""

_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""

_CAST = """
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
for i = 4, #ARGV do redis.call('HDEL', KEYS[1], ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
"""

VOTES_KEPT_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a lease and a vote live, in seconds. Raises ValueError for what cannot hold.

    Attributes:
        loop_s: how often a holder comes by; timeout_s: how long one call of Redis may take.
        ttl_s: when a dead holder's lease ends, and so the longest takeover.
        vote_every_s: a vantage votes at most that often.
    """

    loop_s: float = 1.0
    timeout_s: float = SOCKET_TIMEOUT_S
    ttl_s: float = 15.0
    vote_every_s: float = 1.0

    def __post_init__(self) -> None:
        # A holder that renews late by one turn, and fails once, must still be the holder.
        least_s = self.loop_s + 2 * self.timeout_s
        if self.ttl_s - self.renew_after_s < least_s:
            raise ValueError(
                f"a lease of {self.ttl_s:g} s, renewed after {self.renew_after_s:g} s, must "
                f"outlive its renewal by a turn and two timeouts, {least_s:g} s"
            )

    @property
    def renew_after_s(self) -> float:
        return self.ttl_s / 3

    @property
    def vote_life_ms(self) -> int:
        """A vote is believed until three were missed."""
        return round((3 * self.vote_every_s + self.timeout_s) * 1000)


TIMING = Timing()


class Ballot:
    """Where vantages vote, on every route."""

    def __init__(self, client: Redis) -> None:
        self._cast = client.register_script(_CAST)

    async def cast(self, keys: Keys, vote: Vote, *, forget: Iterable[str] = ()) -> None:
        """Writes a vote in place of the vantage's last one. Raises RedisError.

        `forget`: vantages whose votes nobody will ask for again.
        """
        args: list[str | int] = [vote.vantage, encode_vote(vote), VOTES_KEPT_MS, *forget]
        await self._cast(keys=[keys.votes], args=args)


def new_nonce() -> str:
    return secrets.token_hex(16)


class Lease:
    """One vantage's claim on one route.

    No two processes that live at once may have one nonce: a daemon that wakes from a freeze
    longer than the time to live carries a nonce that Redis no longer knows, and the flip script
    refuses it. `nonce`: of a process that is surely dead, so that its heir need not wait.
    """

    def __init__(self, client: Redis, keys: Keys, ttl_s: float, nonce: str = "") -> None:
        self.nonce = nonce or new_nonce()
        self._keys = keys
        self._ttl_ms = int(ttl_s * 1000)
        self._renew = client.register_script(_RENEW)
        self._release = client.register_script(_RELEASE)

    async def hold(self) -> bool:
        """Takes or renews the lease; False while another vantage has it. Raises RedisError."""
        return bool(await self._renew(keys=[self._keys.lease], args=[self.nonce, self._ttl_ms]))

    async def release(self) -> None:
        """Gives it up, so that another vantage need not wait. Raises RedisError."""
        await self._release(keys=[self._keys.lease], args=[self.nonce])
