"""prober.toml as one frozen Config. Reading and joining is in `prober.configfile`."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import regex
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    field_validator,
    model_validator,
)

from prober.canary import MISSING, TOKENS, Asking, Expect
from prober.canary import Kind as CanaryKind
from prober.maintenance import DAYS, Action, Once, Weekly, Window
from prober.providers import ADAPTERS, bedrock, vertex
from prober.providers.outcomes import Rule
from prober.providers.presets import PRESETS, Preset
from prober.providers.reasoning import Settings, settings
from prober.sample import Outcome
from prober.secret import (
    PublicOrSecret,
    Secret,
    SecretRef,
    credential_in,
    looks_secret,
    may_hold_password,
)
from switch.flag import DEFAULT_NAMESPACE, NAME, Mode

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)\Z")


def parse_duration(value: Any) -> timedelta:
    """ "30s", "1.5m", "200ms". Raises ValueError for anything else, a bare number included."""
    if isinstance(value, timedelta):
        return value
    found = _DURATION.match(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError('write a duration with its unit, like "30s", "10m", "1h" or "200ms"')
    try:
        return timedelta(seconds=float(found[1]) * _UNITS[found[2]])
    except OverflowError:
        raise ValueError("is longer than anybody can wait") from None


def format_duration(value: timedelta) -> str:
    """The shortest whole form: timedelta(minutes=10) -> "10m"."""
    ms = round(value.total_seconds() * 1000)
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if ms and ms % size == 0:
            return f"{ms // size}{unit}"
    return f"{ms}ms"


def _name(value: Any) -> Any:
    if isinstance(value, str) and not NAME.match(value):
        raise ValueError("use a-z, 0-9, - and _ only, at most 64 characters")
    return value


Duration = Annotated[timedelta, BeforeValidator(parse_duration), PlainSerializer(format_duration)]
Name = Annotated[str, BeforeValidator(_name)]
Share = Annotated[float, Field(gt=0, lt=1)]


class Table(BaseModel):
    """A table of the file: closed and frozen."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False
    )


def _zone(value: Any) -> Any:
    try:
        ZoneInfo(value or "UTC")
    except (LookupError, ValueError, OSError, TypeError):
        raise ValueError('no such time zone; write it like "Europe/Berlin"') from None
    return value


Zone = Annotated[str, BeforeValidator(_zone)]


def _enabled(value: Any) -> Any:
    if value is True or value is False or value == "if_key":
        return value
    raise ValueError('write true, false or "if_key"')


Enabled = Annotated[Any, BeforeValidator(_enabled)]


class Daemon(Table):
    vantage: Name = "local"
    vantages: tuple[Name, ...] = ()
    quorum: int | None = Field(None, ge=1)
    timezone: Zone = "UTC"
    heartbeat: Secret | None = None
    heartbeat_interval: Duration = timedelta(minutes=1)
    state_dir: str = ""

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)


class Redis(Table):
    url: PublicOrSecret = "embedded"
    namespace: Name = DEFAULT_NAMESPACE
    port: int = Field(6399, ge=1, le=65535)

    @property
    def embedded(self) -> bool:
        return self.url == "embedded"


class Database(Table):
    url: PublicOrSecret = "sqlite:///prober.db"


