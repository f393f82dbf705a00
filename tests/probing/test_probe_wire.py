"""What a canary makes of a broken wire: names, ports, TLS, redirects, half answers, odd keys."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from typing import Any

import httpx
import pytest

from prober.canary import Canary
from prober.clock import Clock
from prober.config.schema import Price
from prober.probing.network import Network
from prober.probing.plans import Plan
from prober.probing.probe import probe
from prober.probing.transport_errors import UNSENDABLE
from prober.providers.events import Endpoint
from prober.sample import Fault, Outcome, Sample
from tests.golden.streams import GOLDEN
from tests.support.raw_server import Play, answering, plain, silent_after

KEY = "sk-very-secret-0123456789"


async def ask(network: Network, base: str, api: str = "openai", **changes: Any) -> Sample:
    values: dict[str, Any] = {
        "target": Endpoint(base, "m-1", changes.pop("key", KEY)),
        "first_text_timeout_s": 5.0,
        "timeout_s": 5.0,
        "price": Price(input=1.0, output=2.0),
    }
    wanted = Plan("a", api, **{**values, **changes})
    return await probe(wanted, network, Clock(), id="x", canary=Canary("ab12"))


async def asked(network: Network, play: Play, api: str = "openai", **changes: Any) -> Sample:
    async with answering(play) as server:
        return await ask(network, server.url, api, **changes)


async def test_nobody_listening_is_connect(network: Network) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        sample = await ask(network, f"http://127.0.0.1:{taken.getsockname()[1]}")
    assert (sample.outcome, sample.fault) == (Outcome.CONNECT, Fault.PATH)
    assert sample.detail


async def test_a_name_that_nobody_knows_is_dns(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*args: Any, **kwargs: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    # No resolver of the machine is asked: some answer every name.
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    sample = await ask(network, "http://nonexistent.invalid")
    assert (sample.outcome, sample.fault) == (Outcome.DNS, Fault.PATH)
    assert sample.detail == "Name or service not known"


async def test_a_port_that_speaks_no_tls_is_tls(network: Network) -> None:
    async def refuse(writer: asyncio.StreamWriter) -> None:
        raise AssertionError("no request can come")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        sample = await ask(network, f"https://127.0.0.1:{port}")
    assert (sample.outcome, sample.fault) == (Outcome.TLS, Fault.PATH)
    assert sample.phases.tls_s is None


async def test_a_redirect_is_not_followed_and_the_key_stays_here(network: Network) -> None:
    async with answering(plain(b"")) as other:
        headers = f"location: {other.url}/v1/chat/completions\r\ncontent-length: 0\r\n"
        sample = await asked(network, plain(status="307 Temporary Redirect", headers=headers))
    assert (sample.outcome, sample.http_status) == (Outcome.SERVER_ERROR, 307)
    assert other.requests == []


@pytest.mark.parametrize("api", list(GOLDEN))
async def test_a_stream_without_a_length_that_ends_well_is_ok(network: Network, api: str) -> None:
    sample = await asked(network, plain(GOLDEN[api].streams["success"]), api)
    assert sample.outcome is Outcome.OK
    assert sample.tokens == GOLDEN[api].tokens


@pytest.mark.parametrize("api", list(GOLDEN))
async def test_an_answer_is_over_at_its_end_marker_even_if_the_connection_stays_open(
    network: Network, api: str
) -> None:
    sample = await asked(network, silent_after(GOLDEN[api].streams["success"]), api)
    assert sample.outcome is Outcome.OK
    # the wait for the connection to close is not the answer's time: it came in one piece
    assert sample.phases.total_s == sample.phases.first_text_s


async def test_a_connection_cut_inside_the_answer_is_a_broken_answer(
    network: Network,
) -> None:
    half = GOLDEN["openai"].streams["success"][:200]
    play = plain(half, headers="content-length: 5000\r\n")
    sample = await asked(network, play)
    assert (sample.outcome, sample.fault) == (Outcome.STREAM_TRUNCATED, Fault.PROVIDER)


async def test_a_server_that_hangs_up_without_a_word_is_a_reset(network: Network) -> None:
    async def hang_up(writer: asyncio.StreamWriter) -> None:
        return

    sample = await asked(network, hang_up)
    assert (sample.outcome, sample.fault) == (Outcome.RESET, Fault.PATH)


async def test_what_is_not_http_is_an_answer_of_the_provider_s(network: Network) -> None:
    async def ssh(writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")

    sample = await asked(network, ssh)
    assert (sample.outcome, sample.fault) == (Outcome.STREAM_ERROR, Fault.PROVIDER)


async def test_a_body_that_cannot_be_decoded_is_an_error_of_the_stream(
    network: Network,
) -> None:
    play = plain(b"not gzip at all", headers="content-encoding: gzip\r\n")
    assert (await asked(network, play)).outcome is Outcome.STREAM_ERROR


@pytest.mark.parametrize("api", list(GOLDEN))
async def test_an_error_as_the_whole_answer_is_named(network: Network, api: str) -> None:
    refused = GOLDEN[api].refused
    headers = "".join(f"{name}: {value}\r\n" for name, value in refused.headers.items())
    sample = await asked(
        network, plain(refused.body, status=f"{refused.status} x", headers=headers), api
    )
    assert (sample.outcome, sample.detail) == (refused.outcome, refused.detail)
    assert sample.http_status == refused.status


async def test_what_is_no_event_stream_of_amazon_s_is_an_error_of_the_stream(
    network: Network,
) -> None:
    sample = await asked(network, plain(b"<html>Service Unavailable</html>"), "bedrock")
    assert (sample.outcome, sample.fault) == (Outcome.STREAM_ERROR, Fault.PROVIDER)
    assert sample.detail == "no event stream of this API: a checksum does not fit"


async def test_an_empty_200_is_truncated(network: Network) -> None:
    sample = await asked(network, plain(headers="content-length: 0\r\n"))
    assert sample.outcome is Outcome.STREAM_TRUNCATED


async def test_a_line_without_end_is_refused(network: Network) -> None:
    sample = await asked(network, plain(b"data: " + b"x" * 600_000))
    assert (sample.outcome, sample.detail) == (Outcome.STREAM_ERROR, "a line of more than 256 KiB")


@pytest.mark.parametrize(
    ("status", "outcome"),
    [("401 No", Outcome.AUTH), ("429 Busy", Outcome.RATE_LIMITED), ("529 x", Outcome.OVERLOADED)],
)
@pytest.mark.parametrize("ending", ["silence", "cut", "endless"])
async def test_an_error_status_stands_whatever_becomes_of_its_body(
    network: Network, status: str, outcome: Outcome, ending: str
) -> None:
    play = {
        "silence": silent_after(b"{", status=status),
        "cut": plain(b"{", status=status, headers="content-length: 900\r\n"),
        "endless": silent_after(b"x" * 200_000, status=status),
    }[ending]
    sample = await asked(network, play, first_text_timeout_s=0.6)
    assert (sample.outcome, sample.http_status) == (outcome, int(status[:3]))


async def test_absurd_counts_cost_no_fortune_and_raise_nothing(network: Network) -> None:
    usage = {"prompt_tokens": 10**400, "completion_tokens": -5}
    choice = {"delta": {"content": "ab12"}, "finish_reason": "stop"}
    said = {"choices": [choice], "usage": usage}
    body = b"data: " + json.dumps(said).encode() + b"\n\ndata: [DONE]\n\n"
    sample = await asked(network, plain(body))
    assert sample.outcome is Outcome.OK
    assert (sample.tokens.input, sample.tokens.output) == (None, None)
    assert sample.cost_usd == pytest.approx(132e-6)


@pytest.mark.parametrize("key", ["sk-first\nsk-second", "sk-with-\x00-inside", "sk-ab…cd"])
async def test_a_key_that_http_cannot_carry_is_named_and_not_shown(
    network: Network, key: str
) -> None:
    sample = await asked(network, plain(b""), key=key)
    assert (sample.outcome, sample.detail) == (Outcome.BAD_REQUEST, UNSENDABLE)
    assert "sk-" not in sample.detail


@pytest.mark.parametrize("url", ["ftp://h.example", "http://", "http://h:99999999", "http://\x7f"])
async def test_an_address_that_is_none_is_our_canary_s_fault(network: Network, url: str) -> None:
    assert (await ask(network, url)).fault in (Fault.CANARY, Fault.PATH)


class Broken(httpx.AsyncBaseTransport):
    def __init__(self, error: Exception) -> None:
        self._error = error

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise self._error


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (httpx.ProxyError("407"), Outcome.CONNECT),
        (httpx.ConnectTimeout("slow"), Outcome.CONNECT),
        (httpx.ConnectError("no"), Outcome.CONNECT),
        (httpx.ReadError("gone"), Outcome.RESET),
        (httpx.WriteError("gone"), Outcome.RESET),
        (httpx.RemoteProtocolError("Server disconnected"), Outcome.RESET),
        (httpx.RemoteProtocolError("illegal status line"), Outcome.STREAM_ERROR),
        (httpx.UnsupportedProtocol("ftp"), Outcome.BAD_REQUEST),
        (httpx.TooManyRedirects("many"), Outcome.RESET),
        (ConnectionResetError(104, "Connection reset by peer"), Outcome.RESET),
        (caused(httpx.ConnectError(""), socket.gaierror(-2, "unknown")), Outcome.DNS),
        (caused(httpx.ConnectError(""), ssl.SSLError(1, "bad cert")), Outcome.TLS),
        (caused(httpx.ReadError(""), ssl.SSLError(1, "bad record")), Outcome.TLS),
    ],
)
async def test_foreign_errors_are_translated_in_one_table(
    error: Exception, outcome: Outcome, network: Network
) -> None:
    wanted = Plan("a", "openai", Endpoint("http://h.example/v1", "m", KEY))
    async with httpx.AsyncClient(transport=Broken(error)) as client:
        network.kept = client
        sample = await probe(wanted, network, Clock(), id="x")
    assert sample.outcome is outcome
    assert sample.detail
