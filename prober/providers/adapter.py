"""One wire API as a value: how to ask, how its stream reads, how its errors are named. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from prober.providers import foreign_response, gateway, outcomes
from prober.providers.events import (
    Endpoint,
    Failure,
    HttpRequest,
    Lines,
    StreamEvent,
    StreamProblem,
    error_object,
    object_of,
    parse_json,
    text_of,
)
from prober.providers.sse import Message
from prober.sample import FAULT, Cause, Fault, Outcome

if TYPE_CHECKING:
    from prober.providers.model_list import Catalogue
    from prober.providers.outcomes import Named, OutcomeRow

# A 4xx in no table: whose fault it is, is for what was answered before to say.
UNKNOWN = Outcome.BAD_REQUEST
# What only the API itself can know, however plainly it says so.
OF_THE_ACCOUNT = frozenset({Outcome.QUOTA_EXHAUSTED, Outcome.MODEL_NOT_FOUND})
# Cut to what is shown only after secrets were taken out of it.
MAX_DETAIL = 2_000
MAX_REQUEST_ID = 200


class Framing(Protocol):
    """Cuts a stream of bytes, split anywhere, into messages. Raises TooLargeError."""

    def feed(self, data: bytes) -> Iterable[Message]: ...

    def close(self) -> Iterable[Message]: ...


class Ndjson:
    """Newline-delimited JSON: every line is a message."""

    def __init__(self) -> None:
        self._lines = Lines()

    def feed(self, data: bytes) -> list[Message]:
        return [Message("", line) for line in self._lines.feed(data) if line.strip()]

    def close(self) -> list[Message]:
        rest = self._lines.close()
        return [Message("", rest)] if rest.strip() else []


class StreamReader:
    """Reads one answer: bytes in as they come, split anywhere; events out."""

    def __init__(self, adapter: Adapter, rules: Sequence[OutcomeRow] = ()) -> None:
        self._adapter = adapter
        self._rules = rules
        self._framing = adapter.framing()

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Raises UnreadableError for what is no stream of this API, or past its bounds."""
        return self._read(self._framing.feed(data))

    def close(self) -> list[StreamEvent]:
        """The bytes have ended: whatever an unfinished last line still says."""
        return self._read(self._framing.close())

    def _read(self, messages: Iterable[Message]) -> list[StreamEvent]:
        read = self._adapter.events
        return [
            self._name(event) if type(event) is StreamProblem else event
            for message in messages
            for event in read(message)
        ]

    def _name(self, problem: StreamProblem) -> Failure:
        return in_stream(self._adapter.api, problem, self._rules)


def in_stream(api: str, problem: StreamProblem, rules: Sequence[OutcomeRow]) -> Failure:
    """Names an error that came with HTTP success."""
    words = " ".join([problem.message, *problem.codes])
    named = outcomes.name_in_stream(api, problem.status, problem.codes, words, rules)
    sentence = detail(problem.status, problem.codes, problem.message)
    return _refusal(named, sentence, gateway.upstream({}, problem.message))


