"""How servers really end an answer: every kind of golden/replies.py over a real socket."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
from pathlib import Path
from typing import Any

import pytest

from prober.canary import Canary
from prober.clock import Clock
from prober.probing.network import Network
from prober.probing.plans import Plan
from prober.probing.probe import CLOSING_S, probe
from prober.providers import ADAPTERS
from prober.providers.events import Endpoint
from prober.sample import Outcome, Sample
from tests.golden.frames import sse
from tests.golden.reading import read
from tests.golden.replies import KINDS, Reply, c
from tests.support.raw_server import Play, answering, plain, silent_after

CANARY = Canary("ab12")
DOCS = Path(__file__).parents[2] / "docs/providers.md"


async def ask(network: Network, url: str, api: str = "openai", **changes: Any) -> Sample:
    bounds = {"first_text_timeout_s": 5.0, "timeout_s": 5.0, **changes}
    plan = Plan("a", api, Endpoint(url, "m-1", "sk-key"), **bounds)
    return await probe(plan, network, Clock(), id="x", canary=CANARY)


def played(reply: Reply) -> Play:
    async def play(writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {reply.content_type}\r\n"
        if reply.ending == "cut":
            head += "transfer-encoding: chunked\r\n"
            writer.write(f"{head}\r\n{len(reply.body):x}\r\n".encode() + reply.body + b"\r\n")
        else:
            writer.write(f"{head}\r\n".encode() + reply.body)
        await writer.drain()
        if reply.ending == "silence":
            await asyncio.Event().wait()
        if reply.ending == "reset":
            await asyncio.sleep(0.05)  # what was sent must have been read: a reset drops the rest
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()

    return play


@pytest.mark.parametrize("kind", KINDS)
async def test_a_real_end_has_its_outcome(network: Network, kind: str) -> None:
    async def answered(name: str, reply: Reply) -> tuple[str, Outcome, str]:
        async with answering(played(reply)) as server:
            sample = await ask(network, server.url, reply.api)
        assert reply.detail in sample.detail, name
        assert bool(sample.detail) is not sample.ok, name
        assert reply.tokens is None or sample.tokens == reply.tokens, name
        return name, sample.outcome, sample.detail

    replies = KINDS[kind].replies
    found = await asyncio.gather(*(answered(name, reply) for name, reply in replies.items()))
    assert [one for one in found if one[1] is not KINDS[kind].outcome] == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_real_end_reads_the_same_byte_by_byte(kind: str) -> None:
    for name, reply in KINDS[kind].replies.items():
        body = reply.body[:10_000]  # one of them has no end
        whole = read(reply.api, body)
        split = read(reply.api, *(body[at : at + 1] for at in range(len(body))))
        assert split.conclude(CANARY) == whole.conclude(CANARY), name
        assert (split.text, split.tokens) == (whole.text, whole.tokens), name


def streamed(*steps: bytes | float) -> Play:
    """Bytes, and pauses in seconds between them."""

    async def play(writer: asyncio.StreamWriter) -> None:
        await plain()(writer)
        for step in steps:
            if isinstance(step, bytes):
                writer.write(step)
                await writer.drain()
            else:
                await asyncio.sleep(step)

    return play


async def test_text_long_after_a_premature_end_still_counts(network: Network) -> None:
    """Gemini models that say STOP in each chunk; longer apart than the wait for a closing."""
    said = KINDS["gemini_two_finish"].replies["gemini"].body
    first, second = said.split(b"\r\n\r\n", 1)
    play = streamed(first + b"\r\n\r\n", CLOSING_S + 0.3, second)
    async with answering(play) as server:
        sample = await ask(network, server.url, "gemini")
    assert sample.outcome is Outcome.OK
    assert sample.phases.total_s > CLOSING_S


async def test_a_whole_answer_is_timed_at_its_reason_to_finish(network: Network) -> None:
    usage = sse({"choices": [], "usage": {"prompt_tokens": 30, "completion_tokens": 5}})
    play = streamed(sse(c("ab12"), c("", "stop")), 0.2, usage, 60.0)
    async with answering(play) as server:
        sample = await ask(network, server.url)
    assert (sample.outcome, sample.tokens.output) == (Outcome.OK, 5)
    assert sample.phases.total_s < 0.2


async def test_half_an_answer_on_a_connection_that_stays_open_is_ended_by_the_deadline(
    network: Network,
) -> None:
    async with answering(silent_after(sse(c("ab", "stop")))) as server:
        sample = await ask(network, server.url, timeout_s=0.3)
    assert (sample.outcome, sample.fault.value) == (Outcome.STREAM_TRUNCATED, "provider")


async def test_a_refused_field_is_told_with_the_setting_that_leaves_it_out(
    network: Network,
) -> None:
    message = "Validation error at #/stream_options: Extra inputs are not permitted"
    body = json.dumps({"error": {"message": message, "type": "invalid_request_error"}}).encode()
    async with answering(plain(body, status="400 Bad Request")) as server:
        sample = await ask(network, server.url)
    assert sample.outcome is Outcome.BAD_REQUEST
    assert sample.detail.endswith("; set stream_options = false for this provider")


def test_the_field_can_be_left_out() -> None:
    for api in ("openai", "azure-openai"):
        for wanted in (True, False):
            target = Endpoint("http://h/v1", "m", stream_options=wanted)
            body = json.loads(ADAPTERS[api].build(target, "hi", 16).body)
            assert ("stream_options" in body) is wanted


def test_the_documentation_names_every_kind() -> None:
    rows = re.findall(r"^\| (\w+) \| (.+) \| `(\w+)` \|$", DOCS.read_text(), re.MULTILINE)
    said = {name: (server, outcome) for name, server, outcome in rows}
    for name, kind in KINDS.items():
        assert said.get(name) == (kind.server, kind.outcome.value), name
