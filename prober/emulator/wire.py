"""The values that pass between the server and one wire API. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any
from uuid import UUID

Json = dict[str, Any]


class BadRequestError(ValueError):
    """The request is not one of this API; the message is what the API would say."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells one answer from another: 24 hex digits and the time in UTC."""

    id: str
    at: datetime

    @property
    def unix(self) -> int:
        return int(self.at.timestamp())

    @property
    def rfc3339(self) -> str:
        return self.at.strftime("%Y-%m-%dT%H:%M:%SZ")

    @property
    def uuid(self) -> str:
        return str(UUID(hex=self.id.zfill(32)))


@dataclass(frozen=True, slots=True)
class ApiCall:
    """A request as the API understood it.

    Attributes:
        prompt: the last text of the user.
        want_usage: whether a stream tells its token counts, where that is the caller's choice.
    """

    model: str
    prompt: str
    stream: bool
    want_usage: bool = True


class StopReason(Enum):
    END = "end"
    LENGTH = "length"
    REFUSAL = "refusal"


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """What the model says.

    Attributes:
        pieces: the visible text, as streamed.
        output_tokens: those for reasoning included.
        refusal: the words of a refusal, for APIs that have a place for them.
        reasoning: what it says of its thinking, as streamed.
    """

    call: ApiCall
    stamp: Stamp
    pieces: tuple[str, ...]
    stop: StopReason
    input_tokens: int
    output_tokens: int
    refusal: str = ""
    reasoning: tuple[str, ...] = ()
    reasoning_tokens: int = 0

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def reasoned(self) -> str:
        return "".join(self.reasoning)


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer as events: before the text, one for each piece of it, and after it.

    `closing` holds the terminal marker; `opening` may be empty. `thoughts` come before the texts,
    one for each piece of reasoning.
    """

    opening: Sequence[bytes]
    texts: Iterable[bytes]
    closing: Iterable[bytes]
    thoughts: Sequence[bytes] = ()


class RefusalKind(Enum):
    """Why a request is refused."""

    STATUS = "status"
    NO_KEY = "no_key"
    AUTH = "auth"
    QUOTA = "quota"
    MODEL_NOT_FOUND = "model_not_found"
    BAD_REQUEST = "bad_request"


@dataclass(frozen=True, slots=True)
class RefusedRequest:
    """A request to refuse; `status` is for `Kind.STATUS`, `message` for `Kind.BAD_REQUEST`."""

    kind: RefusalKind
    stamp: Stamp
    model: str = ""
    status: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error answer in the API's own words."""

    status: int
    body: Json
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RateHeaders:
    """What the rate-limit headers say.

    Attributes:
        requests, tokens: in a minute; None: what the API says by itself.
        remaining_share: the part of both that is left, 0 to 1.
    """

    requests: int | None = None
    tokens: int | None = None
    remaining_share: float = 1.0

    def of_requests(self, usual: int) -> tuple[str, str]:
        """The limit and what is left of it."""
        return self._pair(usual if self.requests is None else self.requests)

    def of_tokens(self, usual: int) -> tuple[str, str]:
        return self._pair(usual if self.tokens is None else self.tokens)

    def _pair(self, limit: int) -> tuple[str, str]:
        return str(limit), str(int(limit * self.remaining_share))


@dataclass(frozen=True, slots=True)
class Model:
    """An entry of a catalogue; `retires` is a date like 2027-01-31, or empty."""

    name: str
    retires: str = ""


def anyone(headers: Mapping[str, str]) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class EmulatedApi:
    """One wire API.

    Attributes:
        name: as in the rules and in the path prefix.
        paths: Starlette paths of its POST requests.
        lookups: cheap GET paths -> their answer, from the models to list and the stamp.
        details: GET paths with a `{model}` -> the answer about that one.
        model: the one it lists before any was asked for.
        media_type: of a stream.
        overloaded: the HTTP status for "overloaded".
        has_key: whether the headers (lower case) carry a key.
        read: path and query parameters and JSON body -> the call. Raises BadRequestError.
        stream, whole: the answer as events, and as one JSON object.
        refuse: an error answer.
        error_event: an error answer -> the same inside the stream of an answer.
        headers: of every answer.
        mine: tells by its headers a request to a path that several APIs share.
    """

    name: str
    paths: tuple[str, ...]
    lookups: Mapping[str, Callable[[Sequence[Model], Stamp], Json]]
    model: str
    media_type: str
    overloaded: int
    has_key: Callable[[Mapping[str, str]], bool]
    read: Callable[[Mapping[str, str], Json], ApiCall]
    stream: Callable[[ModelAnswer], Stream]
    whole: Callable[[ModelAnswer], Json]
    refuse: Callable[[RefusedRequest], Refusal]
    error_event: Callable[[Refusal, ModelAnswer], bytes]
    headers: Callable[[Stamp, RateHeaders], dict[str, str]]
    details: Mapping[str, Callable[[Model, Stamp], Json]] = field(default_factory=dict)
    mine: Callable[[Mapping[str, str]], bool] = anyone


def compact(value: Json) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def sse(body: Json, event: str = "") -> bytes:
    """A server-sent event, with a name if it has one."""
    named = f"event: {event}\n" if event else ""
    return f"{named}data: {compact(body)}\n\n".encode()


def object_in(data: bytes) -> Json | None:
    """The JSON object that `data` is; None for anything else, or what cannot be said in UTF-8."""
    try:
        value = json.loads(data)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def bearer(headers: Mapping[str, str]) -> str:
    """The token of `Authorization: Bearer …`; empty if there is none."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def model_in(body: Json) -> str:
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequestError("model: Field required")
    return model


def prompt_in(body: Json) -> str:
    """The text of the last user message of `messages`; its content is text or a list of parts."""
    messages = body.get("messages")
    for message in reversed(messages if isinstance(messages, list) else []):
        if isinstance(message, dict) and message.get("role") == "user":
            return text_in(message.get("content"))
    raise BadRequestError("messages: at least one user message is required")


def text_in(content: object) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") for part in parts if isinstance(part, dict)]
    return " ".join(text for text in texts if isinstance(text, str))
