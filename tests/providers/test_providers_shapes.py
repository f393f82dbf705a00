"""The golden streams against the types of the official SDKs: they are what the vendors document."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import TypeAdapter

from prober.providers.sse import Messages
from tests.golden.streams import GOLDEN

# Shapes of servers and gateways that their SDKs do not know, and errors, which have none.
FOREIGN = {"error", "throttled", "nested", "error and end", "listed error", "exhausted"}


def said(api: str) -> Iterator[tuple[str, str, Any]]:
    """Case, event name and JSON of every message but errors and end markers."""
    for case, stream in GOLDEN[api].streams.items():
        if case.removeprefix("claude ") in FOREIGN:
            continue
        reader = Messages()
        for message in [*reader.feed(stream), *reader.close()]:
            if message.data != b"[DONE]":
                yield case, message.event, json.loads(message.data)


@pytest.mark.parametrize("api", ["openai", "azure-openai"])
def test_chat_completions_are_openai_s(api: str) -> None:
    from openai.types.chat import ChatCompletionChunk

    for case, _, data in said(api):
        if data["object"]:  # Azure's first one has nothing in it
            chunk = ChatCompletionChunk.model_validate(data)
            assert set(chunk.model_extra or {}) == set(), case


def test_responses_are_openai_s() -> None:
    from openai.types.responses import ResponseStreamEvent

    known = TypeAdapter[Any](ResponseStreamEvent)
    for case, event, data in said("openai-responses"):
        parsed = known.validate_python(data)
        assert (parsed.type, set(parsed.model_extra or {})) == (event, set()), case


def test_an_error_event_of_responses_is_openai_s() -> None:
    from openai.types.responses import ResponseErrorEvent

    stream = GOLDEN["openai-responses"].streams["error"]
    reader = Messages()
    last = [*reader.feed(stream), *reader.close()][-1]
    assert ResponseErrorEvent.model_validate_json(last.data).code == "server_error"


def test_messages_are_anthropic_s() -> None:
    from anthropic.types import RawMessageStreamEvent

    known = TypeAdapter[Any](RawMessageStreamEvent)
    for case, event, data in said("anthropic"):
        if event != "ping":
            assert set(known.validate_python(data).model_extra or {}) == set(), case


def test_generated_content_is_google_s() -> None:
    """This SDK's types refuse every field and word that they do not know."""
    from google.genai.types import FinishReason, GenerateContentResponse

    for case, _, data in said("gemini"):
        answer = GenerateContentResponse.model_validate(data)
        for candidate in answer.candidates or []:
            assert candidate.finish_reason is None or candidate.finish_reason in FinishReason, case


def test_chunks_are_mistral_s() -> None:
    from mistralai.client.models import CompletionChunk

    for case, _, data in said("mistral"):
        assert CompletionChunk.model_validate(data).choices, case


def test_lines_are_ollama_s() -> None:
    from ollama import ChatResponse

    for case, stream in GOLDEN["ollama"].streams.items():
        for line in stream.splitlines():
            if b'"error"' not in line:
                answer = ChatResponse.model_validate_json(line)
                assert set(answer.model_extra or {}) == set(), case


def test_frames_are_amazon_s() -> None:
    """botocore decodes every frame, and its service model knows every event and stop reason."""
    from botocore.eventstream import EventStreamBuffer
    from botocore.session import Session

    model = Session().get_service_model("bedrock-runtime")
    output = model.shape_for("ConverseStreamOutput").members
    stops = model.shape_for("StopReason").enum
    for case, stream in GOLDEN["bedrock"].streams.items():
        buffer = EventStreamBuffer()
        buffer.add_data(stream)
        for message in buffer:
            kind = message.headers.get(":event-type") or message.headers.get(":exception-type")
            if kind is None:
                assert message.headers[":message-type"] == "error"
                continue
            data = json.loads(message.payload)
            assert set(data) <= set(output[kind].members), case
            assert data.get("stopReason", "end_turn") in stops
        assert buffer._data == b""


def test_our_decoder_reads_frames_as_amazon_s_own_does() -> None:
    from botocore.eventstream import EventStreamBuffer

    from prober.providers.eventstream import EventStream

    for stream in GOLDEN["bedrock"].streams.values():
        buffer = EventStreamBuffer()
        buffer.add_data(stream)
        theirs = [m.payload or m.headers[":error-message"].encode() for m in buffer]
        assert [message.data for message in EventStream().feed(stream)] == theirs
