"""`prober tune`: how soon outages are found against how often it cries wolf, and what to write."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table
from sqlalchemy import Engine

from prober.cli.console import ConfigOption, JsonOption, RouteOption, err, out, print_json
from prober.cli.recorded import SinceOption, history, reading, since_s
from prober.cli.setup import history_of, load_setup
from prober.config.schema import Config, Route
from prober.history.store import queries
from prober.history.store.queries import NoHistoryError
from prober.simulation.backtest.compare import Column, column
from prober.simulation.backtest.history import OnRead, primary_at, read
from prober.simulation.backtest.replay import Replay
from prober.simulation.backtest.truth import Announced, RecordedIncident, Truth
from prober.simulation.tune.profile import LEAST, Profile, Recorder
from prober.simulation.tune.search import (
    OUTAGES,
    Job,
    OnTrial,
    SettingCost,
    frontier,
    jobs,
    nearest_preset,
    recommended,
    rows_of,
    settings,
    work,
)

# Rows with so many times more false flips than are borne are not shown.
FAR = 10


@dataclass(frozen=True, slots=True)
class Tuned:
    """Everything there is to say. `record`: what each shown row made of the record itself."""

    route: Route
    profiles: tuple[Profile, ...]
    incidents: tuple[RecordedIncident, ...]
    rows: tuple[SettingCost, ...]
    shown: tuple[SettingCost, ...]
    record: tuple[Column, ...]
    best: SettingCost
    nearest: str

    def plain(self) -> dict[str, Any]:
        return {
            "route": self.route.name,
            "providers": [
                {
                    "provider": profile.provider,
                    "canaries": profile.canaries,
                    "from_the_record": profile.recorded,
                    "error_rate": profile.generated.error_rate,
                    "ttft_median_s": profile.generated.ttft_median_s,
                    "ttft_sigma": profile.generated.ttft_sigma,
                }
                for profile in self.profiles
            ],
            "incidents_of_history": len(self.incidents),
            "rows": [
                {
                    **row.plain(),
                    "recommended": row is self.best,
                    "on_the_record": {
                        "found": seen.found,
                        "of": len(seen.seen),
                        "flips": len(seen.turns),
                        "false_flips": seen.false_flips,
                    },
                }
                for row, seen in zip(self.shown, self.record, strict=True)
            ],
            "tried": len(self.rows),
            "recommended": {"toml": self.best.setting.toml, "nearest_preset": self.nearest},
        }


def tune(
    since: SinceOption = "30d",
    route: RouteOption = None,
    at_most: Annotated[
        float,
        typer.Option("--at-most", min=0.01, help="False flips a provider-year to put up with."),
    ] = 1.0,
    years: Annotated[
        float,
        typer.Option("--years", min=0.1, max=1000, help="Of noise, for each family of settings."),
    ] = 8.0,
    trials: Annotated[
        int, typer.Option("--trials", min=10, max=100_000, help="Outages of each kind.")
    ] = 1000,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Search a route's detector settings on its own history and on injected outages."""
    setup = load_setup(config)
    chosen = setup.route(route)
    until = time.time()
    from_at = until - since_s(since)
    engine = None
    with history(setup):
        engine = history_of(setup)
        with reading(from_at, until, as_json) as progress:
            profiles, incidents = _profiles(engine, setup.config, chosen, from_at, until, progress)
        grid = settings(chosen)
        todo = jobs(setup.config, chosen, grid, profiles, years, trials)
        rows = rows_of(chosen, grid, _done(todo, silent=as_json))
        best = recommended(rows, at_most)
        shown = _shown(rows, best, at_most)
        with reading(from_at, until, as_json) as progress:
            record = _record(
                engine, setup.config, chosen, shown, incidents, from_at, until, progress
            )
        engine.dispose()
    tuned = Tuned(
        chosen, profiles, incidents, tuple(rows), shown, record, best, nearest_preset(best, rows)
    )
    if as_json:
        print_json(tuned.plain())
        return
    _say(tuned, at_most)


def _profiles(
    engine: Engine,
    config: Config,
    route: Route,
    since: float,
    until: float,
    progress: OnRead | None,
) -> tuple[tuple[Profile, ...], tuple[RecordedIncident, ...]]:
    recorder, truth = Recorder(Announced(config, route)), Truth(config, route)
    read(engine, config, [recorder, truth], since, until, progress)
    past = truth.incidents(queries.incidents_between(engine, route.name, since, until), until)
    profiles = [recorder.profile(name, past) for name in route.candidates]
    known = [profile for profile in profiles if profile.recorded]
    if not known:
        # One day of canaries is there at the least, or nothing can be said of noise.
        counts = ", ".join(f"{profile.canaries} of {profile.provider}" for profile in profiles)
        raise NoHistoryError(
            f"too little history to tune by: {LEAST} canaries at the base rate are needed of a "
            f"provider; there are {counts}; try again after a day, or a longer --since"
        )
    return tuple(known), past


