"""CPU time to read one recorded stream of 200 texts: our adapter beside the vendor's own SDK.

Both read the same bytes in the same pieces, the SDK through its own HTTP client over a transport
that plays the recording from memory; ours is read as `probe()` reads it, check and outcome
included. Median of runs that alternate.

Target: an adapter takes a fifth of the SDK's time at most.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from time import process_time
from typing import Any

from bench.row import Row, SkippedError
from prober.canary import Canary
from prober.emulator.apis import APIS
from prober.emulator.wire import ApiCall, ModelAnswer, Stamp, StopReason
from prober.probing.response import Transcript
from prober.providers import ADAPTERS
from prober.sample import Outcome

WORDS = 200
NONCE = "beefcafe"
RUNS = 25
ROUNDS = 4
TARGET = 0.2
# As a network hands them over: a text or two at a time.
PIECE = 700


@dataclass(frozen=True)
class Recording:
    api: str
    pieces: tuple[bytes, ...]
    media_type: str


def record(api: str) -> Recording:
    """A stream as the emulator sends it."""
    said = next(known for known in APIS if known.name == api)
    call = ApiCall("bench", "", stream=True)
    texts = (f"{NONCE} ", *(f"word{n} " for n in range(WORDS - 1)))
    stamp = Stamp("0" * 24, datetime(2026, 1, 1, tzinfo=UTC))
    answer = ModelAnswer(call, stamp, texts, StopReason.END, 9, 300)
    stream = said.stream(answer)
    whole = b"".join([*stream.opening, *stream.texts, *stream.closing])
    pieces = tuple(whole[at : at + PIECE] for at in range(0, len(whole), PIECE))
    return Recording(api, pieces, said.media_type)


def ours(recording: Recording) -> Callable[[], int]:
    canary, adapter = Canary(NONCE), ADAPTERS[recording.api]

    def read() -> int:
        reader, transcript = adapter.reader(), Transcript()
        for piece in recording.pieces:
            for event in reader.feed(piece):
                transcript.take(event, 0.0)
        for event in reader.close():
            transcript.take(event, 0.0)
        outcome, why = transcript.conclude(canary)
        # Three hundred words are no echo; all that matters here is that they were read whole.
        if outcome is not Outcome.WRONG_ANSWER:
            raise RuntimeError(f"{recording.api}: {outcome}: {why}")
        return len(transcript.text)

    return read


def _client(httpx: Any, recording: Recording) -> Any:
    """An HTTP client of the SDK's own kind, answered from memory."""

    def answer(request: Any) -> Any:
        return httpx.Response(
            200, headers={"content-type": recording.media_type}, content=iter(recording.pieces)
        )

    return httpx.Client(transport=httpx.MockTransport(answer))


def _anthropic(recording: Recording) -> Callable[[], int]:
    import anthropic
    import httpx2

    client = anthropic.Anthropic(api_key="k", http_client=_client(httpx2, recording))
    said: Any = [{"role": "user", "content": "x"}]

    def read() -> int:
        texts = client.messages.create(model="m", max_tokens=9, messages=said, stream=True)
        return sum(
            len(event.delta.text)
            for event in texts
            if event.type == "content_block_delta" and event.delta.type == "text_delta"
        )

    return read


def _openai(recording: Recording) -> Callable[[], int]:
    import httpx2
    import openai

    client = openai.OpenAI(api_key="k", http_client=_client(httpx2, recording))
    said: Any = [{"role": "user", "content": "x"}]

    def read() -> int:
        chunks = client.chat.completions.create(model="m", messages=said, stream=True)
        return sum(len(c.choices[0].delta.content or "") for c in chunks if c.choices)

    return read


def _responses(recording: Recording) -> Callable[[], int]:
    import httpx2
    import openai

    client = openai.OpenAI(api_key="k", http_client=_client(httpx2, recording))

    def read() -> int:
        events = client.responses.create(model="m", input="x", stream=True)
        return sum(len(e.delta) for e in events if e.type == "response.output_text.delta")

    return read


def _gemini(recording: Recording) -> Callable[[], int]:
    import httpx2
    from google import genai

    options = genai.types.HttpOptions(httpx_client=_client(httpx2, recording))
    client = genai.Client(api_key="k", http_options=options)

    def read() -> int:
        chunks = client.models.generate_content_stream(model="m", contents="x")
        return sum(len(chunk.text or "") for chunk in chunks)

    return read


def _mistral(recording: Recording) -> Callable[[], int]:
    import httpx2
    from mistralai.client import Mistral

    client = Mistral(api_key="k", client=_client(httpx2, recording))
    said: Any = [{"role": "user", "content": "x"}]

    def read() -> int:
        events = client.chat.stream(model="m", messages=said)
        return sum(len(str(event.data.choices[0].delta.content or "")) for event in events)

    return read


def _ollama(recording: Recording) -> Callable[[], int]:
    import httpx
    import ollama

    client = ollama.Client()
    client._client = _client(httpx, recording)  # its constructor takes no transport
    client._client.base_url = "http://127.0.0.1:11434"

    def read() -> int:
        lines = client.chat("m", messages=[{"role": "user", "content": "x"}], stream=True)
        return sum(len(line.message.content or "") for line in lines)

    return read


def _bedrock(recording: Recording) -> Callable[[], int]:
    from botocore.eventstream import EventStream
    from botocore.parsers import create_parser
    from botocore.session import Session

    model = Session().get_service_model("bedrock-runtime")
    operation = model.operation_model("ConverseStream")
    shape = operation.get_event_stream_output()
    parser = create_parser("rest-json")

    class Raw:
        def stream(self) -> Iterator[bytes]:
            yield from recording.pieces

    def read() -> int:
        events = EventStream(Raw(), shape, parser._event_stream_parser, "ConverseStream")
        return sum(
            len(event["contentBlockDelta"]["delta"].get("text", ""))
            for event in events
            if "contentBlockDelta" in event
        )

    return read


SDKS: dict[str, tuple[str, Callable[[Recording], Callable[[], int]]]] = {
    "anthropic": ("anthropic", _anthropic),
    "openai": ("openai", _openai),
    "openai-responses": ("openai", _responses),
    "gemini": ("google-genai", _gemini),
    "mistral": ("mistralai", _mistral),
    "ollama": ("ollama", _ollama),
    "bedrock": ("botocore", _bedrock),
}


def measure() -> list[Row]:
    # A key or an address of the host's own would lead an SDK elsewhere.
    for name in [n for n in os.environ if n.startswith(("ANTHROPIC_", "OPENAI_", "OLLAMA_"))]:
        del os.environ[name]
    return [_row(api, sdk, build) for api, (sdk, build) in SDKS.items()]


def _row(api: str, sdk: str, build: Callable[[Recording], Callable[[], int]]) -> Row:
    recording = record(api)
    mine = ours(recording)
    try:
        theirs = build(recording)
    except ImportError as error:
        raise SkippedError(f"{error.name} is not installed") from error
    if mine() != theirs():
        raise RuntimeError(f"{api}: the adapter and the SDK read different texts")
    took: list[tuple[float, float]] = [(_time_s(mine), _time_s(theirs)) for _ in range(ROUNDS)]
    ours_s, theirs_s = (median(times) for times in zip(*took, strict=True))
    return Row(
        f"{api}: a stream of {WORDS} texts read", f"its SDK ({sdk})", "ms",
        ours_s * 1e3, theirs_s * 1e3, TARGET,
    )  # fmt: skip


def _time_s(read: Callable[[], int]) -> float:
    began = process_time()
    for _ in range(RUNS):
        read()
    return (process_time() - began) / RUNS
