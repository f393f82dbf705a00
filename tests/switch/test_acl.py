"""deploy/redis.acl on a real server: each user can do its own part, and nothing besides."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
from redis.exceptions import NoPermissionError

from switch.connect import connect_async
from switch.control.lease import Ballot
from switch.control.votes import Vote
from switch.flag import Candidate, Mode
from switch.reports import decode_report
from tests.switch.reader_stage import NEVER_S, Make
from tests.switch.redis_nodes import free_port, running, wait_up
from tests.switch.switch_redis import KEYS, Desk, eventually

ROOT = Path(__file__).parent.parent.parent
USERS = ("ADMIN", "READER", "REPORTER", "WRITER")


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[int]:
    """A server with the shipped file, each password being its user's name in lower case."""
    text = (ROOT / "deploy/redis.acl").read_text()
    for user in USERS:
        digest = hashlib.sha256(user.lower().encode()).hexdigest()
        text = text.replace(f"PUT-THE-SHA256-OF-THE-{user}-PASSWORD-HERE", digest)
    (tmp_path / "users.acl").write_text(text)
    found = free_port()
    arguments = ("--port", str(found), "--bind", "127.0.0.1", "--save", "")
    with running(*arguments, "--aclfile", str(tmp_path / "users.acl")):
        await asyncio.to_thread(wait_up, found, password="admin")
        yield found


def url(port: int, user: str) -> str:
    return f"redis://prober-{user}:{user}@127.0.0.1:{port}"


async def test_reader_reporter_and_writer_do_their_part_each_as_its_own_user(
    make: Make, port: int
) -> None:
    client = connect_async(url(port, "writer"), timeout_s=2.0)
    desk = await Desk(client).ready()
    reader = make(
        url(port, "reader"), {"chat": "x"}, poll_s=NEVER_S, report_url=url(port, "reporter")
    )
    assert await desk.writer.claim("prober", "ours") == "ours"
    assert (await desk.writer.observe(KEYS)).installation == "ours"
    await desk.seed("a")
    await desk.writer.publish(KEYS, [Candidate(n, "openai", "v", "m", "u") for n in "abc"])
    await reader.serves("a")
    await reader.read_once()
    await desk.pin("b")
    await reader.serves("b")
    assert reader.fallbacks("chat") == ("a", "c")
    assert (await desk.writer.observe(KEYS)).live_pin
    assert await desk.writer.heartbeat(KEYS, desk.lease.nonce, Mode.AUTO, 0)
    await Ballot(client).cast(KEYS, Vote("eu-1", 1, "r1"), forget=["us-1"])
    assert (await desk.writer.observe(KEYS)).votes.keys() == {"eu-1"}
    reader.report("b", ok=True, ttft_s=0.3)
    admin = redis.asyncio.Redis(port=port, password="admin", decode_responses=True)

    async def reported() -> Any:
        return await admin.xrange(KEYS.reports)

    await eventually(reported)
    found = decode_report((await reported())[0][1])
    assert found is not None
    assert found.counts["b"].ok == 1
    [[_, entries]] = await client.xread({KEYS.reports: "0-0"}, count=1)
    assert len(entries) == 1, "the daemon reads them"
    await desk.lease.release()
    await desk.writer.publish(KEYS, [])
    # A flip that also waits for a replica is allowed too.
    await Desk(client).ready()
    await admin.aclose()
    await client.aclose()


FORBIDDEN = {
    "reader": [
        ("SET", KEYS.primary, "b"), ("HSET", KEYS.state, "provider", "b"), ("DEL", KEYS.state),
        ("EVAL", "return 1", 0), ("PUBLISH", KEYS.changed, "x"),
        ("XADD", KEYS.reports, "*", "a", 1), ("GET", "somebody:else"), ("HGETALL", KEYS.pin),
        ("GET", KEYS.lease), ("KEYS", "*"),
        ("FLUSHALL",), ("CONFIG", "GET", "*"), ("ACL", "LIST"), ("EXPIRE", KEYS.primary, 1),
    ],
    "reporter": [
        ("GET", KEYS.primary), ("SET", KEYS.primary, "b"), ("XADD", KEYS.events, "*", "a", 1),
        ("EVAL", "return 1", 0), ("PUBLISH", KEYS.changed, "x"), ("XRANGE", KEYS.reports, "-", "+"),
        ("DEL", KEYS.reports), ("XTRIM", KEYS.reports, "MAXLEN", 0), ("FLUSHALL",),
    ],
    "writer": [
        ("SET", "somebody:else", 1), ("GET", "prober:x"), ("FLUSHALL",), ("CONFIG", "GET", "*"),
        ("ACL", "LIST"), ("KEYS", "*"), ("PUBLISH", "other", "x"),
        ("EVAL", "return redis.call('SET', 'x', 1)", 0),
    ],
}  # fmt: skip


@pytest.mark.parametrize("user", sorted(FORBIDDEN))
async def test_nothing_else_is_granted(port: int, user: str) -> None:
    client = redis.asyncio.Redis.from_url(url(port, user))
    for command in FORBIDDEN[user]:
        with pytest.raises((NoPermissionError, redis.ResponseError), match=r"(?i)permission"):
            await client.execute_command(*command)
    await client.aclose()


async def test_a_reader_may_not_listen_elsewhere(port: int) -> None:
    client = redis.asyncio.Redis.from_url(url(port, "reader"))
    async with client.pubsub() as pubsub:
        await pubsub.subscribe("prober:{chat}:changed2")
        with pytest.raises(NoPermissionError):
            await pubsub.get_message(timeout=5)
    await client.aclose()


async def test_the_file_as_shipped_starts_no_server(tmp_path: Path) -> None:
    """Nobody runs with a password that the whole world can read."""
    arguments = ("--port", "0", "--unixsocket", str(tmp_path / "s"))
    with running(*arguments, "--aclfile", str(ROOT / "deploy/redis.acl")) as process:
        assert await asyncio.to_thread(process.wait, 20) != 0
