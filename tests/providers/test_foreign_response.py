"""Answers of somebody else than the API, over real sockets."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import pytest

from prober.canary import Canary
from prober.clock import Clock
from prober.probing.capture import Capture
from prober.probing.model_watch import read
from prober.probing.network import Network
from prober.probing.plans import Plan
from prober.probing.probe import probe
from prober.providers import ADAPTERS
from prober.providers.events import Endpoint
from prober.providers.foreign_response import unstreamed
from prober.providers.outcomes import OutcomeRow
from prober.sample import Fault, Outcome, Sample
from tests.golden.streams import GOLDEN
from tests.support.network_servers import Served, listening, request_of
from tests.support.raw_server import Play, answering, plain

PAGE = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head></html>"


def answer(body: bytes, kind: str = "text/html", status: str = "200 OK", more: str = "") -> Play:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\n{more}"

    async def play(writer: asyncio.StreamWriter) -> None:
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()

    return play


async def ask(network: Network, play: Play, api: str = "openai", **more: Any) -> Sample:
    async with answering(play) as server:
        target = Endpoint(server.url, "m-1", "key", project="p", location="l", region="r")
        plan = Plan("a", api, target, first_text_timeout_s=5, timeout_s=5, **more)
        return await probe(plan, network, Clock(), id="x", canary=Canary("ab12"))


# -- encodings that nobody asked for ---------------------------------------------------------------


def packed(times: int, size: int) -> bytes:
    body = bytes(size)
    for _ in range(times):
        body = gzip.compress(body)
    return body


@pytest.mark.parametrize("encoding", ["gzip", "gzip, gzip, gzip", "br", "GZIP", "zstd"])
async def test_an_encoded_answer_is_never_unpacked(network: Network, encoding: str) -> None:
    play = answer(
        packed(3, 50_000_000), "text/event-stream", more=f"content-encoding: {encoding}\r\n"
    )
    sample = await ask(network, play)
    assert (sample.outcome, sample.http_status) == (Outcome.STREAM_ERROR, 200)
    assert sample.detail == f"encoded as {encoding.lower()}, which nobody asked for"


async def test_an_encoded_refusal_counts_by_its_status(network: Network) -> None:
    more = "content-encoding: gzip\r\n"
    play = answer(packed(1, 50_000_000), "application/json", "429 Slow", more)
    assert (await ask(network, play)).outcome is Outcome.RATE_LIMITED


async def test_identity_is_no_encoding(network: Network) -> None:
    stream = GOLDEN["openai"].streams["success"]
    play = answer(stream, "text/event-stream", more="content-encoding: identity\r\n")
    assert (await ask(network, play)).ok


async def test_an_encoded_list_of_models_is_not_unpacked(network: Network) -> None:
    body = gzip.compress(json.dumps({"data": [{"id": "m-1"}]}).encode())
    play = answer(body, "application/json", more="content-encoding: gzip\r\n")
    async with answering(play) as server:
        listing = await read(Plan("a", "openai", Endpoint(server.url, "m-1")), network)
    assert listing.found is None


# -- the wrong path, and a page in between ---------------------------------------------------------

NOWHERE = [
    b"",
    PAGE,
    b"404 page not found",
    b'{"detail": "Not Found"}',
    b'{"message": "no Route matched with those values"}',
    b'{"error": {"code": 404, "message": "File Not Found", "type": "not_found_error"}}',
    b'{"error": {"message": "Invalid URL (POST /v1/v1/chat)", "type": "invalid_request_error"}}',
]


@pytest.mark.parametrize("api", ADAPTERS)
@pytest.mark.parametrize("body", NOWHERE)
def test_a_404_that_is_not_the_api_s_is_a_wrong_base_url(api: str, body: bytes) -> None:
    failure = ADAPTERS[api].classify(404, body)
    assert failure.outcome is Outcome.BAD_REQUEST
    assert failure.detail == "HTTP 404, not this API's path: see base_url"


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("api", ADAPTERS)
async def test_a_page_in_between_is_not_a_key_refused(
    network: Network, api: str, status: int
) -> None:
    sample = await ask(network, answer(PAGE, status=f"{status} No"), api)
    assert (sample.outcome, sample.fault) == (Outcome.SERVER_ERROR, Fault.PROVIDER)
    wanted = f'HTTP {status}, blocked by something in between (HTML, "Just a moment...")'
    assert sample.detail == wanted


def test_the_configuration_s_rows_come_first() -> None:
    rules = [OutcomeRow(Outcome.CONNECT, says="blocked by something in between")]
    failure = ADAPTERS["openai"].classify(403, PAGE, {"content-type": "text/html"}, rules)
    assert failure.outcome is Outcome.CONNECT


# -- success without a stream ----------------------------------------------------------------------


@pytest.mark.parametrize("api", ADAPTERS)
async def test_a_page_in_place_of_a_stream_says_what_it_is(network: Network, api: str) -> None:
    sample = await ask(network, answer(PAGE, "text/html; charset=utf-8"), api)
    assert sample.outcome is Outcome.STREAM_ERROR
    assert sample.detail == 'answered text/html, "Just a moment...", not this API'


async def test_a_row_of_the_configuration_can_name_that_page(network: Network) -> None:
    for says in ("not this api", "just a moment", "answered text/html"):
        rules = (OutcomeRow(Outcome.CONNECT, says=says),)
        assert (await ask(network, answer(PAGE), rules=rules)).outcome is Outcome.CONNECT


WHOLE = {
    "openai": {"choices": [{"message": {"content": "ab12"}, "finish_reason": "stop"}]},
    "anthropic": {"type": "message", "content": [{"type": "text", "text": "ab12"}]},
    "openai-responses": {"object": "response", "output": []},
    "gemini": [{"candidates": [{"content": {"parts": [{"text": "ab12"}]}}]}],
    "bedrock": {"output": {"message": {"content": [{"text": "ab12"}]}}},
}


@pytest.mark.parametrize("api", WHOLE)
async def test_an_answer_that_is_not_streamed_says_so(network: Network, api: str) -> None:
    for indent in (None, 2):
        body = json.dumps(WHOLE[api], indent=indent).encode()
        sample = await ask(network, answer(body, "application/json"), api)
        assert sample.outcome is Outcome.STREAM_ERROR
        assert sample.detail == "answered whole JSON: it does not stream"


@pytest.mark.parametrize("api", ["openai", "anthropic", "gemini", "mistral"])
async def test_a_stream_announced_as_something_else_is_still_read(
    network: Network, api: str
) -> None:
    for kind in ("text/html", "application/json", "text/plain"):
        assert (await ask(network, answer(GOLDEN[api].streams["success"], kind), api)).ok


@pytest.mark.parametrize("body", [b"", b"data: {}", b'{"error": {"message": "x"}}', b": ping"])
def test_what_may_be_a_stream_is_left_to_its_reader(body: bytes) -> None:
    assert unstreamed("text/html", body) == ""


# -- bytes that are not quite what they should be --------------------------------------------------


EVENT = b'data: {"choices": [{"index": 0, "delta": {"content": "ab12"}, "x": "%s"}]}\n\n'
DONE = b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'


@pytest.mark.parametrize(
    "stream",
    [
        b"\xef\xbb\xbf" + EVENT % b"" + DONE,
        EVENT % b"\xff" + DONE,
        EVENT % b"\\ud800" + DONE,
        EVENT.replace(b"ab12", b"ab12\\udc00 \xc3") % b"" + DONE,
    ],
    ids=["byte order mark", "no UTF-8", "half a pair", "both in the text"],
)
async def test_a_wrong_byte_beside_the_right_text_is_forgiven(
    network: Network, stream: bytes
) -> None:
    sample = await ask(network, plain(stream))
    assert (sample.outcome, sample.detail) == (Outcome.OK, "")


async def test_a_byte_order_mark_is_forgiven_where_every_line_is_json(network: Network) -> None:
    stream = b"\xef\xbb\xbf" + GOLDEN["ollama"].streams["success"]
    assert (await ask(network, plain(stream), "ollama")).ok


async def test_no_half_pair_of_surrogates_reaches_a_sample(network: Network) -> None:
    """SQL and terminals would refuse it."""
    stream = EVENT.replace(b"ab12", b"no\\ud800") % b"" + DONE
    sample = await ask(network, plain(stream))
    assert sample.outcome is Outcome.WRONG_ANSWER
    sample.detail.encode()


# -- words -----------------------------------------------------------------------------------------


async def test_what_is_no_http_is_said_in_words_for_people(network: Network) -> None:
    async def play(writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n\r\n")
        await writer.drain()

    sample = await ask(network, play)
    assert sample.outcome is Outcome.STREAM_ERROR
    assert sample.detail.startswith("answered, but not in HTTP: ")


async def test_https_at_a_plain_port_asks_whether_it_is_http(network: Network) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async with listening(serve) as port:
        plan = Plan("a", "openai", Endpoint(f"https://127.0.0.1:{port}", "m"))
        sample = await probe(plan, network, Clock(), id="x")
    assert sample.outcome is Outcome.TLS
    assert sample.detail.endswith("; is it http://?")


# -- proxies ---------------------------------------------------------------------------------------


async def test_a_proxy_that_answers_itself_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    served = Served()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(b"HTTP/1.1 501 No\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()

    async with listening(serve) as served.port:
        monkeypatch.setenv("HTTP_PROXY", f"http://user:pass-word@127.0.0.1:{served.port}")
        monkeypatch.setenv("http_proxy", f"http://user:pass-word@127.0.0.1:{served.port}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        for fresh in (True, False):
            async with Network() as network:
                plan = Plan("a", "openai", Endpoint("http://provider.test", "m"), fresh=fresh)
                tape = Capture()
                sample = await probe(plan, network, Clock(), id="x", tape=tape)
            assert sample.detail == f"through proxy 127.0.0.1:{served.port}: HTTP 501"
            assert tape.proxy == f"127.0.0.1:{served.port}"


# -- what nobody foresaw ---------------------------------------------------------------------------


@pytest.mark.parametrize("fresh", [True, False])
async def test_an_error_that_no_table_names_is_that_canary_s_outcome(
    network: Network, fresh: bool
) -> None:
    """A port that is none, say: httpx lets the system's OverflowError through."""
    told: list[Exception] = []
    plan = Plan("a", "openai", Endpoint("http://127.0.0.1:99999", "m"), fresh=fresh)
    sample = await probe(plan, network, Clock(), id="x", unforeseen=told.append)
    assert (sample.outcome, sample.fault) == (Outcome.BAD_REQUEST, Fault.CANARY)
    assert sample.detail.startswith("unforeseen: OverflowError: ")
    assert [type(error) for error in told] == [OverflowError]
