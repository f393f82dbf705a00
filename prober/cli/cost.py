"""`prober cost`: what canaries cost, from the samples in SQL."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.table import Table

from prober.cli.console import ConfigOption, JsonOption, out, print_json
from prober.cli.setup import load_setup_in_force, past
from prober.clock import Clock
from prober.config.schema import Config
from prober.history.store import queries
from prober.history.store.queries import Spending
from switch.flag import say_duration

HOUR_S = 3600.0
DAY_S = 86_400.0
WEEK_S = 7 * DAY_S
NO_ROUTE = "(no route)"
TOTAL = "total"


@dataclass(frozen=True, slots=True)
class Calendar:
    """The moments that are asked for, in seconds since the epoch. Days and months are UTC's."""

    now: float
    day: float
    month: float
    next_month: float

    @property
    def since(self) -> tuple[float, ...]:
        return self.day, self.month, self.now - DAY_S, self.now - WEEK_S


@dataclass(frozen=True, slots=True)
class Cost:
    """USD of one provider, one route, or all.

    Attributes:
        forecast_usd: for the whole month; None while nothing can be said.
        basis_s: how much of the past the forecast rests on.
        budget_usd: a day's, of all vantages; None: there is no price, and so no limit.
        left_usd: of today's budget.
    """

    name: str
    today_usd: float = 0.0
    month_usd: float = 0.0
    forecast_usd: float | None = None
    basis_s: float | None = None
    budget_usd: float | None = None
    left_usd: float | None = None
    note: str = ""


def calendar(now: float) -> Calendar:
    """Of UTC, because the budget counts so, and most bills."""
    midnight = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    first = midnight.replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    return Calendar(now, midnight.timestamp(), first.timestamp(), following.timestamp())


def costs(config: Config, spent: list[Spending], when: Calendar) -> list[Cost]:
    """One for each provider, those that only history knows last. Pure."""
    by_provider = {spending.provider: spending for spending in spent}
    rows = []
    for provider in config.provider:
        spending = by_provider.pop(provider.name, None) or Spending(
            provider.name, when.now, (0.0,) * 4
        )
        today, month = spending.usd[:2]
        forecast, basis_s = _forecast(spending, when)
        budget = provider.canary.daily_budget_usd if provider.worst_cost_usd > 0 else None
        rows.append(
            Cost(
                name=provider.name,
                today_usd=today,
                month_usd=month,
                forecast_usd=forecast,
                basis_s=basis_s,
                budget_usd=budget,
                left_usd=None if budget is None else max(0.0, budget - today),
                note="no price" if budget is None else "",
            )
        )
    for name, spending in by_provider.items():
        today, month = spending.usd[:2]
        rows.append(Cost(name, today, month, forecast_usd=month, note="no longer configured"))
    return rows


def _forecast(spending: Spending, when: Calendar) -> tuple[float | None, float | None]:
    """What the month will have cost, and how much of the past says so.

    Seven days hold every weekday and more than one night, so they go before one day; a provider
    younger than that is judged by a day, or by the hours there are. Under an hour is no ground.
    """
    _, month, day, week = spending.usd
    age_s = when.now - spending.first_at
    # The oldest sample of a window comes up to an interval after its begin.
    if age_s >= WEEK_S - HOUR_S:
        basis_s, rate = WEEK_S, week / WEEK_S
    elif age_s >= DAY_S:
        basis_s, rate = DAY_S, day / DAY_S
    elif age_s >= HOUR_S:
        basis_s, rate = age_s, week / age_s
    else:
        return None, None
    return month + rate * (when.next_month - when.now), basis_s


def by_route(config: Config, rows: list[Cost]) -> list[Cost]:
    """The same money by route: a provider's canaries serve all that list it, in equal parts."""
    parts: dict[str, list[tuple[Cost, int]]] = {route.name: [] for route in config.route}
    for row in rows:
        routes = [route.name for route in config.route if row.name in route.candidates]
        for name in routes or [NO_ROUTE]:
            parts.setdefault(name, []).append((row, max(1, len(routes))))
    return [
        Cost(
            name,
            sum(row.today_usd / share for row, share in listed),
            sum(row.month_usd / share for row, share in listed),
            _sum([_over(row.forecast_usd, share) for row, share in listed]),
        )
        for name, listed in parts.items()
    ]