def _done(todo: Sequence[Job], *, silent: bool) -> list[OnTrial]:
    """On every core; the order of the answers does not matter, their seeds do."""
    columns = TextColumn("trying"), BarColumn(), TextColumn("{task.percentage:.0f} %")
    processes = min(os.cpu_count() or 1, len(todo))
    trials: list[OnTrial] = []
    with (
        get_context("spawn").Pool(processes) as pool,
        Bar(*columns, TimeRemainingColumn(), console=err, transient=True, disable=silent) as bar,
    ):
        task = bar.add_task("", total=len(todo))
        for done in pool.imap(work, todo):
            trials.append(done)
            bar.advance(task)
    return trials


def _shown(
    rows: Sequence[SettingCost], best: SettingCost, at_most: float
) -> tuple[SettingCost, ...]:
    """The frontier as far as anybody would go, what has a name, and what is recommended."""
    borne = [row for row in frontier(rows) if row.rate <= FAR * at_most]
    chosen = [*borne, *(row for row in rows if row.setting.names), best]
    unique = list({id(row): row for row in chosen}.values())
    return tuple(sorted(unique, key=lambda row: (row.rate, row.score_s, row.setting.toml)))


def _record(
    engine: Engine,
    config: Config,
    route: Route,
    rows: Sequence[SettingCost],
    incidents: tuple[RecordedIncident, ...],
    since: float,
    until: float,
    progress: OnRead | None,
) -> tuple[Column, ...]:
    primary = primary_at(engine, route, since)
    replays = []
    for row in rows:
        tried = route.model_copy(update={"detector": row.setting.detector})
        replays.append(Replay(config, tried, primary, since))
    read(engine, config, replays, since, until, progress)
    for replay in replays:
        replay.finish()
    return tuple(column(replay, incidents, primary, since, until) for replay in replays)


# -- what is said -------------------------------------------------------------------------------


def _say(tuned: Tuned, at_most: float) -> None:
    for profile in tuned.profiles:
        made = profile.generated
        out.print(
            f"{profile.provider}: {made.error_rate:.2%} noise, first text {made.ttft_median_s:.2f} "
            f"s, log-spread {made.ttft_sigma:.2f} ({profile.canaries} canaries)",
            markup=False,
        )
    left_out = set(tuned.route.candidates) - {profile.provider for profile in tuned.profiles}
    if left_out:
        out.print(f"Too little is recorded of {', '.join(sorted(left_out))} to count with it.")
    out.print(_table(tuned))
    years = tuned.best.years
    out.print()
    for line in (
        f"{len(tuned.rows)} settings were tried; shown are the frontier and those with a name. "
        f"False flips: breaches in {years:g} provider-years of the recorded noise plus 20 blips "
        "a month of 5 to 45 s, with the 95 % interval; each would be a flip if that provider were "
        "the primary.",
        "Seconds: mean from the onset of an injected outage of so many of the requests to the "
        "breach; one never found counts as its limit (15, 40, 120 min). Availability alone; the "
        "settings of one family share their chances, so rows differ by less than intervals say.",
        "The record: incidents of history found, and false flips; see `prober backtest` for what "
        "that means.",
    ):
        out.print(f"[dim]{escape(line)}[/]")
    out.print()
    best = tuned.best
    if "in force" in best.setting.names:
        out.print("Keep the settings in force: nothing calm enough is sooner by 3 %.")
    elif best.interval[1] > at_most:
        out.print(
            f"No setting is surely below {at_most:g} false flips a provider-year; the calmest "
            f"(near the preset {tuned.nearest}):"
        )
    else:
        out.print(
            f"Recommended, the soonest with surely at most {at_most:g} false flips a "
            f"provider-year (near the preset {tuned.nearest}):"
        )
    out.print(f'\n# of [[route]] "{tuned.route.name}"\n{best.setting.toml}', markup=False)


def _table(tuned: Tuned) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("setting", no_wrap=True)
    headings = [f"{share:.0%}" for share in OUTAGES]
    for heading in ("false a year", "[95 %]", *headings, "the record"):
        table.add_column(escape(heading), justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for row, seen in zip(tuned.shown, tuned.record, strict=True):
        low, high = row.interval
        marks = [*row.setting.names, *(["recommended"] if row is tuned.best else [])]
        style = "bold" if row is tuned.best else None
        table.add_row(
            _label(row),
            f"{row.rate:.2g}",
            f"{low:.2g}–{high:.2g}",
            *(_delay(row, share) for share in OUTAGES),
            f"{seen.found} of {len(seen.seen)}, {seen.false_flips} false",
            ", ".join(marks),
            style=style,
        )
    return table


def _label(row: SettingCost) -> str:
    detector = row.setting.detector
    parts = [detector.kind.value]
    if detector.flip_bad_share is not None:
        parts.append(f"share {detector.flip_bad_share:g}")
    if detector.kind.value in ("fresh", "normal", "eager"):
        parts.append(
            f"evidence {detector.evidence:g}, span {detector.min_span.total_seconds():g} s"
        )
    return ", ".join(parts)


def _delay(row: SettingCost, share: float) -> str:
    missed = row.missed[share]
    text = f"{row.detected_s[share]:.0f} s"
    return text + (f" ({missed:.0%} missed)" if missed >= 0.005 else "")
