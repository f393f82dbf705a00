"""Where a URL leads, and that a client asks once."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import redis.asyncio
from redis.asyncio.connection import SSLConnection as AsyncTls

from switch import AsyncReader, Reader
from switch.connect import _sentinel, connect, connect_async
from switch.redis_source import AsyncRedisSource, RedisSource
from tests.support.servers import Valkey
from tests.switch.redis_nodes import free_port, running
from tests.switch.switch_redis import Desk, eventually


async def test_a_socket_url_is_connected(valkey: Valkey) -> None:
    with contextlib.closing(connect(valkey.url)) as client:
        assert client.set("x", "é")
        assert client.get("x") == "é"
    again = connect_async(valkey.url)
    assert await again.get("x") == "é"
    await again.aclose()


@pytest.mark.parametrize("url", ["", "chat", "http://a", "postgresql://a", "redis-sentinel://a/b"])
def test_a_url_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="the URL of Redis cannot be read: write redis://"):
        connect(url)
    with pytest.raises(ValueError, match="the URL of Redis cannot be read: write redis://"):
        connect_async(url)


@pytest.mark.parametrize(
    ("url", "kwargs"),
    [
        ("redis://h", {"host": "h"}),
        ("redis://u:p%40@h:7/3", {"host": "h", "port": 7, "db": 3, "username": "u",
                                   "password": "p@"}),
        ("rediss://h:7", {"host": "h", "port": 7}),
        ("unix:///a/b?db=2", {"path": "/a/b", "db": 2}),
    ],
)  # fmt: skip
def test_a_url_says_where_and_the_client_waits_shortly(url: str, kwargs: dict[str, object]) -> None:
    for client in (connect(url), connect_async(url)):
        said = client.connection_pool.connection_kwargs
        assert kwargs.items() <= said.items()
        assert said["socket_timeout"] == said["socket_connect_timeout"] == 0.25
        assert said["decode_responses"]


@pytest.mark.parametrize(
    ("rest", "parts"),
    [
        ("h/flags", ([("h", 26379)], "flags", {}, {})),
        ("h:1,i,j:3/flags", ([("h", 1), ("i", 26379), ("j", 3)], "flags", {}, {})),
        ("h/flags/?db=2&other=x", ([("h", 26379)], "flags", {}, {"db": 2})),
        ("u:p%40%2F@h/flags", ([("h", 26379)], "flags", {}, {"username": "u", "password": "p@/"})),
        (":p@h/flags", ([("h", 26379)], "flags", {}, {"username": None, "password": "p"})),
        ("u@h/flags", ([("h", 26379)], "flags", {}, {"username": "u", "password": None})),
        ("h/flags?ssl_ca_certs=/ca", ([("h", 26379)], "flags", {}, {})),
    ],
)
def test_a_sentinel_url_is_taken_apart(rest: str, parts: tuple[object, ...]) -> None:
    assert _sentinel("redis+sentinel://" + rest) == parts


def test_a_sentinel_url_with_tls_gives_its_options_to_sentinels_and_servers() -> None:
    url = "rediss+sentinel://h/flags?ssl_ca_certs=/ca&ssl_check_hostname=false&db=1"
    _, _, tls, login = _sentinel(url)
    assert tls == {"ssl": True, "ssl_ca_certs": "/ca", "ssl_check_hostname": False}
    assert login == {"db": 1}
    for client in (connect(url), connect_async(url)):
        pool = client.connection_pool
        sentinel = pool.sentinel_manager.sentinels[0]
        for each in (pool, sentinel.connection_pool):
            assert each.connection_kwargs["ssl_ca_certs"] == "/ca"
            assert issubclass(each.connection_class, (redis.SSLConnection, AsyncTls))


@pytest.mark.parametrize("rest", ["", "h", "h:1/", "/flags", "u:p@/flags"])
def test_a_sentinel_url_without_a_host_or_a_service_says_what_to_write(rest: str) -> None:
    for make in (connect, connect_async):
        with pytest.raises(ValueError, match="write redis\\+sentinel://host:26379,"):
            make("redis+sentinel://" + rest)


@pytest.mark.parametrize("rest", ["h:x/flags", "h/flags?db=x"])
def test_a_sentinel_url_with_a_bad_number_is_refused(rest: str) -> None:
    with pytest.raises(ValueError, match="cannot be read: write redis://"):
        connect("redis+sentinel://" + rest)


@pytest.mark.parametrize("url", ["redis://:s3#cret@h", "redis://:s3/cret@h", "redis://[s3cret@h"])
def test_a_refused_url_gives_away_no_piece_of_its_password(url: str) -> None:
    for kind in (RedisSource, AsyncRedisSource):
        with pytest.raises(ValueError, match="percent-encoded") as raised:
            kind(url)
        assert "s3" not in "".join(traceback.format_exception(raised.value))


@pytest.fixture
def rude(tmp_path: Path) -> Iterator[tuple[str, list[int]]]:
    """A server that hangs up on everyone, and counts them."""
    callers: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            with contextlib.suppress(OSError):
                while True:
                    caller, _ = server.accept()
                    callers.append(1)
                    caller.close()

        thread = threading.Thread(target=hang_up, daemon=True)
        thread.start()
        yield f"redis://127.0.0.1:{server.getsockname()[1]}", callers
        server.shutdown(socket.SHUT_RDWR)
    thread.join(10)


async def test_a_failed_command_is_not_tried_again(rude: tuple[str, list[int]]) -> None:
    url, callers = rude
    client = connect_async(url)
    with pytest.raises(redis.ConnectionError):
        await client.get("x")
    await client.aclose()
    await eventually(lambda: len(callers) == 1)
    with contextlib.closing(connect(url)) as plain, pytest.raises(redis.ConnectionError):
        plain.get("x")
    await eventually(lambda: len(callers) == 2)
    assert len(callers) == 2


# -- a real Sentinel ---------------------------------------------------------------------------


@pytest.fixture
def sentinel_url(tmp_path: Path) -> Iterator[str]:
    """A master with a password, watched by a Sentinel, both on free ports of this machine."""
    master, sentinel = free_port(), free_port()
    conf = tmp_path / "sentinel.conf"
    conf.write_text(
        f"port {sentinel}\nbind 127.0.0.1\nprotected-mode no\ndir {tmp_path}\n"
        f"sentinel monitor flags 127.0.0.1 {master} 1\nsentinel auth-pass flags p@ss\n"
    )
    serving = running(
        "--port", str(master), "--bind", "127.0.0.1", "--save", "", "--requirepass", "p@ss"
    )
    with serving, running(str(conf), "--sentinel"):
        yield f"redis+sentinel://:p%40ss@127.0.0.1:{sentinel}/flags?db=1"


async def test_a_flip_and_its_reader_meet_through_sentinel(sentinel_url: str) -> None:
    client = connect_async(sentinel_url, timeout_s=2.0)

    async def up() -> bool:
        try:
            return bool(await client.ping())
        except redis.RedisError:
            return False

    await eventually(up)
    desk = await Desk(client).ready()
    await desk.seed("a")
    plain = Reader(sentinel_url, {"chat": "default"}, poll_s=600)
    async with AsyncReader(sentinel_url, {"chat": "default"}, poll_s=600) as reader:
        await eventually(lambda: plain.primary("chat") == reader.primary("chat") == "a")
        answer = await desk.flip("b")
        for each in (plain, reader):
            await eventually(lambda each=each: each.flag("chat").epoch == answer.epoch)
            assert each.primary("chat") == "b"
    await asyncio.to_thread(plain.close)
    await client.aclose()
