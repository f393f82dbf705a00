"""`prober incident`: what happened, from the first bad canary to the recovery, told in order."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Annotated, Any

import typer
from sqlalchemy import Engine

from prober.cli import incident_text
from prober.cli.console import (
    BAD_USAGE,
    ConfigOption,
    JsonOption,
    RouteOption,
    fail,
    out,
    print_json,
)
from prober.cli.setup import Setup, load_setup_in_force, past
from prober.config.schema import parse_duration
from prober.history.store import queries
from prober.history.timeline import EntryKind

app = typer.Typer(help="Incidents, and the story of each.", no_args_is_help=True)

MOST = 1000


@app.callback()
def _group() -> None:
    pass


def _since(text: str) -> float:
    try:
        back = parse_duration(text)
    except ValueError as error:
        fail(f"--since {text!r}: {error}", BAD_USAGE)
    return time.time() - min(back, timedelta(days=36_500)).total_seconds()


@app.command("list")
def list_incidents(
    route: RouteOption = None,
    since: Annotated[str, typer.Option("--since", help='How far back, like "30d" or "12h".')] = (
        "30d"
    ),
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """The incidents that began lately, and those that are open, oldest first."""
    setup, after = load_setup_in_force(config), _since(since)
    name = setup.route(route).name if route else None
    with past(setup) as engine:
        rows = {r["id"]: r for r in queries.incidents(engine, route=name, since=after, limit=MOST)}
        rows |= {r["id"]: r for r in queries.open_incidents(engine) if name in (None, r["route"])}
        drills = {
            event["incident_id"]
            for event in queries.incident_events(engine, rows)
            if event["kind"] == EntryKind.DRILL
        }
    incidents = sorted(rows.values(), key=lambda row: row["opened_at"])
    if as_json:
        print_json([{**row, "in_drill": row["id"] in drills} for row in incidents])
        return
    if not incidents:
        out.print(f"No incident in the last {since}.", markup=False)
    now, zone = time.time(), setup.config.daemon.zone
    for row in incidents:
        for line in incident_text.listed(row, now, zone, out.width, drill=row["id"] in drills):
            out.print(line, markup=False)


@app.command()
def show(
    number: Annotated[int, typer.Argument(help="The incident's number.", min=1)],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """One incident: in short, who served meanwhile, and line by line what happened."""
    setup = load_setup_in_force(config)
    now = time.time()
    with past(setup) as engine:
        incident = queries.incident(engine, number)
        if incident is None:
            last = queries.last_incident_number(engine)
            known = f"the last one is {last}" if last else "there was none yet"
            fail(f"no incident {number}; {known}", BAD_USAGE)
        story = _story(engine, incident, now)
    if as_json:
        print_json(story)
    else:
        _print(setup, story, now)


def _story(engine: Engine, incident: dict[str, Any], now: float) -> dict[str, Any]:
    since, until = incident["opened_at"], incident_text.end_of(incident, now)
    events = incident_text.in_order(queries.incident_events(engine, [incident["id"]]))
    flips = queries.served(engine, incident["route"], since, until)
    return {
        "incident": incident,
        "in_short": incident_text.in_short(incident, events, now),
        "events": events,
        "outcomes": queries.outcomes(engine, incident["provider"], since, until),
        "served": [
            {"provider": name, "seconds": round(seconds, 3)}
            for name, seconds in incident_text.spans(flips, since, until)
        ],
    }


def _print(setup: Setup, story: dict[str, Any], now: float) -> None:
    incident = story["incident"]
    head = f"Incident {incident['number']}: {incident['provider']} in {incident['route']}"
    out.print(f"[bold]{head}[/] ({incident['objectives']})")
    served = [(span["provider"], span["seconds"]) for span in story["served"]]
    for sentence in (
        story["in_short"],
        incident_text.say_outcomes(incident["provider"], story["outcomes"]),
        incident_text.say_served(incident["route"], served),
    ):
        if sentence:
            out.print(sentence, markup=False, soft_wrap=False)
    out.print()
    for line in incident_text.lines(incident, story["events"], setup.config.daemon.zone, out.width):
        out.print(line, markup=False)