class Network(Table):
    """`ca_file`: certificates trusted besides the usual ones, in PEM."""

    controls: tuple[str, ...] = ()
    ca_file: str = ""

    @field_validator("controls")
    @classmethod
    def _public(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(may_hold_password(url) for url in value):
            raise ValueError("must not hold a password; anybody may ask a neutral address")
        return value


class Expected(Table):
    """What the answer to a custom prompt must show; every key given must hold."""

    contains: str = ""
    regex: str = ""
    path: str = ""
    equals: Any = None

    @field_validator("regex")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            regex.compile(value)
        except regex.error as error:
            raise ValueError(f"is no regular expression: {error}") from None
        return value


class Canary(Table):
    interval: Duration = timedelta(seconds=30)
    suspect_interval: Duration = timedelta(seconds=3)
    first_text_timeout: Duration = timedelta(seconds=8)
    timeout: Duration = timedelta(seconds=20)
    kind: CanaryKind = CanaryKind.ECHO
    prompt: str = ""
    expect: Expected = Expected()
    max_tokens: int | None = Field(None, ge=1)
    effort: str | None = None
    max_bytes: int = Field(1_000_000, ge=1_000)
    daily_budget_usd: float = Field(1.0, gt=0)

    @field_validator("interval", "suspect_interval", "first_text_timeout", "timeout")
    @classmethod
    def _positive(cls, value: timedelta) -> timedelta:
        if value <= timedelta(0):
            raise ValueError("must be longer than nothing")
        return value

    @property
    def asking(self) -> Asking:
        said = self.expect
        equals = MISSING if said.equals is None else said.equals
        expect = Expect(said.contains, said.regex, said.path, equals)
        return Asking(self.kind, self.prompt, expect)


class Price(Table):
    """USD per million tokens."""

    input: float = Field(0.0, ge=0)
    output: float = Field(0.0, ge=0)


class Provider(Table):
    name: Name
    vendor: str = ""
    api: Literal[
        "anthropic", "openai", "openai-responses", "gemini", "mistral", "ollama", "azure-openai",
        "bedrock", "vertex",
    ]  # fmt: skip
    preset: Literal[
        "vllm", "localai", "llamacpp", "openrouter", "portkey", "helicone", "litellm"
    ] | None = None  # fmt: skip
    model: str = Field(min_length=1)
    key: Secret | None = None
    account: Literal["shared", "own"] = "shared"
    enabled: Enabled = True
    failure_domains: tuple[str, ...] = ()
    residency: tuple[str, ...] = ()
    price: Price = Price()
    base_url: str = ""
    headers: dict[str, str | SecretRef] = Field(default_factory=dict)
    max_tokens_field: Literal["max_completion_tokens", "max_tokens"] | None = None
    extra_body: dict[str, Any] = Field(default_factory=dict)
    connection: Literal["reuse", "fresh"] = "reuse"
    api_version: str = ""
    region: str = ""
    project: str = ""
    location: str = ""
    canary: Canary = Canary()

    @field_validator("base_url")
    @classmethod
    def _http(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        try:
            parts = urlsplit(value)
        except ValueError:
            raise ValueError("is no URL") from None
        if "@" in parts.netloc:
            raise ValueError("must not hold a password; give it by reference in headers")
        if value and not parts.hostname:
            raise ValueError("names no host")
        if parts.query or parts.fragment:
            raise ValueError("ends before ? and #; what a gateway wants to know goes in headers")
        return value.rstrip("/")

    @field_validator("headers")
    @classmethod
    def _no_literal_credential(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name, said in value.items():
            if isinstance(said, str) and said and looks_secret(name, said):
                wanted = f'headers = {{ {name} = {{ env = "NAME" }} }}'
                raise ValueError(f"{name} looks like a credential; give it by reference: {wanted}")
        return value

    @field_validator("extra_body")
    @classmethod
    def _no_credential(cls, value: dict[str, Any]) -> dict[str, Any]:
        if name := credential_in(value):
            raise ValueError(f"{name} looks like a credential; give it by reference in headers")
        return value

    @property
    def url(self) -> str:
        """The base URL as it means in the API's official SDK; empty when nobody said it."""
        if self.base_url:
            return self.base_url
        if self.preset:
            return self.quirks.base_url
        if self.api == "bedrock" and self.region:
            return bedrock.base_url(self.region)
        if self.api == "vertex" and self.location:
            return vertex.base_url(self.location)
        return ADAPTERS[self.api].default_base_url or ""

    @property
    def tokens_field(self) -> str:
        """How this server calls the bound on an answer's length."""
        return self.max_tokens_field or self.quirks.max_tokens_field or "max_completion_tokens"

    @property
    def quirks(self) -> Preset:
        return PRESETS[self.preset] if self.preset else Preset("", max_tokens_field="")

    @property
    def reasoning(self) -> Settings:
        """What the model's family needs, and how many tokens with it."""
        return settings(self.api, self.model, self.canary.effort, self.quirks.effort_table)

    @property
    def max_tokens(self) -> int:
        """What one answer may spend: what is said, or what kind and family need."""
        if self.canary.max_tokens is not None:
            return self.canary.max_tokens
        return max(TOKENS[self.canary.kind], self.reasoning.max_tokens)

    @property
    def worst_cost_usd(self) -> float:
        """What one canary can cost at the most: its prompt and every allowed token."""
        prompt = self.canary.asking.prompt_tokens
        return (prompt * self.price.input + self.max_tokens * self.price.output) / 1e6


class Kind(StrEnum):
    FRESH = "fresh"
    NORMAL = "normal"
    CALM = "calm"
    EAGER = "eager"
    CONSECUTIVE = "consecutive"
    K_OF_N = "k_of_n"
    SHARE = "share"
    QUANTILE = "quantile"
    # What others use, whole: threshold and recovery.
    CONSECUTIVE_3 = "consecutive-3"
    FOR_5M = "for-5m"
    HALF_OF_MINUTE = "half-of-minute"
    BURN = "burn-14.4"


class Detector(Table):
    """How an objective's bad events become a breach; docs/configuration.md explains each kind.

    `fresh` uses flip_bad_share, evidence, min_span and learn; `consecutive` uses count; `k_of_n`
    uses count and of; `share` uses bad_share over window with at least min_samples; `quantile`
    holds the objective's own share to its limit over window. The others need nothing.
    """

    kind: Kind = Kind.FRESH
    flip_bad_share: Share | None = None
    evidence: float = Field(11.0, gt=0)
    min_span: Duration = timedelta(seconds=45)
    learn: bool = True
    count: int = Field(3, ge=1)
    of: int = Field(5, ge=1)
    bad_share: Share = 0.5
    window: Duration = timedelta(minutes=5)
    min_samples: int = Field(5, ge=1)


class Limit(Table):
    """Good: under (or over) this, for at least `share` of the answers.

    `relative` in place of a number: 1.1 times what `share` of this provider's own answers take.
    """

    relative: bool = False
    under: Duration | None = None
    over: float | None = Field(None, gt=0)
    share: Share = 0.95
    detector: Detector | None = None

    @model_validator(mode="before")
    @classmethod
    def _usual(cls, said: Any) -> Any:
        # Of what is usual, 95 % would leave one in twenty canaries slow.
        if isinstance(said, dict) and said.get("relative") is True and "share" not in said:
            return {**said, "share": 0.99}
        return said


class Objectives(Table):
    availability: Share = 0.99
    quality: Share | None = None
    ttft: Limit | None = None
    total: Limit | None = None
    tokens_per_s: Limit | None = None


FlipOn = Literal[
    "availability",
    "ttft",
    "total",
    "tokens_per_s",
    "quality",
    "quota_exhausted",
    "auth",
    "model_not_found",
]


class Failover(Table):
    flip_on: tuple[FlipOn, ...] = (
        "availability",
        "ttft",
        "quota_exhausted",
        "auth",
        "model_not_found",
    )
    failback: Literal["manual", "auto"] = "manual"
    prefer: Literal["order", "cost", "latency", "quality"] = "order"
    healthy_for: Duration = timedelta(minutes=10)
    max_flips: int = Field(2, ge=1)
    freeze_window: Duration = timedelta(hours=1)
    quiet_hours: str = ""
    count_rate_limited: bool = True

    @field_validator("quiet_hours")
    @classmethod
    def _hours(cls, value: str) -> str:
        if value and not re.match(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d\Z", value):
            raise ValueError('write quiet hours like "22:00-07:00"')
        return value


class Reports(Table):
    """What applications report of their own calls."""

    enabled: bool = True


class Route(Table):
    name: Name
    mode: Mode = Mode.AUTO
    candidates: tuple[Name, ...] = Field(min_length=1)
    residency: tuple[str, ...] = ()
    objectives: Objectives = Objectives()
    detector: Detector = Detector()
    failover: Failover = Failover()
    reports: Reports = Reports()
    runbook: str = ""
    peak_rpm: int | None = Field(None, ge=1)
    peak_tpm: int | None = Field(None, ge=1)


EventName = Literal[
    "failed_over", "failed_back", "failback_ready", "breach", "recovery", "no_candidate", "blind",
    "account", "model", "canary", "budget", "break_glass", "pin", "propose", "frozen", "flag",
    "daemon",
]  # fmt: skip


class Alert(Table):
    name: Name
    url: Secret
    events: tuple[EventName, ...] = ()
    routes: tuple[Name, ...] = ()

    def wants(self, event: str, route: str) -> bool:
        """Empty lists mean everything."""
        return (not self.events or event in self.events) and (
            not self.routes or not route or route in self.routes
        )


class OutcomeRule(Table):
    """One more row of the outcome table, tried before the built-in ones: docs/providers.md."""

    outcome: Outcome
    api: str = ""
    provider: Name | None = None
    status: int | None = Field(None, ge=100, le=599)
    code: str | None = None
    says: str | None = None

    @property
    def rule(self) -> Rule:
        says = self.says.lower() if self.says else None
        apis = (self.api,) if self.api else ()
        return Rule(self.outcome, apis, self.status, self.code, says, self.provider)


class Maintenance(Table):
    """An announced time in which a provider, or a whole route, is not judged."""

    name: Name
    provider: Name | None = None
    route: Name | None = None
    start: datetime | None = None
    end: datetime | None = None
    days: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...] = ()
    begin: time | None = None
    until: time | None = None
    timezone: Zone = ""
    action: Action = Action.MUTE
    lead: Duration = timedelta(minutes=5)
    reason: str = ""

    @model_validator(mode="after")
    def _whom_and_when(self) -> Self:
        if (self.provider is None) == (self.route is None):
            raise ValueError("name a provider or a route, one of them")
        once, weekly = (self.start, self.end), (self.begin, self.until)
        if not (None not in once and weekly == (None, None) and not self.days) and not (
            None not in weekly and self.days and once == (None, None)
        ):
            raise ValueError(
                "write start and end (once), or days, begin and until (each week): "
                'days = ["sun"], begin = 02:00:00, until = 04:00:00'
            )
        if self.start and self.end and (self.start.tzinfo is None) != (self.end.tzinfo is None):
            raise ValueError("start and end: give both an offset, or neither")
        if self.start and self.end and self.end <= self.start:
            raise ValueError("end must come after start")
        if self.action is Action.DRAIN and self.route is not None:
            raise ValueError('action = "drain" moves away from a provider; name that one')
        return self

    def window(self, zone: ZoneInfo) -> Window:
        """With the daemon's `zone` unless it has its own."""
        when: Once | Weekly
        if self.start is not None and self.end is not None:
            when = Once(self.start, self.end)
        else:
            assert self.begin is not None
            assert self.until is not None
            days = frozenset(DAYS.index(day) for day in self.days)
            when = Weekly(days, self.begin, self.until)
        return Window(
            self.name,
            when,
            ZoneInfo(self.timezone) if self.timezone else zone,
            self.action,
            self.provider or "",
            self.route or "",
            self.lead.total_seconds(),
            self.reason,
        )


class Defaults(Table):
    """What providers and routes do not say themselves."""

    objectives: Objectives = Objectives()
    detector: Detector = Detector()
    failover: Failover = Failover()
    residency: tuple[str, ...] = ()
    mode: Mode = Mode.AUTO
    account: Literal["shared", "own"] = "shared"


class Config(Table):
    """The whole file, defaults filled in."""

    daemon: Daemon = Daemon()
    redis: Redis = Redis()
    database: Database = Database()
    network: Network = Network()
    canary: Canary = Canary()
    defaults: Defaults = Defaults()
    provider: tuple[Provider, ...] = ()
    route: tuple[Route, ...] = ()
    alert: tuple[Alert, ...] = ()
    outcome: tuple[OutcomeRule, ...] = ()
    maintenance: tuple[Maintenance, ...] = ()

    def windows_of(self, route: str, provider: str) -> tuple[Window, ...]:
        """The maintenance windows that cover a provider in a route."""
        windows = (row.window(self.daemon.zone) for row in self.maintenance)
        return tuple(window for window in windows if window.covers(route, provider))

    def rules_of(self, provider: Provider) -> tuple[Rule, ...]:
        """The configuration's rows of the outcome table for one provider."""
        rules = (row.rule for row in self.outcome)
        return tuple(rule for rule in rules if rule.provider in (None, provider.name))

    def find_provider(self, name: str) -> Provider | None:
        return next((provider for provider in self.provider if provider.name == name), None)

    def find_route(self, name: str) -> Route | None:
        return next((route for route in self.route if route.name == name), None)
