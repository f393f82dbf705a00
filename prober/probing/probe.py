"""One timed canary over httpx: one deadline for all of it, one of its own for the first text.

The only place that touches a provider's socket. Nothing is retried: what one request found is
the sample.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import lru_cache, partial
from random import SystemRandom
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx

from prober.probing.credentials import CredentialsError
from prober.probing.network import Network, received, resolved
from prober.probing.plans import cost_usd
from prober.probing.response import Transcript
from prober.probing.transport_errors import TROUBLE, translate
from prober.providers import ADAPTERS, gateway, rate_limits
from prober.sample import Cause, Limits, Outcome, Phases, Sample

if TYPE_CHECKING:
    from prober.canary import Canary
    from prober.clock import Clock
    from prober.probing.capture import Capture
    from prober.probing.plans import Plan
    from prober.providers.events import HttpRequest

MAX_DETAIL = 300
MAX_ERROR_BYTES = 64 * 1024
# Nobody can guess what the next canary asks.
CHANCE = SystemRandom()
WITHOUT_COUNTS = "set stream_options = false for this provider"
# After its end marker an answer has this long to close, so that the connection can be kept.
CLOSING_S = 0.5


async def probe(
    plan: Plan,
    network: Network,
    clock: Clock,
    *,
    id: str,
    canary: Canary | None = None,
    vantage: str = "local",
    base_rate: bool = True,
    scrub: Callable[[str], str] = str,
    tape: Capture | None = None,
    unforeseen: Callable[[Exception], None] | None = None,
) -> Sample:
    """Sends one canary and gives what it found. Never raises for what a provider does.

    `scrub` takes the secrets out of whatever the provider said; `tape` keeps the raw exchange;
    `unforeseen` is told the error of a canary that failed in a way that no table names.
    """
    run = _Run(plan, canary or plan.asking.canary(CHANCE), clock, tape)
    try:
        if plan.fresh:
            async with network.client() as client:
                outcome, detail = await run.go(client)
        else:
            outcome, detail = await run.go(network.kept)
    except Exception as error:  # whatever it is, it is this canary's alone
        while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        if unforeseen is not None:
            unforeseen(error)
        outcome = Outcome.BAD_REQUEST
        detail = f"unforeseen: {type(error).__name__}: {error}"
    if run.proxy and outcome is not Outcome.OK:
        detail = f"through proxy {run.proxy}: {detail}"
    total_s = run.transcript.terminal_s or run.now_s()
    if tape is not None:
        tape.sent_s, tape.answer, tape.proxy = run.sent_s, run.transcript.text, run.proxy
    return Sample(
        id=id,
        provider=plan.provider,
        vantage=vantage,
        model=plan.target.model,
        started_at=run.started_at,
        started_s=run.started_s,
        outcome=outcome,
        phases=run.phases(total_s),
        tokens=run.transcript.tokens,
        cost_usd=run.cost_usd(),
        http_status=run.status,
        request_id=scrub(run.request_id) if run.request_id else None,
        detail=scrub(detail)[:MAX_DETAIL],
        base_rate=base_rate,
        cause=run.cause,
        new_connection=run.new_connection,
        limits=run.limits,
        retried=run.retried,
    )


class _Run:
    """The state of one canary under way."""

    def __init__(
        self,
        plan: Plan,
        canary: Canary,
        clock: Clock,
        tape: Capture | None,
    ) -> None:
        self.plan = plan
        self.canary = canary
        self.transcript = Transcript()
        self.cause = Cause.NONE
        self.status: int | None = None
        self.request_id: str | None = None
        self.limits: Limits | None = None
        self.retried = 0
        self.new_connection = False
        self._clock = clock
        self.proxy = ""
        self.started_at, self.started_s = clock.now(), clock.mono()
        self._tape = tape
        self._marks: dict[str, float] = {}
        self._headers: dict[str, str] = {}
        # The beginning of an answer that is, or may be, no stream.
        self._body = bytearray()
        self._at_proxy = False
        self._ready = False

    @property
    def _refused(self) -> bool:
        """The HTTP status says it all, whatever becomes of the body."""
        return self.status is not None and not 200 <= self.status < 300

    def now_s(self) -> float:
        return self._clock.mono() - self.started_s

    async def go(self, client: httpx.AsyncClient) -> tuple[Outcome, str]:
        first_s, total_s = self.plan.first_text_timeout_s, self.plan.timeout_s
        try:
            async with asyncio.timeout(first_s) as deadline:
                return await self._exchange(client, deadline)
        except TimeoutError:
            if self._refused:
                return self._refusal()
            if self.transcript.ended:
                return self._conclude()
            if not self._ready:
                return Outcome.TIMEOUT_FIRST_TEXT, f"no credentials in {first_s:g} s"
            if self.transcript.first_text_s is None:
                return Outcome.TIMEOUT_FIRST_TEXT, f"no first text in {first_s:g} s"
            return Outcome.TIMEOUT_TOTAL, f"not finished in {total_s:g} s"
        except CredentialsError as error:
            return error.outcome, str(error)
        except TROUBLE as error:
            if self._refused:
                return self._refusal()
            if self.transcript.ended:  # what breaks after the answer is not the answer's fault
                return self._conclude()
            return self._strange() or translate(error, answered=self.status is not None)

    async def _request(self) -> HttpRequest:
        plan = self.plan
        adapter = ADAPTERS[plan.api]
        request = adapter.build(plan.target, self.canary.prompt, plan.max_tokens)
        if plan.authorize is not None:
            request = await plan.authorize(request)
            # An application has its token already: the canary begins here.
            fetched_s = self.now_s()
            self.started_at, self.started_s = self._clock.now(), self._clock.mono()
            if self._tape is not None:
                self._tape.fetched_s = fetched_s
        if self._tape is not None:
            self._tape.request = request
        self._ready = True
        return request

    async def _exchange(
        self, client: httpx.AsyncClient, deadline: asyncio.Timeout
    ) -> tuple[Outcome, str]:
        loop = asyncio.get_running_loop()
        began = loop.time() - self.now_s()
        request = await self._request()
        resolved.set(partial(self._mark, "dns"))
        async with client.stream(
            request.method,
            _url(request.url),
            headers=request.headers,
            content=request.body,
            extensions={"trace": self._trace, "through": self._through},
        ) as response:
            self._greet(response)
            if self._refused:
                await self._read_refusal(response)
                return self._refusal()
            await self._read(response, deadline, began)
        return self._conclude()

    def _greet(self, response: httpx.Response) -> None:
        """The headers have come."""
        self.status = response.status_code
        # A plain dict: httpx's own looks names up one by one.
        headers = {
            name.lower().decode("latin-1"): value.decode("latin-1")
            for name, value in response.headers.raw
        }
        self._headers = headers
        self.request_id = ADAPTERS[self.plan.api].request_id(headers)
        self.limits = rate_limits.read(headers, self.started_at)
        self.retried = gateway.retried(headers)
        if self._tape is not None:
            version, reason = response.http_version, response.reason_phrase
            self._tape.status = f"{version} {response.status_code} {reason}".rstrip()
            self._tape.headers = headers

    async def _read(
        self, response: httpx.Response, deadline: asyncio.Timeout, began: float
    ) -> None:
        """Takes the stream in until it ends or a deadline strikes. Raises what httpx raises."""
        loop, transcript, plan = asyncio.get_running_loop(), self.transcript, self.plan
        reader, count = ADAPTERS[plan.api].reader(plan.rules), 0
        async for data in self._kept(received(response)):
            at_s = self.now_s()
            count += len(data)
            if self._tape is not None:
                self._tape.chunk(at_s, data)
            if count > plan.max_bytes:
                transcript.too_large(plan.max_bytes)
                return
            for event in reader.feed(data):
                transcript.take(event, at_s)
            texted = transcript.first_text_s is not None
            limit = began + (plan.timeout_s if texted else plan.first_text_timeout_s)
            if transcript.over(self.canary):
                since_s = at_s - (transcript.terminal_s or at_s)
                limit = min(limit, loop.time() - since_s + CLOSING_S)
            if limit != deadline.when():
                deadline.reschedule(limit)
        for event in reader.close():
            transcript.take(event, self.now_s())

    def _conclude(self) -> tuple[Outcome, str]:
        """The outcome of an answer that came with HTTP success."""
        if why := gateway.stand_in(self._headers):
            return Outcome.BAD_REQUEST, why
        if self.transcript.failure is not None:
            self.cause = self.transcript.failure.cause
        return self._strange() or self.transcript.conclude(self.canary)

    def _strange(self) -> tuple[Outcome, str] | None:
        """What an answer is that came with HTTP success, and is no stream of this API."""
        transcript = self.transcript
        if not self._body or transcript.terminal or transcript.first_text_s is not None:
            return None
        plan = self.plan
        adapter, body = ADAPTERS[plan.api], bytes(self._body)
        failure = adapter.unstreamed(body, self._headers, plan.rules)
        if failure is None and transcript.failure is None:
            failure = adapter.told(body, plan.rules)
        return (failure.outcome, failure.detail) if failure is not None else None

    async def _kept(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for data in pieces:
            if len(self._body) < MAX_ERROR_BYTES:
                self._body += data
            yield data

    async def _read_refusal(self, response: httpx.Response) -> None:
        async for data in received(response):
            self._body += data
            if self._tape is not None:
                self._tape.chunk(self.now_s(), data)
            if len(self._body) > MAX_ERROR_BYTES:
                break

    def _refusal(self) -> tuple[Outcome, str]:
        body, headers = bytes(self._body[:MAX_ERROR_BYTES]), self._headers
        if self.status is not None and 300 <= self.status < 400:
            host = urlsplit(headers.get("location", "")).hostname or "another path"
            why = f"HTTP {self.status}, redirected to {host}; canaries follow nobody: see base_url"
            return Outcome.SERVER_ERROR, why
        failure = ADAPTERS[self.plan.api].classify(self.status or 0, body, headers, self.plan.rules)
        self.cause = failure.cause
        if "stream_options" in failure.detail:
            return failure.outcome, f"{failure.detail[:200]}; {WITHOUT_COUNTS}"
        return failure.outcome, failure.detail

    async def _trace(self, name: str, info: dict[str, Any]) -> None:
        if name.endswith("send_request_headers.started"):
            self._at_proxy = info["request"].method == b"CONNECT"
        mark = _MARKS.get(name)
        # What a proxy is asked and says is neither sent to the provider nor a byte of its answer.
        if mark is not None and not (self._at_proxy and mark in ("sent", "first_byte")):
            self._mark(mark)
            if mark == "connect":
                self.new_connection = True

    def _through(self, proxy: str) -> None:
        self.proxy = proxy

    def _mark(self, name: str) -> None:
        self._marks[name] = self.now_s()

    @property
    def sent_s(self) -> float | None:
        return self._marks.get("sent")

    def phases(self, total_s: float) -> Phases:
        seen = self.transcript
        return Phases(
            dns_s=self._marks.get("dns"),
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


_MARKS = {
    "connection.connect_tcp.complete": "connect",
    "connection.connect_unix_socket.complete": "connect",
    "connection.start_tls.complete": "tls",
    "proxy.start_tls.complete": "tls",  # through a tunnel
    "http11.send_request_body.complete": "sent",
    "http2.send_request_body.complete": "sent",
    "http11.receive_response_headers.complete": "first_byte",
    "http2.receive_response_headers.complete": "first_byte",
}


@lru_cache(maxsize=256)
def _url(url: str) -> httpx.URL:
    """Reading a URL is dear, and a provider's is always the same. Raises httpx.InvalidURL."""
    return httpx.URL(url)
