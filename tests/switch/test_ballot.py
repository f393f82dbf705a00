"""Votes in Redis: one a vantage, forgotten when asked, gone when nobody votes any more."""

from __future__ import annotations

import redis.asyncio

from switch.control.lease import VOTES_KEPT_MS, Ballot
from switch.control.votes import Vote, decode_votes
from switch.control.writer import FlagWriter
from switch.flag import Keys

KEYS = Keys("chat")


async def test_a_vantage_has_one_vote_and_everybody_reads_it_with_the_flag(
    redis_client: redis.asyncio.Redis,
) -> None:
    ballot = Ballot(redis_client)
    first, second = Vote("eu-1", 1, "r1"), Vote("us-1", 2, "r1", blind="no network")
    await ballot.cast(KEYS, first)
    await ballot.cast(KEYS, second)
    await ballot.cast(KEYS, Vote("eu-1", 3, "r2"))
    seen = await FlagWriter(redis_client).observe(KEYS)
    assert decode_votes(seen.votes) == (Vote("eu-1", 3, "r2"), second)
    assert seen.flag is None
    await ballot.cast(KEYS, first, forget=["us-1", "never"])
    assert await redis_client.hkeys("prober:{chat}:votes") == ["eu-1"]
    assert 0 < await redis_client.pttl(KEYS.votes) <= VOTES_KEPT_MS
