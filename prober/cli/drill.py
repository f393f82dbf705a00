"""`prober drill`: the failover on purpose, and back."""

from __future__ import annotations

import re
import time
from typing import Annotated, Any

import typer

from prober.cli.console import (
    BAD_STATE,
    BAD_USAGE,
    OK,
    ConfigOption,
    JsonOption,
    err,
    fail,
    operator,
    out,
    print_json,
)
from prober.cli.setup import Setup, load_setup_in_force
from prober.config.schema import HOURS, format_duration, parse_duration
from prober.failover.drill import LONGEST, USUAL, DrillResult
from prober.web.control_socket import NotRunningError, RefusedError, ask

ASK_S = 120.0
LOOK_EVERY_S = 0.5


def drill(
    route: Annotated[str | None, typer.Argument(help="The route.")] = None,
    duration: Annotated[
        str, typer.Option("--for", help="How long at most, up to 30m.")
    ] = format_duration(USUAL),
    window: Annotated[
        str, typer.Option("--window", help='Only within these local hours, like "10:00-16:00".')
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Prove the fallback, and move nothing.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Stay until the drill is over.")
    ] = True,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Exercise the failover: move to the proven fallback for a while, then back."""
    setup = load_setup_in_force(config)
    chosen = setup.route(route)
    wish = {
        "route": chosen.name,
        "for_ms": str(_for_ms(duration)),
        "window": _window(window),
        "dry_run": "true" if dry_run else "false",
        "actor": operator(),
    }
    try:
        begun = ask(setup.folder, "POST", "/drill", wish, ASK_S)
    except NotRunningError as error:
        fail(str(error))
    except RefusedError as error:
        fail(str(error))
    if dry_run or not wait:
        if as_json:
            print_json(begun)
        else:
            out.print(_say_begun(begun, duration), markup=False)
        raise typer.Exit(OK)
    if not as_json:
        out.print(_say_begun(begun, duration), markup=False)
    try:
        ended = _wait(setup, chosen.name)
    except KeyboardInterrupt:
        err.print("The drill goes on, and goes back by itself; see: prober status")
        raise
    if as_json:
        print_json({**begun, "ended": ended})
    else:
        out.print(_say_ended(chosen.name, ended), markup=False)
    raise typer.Exit(OK if ended["result"] == DrillResult.CARRIED else BAD_STATE)


def _for_ms(text: str) -> int:
    try:
        duration = parse_duration(text)
    except ValueError as error:
        fail(f"--for {text!r}: {error}", BAD_USAGE)
    if not 0 < duration.total_seconds() <= LONGEST.total_seconds():
        most = format_duration(LONGEST)
        fail(f"--for {text!r}: a drill lasts longer than nothing and at most {most}", BAD_USAGE)
    return round(duration.total_seconds() * 1000)


def _window(text: str) -> str:
    if text and not re.match(HOURS, text):
        fail(f'--window {text!r}: write local hours like "10:00-16:00"', BAD_USAGE)
    return text


def _say_begun(begun: dict[str, Any], duration: str) -> str:
    route, home, away = begun["route"], begun["from"], begun["to"]
    if begun["dry_run"]:
        text = f"{route} would move from {home} to {away} ({begun['proof']}) for {duration} at most"
        return f"{text}, then back. Nothing was moved."
    return (
        f"{route} is on {away} ({begun['proof']}) for {duration} at most, then back to {home}; "
        f"at once if {away} turns bad."
    )


def _wait(setup: Setup, route: str) -> dict[str, Any]:
    """What the drill became, once it is over."""
    while True:
        try:
            reply = ask(setup.folder, "GET", "/status")
        except NotRunningError as error:
            fail(f"{error}; the next start goes back when that is safe")
        now = next((r for r in reply["routes"] if r["route"] == route), None)
        if now is None:
            fail(f"{route} is no route of the daemon any more")
        if now["drill"] is None:
            return {"result": None, **(now["drilled"] or {}), "primary": now["primary"]}
        time.sleep(LOOK_EVERY_S)


def _say_ended(route: str, ended: dict[str, Any]) -> str:
    result = ended.get("sentence", "the drill left no record").partition(": ")[2]
    return f"Drill over: {result}. {route} is on {ended['primary']}."
