"""The values that pass between a canary and a wire API, and careful reading of foreign JSON.

Pure: no adapter knows the time, a socket or a retry.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from pydantic_core import from_json

from prober.sample import Cause, Outcome


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The endpoint a canary is sent to. `key` is the secret itself; never shown by repr.

    Attributes:
        extra_body: laid over the request's body, table into table; settings of one model family
            or gateway.
        stream_options: ask for token counts inside the stream; Chat Completions only.
        api_version: azure-openai's classic paths; empty for its v1 path.
        project, location: vertex's.
        region: bedrock's.
    """

    base_url: str
    model: str
    key: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    max_tokens_field: str = "max_completion_tokens"
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    stream_options: bool = True
    api_version: str = ""
    project: str = ""
    location: str = ""
    region: str = ""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    method: str
    url: str
    headers: dict[str, str] = field(repr=False)
    body: bytes


def post(
    url: str, target: Endpoint, body: Mapping[str, Any], headers: Mapping[str, str]
) -> HttpRequest:
    """A JSON request; what the configuration adds to body and headers has the last word."""
    content = json.dumps(merged(body, target.extra_body)).encode()
    sent = {"content-type": "application/json", **headers, **target.headers}
    return HttpRequest("POST", url, sent, content)


def get(url: str, target: Endpoint, headers: Mapping[str, str]) -> HttpRequest:
    return HttpRequest("GET", url, {**headers, **target.headers}, b"")


def bearer(target: Endpoint) -> dict[str, str]:
    return {"authorization": f"Bearer {target.key}"} if target.key else {}


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid over `base`, table into table; neither is changed."""
    result = dict(base)
    for key, value in over.items():
        known = result.get(key)
        both = isinstance(known, Mapping) and isinstance(value, Mapping)
        result[key] = merged(known, value) if both else value  # type: ignore[arg-type]
    return result


class Stop(Enum):
    """Why the model stopped, in one vocabulary for all APIs.

    CUT: somebody ended it before it was done; UNKNOWN: a word that no table has.
    """

    END = "end"
    LENGTH = "length"
    REFUSAL = "refusal"
    ERROR = "error"
    CUT = "cut"
    UNKNOWN = "unknown"


class Text(NamedTuple):
    """Visible text of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Reasoning:
    """Hidden or visible reasoning; it is not the answer."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts; a later one overrides an earlier one where it says something."""

    input: int | None = None
    output: int | None = None
    reasoning: int | None = None
    cached: int | None = None


@dataclass(frozen=True, slots=True)
class Stopped:
    """The model said why it stopped, in its own `word`. Not for every API the end of the answer."""

    stop: Stop
    word: str = ""


@dataclass(frozen=True, slots=True)
class Terminal:
    """The API's own end of an answer. A stream without it was cut short.

    Attributes:
        last: nothing of the answer comes after it; else there may be more (counts, even text).
    """

    last: bool = True


@dataclass(frozen=True, slots=True)
class Closed:
    """The stream says that it is over, and nothing of the answer: [DONE]."""


@dataclass(frozen=True, slots=True)
class StreamProblem:
    """An error inside the stream, in the API's own words.

    Attributes:
        codes: the error's identifiers (type, code, status), for the outcome table.
        status: the HTTP status that the error itself names; 200 if none.
    """

    codes: tuple[str, ...]
    message: str
    status: int = 200


@dataclass(frozen=True, slots=True)
class Failure:
    """An error, inside the stream or as the whole answer, already classified."""

    outcome: Outcome
    detail: str
    cause: Cause = Cause.NONE


@dataclass(frozen=True, slots=True)
class Other:
    """Something arrived that carries no text (a ping, a block start)."""


StreamEvent = (
    Text | Reasoning | Usage | Stopped | Terminal | Closed | StreamProblem | Failure | Other
)


class UnreadableError(ValueError):
    """Whoever sends that does not speak the API."""


class TooLargeError(UnreadableError):
    """A single line or message passed the bound."""


MAX_LINE_BYTES = 256 * 1024


