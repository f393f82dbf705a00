"""Who looks, who leads, and what each vantage sees: read where the vantages write it, in Redis."""

from __future__ import annotations

from typing import Any

import typer
from redis.exceptions import RedisError
from rich.markup import escape
from rich.table import Table

from prober.cli.console import (
    BAD_STATE,
    COLOURS,
    OK,
    ConfigOption,
    JsonOption,
    out,
    print_json,
    run_async,
)
from prober.cli.setup import Setup, load_setup_in_force
from prober.config.schema import DaemonSettings, Route
from prober.failover.voting import routing_hash, settings_of
from switch.connect import connect_async
from switch.control.lease import TIMING
from switch.control.votes import Vote, claim_of, decode_votes, differences
from switch.control.writer import FlagWriter, Observed
from switch.flag import Keys, MalformedFlagError, Mode, say_duration


def vantages(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Which vantages vote on each route, who leads it, and what each of them sees."""
    setup = load_setup_in_force(config)
    if not setup.config.daemon.several:
        if as_json:
            print_json({"vantages": [], "needed": 1, "routes": []})
        else:
            out.print("One daemon decides alone: [daemon].vantages names no others.", markup=False)
        raise typer.Exit(OK)
    routes = run_async(_read(setup))
    daemon = setup.config.daemon
    if as_json:
        names, needed = list(daemon.vantages), daemon.votes_needed
        print_json({"vantages": names, "needed": needed, "routes": routes})
    else:
        for route in routes:
            _show(route, daemon)
    bad = any(route["votes_counted"] and not route["quorum"] for route in routes)
    raise typer.Exit(BAD_STATE if bad or any(route["redis"] != "ok" for route in routes) else OK)


async def _read(setup: Setup) -> list[dict[str, Any]]:
    client = connect_async(setup.redis_url)
    rows = []
    try:
        for route in setup.config.route:
            keys = Keys(route.name, setup.config.redis.namespace)
            row = {"route": route.name, "votes_counted": route.mode is not Mode.OBSERVE}
            try:
                seen = await FlagWriter(client).observe(keys)
                rows.append({**row, "redis": "ok", **_stands(setup, route, seen)})
            except (RedisError, OSError, MalformedFlagError) as error:
                why = str(error) or type(error).__name__
                rows.append({**row, "redis": why, "quorum": False, "vantages": []})
    finally:
        await client.aclose()
    return rows


def _stands(setup: Setup, route: Route, seen: Observed) -> dict[str, Any]:
    daemon = setup.config.daemon
    votes = {vote.vantage: vote for vote in decode_votes(seen.votes)}
    names = [*daemon.vantages, *sorted(votes.keys() - set(daemon.vantages))]
    rows = [_vantage(name, votes.get(name), seen, daemon) for name in names]
    counting = {row["vantage"] for row in rows if row["counts"]}
    settings = {name: vote.settings for name, vote in votes.items() if name in counting}
    own = settings_of(setup.config, route)
    for row in rows:
        theirs = settings.get(row["vantage"], {})
        differs = differences({"theirs": theirs, "ours": own})
        row["differs_in"] = [one.setting for one in differs]
    groups: dict[str, list[str]] = {}
    for row in rows:
        if row["counts"]:
            groups.setdefault(row["routing"], []).append(row["vantage"])
    return {
        "primary": seen.flag.provider if seen.flag else None,
        "leader": next((row["vantage"] for row in rows if row["leads"]), None),
        "quorum": any(len(group) >= daemon.votes_needed for group in groups.values()),
        "routing": routing_hash(setup.config, route),
        "groups": groups,
        "differences": [one.sentence for one in differences(settings)],
        "vantages": rows,
    }


def _vantage(
    name: str, vote: Vote | None, seen: Observed, daemon: DaemonSettings
) -> dict[str, Any]:
    fresh = vote is not None and vote.fresh(seen.time_ms, TIMING.vote_life_ms)
    listed = name in daemon.vantages
    row: dict[str, Any] = {
        "vantage": name,
        "listed": listed,
        "fresh": fresh,
        "counts": listed and fresh and vote is not None and not vote.blind,
    }
    if vote is None:
        return {**row, "age_s": None, "routing": None, "blind": "", "leads": False, "sees": {}}
    return {
        **row,
        "age_s": (seen.time_ms - vote.at_ms) / 1000,
        "routing": vote.routing,
        "blind": vote.blind,
        "leads": bool(seen.lease) and vote.claim == claim_of(seen.lease),
        "sees": {
            provider: {
                "health": sight.health.value,
                "breached": sorted(sight.breached),
                "why": sight.why,
                "suspicious": sight.suspicious,
            }
            for provider, sight in vote.sights.items()
        },
    }


def _show(route: dict[str, Any], daemon: DaemonSettings) -> None:
    if route["redis"] != "ok":
        out.print(f"[bold]{route['route']}[/]: [red]Redis: {escape(route['redis'])}[/]")
        return
    counting = sum(row["counts"] for row in route["vantages"])
    leader = f"led by [bold]{route['leader']}[/]" if route["leader"] else "[red]nobody leads[/]"
    votes = f"{counting} of {len(daemon.vantages)} vote, {daemon.votes_needed} needed"
    if not route["votes_counted"]:
        leader, votes = "mode observe", "nobody votes"
    elif not route["quorum"]:
        votes = f"[red]{votes}: no flag moves[/]"
    out.print(f"[bold]{route['route']}[/]: {route['primary'] or 'no flag yet'}, {leader}, {votes}")
    table = Table(box=None, pad_edge=False, padding=(0, 2), show_header=False)
    for row in route["vantages"]:
        table.add_row(f"  {row['vantage']}", _said(row), _age(row), _hash(row, route))
    out.print(table)
    for line in route["differences"]:
        out.print(f"  [yellow]{line}[/]")


def _said(row: dict[str, Any]) -> str:
    if row["age_s"] is None:
        return "[red]has not voted[/]"
    if row["blind"]:
        return f"[red]blind[/]: {escape(row['blind'])}"
    seen = (
        f"{name} [{COLOURS[sight['health']]}]{sight['health']}[/]"
        for name, sight in row["sees"].items()
    )
    lead = "leads; " if row["leads"] else ""
    return lead + ", ".join(seen)


def _age(row: dict[str, Any]) -> str:
    if row["age_s"] is None:
        return ""
    age = f"{say_duration(max(0.0, row['age_s']))} ago"
    return f"[dim]{age}[/]" if row["fresh"] else f"[red]{age}: no longer counts[/]"


def _hash(row: dict[str, Any], route: dict[str, Any]) -> str:
    if not row["listed"]:
        return "[yellow]not in [daemon].vantages[/]".replace("[daemon]", "\\[daemon]")
    if row["routing"] in (None, route["routing"]):
        return f"[dim]{row['routing'] or ''}[/]"
    what = ", ".join(row["differs_in"]) or "settings"
    return f"[yellow]{row['routing']}: other {what} than in this file[/]"