def total(rows: list[Cost]) -> Cost:
    return Cost(
        TOTAL,
        sum(row.today_usd for row in rows),
        sum(row.month_usd for row in rows),
        _sum([row.forecast_usd for row in rows]),
        budget_usd=_sum([row.budget_usd for row in rows]),
        left_usd=_sum([row.left_usd for row in rows]),
    )


def _over(usd: float | None, share: int) -> float | None:
    return None if usd is None else usd / share


def _sum(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


# -- for people --------------------------------------------------------------------------------


def cost(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """What canaries cost: today, this month and by its end, per provider and per route."""
    setup = load_setup_in_force(config)
    when = calendar(Clock().now())
    with past(setup) as engine:
        spent = queries.spending(engine, when.since)
    rows = costs(setup.config, spent, when)
    routes, whole = by_route(setup.config, rows), total(rows)
    waits = (setup.folder / "spool").exists()
    if as_json:
        print_json(_plain(when, rows, routes, whole, waits))
        return
    out.print(_sentence(whole), markup=False)
    out.print()
    out.print(provider_table(rows, whole))
    if setup.config.route:
        out.print()
        out.print(route_table(routes, whole))
    out.print()
    for line in _footnotes(setup.config, when, waits):
        out.print(line, markup=False)


def _plain(
    when: Calendar, rows: list[Cost], routes: list[Cost], whole: Cost, waits: bool
) -> dict[str, Any]:
    share = ("name", "today_usd", "month_usd", "forecast_usd")
    return {
        "at": when.now,
        "day_begins": when.day,
        "month_begins": when.month,
        "month_ends": when.next_month,
        "history_waits": waits,
        "providers": [asdict(row) for row in rows],
        "routes": [{key: asdict(row)[key] for key in share} for row in routes],
        "total": {key: value for key, value in asdict(whole).items() if key not in ("basis_s",
                                                                                    "note")},
    }  # fmt: skip


def _sentence(whole: Cost) -> str:
    begun = f"Canaries cost {usd(whole.today_usd)} USD today, {usd(whole.month_usd)} this month"
    if whole.forecast_usd is None:
        return f"{begun}; too early for a forecast."
    return f"{begun}, {usd(whole.forecast_usd)} by its end."


def _footnotes(config: Config, when: Calendar, waits: bool) -> list[str]:
    zone = config.daemon.zone
    local = datetime.fromtimestamp(when.day, zone)
    begins = f", and begin at {local:%H:%M} {zone.key}" if local.utcoffset() else ""
    lines = [
        f"Days are UTC's, as the budget counts{begins}.",
        "Forecast: the month so far, and its rest at the rate of the time under “from”.",
        "A provider's canaries serve every route that lists it, each in equal parts.",
    ]
    if waits:
        lines.append("Some history waits in the spool, so these sums are too low for now.")
    return lines


def usd(value: float | None) -> str:
    """As many decimals as a canary's price needs, and no more."""
    if value is None:
        return "–"
    if value == 0:
        return "0"
    return f"{value:,.2f}" if value >= 1 else f"{value:.4f}" if value >= 0.01 else f"{value:.6f}"


def provider_table(rows: list[Cost], whole: Cost) -> Table:
    table = _table("provider", "today", "left today", "month", "forecast", "from")
    for row in rows:
        if row.note == "no price" and not row.month_usd and not row.today_usd:
            table.add_row(row.name, "no price", "–", "–", "–", "–")
            continue
        since = "–" if row.basis_s is None else say_duration(row.basis_s)
        left = "no price" if row.note == "no price" else usd(row.left_usd)
        gone = " (gone)" if row.note == "no longer configured" else ""
        table.add_row(row.name + gone, usd(row.today_usd), left, usd(row.month_usd),
                      usd(row.forecast_usd), since)  # fmt: skip
    table.add_section()
    table.add_row(TOTAL, usd(whole.today_usd), usd(whole.left_usd), usd(whole.month_usd),
                  usd(whole.forecast_usd), "", style="bold")  # fmt: skip
    return table


def route_table(routes: list[Cost], whole: Cost) -> Table:
    table = _table("route", "today", "month", "forecast")
    for row in [*routes, whole]:
        style = "bold" if row is whole else None
        table.add_row(row.name, usd(row.today_usd), usd(row.month_usd), usd(row.forecast_usd),
                      style=style)  # fmt: skip
    return table


def _table(name: str, *figures: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(name, overflow="fold", max_width=28)
    for heading in figures:
        table.add_column(heading, justify="right", no_wrap=True)
    return table
