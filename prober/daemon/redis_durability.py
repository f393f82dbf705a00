"""Whether Redis would keep the flag: what it says of eviction, restarts and split halves."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

LOOK_EVERY_S = 600.0
LOOK_AGAIN_S = 5.0


def dangers(info: Mapping[str, Any], save: str | None) -> list[str]:
    """How this Redis could lose a flag, a sentence each with what to change. Pure.

    Args:
        info: the answer to INFO.
        save: its `save` setting; None where we may not ask, as with most managed servers.
    """
    sentences = []
    policy = str(info.get("maxmemory_policy", ""))
    # The other policies touch only keys that expire, and the flag never does.
    if int(info.get("maxmemory", 0)) and policy.startswith("allkeys-"):
        sentences.append(
            f"Redis may evict the flag (maxmemory-policy {policy}): set maxmemory-policy noeviction"
        )
    if not int(info.get("aof_enabled", 0)) and save == "":
        sentences.append(
            "Redis keeps nothing on disk, so that a restart loses the flag until a daemon puts it "
            "back: set appendonly yes"
        )
    # INFO counts good replicas only where the setting asks for some.
    if int(info.get("connected_slaves", 0)) and "min_slaves_good_slaves" not in info:
        sentences.append(
            "a Redis master that is cut off from its replicas would go on taking writes that are "
            "lost later: set min-replicas-to-write 1"
        )
    return sentences


class RedisDurability:
    """Looks now and then. `found`: what is dangerous as of the last look."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self.found: list[str] = []

    async def look(self) -> bool:
        """Logs what is new; False when Redis could not be asked."""
        try:
            info = await self._client.info()
        except (RedisError, OSError):
            return False
        sentences = dangers(info, await self._save())
        for danger in sentences:
            if danger not in self.found:
                log.warning("%s", danger)
        self.found = sentences
        return True

    async def _save(self) -> str | None:
        try:
            settings = await self._client.config_get("save")
        except (RedisError, OSError):
            return None
        return settings.get("save")