@dataclass(frozen=True, slots=True)
class Adapter:
    """One wire API.

    Attributes:
        api: its name in the configuration and in the outcome table.
        build: (target, prompt, max_tokens) -> the HTTP request.
        framing: how the stream is cut into messages.
        events: one message -> what it says.
        codes: an error object -> its identifiers, for the outcome table.
        code_header: a response header that names the error, in lower case; empty: none does.
        request_id_headers: where the answer's id stands, in lower case.
        catalogue: how to ask whether the model will stay; None where the API does not say.
    """

    api: str
    build: Callable[[Endpoint, str, int], HttpRequest]
    framing: Callable[[], Framing]
    events: Callable[[Message], Iterator[StreamEvent]]
    codes: Callable[[dict[str, Any]], list[str]]
    code_header: str = ""
    request_id_headers: tuple[str, ...] = ("x-request-id",)
    catalogue: Catalogue | None = None

    def reader(self, rules: Sequence[OutcomeRow] = ()) -> StreamReader:
        """`rules` are the configuration's own rows of the outcome table; they come first."""
        return StreamReader(self, rules)

    def classify(
        self,
        status: int,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        rules: Sequence[OutcomeRow] = (),
    ) -> Failure:
        """Names a non-2xx answer. Never raises, whatever the body holds."""
        error = error_object(body)
        codes, message = self.codes(error), text_of(error.get("message"))
        if self.code_header and (named := (headers or {}).get(self.code_header, "")):
            # Amazon's may go on with an address: "ThrottlingException:http://…".
            codes = [named.partition(":")[0], *codes]
        words = " ".join([message, *codes, *_kinds(error)])
        kind = (headers or {}).get("content-type", "").lower()
        name = outcomes.name(self.api, status, codes, words, rules)
        blocked = foreign_response.between(status, kind, body, codes)
        if blocked and not (name.outcome in OF_THE_ACCOUNT and foreign_response.words(message)):
            own = outcomes.first(rules, self.api, status, codes, f"{blocked} {words}")
            return Failure(own.outcome if own else Outcome.SERVER_ERROR, blocked)
        if foreign_response.lost(status, body, codes, message, known=name.known):
            text = f"HTTP {status}, {foreign_response.WRONG_PATH}"
            own = outcomes.first(rules, self.api, status, codes, f"{text} {words}")
            return Failure(own.outcome, text) if own else Failure(UNKNOWN, text, Cause.UNKNOWN)
        text = detail(status, codes, message)
        return _refusal(name, text, gateway.upstream(object_of(parse_json(body)), message))

    def unstreamed(
        self, body: bytes, headers: Mapping[str, str], rules: Sequence[OutcomeRow] = ()
    ) -> Failure | None:
        """Names an answer with HTTP success that is no stream; None for what may be one."""
        reason = foreign_response.unstreamed(headers.get("content-type", "").lower(), body)
        if not reason:
            return None
        words = f"{reason} {body[:MAX_DETAIL].decode('utf-8', 'replace')}"
        own = outcomes.first(rules, self.api, 200, (), words)
        return Failure(own.outcome if own else Outcome.STREAM_ERROR, reason)

    def told(self, body: bytes, rules: Sequence[OutcomeRow] = ()) -> Failure | None:
        """Names the whole JSON of a server that says with HTTP success what went wrong."""
        error = error_object(body) if foreign_response.told(body) else {}
        if not (message := text_of(error.get("message"))):
            return None
        code = str(error.get("code"))
        status = int(code) if len(code) == 3 and code.isascii() and code.isdigit() else 200
        return in_stream(self.api, StreamProblem(tuple(self.codes(error)), message, status), rules)

    def request_id(self, headers: Mapping[str, str]) -> str | None:
        ids = (headers[name] for name in self.request_id_headers if name in headers)
        return next((id[:MAX_REQUEST_ID] for id in ids), None)


def _kinds(error: Mapping[str, Any]) -> list[str]:
    """What else an error is called, by servers with fields of their own for that."""
    return [kind for name in ("error_code", "error_type") if (kind := text_of(error.get(name)))]


def _refusal(named: Named, text: str, upstream: str) -> Failure:
    """`upstream`: who refused behind a gateway; empty where whom we asked refused."""
    if not named.known and named.outcome is UNKNOWN:
        return Failure(UNKNOWN, text, Cause.UNKNOWN)
    if upstream and named.cause is Cause.NONE and FAULT[named.outcome] is Fault.ACCOUNT:
        text = f"the gateway's upstream {upstream} says: {text}"
        return Failure(named.outcome, text, Cause.UPSTREAM)
    return Failure(named.outcome, text, named.cause)


def detail(status: int, codes: Sequence[str], message: str) -> str:
    """What the provider said, in one bounded line: nothing twice, and of a page its title."""
    readable = foreign_response.readable(message[: 4 * MAX_DETAIL])
    if status:
        # "HTTP 503 503 …": many repeat the status in their own words.
        readable = readable.removeprefix(f"HTTP {status}").removeprefix(f"{status}").lstrip(" :,-")
    code = next((code for code in codes if code != "None"), "")  # so LiteLLM writes none
    if code == str(status) or readable.lower().startswith(code.lower()):
        code = ""
    words = " ".join([f"HTTP {status}" if status >= 400 else "", code, readable])
    printable = "".join(c if c.isprintable() else " " for c in words)
    return " ".join(printable.split())[:MAX_DETAIL]
