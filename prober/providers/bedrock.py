"""Amazon Bedrock: POST {base}/model/{id}/converse-stream, a binary event stream.

The request is signed (botocore, the extra `bedrock`), or carries a `key` as a bearer token.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from prober.providers import finish
from prober.providers.adapter import Adapter
from prober.providers.events import (
    Endpoint,
    HttpRequest,
    Other,
    Reasoning,
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
from prober.providers.eventstream import EventStream
from prober.providers.model_list import UNREADABLE, Catalogue, Listing, day_of

if TYPE_CHECKING:
    from prober.providers.sse import Message

# The regions that a profile of several may be served from.
PROFILE = re.compile(r"^(global|apac|us-gov|[a-z]{2})\.")


def build(target: Endpoint, prompt: str, max_tokens: int) -> HttpRequest:
    body = {
        "messages": [{"role": "user", "content": [{"text": prompt}]}],
        "inferenceConfig": {"maxTokens": max_tokens},
    }
    model = quote(target.model, safe="")
    return post(f"{target.base_url}/model/{model}/converse-stream", target, body, bearer(target))


def events(message: Message) -> Iterator[StreamEvent]:
    event = object_of(parse_json(message.data))
    if message.bare:
        words = text_of(error_object(message.data).get("message"))
        yield StreamProblem((_code(message.event),), words)
        return
    match message.event:
        case "contentBlockDelta":
            delta = object_of(event.get("delta"))
            if text := text_of(delta.get("text")):
                yield Text(text)
            else:
                yield Reasoning() if delta.get("reasoningContent") else Other()
        case "messageStop":
            if ended := finish.stopped(event.get("stopReason")):
                yield ended
            yield Terminal()
        case "metadata":
            usage = object_of(event.get("usage"))
            yield Usage(
                input=count_of(usage.get("inputTokens")),
                output=count_of(usage.get("outputTokens")),
                cached=count_of(usage.get("cacheReadInputTokens")),
            )
        case _:
            yield Other()


def _code(name: str) -> str:
    """In a stream the names begin with a small letter."""
    return name[:1].upper() + name[1:]


def codes(error: dict[str, Any]) -> list[str]:
    """A whole answer names its error in a header."""
    kind = text_of(error.get("__type")).rpartition("#")[2]
    return [kind] if kind else []


def _model(target: Endpoint) -> HttpRequest:
    # The catalogue stands at the control plane; the model's profile prefix ("eu.") is not its name.
    base = target.base_url.replace("bedrock-runtime", "bedrock")
    model = PROFILE.sub("", target.model)
    return get(f"{base}/foundation-models/{quote(model, safe='')}", target, bearer(target))


def _listing(body: bytes, model: str) -> Listing:
    details = object_of(object_of(parse_json(body)).get("modelDetails"))
    life = object_of(details.get("modelLifecycle"))
    if not life:
        return UNREADABLE
    return Listing(
        found=True,
        deprecated=life.get("status") == "LEGACY",
        retires=day_of(life.get("endOfLifeTime")),
    )


ADAPTER = Adapter(
    api="bedrock",
    build=build,
    framing=EventStream,
    events=events,
    codes=codes,
    code_header="x-amzn-errortype",
    request_id_headers=("x-amzn-requestid",),
    # Not `single`: profiles, custom models and ARNs serve, and are not in the catalogue.
    catalogue=Catalogue(_model, _listing),
)
