"""The way out: names resolved and timed, addresses tried, connections kept or not."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpcore
import pytest

from prober.canary import Canary
from prober.clock import Clock
from prober.config.schema import Price
from prober.probing.network import NEXT_ADDRESS_S, Network, _first_of
from prober.probing.plans import Plan
from prober.probing.probe import probe
from prober.providers.events import Endpoint
from prober.sample import Outcome, Sample
from tests.support.network_servers import keeping, resolving
from tests.support.raw_server import answering, plain

KEY = "sk-very-secret-0123456789"


async def ask(network: Network, url: str, **changes: Any) -> Sample:
    bounds: dict[str, Any] = {
        "first_text_timeout_s": 5.0,
        "timeout_s": 5.0,
        "price": Price(input=1.0, output=2.0),
    }
    plan = Plan("a", "openai", Endpoint(f"{url}/v1", "m-1", KEY), **{**bounds, **changes})
    return await probe(plan, network, Clock(), id="x", canary=Canary("ab12"))


async def test_a_slow_resolver_is_timed_apart_from_the_connection(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = resolving(monkeypatch, "127.0.0.1", after_s=0.15)
    async with keeping() as server:
        first = await ask(network, f"http://provider.test:{server.port}")
        kept = await ask(network, f"http://provider.test:{server.port}")
    assert (first.outcome, kept.outcome) == (Outcome.OK, Outcome.OK)
    dns_s, connect_s, first_byte_s = (
        first.phases.dns_s,
        first.phases.connect_s,
        first.phases.first_byte_s,
    )
    assert dns_s is not None
    assert connect_s is not None
    assert first_byte_s is not None
    assert 0.15 <= dns_s <= connect_s <= first_byte_s
    assert (kept.phases.dns_s, kept.phases.connect_s, kept.new_connection) == (None, None, False)
    assert asked == ["provider.test"]


async def test_a_resolver_that_hangs_is_ended_by_the_deadline(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolving(monkeypatch, "127.0.0.1", after_s=60)
    sample = await ask(network, "http://provider.test", first_text_timeout_s=0.2)
    assert (sample.outcome, sample.phases.dns_s) == (Outcome.TIMEOUT_FIRST_TEXT, None)
    assert sample.cost_usd == 0


async def test_a_name_that_nobody_knows_is_dns_and_no_connection(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unknown(*args: Any, **more: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
    sample = await ask(network, "http://provider.test")
    assert sample.outcome is Outcome.DNS
    assert (sample.phases.dns_s, sample.phases.connect_s) == (None, None)


async def test_no_proxy_alone_does_not_take_the_resolver_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A host named there, without any proxy, is a host like any other."""
    monkeypatch.setenv("NO_PROXY", "localhost,.internal,provider.test")
    monkeypatch.setenv("no_proxy", "localhost,.internal,provider.test")
    resolving(monkeypatch, "127.0.0.1", after_s=0.05)
    async with keeping() as server, Network() as network:
        sample = await ask(network, f"http://provider.test:{server.port}")
    assert sample.outcome is Outcome.OK
    assert sample.phases.dns_s is not None


@pytest.mark.parametrize(("fresh", "connections"), [(True, 3), (False, 1)])
async def test_fresh_plans_open_a_connection_each_and_others_keep_one(
    network: Network, fresh: bool, connections: int
) -> None:
    async with keeping() as server:
        url = f"http://127.0.0.1:{server.port}"
        samples = [await ask(network, url, fresh=fresh) for _ in range(3)]
    assert [sample.outcome for sample in samples] == [Outcome.OK] * 3
    assert server.connections == connections
    assert [sample.new_connection for sample in samples] == [True, fresh, fresh]
    assert [sample.phases.connect_s is not None for sample in samples] == [True, fresh, fresh]
    # A literal address has no name that could have taken time.
    assert [sample.phases.dns_s for sample in samples] == [None] * 3


async def test_a_fresh_canary_leaves_the_kept_connection_alone(network: Network) -> None:
    async with keeping() as server:
        url = f"http://127.0.0.1:{server.port}"
        await ask(network, url)
        await ask(network, url, fresh=True)
        again = await ask(network, url)
    assert (again.new_connection, server.connections) == (False, 2)


# -- several addresses -----------------------------------------------------------------------------


