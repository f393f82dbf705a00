"""`prober backtest`: what other settings would have made of recorded history."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from prober.cli.console import (
    BAD_USAGE,
    ConfigOption,
    JsonOption,
    RouteOption,
    err,
    fail,
    out,
    print_json,
    say_time,
)
from prober.cli.recorded import SinceOption, history, reading, since_s
from prober.cli.setup import Setup, history_of, load_setup
from prober.config import loader, overrides
from prober.config.loader import ConfigError
from prober.config.schema import Config
from prober.simulation.backtest.history import BacktestResult, backtest
from switch.flag import say_duration

IN_FORCE, TRIED = "in_force", "tried"
SHOWN = {IN_FORCE: "in force", TRIED: "tried"}


def replay(
    since: SinceOption = "30d",
    route: RouteOption = None,
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE",
            help="A key of prober.toml to try, like route.chat.objectives.availability=0.995.",
        ),
    ] = None,
    detector: Annotated[
        str | None,
        typer.Option("--detector", help="A kind of detector to try, like calm, eager or for-5m."),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Replay recorded canaries: the settings in force, and others beside them."""
    setup = load_setup(config)
    name = setup.route(route).name
    until = time.time()
    from_at = until - since_s(since)
    configs = [setup.config]
    tried = bool(sets or detector)
    if tried:
        configs.append(_tried(setup, name, detector, sets or []))
    with history(setup), reading(from_at, until, as_json) as progress:
        engine = history_of(setup)
        result = backtest(engine, configs, name, from_at, until, progress)
        engine.dispose()
    names = [IN_FORCE, TRIED][: len(configs)]
    sentences = limits(setup.config, result)
    if as_json:
        tried_settings = {"detector": detector, "set": sets or []} if tried else None
        print_json({**result.plain(names), "settings": tried_settings, "limits": sentences})
        return
    _show(setup.config, result, [SHOWN[n] for n in names], sentences)


def _tried(setup: Setup, route: str, detector: str | None, sets: list[str]) -> Config:
    try:
        config = overrides.changed(
            loader.read(setup.path),
            route,
            detector=detector,
            sets=sets,
            environment=setup.given.environment,
        )
        if config.find_route(route) is None:
            fail(f"--set: no route {route!r} is left", BAD_USAGE)
        return config
    except ConfigError as error:
        for problem in error.problems:
            err.print(f"prober: {problem}", markup=False)
        raise typer.Exit(BAD_USAGE) from None


# -- what is said -------------------------------------------------------------------------------


def limits(config: Config, result: BacktestResult) -> list[str]:
    """What such a replay cannot know, one sentence each."""
    sentences = [
        "An incident of history is what the daemon recorded, or a stretch of five-minute windows "
        "in which at least 3 canaries were bad, for more of the time than the share worth a flip "
        "(settings in force). Nobody knows the truth.",
        "Canaries were taken at the paces of the settings then in force; others would have looked "
        "more or less often. Rules of others (consecutive-3, for-5m, burn-14.4) see the base rate.",
        "A target counts as proven when its newest four recorded canaries were good and at most "
        "four base intervals old (≈: without the four within 15 s that the daemon asks for); "
        "without canaries in that moment it is unproven.",
        "Played in mode auto; people fail back as soon as they may; pins, operators' flips and "
        "the canary budget are left out.",
    ]
    if result.silent_s > 0:
        sentences.append(
            f"For {say_duration(result.silent_s)} nobody looked; evidence starts clean after that."
        )
    if config.maintenance:
        sentences.append(
            "Maintenance windows are those of the settings: what was recorded within them is "
            "neither judged nor called an incident."
        )
    if config.network.controls:
        sentences.append(
            "Answers of [network] controls are not recorded: path failures count only where "
            "another provider answered."
        )
    return sentences


def _show(config: Config, result: BacktestResult, names: list[str], sentences: list[str]) -> None:
    canaries = ", ".join(f"{count} of {name}" for name, count in sorted(result.samples.items()))
    out.print(
        f"{result.route}, {say_time(config, result.since)} to {say_time(config, result.until)}: "
        f"{canaries} replayed; the flag begins at {result.primary}",
        markup=False,
    )
    out.print(_figures(result, names))
    if result.incidents:
        out.print()
        out.print(_incidents(config, result, names))
    turns = sorted(
        (
            (turn.at, name, turn, flipped)
            for name, column in zip(names, result.columns, strict=True)
            for turns, flipped in ((column.turns, True), (column.unproven, False))
            for turn in turns
        ),
        key=lambda row: row[:2],
    )
    if turns:
        out.print()
    for at, name, turn, flipped in turns:
        near = "" if turn.recorded else " ≈"
        what = f"{turn.source} → {turn.target}{near}" if flipped else f"{turn.source}, no flip"
        label = f"{name:<8}  " if len(names) > 1 else ""
        out.print(f"{say_time(config, at)}  {label}{what}: {turn.reason}", markup=False)
    out.print()
    for line in sentences:
        out.print(f"[dim]{escape(line)}[/]")


def _figures(result: BacktestResult, names: list[str]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    columns = result.columns
    real = sum(flip.automatic for flip in result.recorded)
    table.add_row(f"flips (the record has {real} automatic)", *(str(len(c.turns)) for c in columns))
    table.add_row("  false: no incident then", *(str(c.false_flips) for c in columns))
    table.add_row("  wanted, but nobody was proven", *(str(len(c.unproven)) for c in columns))
    table.add_row("incidents found", *(f"{c.found} of {len(c.seen)}" for c in columns))
    table.add_row(
        "  in, on average",
        *("–" if c.mean_detected_s is None else say_duration(c.mean_detected_s) for c in columns),
    )
    rows = {
        "bad service, had the flag never moved": [c.stayed_s for c in columns],
        "  with these flips": [c.served_s for c in columns],
        "  avoided": [c.avoided_s for c in columns],
        "  added": [c.added_s for c in columns],
    }
    for what, seconds in rows.items():
        table.add_row(what, *(f"{value / 60:.1f} min" for value in seconds))
    return table


def _incidents(config: Config, result: BacktestResult, names: list[str]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("incident of", "from", "lasted", "known by"):
        table.add_column(heading, no_wrap=True)
    for name in names:
        table.add_column(f"found, flipped: {name}", justify="right", no_wrap=True)
    for at, past in enumerate(result.incidents):
        seen = [column.seen[at] for column in result.columns]
        cells = [", ".join(_after(s) for s in (one.detected_s, one.flipped_s)) for one in seen]
        lasted = say_duration(past.end - past.start)
        table.add_row(past.provider, say_time(config, past.start), lasted, past.source, *cells)
    return table


def _after(seconds: float | None) -> str:
    return "–" if seconds is None else say_duration(seconds)
