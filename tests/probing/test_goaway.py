"""HTTP/2 servers that say goodbye, and kept connections that are gone: asked once more."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import RequestReceived, StreamEnded
from hyperframe.frame import GoAwayFrame

from prober.canary import Canary
from prober.clock import Clock
from prober.probing.goaway import Frames
from prober.probing.network import Network
from prober.probing.plans import Plan
from prober.probing.probe import probe
from prober.providers.events import Endpoint
from prober.sample import Outcome, Sample
from tests.golden.frames import sse
from tests.golden.replies import DONE, c
from tests.support.network_servers import WHOLE, Authority, Served, listening, request_of

HALF, REST = sse(c("ab")), sse(c("12"), c("", "stop")) + DONE
ALL = 2**31 - 1


async def ask(network: Network, url: str, first_text_s: float = 5.0) -> Sample:
    plan = Plan("a", "openai", Endpoint(url, "m-1", "sk-key"), first_text_timeout_s=first_text_s)
    return await probe(plan, network, Clock(), id="x", canary=Canary("ab12"))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.made(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def h2_tls(authority: Authority) -> ssl.SSLContext:
    context = authority.server("127.0.0.1")
    context.set_alpn_protocols(["h2"])
    return context


@pytest.fixture
async def trusting(authority: Authority) -> AsyncIterator[Network]:
    async with Network(str(authority.file)) as network:
        yield network


def goaway(last: int, code: int = 0) -> bytes:
    frame = GoAwayFrame(0)
    frame.last_stream_id, frame.error_code = last, code
    return bytes(frame.serialize())


@asynccontextmanager
async def leaving(tls: ssl.SSLContext, when: str, slow_s: float = 0.0) -> AsyncIterator[Served]:
    """An HTTP/2 server that says goodbye at a moment; `slow_s`: between the halves of an answer."""
    served = Served()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.connections += 1
        number = served.connections
        conn = H2Connection(H2Configuration(client_side=False))
        conn.initiate_connection()

        async def flush(more: bytes = b"") -> None:
            writer.write(conn.data_to_send() + more)
            await writer.drain()

        async def answer(stream: int) -> bool:
            if when == "unseen" or (when == "unseen once" and number == 1):
                await flush(goaway(stream - 1))
                return False
            if when == "refused once" and number == 1:
                conn.reset_stream(stream, ErrorCodes.REFUSED_STREAM)
                await flush()
                return True
            await flush({"before": goaway(stream), "two steps": goaway(ALL)}.get(when, b""))
            head = [(":status", "200"), ("content-type", "text/event-stream")]
            conn.send_headers(stream, head)
            conn.send_data(stream, HALF)
            broken = goaway(stream, ErrorCodes.INTERNAL_ERROR)
            said = {"mid": goaway(stream), "two steps": goaway(stream), "broken": broken}
            await flush(said.get(when, b""))
            await asyncio.sleep(slow_s)
            conn.send_data(stream, REST, end_stream=True)
            await flush(goaway(stream) if when in ("after", "idle") else b"")
            return when in ("never", "idle", "refused once")

        await flush()
        while data := await reader.read(65_536):
            for event in conn.receive_data(data):
                if isinstance(event, RequestReceived):
                    served.requests.append(b"")
                if isinstance(event, StreamEnded) and not await answer(event.stream_id):
                    return
            await flush()

    async with listening(serve, tls=tls) as served.port:
        yield served


@pytest.mark.parametrize("when", ["before", "mid", "two steps", "after", "idle"])
async def test_a_goodbye_that_covers_the_answer_does_it_no_harm(
    trusting: Network, h2_tls: ssl.SSLContext, when: str
) -> None:
    async with leaving(h2_tls, when) as server:
        url = f"https://127.0.0.1:{server.port}"
        samples = [await ask(trusting, url) for _ in range(3)]
    assert [(one.outcome, one.new_connection) for one in samples] == [(Outcome.OK, True)] * 3
    assert server.connections == 3


async def test_a_server_that_stays_is_asked_over_the_same_connection(
    trusting: Network, h2_tls: ssl.SSLContext
) -> None:
    async with leaving(h2_tls, "never") as server:
        url = f"https://127.0.0.1:{server.port}"
        samples = [await ask(trusting, url) for _ in range(2)]
    assert [(one.outcome, one.new_connection) for one in samples] == [
        (Outcome.OK, True),
        (Outcome.OK, False),
    ]
    assert server.connections == 1


@pytest.mark.parametrize("when", ["unseen once", "refused once"])
async def test_what_a_server_has_not_touched_is_asked_once_more(
    trusting: Network, h2_tls: ssl.SSLContext, when: str
) -> None:
    async with leaving(h2_tls, when) as server:
        sample = await ask(trusting, f"https://127.0.0.1:{server.port}")
    assert (sample.outcome, sample.new_connection) == (Outcome.OK, True)
    assert (server.connections, len(server.requests)) == (2, 2)


async def test_a_server_that_only_says_goodbye_is_asked_twice_and_no_more(
    trusting: Network, h2_tls: ssl.SSLContext
) -> None:
    async with leaving(h2_tls, "unseen") as server:
        sample = await ask(trusting, f"https://127.0.0.1:{server.port}")
    assert (sample.outcome, server.connections) == (Outcome.RESET, 2)
    assert sample.detail == "the server refused the request (HTTP/2 REFUSED_STREAM)"


async def test_a_goodbye_with_an_error_breaks_the_answer(
    trusting: Network, h2_tls: ssl.SSLContext
) -> None:
    async with leaving(h2_tls, "broken", slow_s=0.1) as server:
        sample = await ask(trusting, f"https://127.0.0.1:{server.port}")
    assert sample.outcome is Outcome.STREAM_TRUNCATED
    assert sample.detail == "the server ended the connection (HTTP/2 INTERNAL_ERROR)"


async def test_a_canary_that_comes_after_the_goodbye_waits_for_nobody(
    trusting: Network, h2_tls: ssl.SSLContext
) -> None:
    """The one before it still has its answer coming, over the connection that takes no more."""
    async with leaving(h2_tls, "mid", slow_s=1.0) as server:
        url = f"https://127.0.0.1:{server.port}"
        first = asyncio.create_task(ask(trusting, url))
        while not server.requests:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        second = asyncio.create_task(ask(trusting, url))
        samples = [await first, await second]
    assert [one.outcome for one in samples] == [Outcome.OK, Outcome.OK]
    assert samples[1].phases.first_byte_s is not None
    assert samples[1].phases.first_byte_s < 0.6
    assert server.connections == 2


def test_frames_are_the_same_wherever_they_are_split() -> None:
    client = H2Connection(H2Configuration(client_side=True))
    server = H2Connection(H2Configuration(client_side=False))
    client.initiate_connection()
    server.initiate_connection()
    for _ in range(2):
        head = [(":method", "GET"), (":path", "/"), (":scheme", "https"), (":authority", "h")]
        client.send_headers(client.get_next_available_stream_id(), head, end_stream=True)
    sent = client.data_to_send()
    server.receive_data(sent)
    server.send_headers(1, [(":status", "200")])
    came = server.data_to_send() + goaway(1)
    server.send_data(1, b"ab12", end_stream=True)
    came += server.data_to_send()

    def read(*pieces: bytes) -> bytes:
        frames, seen = Frames(), b""
        assert not frames.sent(sent)
        for piece in pieces:
            frames.received(piece)
            seen += frames.ready()
        return seen

    whole = read(came)
    assert read(*(came[at : at + 1] for at in range(len(came)))) == whole
    assert whole.endswith(goaway(1))
    events = [type(event).__name__ for event in client.receive_data(whole)]
    assert events[-4:] == ["StreamReset", "DataReceived", "StreamEnded", "ConnectionTerminated"]


# -- HTTP/1.1 --------------------------------------------------------------------------------------


@asynccontextmanager
async def forgetful(answers: int, *, hang: bool = False) -> AsyncIterator[Served]:
    """Closes each connection at the request after so many; `hang`: later ones answer nothing."""
    served = Served()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.connections += 1
        if hang and served.connections > 1:
            await asyncio.Event().wait()
        for _ in range(answers):
            served.requests.append(await request_of(reader))
            writer.write(WHOLE)
            await writer.drain()
        await request_of(reader)

    async with listening(serve) as served.port:
        yield served


async def test_a_kept_connection_that_was_closed_is_no_failure(network: Network) -> None:
    async with forgetful(answers=1) as server:
        url = f"http://127.0.0.1:{server.port}"
        samples = [await ask(network, url) for _ in range(3)]
    assert [(one.outcome, one.new_connection) for one in samples] == [(Outcome.OK, True)] * 3
    assert all(one.phases.connect_s is not None for one in samples)
    assert server.connections == 3


async def test_a_new_connection_that_is_closed_without_an_answer_is_one(network: Network) -> None:
    async with forgetful(answers=0) as server:
        sample = await ask(network, f"http://127.0.0.1:{server.port}")
    assert (sample.outcome, server.connections) == (Outcome.RESET, 1)


async def test_the_second_try_has_no_deadline_of_its_own(network: Network) -> None:
    async with forgetful(answers=1, hang=True) as server:
        url = f"http://127.0.0.1:{server.port}"
        assert (await ask(network, url)).ok
        sample = await ask(network, url, first_text_s=0.4)
    assert sample.outcome is Outcome.TIMEOUT_FIRST_TEXT
    assert 0.4 <= sample.phases.total_s < 1.0
    assert server.connections == 2


async def test_tls_that_ends_without_a_goodbye_after_the_answer_is_no_failure(
    trusting: Network, authority: Authority
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
        writer.write(head + sse(c("ab12"), c("", "stop")))
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.transport.abort()

    async with listening(serve, tls=authority.server("127.0.0.1")) as port:
        sample = await ask(trusting, f"https://127.0.0.1:{port}")
    assert (sample.outcome, sample.detail) == (Outcome.OK, "")


@pytest.mark.parametrize("encoding", ["none", "utf-8", "UTF-8", "identity", "", "identity, utf8"])
async def test_an_encoding_that_packs_nothing_is_none(network: Network, encoding: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        head = f"HTTP/1.1 200 OK\r\ncontent-encoding: {encoding}\r\n"
        writer.write(WHOLE.replace(b"HTTP/1.1 200 OK\r\n", head.encode()))
        await writer.drain()

    async with listening(serve) as port:
        assert (await ask(network, f"http://127.0.0.1:{port}")).ok
