"""What one canary found: an Outcome, its phase timings, tokens and cost. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, StrEnum


class Fault(Enum):
    """Whose fault an outcome is; detection asks only this."""

    NONE = "none"
    PROVIDER = "provider"
    CAPACITY = "capacity"
    PATH = "path"
    QUALITY = "quality"
    ACCOUNT = "account"
    CANARY = "canary"


class Cause(StrEnum):
    """What more is known of an outcome than its name; what people are told to do depends on it."""

    NONE = ""
    # The account, key or model is the one that a gateway has at its own upstream.
    UPSTREAM = "upstream"
    # It is refused where we stand: a country, an address, a network.
    PLACE = "place"
    # A gateway has put aside all that it could ask.
    NOBODY_LEFT = "nobody_left"
    # A refusal that no table knows.
    UNKNOWN = "unknown"


class Outcome(StrEnum):
    """`ok` or one error class. The value is what SQL, metrics and people see."""

    OK = "ok"
    OVERLOADED = "overloaded"
    SERVER_ERROR = "server_error"
    STREAM_ERROR = "stream_error"
    STREAM_TRUNCATED = "stream_truncated"
    EMPTY_COMPLETION = "empty_completion"
    TIMEOUT_FIRST_TEXT = "timeout_first_text"
    TIMEOUT_TOTAL = "timeout_total"
    REFUSED = "refused"
    RATE_LIMITED = "rate_limited"
    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    RESET = "reset"
    WRONG_ANSWER = "wrong_answer"
    REFUSAL = "refusal"
    QUOTA_EXHAUSTED = "quota_exhausted"
    AUTH = "auth"
    MODEL_NOT_FOUND = "model_not_found"
    BAD_REQUEST = "bad_request"
    BUDGET_TOO_SMALL = "budget_too_small"

    @property
    def words(self) -> str:
        return WORDS[self]


FAULT: dict[Outcome, Fault] = {
    Outcome.OK: Fault.NONE,
    Outcome.OVERLOADED: Fault.PROVIDER,
    Outcome.SERVER_ERROR: Fault.PROVIDER,
    Outcome.STREAM_ERROR: Fault.PROVIDER,
    Outcome.STREAM_TRUNCATED: Fault.PROVIDER,
    Outcome.EMPTY_COMPLETION: Fault.PROVIDER,
    Outcome.TIMEOUT_FIRST_TEXT: Fault.PROVIDER,
    Outcome.TIMEOUT_TOTAL: Fault.PROVIDER,
    Outcome.REFUSED: Fault.PROVIDER,
    Outcome.RATE_LIMITED: Fault.CAPACITY,
    Outcome.DNS: Fault.PATH,
    Outcome.CONNECT: Fault.PATH,
    Outcome.TLS: Fault.PATH,
    Outcome.RESET: Fault.PATH,
    Outcome.WRONG_ANSWER: Fault.QUALITY,
    Outcome.REFUSAL: Fault.QUALITY,
    Outcome.QUOTA_EXHAUSTED: Fault.ACCOUNT,
    Outcome.AUTH: Fault.ACCOUNT,
    Outcome.MODEL_NOT_FOUND: Fault.ACCOUNT,
    Outcome.BAD_REQUEST: Fault.CANARY,
    Outcome.BUDGET_TOO_SMALL: Fault.CANARY,
}

TIMEOUTS = frozenset({Outcome.TIMEOUT_FIRST_TEXT, Outcome.TIMEOUT_TOTAL})

# How a sentence names them: "9 of 24 canaries failed (overloaded)".
WORDS: dict[Outcome, str] = {
    Outcome.OK: "ok",
    Outcome.OVERLOADED: "overloaded",
    Outcome.SERVER_ERROR: "server error",
    Outcome.STREAM_ERROR: "error inside the stream",
    Outcome.STREAM_TRUNCATED: "stream cut short",
    Outcome.EMPTY_COMPLETION: "empty answer",
    Outcome.TIMEOUT_FIRST_TEXT: "no first text in time",
    Outcome.TIMEOUT_TOTAL: "answer not finished in time",
    Outcome.REFUSED: "refused what it answered before",
    Outcome.RATE_LIMITED: "rate limited",
    Outcome.DNS: "name not resolved",
    Outcome.CONNECT: "no connection",
    Outcome.TLS: "TLS failed",
    Outcome.RESET: "connection reset",
    Outcome.WRONG_ANSWER: "wrong answer",
    Outcome.REFUSAL: "refused to answer",
    Outcome.QUOTA_EXHAUSTED: "quota exhausted",
    Outcome.AUTH: "key refused",
    Outcome.MODEL_NOT_FOUND: "model not found",
    Outcome.BAD_REQUEST: "canary misconfigured",
    Outcome.BUDGET_TOO_SMALL: "canary's token limit too small",
}

# The same where more is known.
_WORDS_OF: dict[tuple[Outcome, Cause], str] = {
    (Outcome.QUOTA_EXHAUSTED, Cause.UPSTREAM): "the gateway's own quota exhausted",
    (Outcome.AUTH, Cause.UPSTREAM): "the gateway's own key refused",
    (Outcome.MODEL_NOT_FOUND, Cause.UPSTREAM): "model not found behind the gateway",
    (Outcome.AUTH, Cause.PLACE): "not served from here",
}


def words_of(outcome: Outcome, cause: Cause = Cause.NONE) -> str:
    """How a sentence names what a canary found."""
    return _WORDS_OF.get((outcome, cause), outcome.words)


@dataclass(frozen=True, slots=True)
class Phases:
    """Seconds from the start of the canary to the end of each phase; None: never reached.

    `dns_s`, `connect_s` and `tls_s` are None when a kept-alive connection was used; `dns_s` also
    behind a proxy, which looks names up itself, and for a literal address, which is none.
    """

    dns_s: float | None = None
    connect_s: float | None = None
    tls_s: float | None = None
    first_byte_s: float | None = None
    first_event_s: float | None = None
    first_reasoning_s: float | None = None
    first_text_s: float | None = None
    total_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Tokens:
    """Token counts as the provider reported them; None: it did not say."""

    input: int | None = None
    output: int | None = None
    reasoning: int | None = None
    cached: int | None = None


@dataclass(frozen=True, slots=True)
class Room:
    """One budget of a rate limit, as the provider's headers tell it; None: it did not say."""

    limit: int | None = None
    remaining: int | None = None
    reset_s: float | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """How much room the provider leaves us.

    Attributes:
        retry_after_s: how long it asks us to wait.
    """

    requests: Room = Room()
    tokens: Room = Room()
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One canary, ended.

    Attributes:
        id: random hex, the same in the journal, the spool and SQL.
        started_at: wall clock, seconds since the epoch (for people and SQL).
        started_s: seconds by the daemon's monotonic clock (for judging).
        base_rate: sent at the base interval, not because of suspicion or proof.
        detail: what the provider said, cut short and scrubbed of secrets.
        new_connection: this canary opened its own, so that DNS, TCP and TLS were tried too.
        retried: how often a gateway in between asked the provider again before it answered.
        cause: what more is known of whose trouble it is; never stored.
    """

    id: str
    provider: str
    vantage: str
    model: str
    started_at: float
    started_s: float
    outcome: Outcome
    phases: Phases = field(default_factory=Phases)
    tokens: Tokens = field(default_factory=Tokens)
    cost_usd: float = 0.0
    http_status: int | None = None
    request_id: str | None = None
    detail: str = ""
    base_rate: bool = True
    new_connection: bool = True
    limits: Limits | None = None
    retried: int = 0
    cause: Cause = Cause.NONE

    @property
    def words(self) -> str:
        return words_of(self.outcome, self.cause)

    @property
    def fault(self) -> Fault:
        """Whose fault it is. A timeout without one byte received may be our own network's."""
        if self.outcome in TIMEOUTS and self.phases.first_byte_s is None:
            return Fault.PATH
        return FAULT[self.outcome]

    @property
    def ok(self) -> bool:
        return self.outcome is Outcome.OK

    @property
    def ended_s(self) -> float:
        return self.started_s + self.phases.total_s

    @property
    def tokens_per_s(self) -> float | None:
        """Visible tokens a second after the first text; None where either is not known."""
        first, output = self.phases.first_text_s, self.tokens.output
        if first is None or not output or self.phases.total_s <= first:
            return None
        # Hidden ones came before the first text.
        visible = max(1, output - (self.tokens.reasoning or 0))
        return visible / (self.phases.total_s - first)