async def test_the_second_address_is_tried_when_the_first_refuses(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolving(monkeypatch, "127.0.0.2", "127.0.0.1")
    async with keeping() as server:
        sample = await ask(network, f"http://provider.test:{server.port}")
    assert (sample.outcome, sample.new_connection) == (Outcome.OK, True)


@asynccontextmanager
async def deaf(host: str, port: int) -> AsyncIterator[None]:
    """An address whose connections are never taken: its queue is full."""
    with socket.socket() as listener:
        listener.bind((host, port))
        listener.listen(0)
        callers = [socket.socket() for _ in range(4)]
        for caller in callers:
            caller.setblocking(False)
            caller.connect_ex((host, port))
        try:
            yield
        finally:
            for caller in callers:
                caller.close()


async def test_the_second_address_is_tried_when_the_first_hangs(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolving(monkeypatch, "127.0.0.3", "127.0.0.1")
    async with keeping() as server, deaf("127.0.0.3", server.port):
        sample = await ask(network, f"http://provider.test:{server.port}")
    assert sample.outcome is Outcome.OK
    assert sample.phases.connect_s is not None
    assert sample.phases.connect_s >= NEXT_ADDRESS_S


async def test_when_every_address_refuses_the_first_one_s_error_is_told(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolving(monkeypatch, "127.0.0.2", "127.0.0.3")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        sample = await ask(network, f"http://provider.test:{taken.getsockname()[1]}")
    assert (sample.outcome, sample.phases.connect_s) == (Outcome.CONNECT, None)
    assert "refused" in sample.detail.lower() or "failed" in sample.detail.lower()
    assert sample.phases.dns_s is not None


class Stream(httpcore.AsyncNetworkStream):
    closed = False

    async def aclose(self) -> None:
        self.closed = True


class Addresses:
    """Connects to no address; each behaves as its name says."""

    def __init__(self) -> None:
        self.streams: dict[str, Stream] = {}
        self.cancelled: list[str] = []
        self.together = asyncio.Barrier(2)

    def connect(self, address: str) -> asyncio.Task[httpcore.AsyncNetworkStream]:
        return asyncio.create_task(self._connect(address))

    async def _connect(self, address: str) -> httpcore.AsyncNetworkStream:
        try:
            if address.startswith("hangs"):
                await asyncio.Event().wait()
            if address.startswith("refuses"):
                raise httpcore.ConnectError(address)
            if address.startswith("together"):
                await self.together.wait()
            return self.streams.setdefault(address, Stream())
        except asyncio.CancelledError:
            self.cancelled.append(address)
            raise


async def test_the_losers_of_the_race_are_cancelled() -> None:
    found = Addresses()
    won = await _first_of(["hangs 1", "hangs 2", "answers"], found.connect)
    assert won is found.streams["answers"]
    assert sorted(found.cancelled) == ["hangs 1", "hangs 2"]


async def test_two_that_answer_in_the_same_moment_leave_one_open() -> None:
    found = Addresses()
    won = await _first_of(["together 1", "together 2"], found.connect)
    assert len(found.streams) == 2
    closed = {stream is won: stream.closed for stream in found.streams.values()}
    assert closed == {True: False, False: True}


async def test_the_first_error_is_raised_when_all_refuse() -> None:
    with pytest.raises(httpcore.ConnectError, match="refuses 1"):
        await _first_of(["refuses 1", "refuses 2", "refuses 3"], Addresses().connect)


async def test_a_race_that_is_given_up_leaves_no_connection_behind() -> None:
    found = Addresses()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(NEXT_ADDRESS_S * 1.5):
            await _first_of(["hangs 1", "hangs 2"], found.connect)
    assert sorted(found.cancelled) == ["hangs 1", "hangs 2"]


# -- redirects -------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("fresh", [True, False])
async def test_a_redirect_never_carries_the_key_to_another_host(
    network: Network, status: int, fresh: bool
) -> None:
    async with keeping() as other:
        headers = f"location: http://127.0.0.1:{other.port}/v1/chat\r\ncontent-length: 0\r\n"
        async with answering(plain(status=f"{status} Elsewhere", headers=headers)) as server:
            sample = await ask(network, server.url, fresh=fresh)
    assert (sample.outcome, sample.http_status) == (Outcome.SERVER_ERROR, status)
    assert (other.connections, len(server.requests)) == (0, 1)
    where = "redirected to 127.0.0.1"
    assert sample.detail == f"HTTP {status}, {where}; canaries follow nobody: see base_url"
