"""One wire API as a value: how to ask, how its stream reads, how its errors are named. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prober.providers import outcomes
from prober.providers.base import (
    Event,
    Failure,
    Lines,
    Request,
    Target,
    error_object,
    text_of,
)
from prober.providers.sse import Message, Messages

# Cut to what is shown only after secrets were taken out of it.
MAX_DETAIL = 2_000
MAX_REQUEST_ID = 200


class Ndjson:
    """Newline-delimited JSON: every line is a message."""

    def __init__(self) -> None:
        self._lines = Lines()

    def feed(self, data: bytes) -> Iterator[Message]:
        return (Message("", line) for line in self._lines.feed(data) if line.strip())

    def close(self) -> Iterator[Message]:
        rest = self._lines.close()
        return iter([Message("", rest)] if rest.strip() else [])


class StreamReader:
    """Reads one answer: bytes in as they come, split anywhere; events out."""

    def __init__(
        self,
        framing: Callable[[], Messages | Ndjson],
        events: Callable[[Message], Iterator[Event]],
    ) -> None:
        self._framing = framing()
        self._events = events

    def feed(self, data: bytes) -> Iterator[Event]:
        """Raises TooLargeError for a line past the bound."""
        for message in self._framing.feed(data):
            yield from self._events(message)

    def close(self) -> Iterator[Event]:
        """The bytes have ended: whatever an unfinished last line still says."""
        for message in self._framing.close():
            yield from self._events(message)


@dataclass(frozen=True, slots=True)
class Adapter:
    """One wire API.

    Attributes:
        api: its name in the configuration and in the outcome table.
        default_base_url: None where there is no common one.
        build: (target, prompt, max_tokens) -> the HTTP request.
        framing: how the stream is cut into messages.
        events: one message -> what it says.
        codes: an error object -> its identifiers, for the outcome table.
        request_id_headers: where the answer's id stands, in lower case.
    """

    api: str
    default_base_url: str | None
    build: Callable[[Target, str, int], Request]
    framing: Callable[[], Messages | Ndjson]
    events: Callable[[Message], Iterator[Event]]
    codes: Callable[[dict[str, Any]], list[str]]
    request_id_headers: tuple[str, ...] = ("x-request-id",)

    def reader(self) -> StreamReader:
        return StreamReader(self.framing, self.events)

    def classify(self, status: int, body: bytes) -> Failure:
        """Names a non-2xx answer. Never raises, whatever the body holds."""
        error = error_object(body)
        codes, message = self.codes(error), text_of(error.get("message"))
        outcome = outcomes.name(self.api, status, codes, " ".join([message, *codes]))
        return Failure(outcome, detail(status, codes, message))

    def request_id(self, headers: Mapping[str, str]) -> str | None:
        found = (headers[name] for name in self.request_id_headers if name in headers)
        return next((id[:MAX_REQUEST_ID] for id in found), None)


def failure_in_stream(api: str, status: int, codes: list[str], message: str) -> Failure:
    """An error inside a 200 stream; `status` is the one the error itself names, 200 if none."""
    outcome = outcomes.name_in_stream(api, status, codes, " ".join([message, *codes]))
    return Failure(outcome, detail(status, codes, message))


def detail(status: int, codes: list[str], message: str) -> str:
    """What the provider said, in one bounded line."""
    words = [f"HTTP {status}" if status >= 400 else "", codes[0] if codes else "", message]
    printable = "".join(c if c.isprintable() else " " for c in " ".join(words)[: 4 * MAX_DETAIL])
    return " ".join(printable.split())[:MAX_DETAIL]
