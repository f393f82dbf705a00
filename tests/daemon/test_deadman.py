"""The heartbeat that is pinged while all is well, against real servers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from prober.clock import Clock
from prober.daemon.deadman import Deadman, ping
from prober.daemon.housekeeping import Housekeeping
from prober.daemon.parts import Parts
from prober.daemon.systemd import Systemd
from prober.probing.network import Network
from tests.support.network_servers import Authority, keeping
from tests.support.raw_server import answering, plain

EMPTY = "content-length: 0\r\nconnection: close\r\n"


async def test_a_ping_that_is_moved_arrives_where_it_was_moved_to(network: Network) -> None:
    async with keeping() as there:
        moved = plain(
            status="301 Moved Permanently",
            headers=f"location: http://127.0.0.1:{there.port}/new\r\n{EMPTY}",
        )
        async with answering(moved) as here:
            assert await ping(network, f"{here.url}/old") == ""
    assert [head.split(b"\r\n")[0] for head in there.requests] == [b"GET /new HTTP/1.1"]


async def test_a_ping_that_is_sent_round_in_circles_ends(network: Network) -> None:
    circle = plain(status="302 Found", headers=f"location: /again\r\n{EMPTY}")
    async with answering(circle) as server:
        assert await ping(network, server.url) == "it redirects without end"
    assert len(server.requests) < 10


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ("404 Not Found", "HTTP 404 Not Found"),
        ("410 Gone", "HTTP 410 Gone"),
        ("500 Internal Server Error", "HTTP 500 Internal Server Error"),
    ],
)
async def test_a_ping_that_is_not_taken_says_why(network: Network, status: str, why: str) -> None:
    async with answering(plain(status=status, headers=EMPTY)) as server:
        assert await ping(network, server.url) == why


async def test_a_ping_that_nobody_answers_says_so(network: Network) -> None:
    async with answering(plain()) as server:
        url = server.url
    assert "connect call failed" in (await ping(network, url)).lower()


async def test_a_ping_goes_to_a_server_of_the_private_authority(tmp_path: Path) -> None:
    authority = Authority.made(tmp_path)
    async with (
        keeping(authority.server("127.0.0.1")) as server,
        Network(str(authority.file)) as trusting,
        Network() as other,
    ):
        assert await ping(trusting, f"https://127.0.0.1:{server.port}/") == ""
        assert "certificate" in await ping(other, f"https://127.0.0.1:{server.port}/")


def test_an_episode_is_told_once_and_ends_with_a_ping_that_is_taken() -> None:
    deadman = Deadman()
    pings = ["", "x", "", "x", "x", "x", "", "", "x", "x"]
    news = [(deadman.changed(failure), deadman.told) for failure in pings]
    assert [told for changed, told in news if changed] == [True, False, True]
    assert [changed for changed, _ in news] == [
        False, False, False, False, True, False, True, False, False, True,
    ]  # fmt: skip


async def test_people_are_told_that_the_heartbeat_is_not_taken_and_when_it_is(
    network: Network, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[tuple[str, str]] = []

    class Notifier:
        async def heartbeat(self, host: str, why: str) -> None:
            told.append((host, why))

    def beating(url: str, scrub: Callable[[str], str] = str) -> Any:
        return SimpleNamespace(
            resolved=SimpleNamespace(heartbeat_url=url, scrub=scrub),
            judge=SimpleNamespace(states={}, blindness=SimpleNamespace(since_s=None)),
            network=network,
            notifier=Notifier(),
            clock=Clock(),
        )

    gone = plain(status="404 Not Found", headers=EMPTY)
    async with answering(gone) as bad, keeping() as good:
        daemon = beating(f"{bad.url}/secret-uuid")
        housekeeping = Housekeeping(cast(Parts, daemon), cast(Systemd, None))
        for _ in range(3):
            await housekeeping._heartbeat()
        daemon.resolved.heartbeat_url = f"http://127.0.0.1:{good.port}/secret-uuid"
        for _ in range(2):
            await housekeeping._heartbeat()
    assert told == [("127.0.0.1", "HTTP 404 Not Found"), ("127.0.0.1", "")]
    assert "the heartbeat was not taken: HTTP 404 Not Found" in caplog.text
    assert "secret-uuid" not in caplog.text
