"""One timed canary over httpx: one deadline for all of it, one of its own for the first text.

The only place that touches a provider's socket. Nothing is retried: what one request found is
the sample.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import httpx

from prober.canary import Canary
from prober.clock import Clock
from prober.config import Price
from prober.providers import ADAPTERS
from prober.providers.base import Target, TooLargeError
from prober.sample import Outcome, Phases, Sample, Tokens
from prober.transcript import Transcript

MAX_DETAIL = 300
MAX_ERROR_BYTES = 64 * 1024
# After its end marker an answer has this long to close, so that the connection can be kept.
CLOSING_S = 0.5
UNSENDABLE = "not sent: the key, a header or the URL holds what HTTP cannot carry"


@dataclass(frozen=True, slots=True)
class Plan:
    """Whom to probe, and within what bounds."""

    provider: str
    api: str
    target: Target
    max_tokens: int = 16
    max_bytes: int = 1_000_000
    first_text_timeout_s: float = 8.0
    timeout_s: float = 20.0
    price: Price = field(default_factory=Price)

    @property
    def worst_cost_usd(self) -> float:
        return cost_usd(Tokens(input=100, output=self.max_tokens), self.price)


def new_client() -> httpx.AsyncClient:
    """The client all canaries share. It follows no redirect, so a key never changes hosts."""
    return httpx.AsyncClient(
        http2=True,
        timeout=None,  # noqa: S113 -- each canary bounds itself by one deadline
        follow_redirects=False,
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
        headers={"user-agent": "prober", "accept-encoding": "identity"},
    )


def new_canary() -> Canary:
    return Canary(secrets.token_hex(4))


async def probe(
    plan: Plan,
    canary: Canary,
    client: httpx.AsyncClient,
    clock: Clock,
    *,
    id: str,
    vantage: str = "local",
    base_rate: bool = True,
    scrub: Callable[[str], str] = str,
) -> Sample:
    """Sends one canary and gives what it found. Never raises for what a provider does.

    `scrub` takes the secrets out of whatever the provider said.
    """
    started_at, started_s = clock.now(), clock.mono()
    run = _Run(plan, canary, clock, started_s)
    outcome, detail = await run.go(client)
    total_s = run.transcript.terminal_s or clock.mono() - started_s
    return Sample(
        id=id,
        provider=plan.provider,
        vantage=vantage,
        model=plan.target.model,
        started_at=started_at,
        started_s=started_s,
        outcome=outcome,
        phases=run.phases(total_s),
        tokens=run.transcript.tokens,
        cost_usd=run.cost_usd(),
        http_status=run.status,
        request_id=scrub(run.request_id) if run.request_id else None,
        detail=scrub(detail)[:MAX_DETAIL],
        base_rate=base_rate,
        new_connection=run.new_connection,
    )


class _Run:
    """The state of one canary under way."""

    def __init__(self, plan: Plan, canary: Canary, clock: Clock, started_s: float) -> None:
        self.plan = plan
        self.canary = canary
        self.transcript = Transcript()
        self.status: int | None = None
        self.request_id: str | None = None
        self.new_connection = False
        self._clock = clock
        self._started_s = started_s
        self._marks: dict[str, float] = {}
        self._error_body = bytearray()

    @property
    def _refused(self) -> bool:
        """The HTTP status says it all, whatever becomes of the body."""
        return self.status is not None and not 200 <= self.status < 300

    async def _read_refusal(self, response: httpx.Response) -> None:
        async for data in response.aiter_bytes():
            self._error_body += data
            if len(self._error_body) > MAX_ERROR_BYTES:
                break

    def _refusal(self) -> tuple[Outcome, str]:
        body = bytes(self._error_body[:MAX_ERROR_BYTES])
        failure = ADAPTERS[self.plan.api].classify(self.status or 0, body)
        return failure.outcome, failure.detail

    def _now_s(self) -> float:
        return self._clock.mono() - self._started_s

    async def go(self, client: httpx.AsyncClient) -> tuple[Outcome, str]:
        first_s, total_s = self.plan.first_text_timeout_s, self.plan.timeout_s
        try:
            async with asyncio.timeout(first_s) as deadline:
                return await self._exchange(client, deadline)
        except TimeoutError:
            if self._refused:
                return self._refusal()
            if self.transcript.terminal:
                return self.transcript.conclude(self.canary)
            if self.transcript.first_text_s is None:
                return Outcome.TIMEOUT_FIRST_TEXT, f"no first text in {first_s:g} s"
            return Outcome.TIMEOUT_TOTAL, f"not finished in {total_s:g} s"
        except TooLargeError as error:
            return Outcome.STREAM_ERROR, str(error)
        except (
            httpx.HTTPError,
            httpx.InvalidURL,
            httpx.StreamError,
            OSError,
            UnicodeError,
        ) as error:
            if self._refused:
                return self._refusal()
            return self._translate(error)

    async def _exchange(
        self, client: httpx.AsyncClient, deadline: asyncio.Timeout
    ) -> tuple[Outcome, str]:
        plan, transcript = self.plan, self.transcript
        adapter = ADAPTERS[plan.api]
        request = adapter.build(plan.target, self.canary.prompt, plan.max_tokens)
        loop = asyncio.get_running_loop()
        began = loop.time() - self._now_s()
        async with client.stream(
            request.method,
            _url(request.url),
            headers=request.headers,
            content=request.body,
            extensions={"trace": self._trace},
        ) as response:
            self.status = response.status_code
            self.request_id = adapter.request_id(response.headers)
            if self._refused:
                await self._read_refusal(response)
                return self._refusal()
            reader, received = adapter.reader(), 0
            async for data in response.aiter_bytes():
                at_s = self._now_s()
                received += len(data)
                if received > plan.max_bytes:
                    return Outcome.STREAM_ERROR, f"more than {plan.max_bytes} bytes"
                had_text = transcript.first_text_s is not None
                for event in reader.feed(data):
                    transcript.take(event, at_s)
                if transcript.terminal:
                    deadline.reschedule(min(deadline.when() or 0.0, loop.time() + CLOSING_S))
                elif transcript.first_text_s is not None and not had_text:
                    deadline.reschedule(began + plan.timeout_s)
            for event in reader.close():
                transcript.take(event, self._now_s())
        return transcript.conclude(self.canary)

    async def _trace(self, name: str, info: dict[str, Any]) -> None:
        mark = _MARKS.get(name)
        if mark is not None:
            self._marks[mark] = self._now_s()
            if mark == "connect":
                self.new_connection = True

    def phases(self, total_s: float) -> Phases:
        seen = self.transcript
        return Phases(
            connect_s=self._marks.get("connect"),
            tls_s=self._marks.get("tls"),
            first_byte_s=self._marks.get("first_byte"),
            first_event_s=seen.first_event_s,
            first_reasoning_s=seen.first_reasoning_s,
            first_text_s=seen.first_text_s,
            total_s=total_s,
        )

    def cost_usd(self) -> float:
        tokens = self.transcript.tokens
        if tokens.input is None and tokens.output is None:
            # Nobody said. A refusal at the door costs nothing; what was sent and not answered in
            # time may be billed.
            refused = self.status is not None and not 200 <= self.status < 300
            unsent = "sent" not in self._marks
            return 0.0 if refused or unsent else self.plan.worst_cost_usd
        return cost_usd(tokens, self.plan.price)

    def _translate(self, error: Exception) -> tuple[Outcome, str]:
        if isinstance(error, httpx.LocalProtocolError | UnicodeError):
            # Not in its own words: they quote the header, and with it the key.
            return Outcome.BAD_REQUEST, UNSENDABLE
        causes = _causes(error)
        said = _say(error, causes)
        for kind, outcome in _PATH_CAUSES:
            if any(isinstance(cause, kind) for cause in causes):
                return outcome, said
        if isinstance(error, httpx.RemoteProtocolError) and not _hung_up(said):
            return Outcome.STREAM_ERROR, said  # it answered, but not in HTTP
        for kind, outcome in _ERRORS:
            if isinstance(error, kind):
                # Once bytes have come, a broken connection is a broken answer.
                if outcome is Outcome.RESET and self.status is not None:
                    return Outcome.STREAM_TRUNCATED, said
                return outcome, said
        return Outcome.RESET, said


_MARKS = {
    "connection.connect_tcp.complete": "connect",
    "connection.connect_unix_socket.complete": "connect",
    "connection.start_tls.complete": "tls",
    "http11.send_request_body.complete": "sent",
    "http2.send_request_body.complete": "sent",
    "http11.receive_response_headers.complete": "first_byte",
    "http2.receive_response_headers.complete": "first_byte",
}

# Foreign errors to outcomes; the first that fits.
_PATH_CAUSES: tuple[tuple[type[BaseException], Outcome], ...] = (
    (socket.gaierror, Outcome.DNS),
    (ssl.SSLError, Outcome.TLS),
)
_ERRORS: tuple[tuple[type[Exception], Outcome], ...] = (
    (httpx.ProxyError, Outcome.CONNECT),
    (httpx.ConnectError, Outcome.CONNECT),
    (httpx.ConnectTimeout, Outcome.CONNECT),
    (httpx.NetworkError, Outcome.RESET),
    (httpx.DecodingError, Outcome.STREAM_ERROR),
    (httpx.RemoteProtocolError, Outcome.RESET),
    (httpx.UnsupportedProtocol, Outcome.BAD_REQUEST),
    (httpx.InvalidURL, Outcome.BAD_REQUEST),
    (OSError, Outcome.RESET),
)


@lru_cache(maxsize=256)
def _url(url: str) -> httpx.URL:
    """Reading a URL is dear, and a provider's is always the same. Raises httpx.InvalidURL."""
    return httpx.URL(url)


def _say(error: Exception, causes: list[BaseException]) -> str:
    """The most telling message: the system's own, where there is one."""
    system = [c.strerror for c in causes if isinstance(c, OSError) and c.strerror]
    said = system[-1] if system and not isinstance(error, httpx.ProxyError) else str(error)
    return " ".join(said.split())[:300] or type(error).__name__


def _hung_up(said: str) -> bool:
    return any(word in said.lower() for word in ("disconnected", "closed", "terminated", "eof"))


def _causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in found:
        found.append(cause)
        cause = cause.__cause__ or cause.__context__
    return found


def cost_usd(tokens: Tokens, price: Price) -> float:
    """What the tokens cost; counts that nobody gave are free."""
    return ((tokens.input or 0) * price.input + (tokens.output or 0) * price.output) / 1e6
