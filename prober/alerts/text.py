"""How every alert is written: people's clocks, the foot, foreign text made plain. Pure.

The sentences (what happened, why, what is so now, what you can do) are in `messages/`. Facts from
outside (a provider's error text) pass through `plain` first.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from prober.alerts.event import AlertEvent, Severity
from switch.control.target import Bar, Weighed
from switch.flag import say_duration

# Markup, control characters, and what calls people: "@channel". Within a word "_" and "@" are
# neither: model_not_found, root@vm.
_UNSAFE = re.compile(
    r"[\x00-\x1f\x7f<>\[\]`*|\\]+|(?<![^\W_])[_@]+|[_@]+(?![^\W_])|@(?=(?:everyone|here|channel)\b)"
)


# Year 9999.
FAR_AWAY = 253_370_000_000.0


def plain(text: str, limit: int = 200) -> str:
    """Foreign text without markup, control characters, length, or a full stop of its own."""
    clean = " ".join(_UNSAFE.sub(" ", text).split()).rstrip(" .")
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def takes(route: str, one: Weighed) -> str:
    """The command that moves a route to a candidate now."""
    return f"prober failover {one.name} --route {route}" + (" --force" if one.forced else "")


def by_itself(one: Weighed, now: float, clock: Callable[[float], str]) -> str:
    """When a candidate may serve without anybody's doing. `clock` writes a moment."""
    at = one.free_ms / 1000
    ends = f"from {clock(at)} on (in {say_duration(at - now)})" if at > now else ""
    match one.bar:
        case None:
            return "now" if one.proven else "once four of its canaries in a row are good"
        case Bar.RESIDENCY:
            return "never"
        case Bar.MAINTENANCE | Bar.BUDGET:
            return ends or "once that is over"
        case Bar.DWELL:
            return (ends or "once it has recovered") + ", sooner if it is clearly better"
        case Bar.BREACH:
            return "once it has recovered"
        case Bar.ACCOUNT:
            return "once somebody has mended its account"
        case Bar.UNPROBED:
            return "once it can be probed"
        case Bar.SLOW:
            return "once it is clearly faster"


@dataclass(frozen=True, slots=True)
class Wording:
    """Writes events. `zone` is whose clock people read; `runbooks` is by route."""

    zone: ZoneInfo
    runbooks: dict[str, str]

    def _local(self, at: float, zone: tzinfo) -> datetime:
        # A pin may end further away than a calendar reaches.
        return datetime.fromtimestamp(min(at, FAR_AWAY), zone)

    def clock(self, at: float) -> str:
        """03:12:41"""
        return self._local(at, self.zone).strftime("%H:%M:%S")

    def when(self, at: float) -> str:
        """03:12:41 Berlin (02:12:41 UTC)"""
        city = self.zone.key.rpartition("/")[2].replace("_", " ")
        if city == "UTC":
            return f"{self.clock(at)} UTC"
        return f"{self.clock(at)} {city} ({self._local(at, UTC):%H:%M:%S} UTC)"

    def _foot(self, route: str, incident: int | None) -> str:
        parts = [f"Incident {incident}" if incident else "", self.runbooks.get(route, "")]
        return " · ".join(part for part in parts if part)

    def event(
        self,
        kind: str,
        key: str,
        route: str,
        severity: Severity,
        at: float,
        title: str,
        lines: list[str],
        incident: int | None = None,
    ) -> AlertEvent:
        """Lines that are empty are left out; incident and runbook come last."""
        body = "\n".join(line for line in [*lines, self._foot(route, incident)] if line)
        return AlertEvent(key, kind, route, severity, title, body, at, incident)

    def flag(
        self, route: str, key: str, severity: Severity, at: float, *, title: str, why: str
    ) -> AlertEvent:
        """Seeds, repairs, Redis lost and found: the flag's own story."""
        return self.event(
            "flag",
            key,
            route,
            severity,
            at,
            title,
            [self.when(at), f"{plain(why, 400)}."],
        )

    def daemon(
        self, key: str, severity: Severity, at: float, *, title: str, lines: list[str]
    ) -> AlertEvent:
        return self.event("daemon", key, "", severity, at, title, [self.when(at), *lines])
