"""Asking one provider now, and all that came of it."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from prober import __version__
from prober.clock import Clock
from prober.config.redact import Scrubber
from prober.detection.precedent import Precedents
from prober.probing.capture import Capture, printable, shown
from prober.probing.network import Network, received
from prober.probing.probe import probe as send
from prober.probing.transport_errors import TROUBLE, translate

if TYPE_CHECKING:
    from prober.config.schema import Provider
    from prober.probing.certificates import Validity
    from prober.probing.plans import Plan
    from prober.sample import Sample

HEALTH_TIMEOUT_S = 5.0
HEALTH_BYTES = 200
ANSWER_CHARS = 80

# Where an answer came from, and how much it says of limits and of who stood in between.
_WORTH = (
    "request-id", "requestid", "ratelimit", "retry-after", "retry-attempt", "processing-ms",
    "x-cache", "cf-cache-status", "helicone-", "x-portkey-", "x-litellm-", "x-envoy-",
    "x-served-by", "x-ms-region", "x-should-retry", "x-amzn-errortype", "cf-aig-", "ngrok-aig-",
)  # fmt: skip
_WORTH_WHOLE = frozenset({"server", "via", "location", "cf-ray", "server-timing", "content-type"})


@dataclass(frozen=True)
class HealthCheck:
    """What the server says of itself at its own health path."""

    url: str
    status: int | None
    said: str
    took_s: float

    @property
    def fine(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True)
class Probed:
    """One provider's canary, ended."""

    provider: Provider
    sample: Sample
    tape: Capture
    health: HealthCheck | None = None
    certificate: Validity | None = None
    scrub: Scrubber = field(default_factory=Scrubber, repr=False)

    @property
    def answer(self) -> str:
        """The first 80 characters of what was answered, safe to show."""
        text = self.scrub(self.tape.answer.strip())
        return printable(text[:ANSWER_CHARS]) + ("…" if len(text) > ANSWER_CHARS else "")

    @property
    def headers(self) -> dict[str, str]:
        """Those of the answer that are worth seeing."""
        return {
            name: value
            for name, value in shown(self.tape.headers, self.scrub)
            if name in _WORTH_WHOLE or any(word in name for word in _WORTH)
        }

    @property
    def exchange(self) -> str:
        """The raw exchange with its result, as it is saved."""
        sample = self.sample
        at = datetime.fromtimestamp(sample.started_at, UTC).isoformat(timespec="milliseconds")
        detail = f": {sample.detail}" if sample.detail else ""
        head = (
            f"# {sample.provider}, {sample.model}, {at}, vantage {sample.vantage}, "
            f"prober {__version__}\n"
            f"# {sample.outcome.value}{detail}\n"
            "# > what was sent, < what was answered, and each piece of it with its time since the "
            "start; secrets are ***\n\n"
        )
        return self.scrub(head) + self.tape.text(self.scrub)

    def plain(self) -> dict[str, Any]:
        """All of it, for --json."""
        sample = self.sample
        return {
            **asdict(sample),
            "outcome": sample.outcome.value,
            "outcome_words": sample.words,
            "fault": sample.fault.value,
            "tokens_per_s": sample.tokens_per_s,
            "sent_s": self.tape.sent_s,
            "http": self.scrub(self.tape.status),
            "headers": self.headers,
            "answer": self.answer,
            "certificate_ends_at": self.certificate.ends_at if self.certificate else None,
            "health": {**asdict(self.health), "fine": self.health.fine} if self.health else None,
        }


@dataclass(frozen=True)
class Asker:
    """What every canary of one command shares.

    Attributes:
        warm: sends a second canary over the connection of the first, and shows that one.
        precedents: what the daemon here has seen the endpoints answer.
    """

    network: Network
    scrub: Scrubber
    vantage: str
    warm: bool = False
    clock: Clock = field(default_factory=Clock)
    precedents: Precedents = field(default_factory=Precedents)

    async def ask(self, provider: Provider, plan: Plan) -> Probed:
        """Never raises for what a provider does."""
        health = asyncio.create_task(self._health(provider))
        plan = replace(plan, fresh=not self.warm)
        sample, tape = await self._send(plan)
        if self.warm and sample.ok:
            sample, tape = await self._send(plan)
        seen = self.network.certificates.of(provider.host)
        return Probed(provider, sample, tape, await health, seen, self.scrub)

    async def _send(self, plan: Plan) -> tuple[Sample, Capture]:
        tape = Capture()
        sample = await send(
            plan,
            self.network,
            self.clock,
            id=uuid.uuid4().hex,
            vantage=self.vantage,
            scrub=self.scrub,
            tape=tape,
        )
        return self.precedents.judge(sample, plan.fingerprint), tape

    async def _health(self, provider: Provider) -> HealthCheck | None:
        """Asked without the key: such paths are open, and an answer may come from anybody."""
        url = provider.quirks.health_url(provider.url)
        if not url:
            return None
        began_s, status, body = self.clock.mono(), None, b""
        try:
            async with (
                asyncio.timeout(HEALTH_TIMEOUT_S),
                self.network.client() as client,
                client.stream("GET", url) as response,
            ):
                status = response.status_code
                async for data in received(response):
                    body += data
                    if len(body) >= HEALTH_BYTES:
                        break
            text = printable(self.scrub(" ".join(body.decode("utf-8", "replace").split())))
        except TimeoutError:
            text = f"nothing in {HEALTH_TIMEOUT_S:g} s"
        except TROUBLE as error:
            text = translate(error, answered=status is not None)[1]
        return HealthCheck(url, status, text[:HEALTH_BYTES], self.clock.mono() - began_s)
