"""prober.toml as one frozen Config. Reading and joining is in `prober.configfile`."""

from __future__ import annotations

import re
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, field_validator

from prober.providers import ADAPTERS
from prober.secret import PublicOrSecret, Secret, SecretRef
from switch.flag import DEFAULT_NAMESPACE, NAME, Mode

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
# Local hours, like "22:00-07:00".
HOURS = r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d\Z"
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


def _enabled(value: Any) -> Any:
    if value is True or value is False or value == "if_key":
        return value
    raise ValueError('write true, false or "if_key"')


Enabled = Annotated[Any, BeforeValidator(_enabled)]


class Daemon(Table):
    vantage: Name = "local"
    vantages: tuple[Name, ...] = ()
    quorum: int | None = Field(None, ge=1)
    timezone: str = "UTC"
    heartbeat: Secret | None = None
    heartbeat_interval: Duration = timedelta(minutes=1)
    state_dir: str = ""

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (LookupError, ValueError, OSError):
            raise ValueError('no such time zone; write it like "Europe/Berlin"') from None
        return value

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
    controls: tuple[str, ...] = ()


class Canary(Table):
    interval: Duration = timedelta(seconds=30)
    suspect_interval: Duration = timedelta(seconds=3)
    first_text_timeout: Duration = timedelta(seconds=8)
    timeout: Duration = timedelta(seconds=20)
    max_tokens: int = Field(16, ge=1)
    max_bytes: int = Field(1_000_000, ge=1_000)
    daily_budget_usd: float = Field(1.0, gt=0)

    @field_validator("interval", "suspect_interval", "first_text_timeout", "timeout")
    @classmethod
    def _positive(cls, value: timedelta) -> timedelta:
        if value <= timedelta(0):
            raise ValueError("must be longer than nothing")
        return value


class Price(Table):
    """USD per million tokens."""

    input: float = Field(0.0, ge=0)
    output: float = Field(0.0, ge=0)


class Provider(Table):
    name: Name
    vendor: str = ""
    api: Literal["anthropic", "openai", "gemini", "ollama"]
    model: str = Field(min_length=1)
    key: Secret | None = None
    account: Literal["shared", "own"] = "shared"
    enabled: Enabled = True
    failure_domains: tuple[str, ...] = ()
    residency: tuple[str, ...] = ()
    price: Price = Price()
    base_url: str = ""
    headers: dict[str, str | SecretRef] = Field(default_factory=dict)
    max_tokens_field: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
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
        return value.rstrip("/")

    @property
    def url(self) -> str:
        return self.base_url or ADAPTERS[self.api].default_base_url or ""

    @property
    def worst_cost_usd(self) -> float:
        """What one canary can cost at the most: a short prompt and every allowed token."""
        prompt = 100
        price = self.price
        return (prompt * price.input + self.canary.max_tokens * price.output) / 1e6


class Kind(StrEnum):
    FRESH = "fresh"
    NORMAL = "normal"
    CALM = "calm"
    EAGER = "eager"
    CONSECUTIVE = "consecutive"
    K_OF_N = "k_of_n"
    SHARE = "share"


class Detector(Table):
    """How an objective's bad events become a breach; docs/configuration.md explains each kind.

    `fresh` uses flip_bad_share, evidence, min_span and learn; `consecutive` uses count; `k_of_n`
    uses count and of; `share` uses bad_share over window with at least min_samples.
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
    """Good: under (or over) this, for at least `share` of the answers."""

    under: Duration | None = None
    over: float | None = Field(None, gt=0)
    share: Share = 0.95
    detector: Detector | None = None


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
        if value and not re.match(HOURS, value):
            raise ValueError('write quiet hours like "22:00-07:00"')
        return value


class Route(Table):
    name: Name
    mode: Mode = Mode.AUTO
    candidates: tuple[Name, ...] = Field(min_length=1)
    residency: tuple[str, ...] = ()
    objectives: Objectives = Objectives()
    detector: Detector = Detector()
    failover: Failover = Failover()
    runbook: str = ""


EventName = Literal[
    "failed_over", "failed_back", "failback_ready", "breach", "recovery", "no_candidate", "blind",
    "account", "canary", "budget", "break_glass", "pin", "propose", "frozen", "flag", "daemon",
    "drill",
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

    def find_provider(self, name: str) -> Provider | None:
        return next((provider for provider in self.provider if provider.name == name), None)

    def find_route(self, name: str) -> Route | None:
        return next((route for route in self.route if route.name == name), None)
