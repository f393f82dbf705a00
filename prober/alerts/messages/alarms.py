"""The sentences of a flag that should move, and does not. Pure; see prober.alerts.text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from prober.alerts.event import AlertEvent, Severity
from prober.alerts.text import Wording, by_itself, plain, takes
from prober.config.provider_schema import ADDRESS
from switch.flag import Pin, say_duration

if TYPE_CHECKING:
    from switch.control.target import Weighed
    from switch.control.votes import Difference

# Of the settings in which vantages differ, this many are named.
SHOWN = 5


def no_candidate(
    write: Wording,
    route: str,
    key: str,
    at: float,
    *,
    primary: str,
    why: str,
    since: float | None,
    weighed: tuple[Weighed, ...],
    incident: int | None,
    planned: bool = False,
) -> AlertEvent:
    """`planned`: nothing fails yet, but the primary is announced to go."""
    begun = f"{primary} {'must be left' if planned else 'cannot serve'}"
    if since:
        begun = f"{primary} bad since {write.clock(since)}"
    state = "NOBODY TO MOVE TO" if planned and not since else "FAILING, NO FAILOVER"
    ack = f" `prober ack {incident}` stops reminders for 1 h." if incident else ""
    return write.event(
        "no_candidate",
        key,
        route,
        Severity.PAGE,
        at,
        f"{route} {state}: {begun}",
        [
            f"Flag unchanged. {plain(why, 400)}.",
            *(_chance(write, route, at, one) for one in weighed),
            "" if weighed else f"{route} has no other candidate.",
            "I keep probing and fail over by myself once one passes.",
            f"**You:** degrade or queue {route}; tell support.{ack}",
        ],
        incident,
    )


def _chance(write: Wording, route: str, at: float, one: Weighed) -> str:
    """One candidate: how it is, when it may serve by itself, how to have it now."""
    when = by_itself(one, at, write.clock)
    return f"{one.name}: {plain(one.why)}. By itself: {when}. Now: `{takes(route, one)}`"


def candidate_ready(
    write: Wording,
    route: str,
    key: str,
    at: float,
    *,
    primary: str,
    ready: Weighed,
    incident: int | None,
) -> AlertEvent:
    """Follows a page that had nobody to move to."""
    return write.event(
        "candidate_ready",
        key,
        route,
        Severity.WARNING,
        at,
        f"{route}: {ready.name} can be had again, and {primary} is still bad",
        [
            write.when(at),
            f"{ready.name}: {plain(ready.why)}. Its newest four canaries are good.",
            f"By itself: {by_itself(ready, at, write.clock)}.",
            f"**You:** take it now with `{takes(route, ready)}`",
        ],
        incident,
    )


def would_fail_over(
    write: Wording, route: str, key: str, at: float, *, target: str, why: str, incident: int | None
) -> AlertEvent:
    return write.event(
        "propose",
        key,
        route,
        Severity.PAGE,
        at,
        f"{route}: I would fail over to {target}",
        [
            write.when(at),
            f"Why: {plain(why, 400)}.",
            "The route is in mode propose, so this is yours to do.",
            f"**You:** `prober failover {target} --route {route}`",
        ],
        incident,
    )


def freeze(
    write: Wording, route: str, key: str, at: float, *, until: float, flips: int, within_s: float
) -> AlertEvent:
    """A freeze begins; nothing need be bad."""
    return write.event(
        "frozen",
        key,
        route,
        Severity.WARNING,
        at,
        f"{route} is frozen until {write.clock(until)}: {flips} automatic flips within "
        f"{say_duration(within_s)}",
        [
            write.when(at),
            f"Until {write.when(until)} I neither fail back nor leave a slow provider. "
            "The way out of an outage stays open.",
            f"**You:** find out what flaps: `prober history --route {route}`. "
            f"`prober ack {route}` ends the freeze.",
        ],
    )


def frozen(
    write: Wording,
    route: str,
    key: str,
    at: float,
    *,
    why: str,
    until: float,
    incident: int | None,
) -> AlertEvent:
    return write.event(
        "frozen",
        key,
        route,
        Severity.PAGE,
        at,
        f"{route} is bad, and frozen after too many flips",
        [
            write.when(at),
            f"Why: {plain(why, 400)}.",
            f"The freeze ends {write.when(until)}.",
            f"**You:** let it move at once with `prober ack {route}`.",
        ],
        incident,
    )


def pinned_while_bad(
    write: Wording,
    route: str,
    key: str,
    at: float,
    *,
    pin: Pin,
    why: str,
    incident: int | None = None,
) -> AlertEvent:
    return write.event(
        "pin",
        key,
        route,
        Severity.PAGE,
        at,
        f"{route} is pinned to {pin.provider}, which is failing",
        [
            write.when(at),
            f"{plain(why, 400)}.",
            f"The pin of {plain(pin.owner or 'an operator', 60)} ends "
            f"{write.when(pin.until_ms / 1000)}.",
            f"**You:** `prober unpin {route}` lets me fail over.",
        ],
        incident,
    )


def stays(
    write: Wording,
    route: str,
    key: str,
    at: float,
    *,
    primary: str,
    why: str,
    weighed: tuple[Weighed, ...],
    paused: bool,
    incident: int | None,
    answered: str = "",
    advice: str = "",
) -> AlertEvent:
    """The primary is bad, and by the operators' own wish nothing moves.

    `answered` and `advice`: its answers are wrong, and nothing else is.
    """
    free = sorted((one for one in weighed if one.bar is None or one.usable), key=_unproven)
    move = takes(route, free[0]) if free else f"prober failover PROVIDER --route {route}"
    if advice:
        return write.event(
            "breach",
            key,
            route,
            Severity.WARNING,
            at,
            f"{primary}, which serves {route}, answers wrongly",
            [
                write.when(at),
                f"{plain(why, 400)}.",
                f"The last one: {plain(answered)}." if answered else "",
                f"**You:** {advice}; `prober probe {primary}` shows an answer. If its answers "
                f"are broken for your application too: `{move}`",
            ],
            incident,
        )
    lever = (
        "`prober resume` lets me act."
        if paused
        else f"move it by hand (`{move}`), or name this objective in [route.failover].flip_on."
    )
    return write.event(
        "breach",
        key,
        route,
        Severity.PAGE,
        at,
        f"{primary}, which serves {route}, is failing, and nothing moves",
        [write.when(at), f"{plain(why, 400)}.", f"**You:** {lever}"],
        incident,
    )


def _unproven(one: Weighed) -> bool:
    return not one.proven


def refused(write: Wording, route: str, key: str, at: float, *, why: str) -> AlertEvent:
    return write.event(
        "flag",
        key,
        route,
        Severity.PAGE,
        at,
        f"{route}: Redis refuses to change the flag",
        [
            write.when(at),
            f"It says: {plain(why)}.",
            "I keep trying, less and less often. Applications keep the last provider.",
            "**You:** look at Redis: memory, disk, replication, and the rights of its user.",
        ],
    )


def regional(
    write: Wording, route: str, key: str, at: float, *, primary: str, why: str
) -> AlertEvent:
    """Some vantages see the primary failing, most do not."""
    return write.event(
        "regional",
        key,
        route,
        Severity.WARNING,
        at,
        f"{primary}, which serves {route}, is failing for some vantages only",
        [
            write.when(at),
            f"{plain(why, 400)}.",
            "The flag stays; I fail over by myself once a majority sees it.",
            "**You:** look where those vantages are; `prober vantages` shows what each sees. "
            f"To move all the same: `prober failover PROVIDER --route {route}`",
        ],
    )


def differing(differences: Sequence[Difference]) -> list[str]:
    """What vantages do not share, a line each; hashes tell no value."""
    lines = [f"- {one.sentence}." for one in differences[:SHOWN]]
    if len(differences) > SHOWN:
        lines.append(f"- and {len(differences) - SHOWN} settings more: `prober vantages`")
    if any(one.key in ADDRESS for one in differences):
        lines.append("An address that is meant to differ: `regional_endpoint = true`.")
    return lines


def no_quorum(
    write: Wording, route: str, key: str, at: float, *, why: str, differs: Sequence[Difference] = ()
) -> AlertEvent:
    title, lever = "too few vantages vote", "start the vantages that are silent"
    if differs:
        title = "the vantages' settings differ"
        lever = "give all of them the same configuration, then reload"
    return write.event(
        "no_quorum",
        key,
        route,
        Severity.PAGE,
        at,
        f"{route}: {title}, so no flag moves",
        [
            write.when(at),
            f"{plain(why, 400)}.",
            *differing(differs),
            "Applications keep the last provider. Pins and `prober failover` still work.",
            f"**You:** {lever}; `prober vantages` shows them.",
        ],
    )


def failback_ready(
    write: Wording,
    route: str,
    key: str,
    at: float,
    *,
    home: str,
    why: str,
    extra_usd: float,
    incident: int | None = None,
) -> AlertEvent:
    cost = (
        f"Staying costs {extra_usd:g} USD more per million tokens in and out."
        if extra_usd > 0
        else ""
    )
    return write.event(
        "failback_ready",
        key,
        route,
        Severity.INFO,
        at,
        f"{route}: {home} is ready again",
        [
            write.when(at),
            f"{plain(why, 400)}.",
            cost,
            f"**You, when it suits:** `prober failback {route}`",
        ],
        incident,
    )


def blind(write: Wording, key: str, at: float, *, vantage: str, why: str) -> AlertEvent:
    return write.event(
        "blind",
        key,
        "",
        Severity.PAGE,
        at,
        f"{vantage} is blind: its own network seems to be gone",
        [
            write.when(at),
            f"{plain(why, 400)}.",
            "No flag is changed on what I see from here.",
            f"**You:** check the network of {vantage}.",
        ],
    )
