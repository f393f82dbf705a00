"""Which vantage may write a route's flag: a lease with a random nonce, renewed while alive."""

from __future__ import annotations

import secrets

from redis.asyncio import Redis

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


class Lease:
    """One vantage's claim on one route.

    The nonce is new for every process: a daemon that wakes from a freeze longer than the time
    to live carries a nonce that Redis no longer knows, and the flip script refuses it.
    """

    def __init__(self, client: Redis, keys: Keys, ttl_s: float) -> None:
        self.nonce = secrets.token_hex(16)
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
