"""prober.toml as one frozen Config: its tables, but those of `prober.config.provider_schema`.

Reading and joining is in `prober.config.loader`.
"""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import (
    BeforeValidator,
    Field,
    ModelWrapValidatorHandler,
    PlainSerializer,
    field_validator,
    model_validator,
)

from prober.config.maintenance import DAYS, Once, Weekly, Window, WindowAction
from prober.config.provider_schema import CanarySettings, Expected, OutcomeRule, Price, Provider
from prober.config.secrets import PublicOrSecret, Secret, may_hold_password
from prober.config.types import (
    DetectorKind,
    Duration,
    Name,
    Share,
    Table,
    Zone,
    check_port,
    format_duration,
    longer_than_nothing,
    parse_duration,
    unsaid,
)
from switch.flag import DEFAULT_NAMESPACE, Mode

__all__ = [
    "Alert",
    "CanarySettings",
    "Config",
    "DaemonSettings",
    "Database",
    "Defaults",
    "DetectorKind",
    "DetectorSettings",
    "EventName",
    "Expected",
    "Failover",
    "FlipOn",
    "Limit",
    "Maintenance",
    "Name",
    "NetworkSettings",
    "Objectives",
    "OutcomeRule",
    "Price",
    "Provider",
    "Redis",
    "Route",
    "format_duration",
    "parse_duration",
]

# Local hours, like "22:00-07:00".
HOURS = r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d\Z"


class DaemonSettings(Table):
    vantage: Name = "local"
    vantages: tuple[Name, ...] = ()
    quorum: int | None = Field(None, ge=1)
    timezone: Zone = "UTC"
    heartbeat: Secret | None = None
    heartbeat_interval: Duration = timedelta(minutes=1)
    state_dir: str = ""

    @field_validator("heartbeat_interval")
    @classmethod
    def _positive(cls, value: timedelta) -> timedelta:
        return longer_than_nothing(value)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone or "UTC")

    @property
    def several(self) -> bool:
        """Whether flags move by a majority of vantages; one daemon alone asks nobody."""
        return len(self.vantages) > 1

    @property
    def votes_needed(self) -> int:
        return self.quorum or len(self.vantages) // 2 + 1


class Redis(Table):
    url: PublicOrSecret = "embedded"
    namespace: Name = DEFAULT_NAMESPACE
    port: int = Field(6399, ge=1, le=65535)

    @property
    def embedded(self) -> bool:
        return self.url == "embedded"


class Database(Table):
    url: PublicOrSecret = "sqlite:///prober.db"


class NetworkSettings(Table):
    """`ca_file`: certificates trusted besides the usual ones, in PEM."""

    controls: tuple[str, ...] = ()
    ca_file: str = ""

    @field_validator("controls")
    @classmethod
    def _public(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(may_hold_password(url) for url in value):
            raise ValueError("must not hold a password; anybody may ask a neutral address")
        for url in value:
            check_port(url)
        return value


class DetectorSettings(Table):
    """How an objective's bad events become a breach; docs/configuration.md explains each kind.

    `fresh` uses flip_bad_share, evidence, min_span and learn; `consecutive` uses count; `k_of_n`
    uses count and of; `share` uses bad_share over window with at least min_samples; `quantile`
    holds the objective's own share to its limit over window. The others need nothing.
    """

    kind: DetectorKind = DetectorKind.FRESH
    # Below one in a thousand there is no telling a share from chance.
    flip_bad_share: float | None = Field(None, ge=0.001, lt=1)
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
    detector: DetectorSettings | None = None

    @model_validator(mode="wrap")
    @classmethod
    def _usual(cls, raw: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        limit = validate(raw)
        if not limit.relative or "share" in limit.model_fields_set:
            return limit
        # Of what is usual, 95 % would leave one in twenty canaries slow.
        return unsaid(limit, share=0.99)


def _left_out(value: Any) -> Any:
    """TOML has no null: an objective that is there by default is left out by false."""
    return 0.0 if value is False or value == "none" else value


# 0: nothing is asked of it.
OptionalShare = Annotated[
    float,
    Field(ge=0, lt=1),
    BeforeValidator(_left_out),
    PlainSerializer(lambda share: share or False),
]


class Objectives(Table):
    """`retried`: what an answer counts as, for availability, that a gateway got only by a retry."""

    availability: Share = 0.99
    retried: Literal["good", "bad"] = "good"
    quality: OptionalShare = 0.9
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


class Reports(Table):
    """What applications report of their own calls."""

    enabled: bool = True


class Route(Table):
    name: Name
    mode: Mode = Mode.AUTO
    candidates: tuple[Name, ...] = Field(min_length=1)
    residency: tuple[str, ...] = ()
    objectives: Objectives = Objectives()
    detector: DetectorSettings = DetectorSettings()
    failover: Failover = Failover()
    reports: Reports = Reports()
    runbook: str = ""
    peak_rpm: int | None = Field(None, ge=1)
    peak_tpm: int | None = Field(None, ge=1)


EventName = Literal[
    "failed_over", "failed_back", "failback_ready", "breach", "recovery", "no_candidate", "blind",
    "account", "model", "canary", "budget", "break_glass", "pin", "propose", "frozen", "flag",
    "daemon", "drill", "regional", "no_quorum", "candidate_ready", "certificate",
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


# Near either end of the calendar a moment cannot be taken to another time zone.
YEARS = range(1970, 3000)


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
    action: WindowAction = WindowAction.MUTE
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
        if not all(moment.year in YEARS for moment in once if moment):
            raise ValueError(
                f"start and end: write years from {YEARS.start} to {YEARS.stop - 1}; "
                "what is for good needs no window: enabled = false in its [[provider]]"
            )
        if any(clock.tzinfo for clock in weekly if clock):
            raise ValueError('begin and until: write 02:00:00 without an offset, and a "timezone"')
        if self.action is WindowAction.DRAIN and self.route is not None:
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
    detector: DetectorSettings = DetectorSettings()
    failover: Failover = Failover()
    residency: tuple[str, ...] = ()
    mode: Mode = Mode.AUTO
    account: Literal["shared", "own"] = "shared"


class Config(Table):
    """The whole file, defaults filled in."""

    daemon: DaemonSettings = DaemonSettings()
    redis: Redis = Redis()
    database: Database = Database()
    network: NetworkSettings = NetworkSettings()
    canary: CanarySettings = CanarySettings()
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

    def find_provider(self, name: str) -> Provider | None:
        return next((provider for provider in self.provider if provider.name == name), None)

    def find_route(self, name: str) -> Route | None:
        return next((route for route in self.route if route.name == name), None)
