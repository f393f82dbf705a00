"""OpenAI Chat Completions: POST {base}/chat/completions, and every server that speaks it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prober.providers import finish
from prober.providers.adapter import Adapter
from prober.providers.events import (
    Closed,
    Endpoint,
    HttpRequest,
    Other,
    Reasoning,
    Stop,
    Stopped,
    StreamEvent,
    StreamProblem,
    Terminal,
    Text,
    Usage,
    bearer,
    count_of,
    error_object,
    get,
    object_of,
    parse_json,
    post,
    text_of,
)
from prober.providers.model_list import UNREADABLE, Catalogue, Listing, day_of, find
from prober.providers.sse import Message, Messages

# vLLM and others say reasoning_content, OpenRouter and Ollama say reasoning.
REASONING = ("reasoning_content", "reasoning", "reasoning_details", "thinking")
# Parts of a content that are no answer: Mistral's, Databricks', Anthropic's behind a gateway.
THOUGHTS = frozenset({"thinking", "reasoning", "reasoning_content", "redacted_thinking"})


def build(target: Endpoint, prompt: str, max_tokens: int) -> HttpRequest:
    url = f"{target.base_url}/chat/completions"
    return post(url, target, body(target, prompt, max_tokens), bearer(target))


def body(target: Endpoint, prompt: str, max_tokens: int) -> dict[str, Any]:
    return {
        "model": target.model,
        "messages": [{"role": "user", "content": prompt}],
        target.max_tokens_field: max_tokens,
        "stream": True,
        **({"stream_options": {"include_usage": True}} if target.stream_options else {}),
    }


def events(message: Message) -> Iterator[StreamEvent]:
    if message.data.strip() == b"[DONE]":
        yield Closed()
        return
    chunk = object_of(parse_json(message.data))
    chosen = choice(chunk)
    if error := _error(message, chunk, chosen):
        yield problem(error)
        return
    if message.bare:  # no event: errors come so, answers do not
        yield Other()
        return
    yield from _answer(chosen)
    # Google's door for this API has said it in its own spelling.
    words = (chosen.get("finish_reason"), chosen.get("finishReason"), chunk.get("finish_reason"))
    word = next(filter(None, words), None)
    if ended := finish.stopped(word, chosen.get("native_finish_reason")):
        # The answer is whole; counts may follow, and text where each chunk says "stop".
        yield ended
        yield Terminal(last=False)
    # Moonshot counts in the choice, Groq in a table of its own.
    for place in (chunk, chosen, object_of(chunk.get("x_groq"))):
        if usage := object_of(place.get("usage")):
            yield _usage(usage)
            return


def choice(chunk: dict[str, Any]) -> dict[str, Any]:
    """The first choice; a usage chunk and Azure's first one have none."""
    choices = chunk.get("choices")
    return object_of(choices[0]) if isinstance(choices, list) and choices else {}


def _error(
    message: Message, chunk: dict[str, Any], chosen: dict[str, Any]
) -> dict[str, Any] | None:
    """The error that a chunk holds, wherever it stands."""
    if message.event == "error" or chunk.get("error"):
        return error_object(message.data)
    if chunk.get("object") == "error":  # flat: Mistral, older vLLM
        return chunk
    # MiniMax answers well and says in a table of its own that it did not.
    inner = object_of(chunk.get("base_resp"))
    if inner.get("status_code"):
        return {"code": str(inner["status_code"]), "message": inner.get("status_msg")}
    error = chosen.get("error") or object_of(chunk.get("x_groq")).get("error")
    if not error:
        return None
    return error if isinstance(error, dict) else {"message": str(error)}


def problem(error: dict[str, Any]) -> StreamProblem:
    """vLLM, OpenRouter and Azure give the HTTP status as the code, Mistral beside it."""
    given = (str(error.get(name)) for name in ("code", "raw_status_code", "status_code", "status"))
    statuses = [int(one) for one in given if len(one) == 3 and one.isascii() and one.isdigit()]
    return StreamProblem(
        tuple(codes(error)), text_of(error.get("message")), statuses[0] if statuses else 200
    )


def _answer(chosen: dict[str, Any]) -> Iterator[StreamEvent]:
    """What a choice says: as a delta, or as the whole message where there is none."""
    delta = chosen.get("delta")
    message = object_of(chosen.get("message") if delta is None else delta)
    content = message.get("content") or chosen.get("text")
    if type(content) is str:  # nearly always
        yield Text(content)
    elif content:
        yield from parts(content)
    if any(message.get(name) for name in REASONING):
        yield Reasoning()
    elif not content:
        yield Stopped(Stop.REFUSAL, "refusal") if message.get("refusal") else Other()


def parts(content: Any) -> Iterator[StreamEvent]:
    """Content as a list of parts: text, and reasoning, which is no answer."""
    for part in content if isinstance(content, list) else [content]:
        inner = object_of(part)
        if inner.get("type") in THOUGHTS:
            yield Reasoning()
        elif text := text_of(part) or text_of(inner.get("text")):
            yield Text(text)


def _usage(usage: dict[str, Any]) -> Usage:
    thought = object_of(usage.get("completion_tokens_details")).get("reasoning_tokens")
    cached = object_of(usage.get("prompt_tokens_details")).get("cached_tokens")
    return Usage(
        input=count_of(usage.get("prompt_tokens", usage.get("input_tokens"))),
        output=count_of(usage.get("completion_tokens", usage.get("output_tokens"))),
        reasoning=count_of(thought),
        cached=count_of(cached or usage.get("prompt_cache_hit_tokens")),  # DeepSeek's word for it
    )


def codes(error: dict[str, Any]) -> list[str]:
    return [code for code in (error.get("code"), error.get("type")) if isinstance(code, str)]


def models(target: Endpoint) -> HttpRequest:
    return get(f"{target.base_url}/models", target, bearer(target))


def listing(body: bytes, model: str) -> Listing:
    """OpenAI names a `shutdown_date`, OpenRouter an `expiration_date`."""
    row = find(body, "data", model)
    if row is None or (not row and _answers_to_any_name(body)):
        return UNREADABLE
    day = day_of(row.get("shutdown_date")) or day_of(row.get("expiration_date"))
    return Listing(found=bool(row), retires=day)


def _answers_to_any_name(body: bytes) -> bool:
    """llama.cpp's server has one model, and serves it under whatever name it is asked for."""
    rows = object_of(parse_json(body)).get("data")
    only = object_of(rows[0]) if isinstance(rows, list) and len(rows) == 1 else {}
    return only.get("owned_by") == "llamacpp"


ADAPTER = Adapter(
    api="openai",
    build=build,
    framing=Messages,
    events=events,
    codes=codes,
    catalogue=Catalogue(models, listing),
)