class Lines:
    """Splits bytes into lines at LF, CR LF or CR, as Server-Sent Events do, bounded."""

    __slots__ = ("_rest", "_skip_lf")

    def __init__(self) -> None:
        self._rest = bytearray()
        self._skip_lf = False

    def feed(self, data: bytes) -> list[bytes]:
        """The lines completed by `data`, without their ends. Raises TooLargeError."""
        if not data:
            return []
        if self._skip_lf:
            data = data.removeprefix(b"\n")
        # A CR at the very end may be half of a CR LF.
        self._skip_lf = data.endswith(b"\r")
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        first, *more = data.split(b"\n")
        self._rest += first
        if len(self._rest) > MAX_LINE_BYTES or (
            len(data) > MAX_LINE_BYTES and any(len(line) > MAX_LINE_BYTES for line in more)
        ):
            raise TooLargeError(f"a line of more than {MAX_LINE_BYTES // 1024} KiB")
        if not more:
            return []
        lines = [bytes(self._rest), *more[:-1]]
        self._rest = bytearray(more[-1])
        return lines

    def close(self) -> bytes:
        rest = bytes(self._rest)
        self._rest.clear()
        return rest


def parse_json(data: bytes) -> Any:
    """JSON, or None for whatever is not; deep nesting included."""
    try:
        # A fifth of the time of json.loads, and a bound on depth.
        return from_json(data, cache_strings="keys")
    except ValueError:
        return _forgiven(data)


def _forgiven(data: bytes) -> Any:
    """JSON with a wrong byte, half a surrogate pair or a byte order mark in it; else None."""
    try:
        decoded = json.loads(data.decode("utf-8-sig", "replace"))
        paired = json.dumps(decoded, ensure_ascii=False).encode("utf-16", "surrogatepass")
        return from_json(paired.decode("utf-16", "replace").encode())
    except (ValueError, RecursionError):
        return None


def object_of(value: Any) -> dict[str, Any]:
    """An object field of foreign JSON; anything else becomes an empty one."""
    return value if isinstance(value, dict) else {}


# Of an error that is no JSON: as far into a page as its title stands.
MAX_PLAIN = 2_000


def error_object(body: bytes) -> dict[str, Any]:
    """The error of an answer, wherever the API keeps it: {"error": {…}}, [{…}] or flat.

    `message` is always text; what an upstream said to a gateway is at its end.
    """
    error = _error_object(body)
    message = next((word for name in _MESSAGES if (word := _said(error.get(name)))), "")
    raw = object_of(error.get("metadata")).get("raw")  # OpenRouter's upstream, in its own words
    if isinstance(raw, str) and raw:
        inner = error_object(raw.encode())
        codes = [word for name in ("code", "type") if (word := text_of(inner.get(name)))]
        message = " ".join([f"{message}:", *codes, inner["message"]])
    return {**error, "message": message}


# {"detail": …}, {"Message": …} and the like are other servers' words for it.
_MESSAGES = ("message", "detail", "Message", "msg", "error_message", "errorMessage", "title")


def _said(value: Any) -> str:
    if isinstance(value, list) and value:  # as FastAPI lists what it refuses
        value = value[0]
    if isinstance(value, dict):
        return next((word for n in (*_MESSAGES, "error") if (word := text_of(value.get(n)))), "")
    return text_of(value)


def _error_object(body: bytes) -> dict[str, Any]:
    parsed = parse_json(body)
    if isinstance(parsed, list) and parsed:
        parsed = parsed[0]
    if isinstance(parsed, str):  # SiliconFlow says some of its own as one JSON string
        return {"message": parsed[:MAX_PLAIN]}
    if not isinstance(parsed, dict):
        return {"message": body[:MAX_PLAIN].decode("utf-8", "replace")}
    inner = parsed.get("error") or parsed.get("errors") or parsed
    if isinstance(inner, list) and inner:  # Cloudflare lists them
        inner = inner[0]
    if isinstance(inner, dict):
        return inner
    # xAI and text-generation-inference say it flat, their codes beside it.
    beside = {name: parsed[name] for name in ("code", "type", "error_type") if name in parsed}
    return {**beside, "message": f"{inner} {_said(parsed.get('message'))}".strip()}


def text_of(value: Any) -> str:
    """A string field of foreign JSON; anything else becomes empty."""
    return value if isinstance(value, str) else ""


MAX_COUNT = 1_000_000_000


def count_of(value: Any) -> int | None:
    """A token count of foreign JSON; anything else, the absurd included, is not known."""
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= MAX_COUNT else None
