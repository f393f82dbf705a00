"""What people ask: status, why, history, contract."""

from __future__ import annotations

from typing import Annotated, Any, NoReturn

import typer
from redis.exceptions import RedisError
from rich.markup import escape
from rich.table import Table

from prober.cli.console import (
    BAD_STATE,
    BAD_USAGE,
    COLOURS,
    OK,
    ConfigOption,
    JsonOption,
    RouteOption,
    cut,
    fail,
    out,
    print_json,
    run_async,
    say_retried,
    say_time,
)
from prober.cli.setup import Setup, load_setup_in_force, past
from prober.cli.snippets import snippets
from prober.daemon import embedded_redis
from prober.failover.memory import cause_of
from prober.history.installation import short
from prober.history.store import queries
from prober.sample import Outcome
from prober.web.control_socket import NotRunningError, RefusedError, ask
from prober.web.status import why_here
from switch.connect import connect_async
from switch.control.writer import FlagWriter, Observed
from switch.flag import Keys, MalformedFlagError, say_duration


def status(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Which provider serves each route, and how every candidate is."""
    setup = load_setup_in_force(config)
    try:
        reply = ask(setup.folder, "GET", "/status")
    except NotRunningError as error:
        _status_without_daemon(setup, str(error), as_json)
    server = embedded_redis.find(setup.folder / "redis") if setup.config.redis.embedded else None
    redis = server.masked_url if server else None
    if as_json:
        print_json({**reply, "running": True, "embedded_redis": redis})
    else:
        _show_daemon(reply, redis)
        for route in reply["routes"]:
            _show_route(setup, route)
    bad = bool(reply["holds"]) or any(r["redis"] != "ok" or _in_trouble(r) for r in reply["routes"])
    raise typer.Exit(BAD_STATE if bad else OK)


def _in_trouble(route: dict[str, Any]) -> bool:
    healths = {p["name"]: p["health"] for p in route["providers"]}
    return healths.get(route["primary"], "breached") in ("breached", "ineligible")


def _status_without_daemon(setup: Setup, why: str, as_json: bool) -> None:
    """The flag stands without the daemon: read it where applications do."""
    routes = run_async(_read(setup))
    if as_json:
        print_json({"running": False, "why": why, "routes": routes})
    else:
        out.print(f"[red]The daemon is not running[/]: {escape(why)}.")
        out.print("Applications go on with the flag as it stands:")
        for route in routes:
            line = f"  {route['route']}: {route['primary'] or 'no flag'}  {route['note']}"
            out.print(line, markup=False)
    raise typer.Exit(BAD_STATE)


async def _read(setup: Setup) -> list[dict[str, Any]]:
    client = connect_async(setup.redis_url)
    rows = []
    try:
        for route in setup.config.route:
            keys = Keys(route.name, setup.config.redis.namespace)
            primary, note, cause = None, "", None
            try:
                seen = await FlagWriter(client).observe(keys)
                primary = seen.flag.provider if seen.flag else None
                note = _note(seen)
                cause = why_here(cause_of(seen.flips, primary or ""), seen.flag)
            except (RedisError, OSError, MalformedFlagError) as error:
                note = f"Redis cannot be read: {error}"
            rows.append({"route": route.name, "primary": primary, "note": note, "cause": cause})
    finally:
        await client.aclose()
    return rows


def _note(seen: Observed) -> str:
    if seen.flag is None:
        return ""
    age = say_duration((seen.time_ms - seen.flag.checked_at) / 1000)
    return f"(last checked {age} ago)"


def _show_daemon(status: dict[str, Any], redis: str | None) -> None:
    notes = [f"vantage {status['vantage']}", f"pid {status['pid']}"]
    if status["installation"]:
        notes.append(f"installation {short(status['installation'])}")
    if status["paused"]:
        notes.append("[yellow]PAUSED: no flag is moved[/]")
    if status["blind"]:
        notes.append("[red]BLIND: our own network seems to be gone[/]")
    if status["sql"] != "ok":
        notes.append(
            f"[red]history waits ({status['rows_waiting']} rows): {escape(status['sql'])}[/]"
        )
    for count, what in (
        (status["journal_failed"], "not written to the journal"),
        (status["journal_late"], "late on disk, by over 200 ms"),
    ):
        if count:
            notes.append(f"[yellow]records {what}: {count}[/]")
    if status["alerts_unsent"]:
        notes.append(f"[yellow]{status['alerts_unsent']} alerts not delivered yet[/]")
    out.print(f"prober {status['version']}: {', '.join(notes)}")
    if status["holds"]:
        out.print(f"[red]HOLDS: {escape(status['holds'])}[/]")
    for danger in status["redis_dangers"]:
        out.print(f"[yellow]{escape(danger)}[/]")
    if redis:
        out.print(f"embedded Redis: {redis} (with its password: prober redis-url)", markup=False)


def _show_route(setup: Setup, route: dict[str, Any]) -> None:
    primary = route["primary"] or "no flag yet"
    if route["redis"] != "ok" and route["primary"]:
        primary += " (as last known)"
    since = f" since {say_time(setup.config, route['changed_at'])}" if route["changed_at"] else ""
    out.print()
    out.print(f"[bold]{route['route']}[/] ({route['mode']}): [bold]{primary}[/]{since}")
    out.print(f"  {route['decision']['reason']}", markup=False)
    if route["redis"] != "ok":
        out.print(f"  [red]Redis: {escape(route['redis'])}[/]")
    if pin := route["pin"]:
        end = say_time(setup.config, pin["until"])
        out.print(
            f"  [yellow]pinned by {escape(pin['owner'])} until {end}: {escape(pin['reason'])}[/]"
        )
    _show_obstacles(setup, route, "  ")
    if drill := _drill_line(setup, route):
        out.print(f"  {drill}", markup=False)
    table = Table(box=None, pad_edge=False, padding=(0, 2), show_header=False)
    for provider in route["providers"]:
        colour = COLOURS[provider["health"]]
        mark = "→" if provider["name"] == route["primary"] else " "
        table.add_row(
            f" {mark} {provider['name']}",
            f"[{colour}]{provider['health']}[/]",
            escape(cut(provider["why"])),
            f"[dim]{provider['pace']}[/]",
        )
        for note in _provider_notes(provider):
            table.add_row("", "", note, "")
    out.print(table)


def _show_obstacles(setup: Setup, route: dict[str, Any], indent: str) -> None:
    """What keeps the flag from moving, besides a pin: settings that differ, a freeze."""
    for line in route["differences"]:
        out.print(f"{indent}[yellow]{escape(line)}[/]")
    if route["frozen_until"]:
        until = say_time(setup.config, route["frozen_until"])
        out.print(f"{indent}[yellow]Frozen until {until}[/]: no failback, and no flip but out of "
                  f"an outage; `prober ack {route['route']}` ends it.")  # fmt: skip


def _provider_notes(provider: dict[str, Any]) -> list[str]:
    notes = []
    if (room := provider.get("room")) and room["short"]:
        notes.append(f"[dim]room: {escape(room['short'])}[/]")
    if reports := provider.get("reports"):
        notes.append(f"[dim]reports: {escape(reports)}[/]")
    notes += [
        f"[yellow]{escape(note)}[/]" for key in ("retried", "advice") if (note := provider.get(key))
    ]
    if (model := provider.get("model")) and model["warning"]:
        notes.append(f"[yellow]{escape(cut(model['warning']))}[/]")
    return notes


def _drill_line(setup: Setup, route: dict[str, Any]) -> str:
    """Since when it is known that a failover would carry."""
    if drill := route["drill"]:
        until = f" until {say_time(setup.config, drill['until'])}" if drill["until"] else ""
        state = "going back" if drill["going_back"] else f"on {drill['away']}{until}"
        return f"drill by {drill['by']}: {state}, home is {drill['home']}"
    if route["drilled"]:
        return str(route["drilled"]["sentence"])
    if route["mode"] == "observe" or len(route["providers"]) < 2:
        return ""
    return f"never drilled: `prober drill {route['route']}` shows that a failover carries"


def why(
    route: Annotated[str | None, typer.Argument(help="The route.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Why the flag is where it is: the decision in force, and the evidence behind it."""
    setup = load_setup_in_force(config)
    names = [setup.route(route).name] if route else [known.name for known in setup.config.route]
    try:
        answers = [ask(setup.folder, "GET", "/why", {"route": name}) for name in names]
    except NotRunningError as error:
        _why_without_daemon(setup, names, str(error), as_json)
    except RefusedError as error:
        fail(str(error), BAD_USAGE)
    if as_json:
        print_json(answers[0] if len(answers) == 1 else answers)
        return
    for place, answer in enumerate(answers):
        if place:
            out.print()
        _show_why(setup, answer)


def _why_without_daemon(setup: Setup, names: list[str], why: str, as_json: bool) -> NoReturn:
    """What led the flags where they are stands in Redis too."""
    routes = [row for row in run_async(_read(setup)) if row["route"] in names]
    if as_json:
        print_json({"running": False, "why": why, "routes": routes})
    else:
        out.print(f"[red]The daemon is not running[/]: {escape(why)}.")
        for route in routes:
            serves = route["primary"] or "nobody, as far as is known"
            out.print(f"{route['route']} is served by {serves}. {route['note']}", markup=False)
            if route["cause"]:
                _show_cause(setup, route["cause"])
    raise typer.Exit(BAD_STATE)


def _show_cause(setup: Setup, answer: dict[str, Any]) -> None:
    """What brought the flag where it is, and what happened to it since."""
    when = say_time(setup.config, answer["changed_at"])
    number = f", incident {answer['because_of']}" if answer["because_of"] else ""
    who = f"{answer['actor']}, {answer['origin']}{number}"
    out.print(f"Here since {when} ({who}): {answer['reason']}", markup=False)
    for one in answer["since"]:
        line = f"  {say_time(setup.config, one['at'])}  {one['what']}: {one['reason']}"
        out.print(line, markup=False)


def _show_why(setup: Setup, answer: dict[str, Any]) -> None:
    out.print(
        f"[bold]{answer['route']}[/] is served by [bold]{answer['primary'] or 'nobody yet'}[/]."
    )
    out.print(
        f"Decision: {answer['decision']['action']}. {answer['decision']['reason']}", markup=False
    )
    if answer["changed_at"]:
        _show_cause(setup, answer)
    if answer["incident"]:
        number = answer["incident"]
        out.print(f"Incident {number} is open: prober incident show {number}", markup=False)
    if answer["redis"] != "ok":
        out.print(f"[red]Redis: {escape(answer['redis'])}[/]")
    _show_obstacles(setup, answer, "")
    out.print()
    for provider in answer["providers"]:
        _show_evidence(provider, primary=provider["name"] == answer["primary"])
    if answer["candidates"]:
        out.print("\nIf it had to leave now:" if answer["primary"] else "\nFor a first flag:")
        for candidate in answer["candidates"]:
            mark = "[green]yes[/]" if candidate["eligible"] else "[red]no [/]"
            out.print(f"  {mark} {candidate['name']}: {escape(cut(candidate['why']))}")
            if not candidate["eligible"]:
                chance = f"by itself {candidate['by_itself']}; now: {candidate['command']}"
                out.print(f"      {chance}", markup=False)


def _show_evidence(provider: dict[str, Any], *, primary: bool) -> None:
    colour = COLOURS[provider["health"]]
    role = " (primary)" if primary else ""
    why = escape(cut(provider["why"]))
    out.print(f"{provider['name']}{role}: [{colour}]{provider['health']}[/]  {why}")
    for evidence in provider["evidence"]:
        if not (primary or evidence["clause"]):
            continue
        clause = f"{evidence['clause']}; " if evidence["clause"] else ""
        out.print(f"    {evidence['objective']}: {clause}{evidence['explain']}", markup=False)
    if reports := provider.get("reports"):
        out.print(f"    reports: {reports}", markup=False)
    if retried := provider.get("retried"):
        out.print(f"    gateway: {retried}", markup=False)
    if advice := provider.get("advice"):
        out.print(f"    hint: {advice}", markup=False)


def history(
    route: RouteOption = None,
    provider: Annotated[
        str | None, typer.Option("--provider", "-p", help="Samples of one provider instead.")
    ] = None,
    samples: Annotated[bool, typer.Option("--samples", help="The newest samples.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000)] = 20,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """What happened: flips, incidents and refusals; or the samples."""
    setup = load_setup_in_force(config)
    name = setup.route(route).name if route else None
    if provider is not None and setup.config.find_provider(provider) is None:
        known = ", ".join(p.name for p in setup.config.provider)
        fail(f"no provider {provider!r}; there are: {known}", BAD_USAGE)
    with past(setup) as engine:
        if samples or provider:
            rows = queries.samples(engine, provider=provider, limit=limit)
            _show_samples(setup, rows, as_json)
            return
        flips = queries.flips(engine, route=name, limit=limit)
        incidents = queries.incidents(engine, route=name, limit=limit)
        refusals = queries.refusals(engine, route=name, limit=limit)
    if as_json:
        print_json({"flips": flips, "incidents": incidents, "refusals": refusals})
        return
    lines = [
        *((row["at"], _flip_line(row)) for row in flips),
        *((row["breached_at"], _incident_line(row)) for row in incidents),
        *((row["at"], f"{row['route']}: refused ({row['status']}): {row['wanted']}")
          for row in refusals),
    ]  # fmt: skip
    if not lines:
        out.print("Nothing has happened yet.")
    for at, line in sorted(lines)[-limit:]:
        out.print(f"{say_time(setup.config, at)}  {line}", markup=False)


def _flip_line(row: dict[str, Any]) -> str:
    moved = row["from_provider"] != row["to_provider"]
    what = f"{row['from_provider'] or '–'} → {row['to_provider']}" if moved else row["to_provider"]
    return f"{row['route']}: {what} ({row['op']}, {row['actor']}): {row['reason']}"


def _incident_line(row: dict[str, Any]) -> str:
    end = "open" if row["closed_at"] is None else (
        f"lasted {say_duration(row['closed_at'] - row['opened_at'])}"
    )  # fmt: skip
    return f"{row['route']}: incident {row['number']}: {row['provider']}: {row['summary']} ({end})"


def _show_samples(setup: Setup, rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(rows)
        return
    for row in reversed(rows):
        first = "–" if row["first_text_s"] is None else f"{row['first_text_s']:.3f} s"
        text = "; ".join(part for part in (row["detail"], say_retried(row["retried"])) if part)
        line = f"{row['provider']:<16} {row['outcome']:<18} first text {first:<9} {text}"
        out.print(f"{say_time(setup.config, row['started_at'])}  {line}", markup=False)
    good = [row for row in rows if row["outcome"] == Outcome.OK]
    if retried := sum(bool(row["retried"]) for row in good):
        out.print(f"{retried} of {len(good)} good only after a retry inside the gateway")


def contract(
    route: Annotated[str | None, typer.Argument(help="The route.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """The exact line that reads the flag in Python, Node, Go and shell."""
    setup = load_setup_in_force(config)
    chosen = setup.route(route)
    lines = snippets(chosen, setup.config)
    if as_json:
        print_json(lines)
        return
    for language, code in lines.items():
        out.print(f"[bold]{language}[/]")
        out.print(code, markup=False)
        out.print()
