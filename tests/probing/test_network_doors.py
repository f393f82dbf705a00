"""Private certificate authorities, and the proxies of the environment."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from prober.canary import Canary
from prober.clock import Clock
from prober.config.schema import Price
from prober.probing.network import Network
from prober.probing.plans import Plan
from prober.probing.probe import probe
from prober.providers.events import Endpoint
from prober.sample import Fault, Outcome, Sample
from tests.support.network_servers import Authority, Served, keeping, listening, proxying, resolving
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


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.made(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def server_tls(authority: Authority) -> ssl.SSLContext:
    return authority.server("provider.test")


# -- TLS -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fresh", [True, False])
async def test_a_private_authority_is_trusted_where_its_file_is_given(
    authority: Authority, server_tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, fresh: bool
) -> None:
    resolving(monkeypatch, "127.0.0.1")
    async with keeping(server_tls) as server, Network(str(authority.file)) as network:
        sample = await ask(network, f"https://provider.test:{server.port}", fresh=fresh)
    assert (sample.outcome, sample.detail) == (Outcome.OK, "")
    phases = sample.phases
    assert phases.connect_s is not None
    assert phases.tls_s is not None
    assert phases.first_byte_s is not None
    assert phases.connect_s <= phases.tls_s <= phases.first_byte_s


async def test_a_private_authority_is_refused_without_its_file(
    network: Network, server_tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolving(monkeypatch, "127.0.0.1")
    async with keeping(server_tls) as server:
        sample = await ask(network, f"https://provider.test:{server.port}")
    assert (sample.outcome, sample.fault) == (Outcome.TLS, Fault.PATH)
    assert "certificate verify failed" in sample.detail
    assert (sample.phases.tls_s, server.requests) == (None, [])


async def test_another_private_authority_s_file_does_not_help(
    tmp_path: Path, server_tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolving(monkeypatch, "127.0.0.1")
    other = Authority.made(tmp_path)
    async with keeping(server_tls) as server, Network(str(other.file)) as network:
        sample = await ask(network, f"https://provider.test:{server.port}")
    assert sample.outcome is Outcome.TLS


async def test_a_certificate_of_another_name_is_refused(
    authority: Authority, server_tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolving(monkeypatch, "127.0.0.1")
    async with keeping(server_tls) as server, Network(str(authority.file)) as network:
        sample = await ask(network, f"https://impostor.test:{server.port}")
    assert sample.outcome is Outcome.TLS
    assert "impostor.test" in sample.detail


async def test_a_file_that_is_missing_or_holds_no_certificate_stops_the_start(
    tmp_path: Path,
) -> None:
    with pytest.raises(OSError, match="No such file"):
        Network(str(tmp_path / "absent.pem"))
    (tmp_path / "odd.pem").write_text("no certificate")
    with pytest.raises(ssl.SSLError):
        Network(str(tmp_path / "odd.pem"))


# -- proxies ---------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
async def proxy() -> AsyncIterator[Served]:
    async with proxying() as proxy:
        yield proxy


@pytest.mark.parametrize("name", ["http_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("fresh", [True, False])
async def test_a_proxy_of_the_environment_is_gone_through(
    proxy: Served, monkeypatch: pytest.MonkeyPatch, name: str, fresh: bool
) -> None:
    """The proxy looks the name up: nobody here does."""
    asked = resolving(monkeypatch, "127.0.0.1")
    monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    async with Network() as network:
        sample = await ask(network, "http://provider.test", fresh=fresh)
    assert sample.outcome is Outcome.OK
    target = b"POST http://provider.test/v1/chat/completions HTTP/1.1\r\n"
    assert [head.startswith(target) for head in proxy.requests] == [True]
    assert sample.phases.dns_s is None
    assert "provider.test" not in asked


@pytest.mark.parametrize("scheme", ["", "http://"])
async def test_through_a_tunnel_the_key_is_the_provider_s_alone(
    proxy: Served,
    authority: Authority,
    server_tls: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"{scheme}127.0.0.1:{proxy.port}")
    async with keeping(server_tls) as server, Network(str(authority.file)) as network:
        sample = await ask(network, f"https://provider.test:{server.port}")
    assert (sample.outcome, sample.detail) == (Outcome.OK, "")
    (head,) = proxy.requests
    assert head.startswith(f"CONNECT provider.test:{server.port} ".encode())
    assert KEY.encode() not in head
    assert KEY.encode() in server.requests[0]
    phases = sample.phases
    assert phases.connect_s is not None
    assert phases.tls_s is not None
    assert phases.first_byte_s is not None
    assert phases.connect_s <= phases.tls_s <= phases.first_byte_s


async def test_what_a_proxy_says_is_no_byte_of_the_provider_s(
    proxy: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tunnel stands and nobody speaks in it: that may be our own path, and cost nothing."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    async with listening(silent) as port, Network() as network:
        sample = await ask(network, f"https://provider.test:{port}", first_text_timeout_s=2.0)
    assert len(proxy.requests) == 1
    assert (sample.outcome, sample.fault) == (Outcome.TIMEOUT_FIRST_TEXT, Fault.PATH)
    assert (sample.phases.first_byte_s, sample.cost_usd) == (None, 0)


async def test_a_proxy_that_refuses_the_tunnel_is_a_fault_of_the_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refusal = plain(status="407 Proxy Authentication Required", headers="content-length: 0\r\n")
    async with answering(refusal) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        async with Network() as network:
            sample = await ask(network, "https://provider.test")
    assert (sample.outcome, sample.fault) == (Outcome.CONNECT, Fault.PATH)
    assert "407" in sample.detail
    assert sample.cost_usd == 0


@pytest.mark.parametrize("straight", ["provider.test", ".test", "*.test", "a.example, *"])
async def test_no_proxy_is_honoured_and_its_hosts_are_still_timed(
    proxy: Served, monkeypatch: pytest.MonkeyPatch, straight: str
) -> None:
    asked = resolving(monkeypatch, "127.0.0.1")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("NO_PROXY", straight)
    async with keeping() as server, Network() as network:
        sample = await ask(network, f"http://provider.test:{server.port}")
    assert (sample.outcome, proxy.connections) == (Outcome.OK, 0)
    assert sample.phases.dns_s is not None
    assert asked == ["provider.test"]


async def test_a_proxy_that_is_away_is_a_fault_of_the_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with proxying() as gone:
        pass
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{gone.port}")
    async with Network() as network:
        sample = await ask(network, "https://provider.test")
    assert (sample.outcome, sample.fault) == (Outcome.CONNECT, Fault.PATH)


async def test_networks_and_brackets_in_no_proxy_are_gone_by_and_end_nothing(
    proxy: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`[::1]` ended the daemon with a traceback, and `127.0.0.0/8` was passed over in silence."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("NO_PROXY", "[::1],127.0.0.0/8")
    async with keeping() as server, Network() as network:
        near = await ask(network, f"http://127.0.0.1:{server.port}")
        far = await ask(network, "http://provider.test")
    assert (near.outcome, far.outcome) == (Outcome.OK, Outcome.OK)
    assert (len(server.requests), len(proxy.requests)) == (1, 1)


async def test_a_proxy_spoken_to_by_tls_may_have_a_certificate_of_the_private_authority(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with proxying(authority.server("127.0.0.1")) as proxy:
        monkeypatch.setenv("http_proxy", f"https://127.0.0.1:{proxy.port}")
        async with Network(str(authority.file)) as network:
            sample = await ask(network, "http://provider.test")
    assert (sample.outcome, sample.detail) == (Outcome.OK, "")
    assert len(proxy.requests) == 1
