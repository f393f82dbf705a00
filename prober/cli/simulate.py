"""`prober simulate`: what would have happened, in virtual time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from prober.cli.console import BAD_USAGE, JsonOption, err, fail, out, print_json
from prober.config.schema import Config
from prober.simulation.simulate.engine import simulate as play
from prober.simulation.simulate.report import SimulationResult, is_false
from prober.simulation.simulate.scenario import Scenario, ScenarioError, load
from switch.flag import say_duration


def simulate(
    scenario: Annotated[Path, typer.Argument(help="SCENARIO.json; see docs/simulate.md.")],
    as_json: JsonOption = False,
) -> None:
    """Play a scenario in virtual time: the true schedule, detectors and decisions."""
    try:
        made, config = load(scenario)
    except ScenarioError as error:
        fail(str(error), BAD_USAGE)
    if as_json:
        print_json(play(made, config).plain())
        return
    result = _with_bar(made, config)
    if result.flips:
        out.print(_flips(made, result))
    if result.incidents:
        out.print(_incidents(result))
    out.print(
        f"{len(result.flips)} flips, {result.false_flips} of them false, in "
        f"{result.provider_years:.3g} provider-years; {result.probes} canaries, "
        f"{result.cost_usd:.2f} USD",
        markup=False,
    )


def _with_bar(scenario: Scenario, config: Config) -> SimulationResult:
    columns = TextColumn("simulating"), BarColumn(), TextColumn("{task.percentage:.0f} %")
    with Progress(*columns, TimeRemainingColumn(), console=err, transient=True) as bar:
        task = bar.add_task("", total=scenario.duration_s)
        return play(scenario, config, lambda at_s: bar.update(task, completed=at_s))


def _flips(scenario: Scenario, result: SimulationResult) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("after", justify="right", no_wrap=True)
    for heading in ("route", "flip", "", "why"):
        table.add_column(heading, no_wrap=heading != "why")
    for flip in result.flips:
        verdict = "[red]false[/]" if is_false(scenario, flip) else ""
        moved = f"{flip.source} → {flip.target}"
        table.add_row(say_duration(flip.at_s), flip.route, moved, verdict, flip.reason)
    return table


def _incidents(result: SimulationResult) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("incident")
    for heading in ("began after", "lasted", "detected in", "flipped in", "covered"):
        table.add_column(heading, justify="right")
    for suffered in result.incidents:
        incident = suffered.incident
        table.add_row(
            incident.provider,
            say_duration(incident.start_s),
            say_duration(incident.end_s - incident.start_s),
            *("–" if s is None else say_duration(s)
              for s in (suffered.detected_s, suffered.flipped_s)),
            f"{suffered.covered:.0%}",
        )  # fmt: skip
    return table
