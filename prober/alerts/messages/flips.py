"""The sentences of a flag that moved, by itself or by hand. Pure; see prober.alerts.text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prober.alerts.event import AlertEvent, Severity
from prober.alerts.text import Wording, plain

if TYPE_CHECKING:
    from switch.flag import Flip


def failed_over(
    write: Wording,
    flip: Flip,
    *,
    why: str,
    since: float | None,
    proof: str,
    notified: int,
    failback: str,
    incident: int | None,
    home: bool = False,
    planned: bool = False,
    account: bool = False,
    last_resort: bool = False,
) -> AlertEvent:
    at = flip.at_ms / 1000
    if home:
        stays = f"Stays here: {flip.to_provider} comes first."
    elif failback == "auto":
        stays = "I fail back by myself when it has been healthy long enough."
    else:
        stays = f"Stays here until you fail back; I'll say when {flip.from_provider} is ready."
    begun = f", since {write.clock(since)}" if since is not None else ""
    force = (
        f'`prober pin {flip.from_provider} --route {flip.route} --for 1h --reason "…"`'
        if flip.from_provider
        else ""
    )
    return write.event(
        "failed_over",
        flip.decision_id,
        flip.route,
        Severity.WARNING,
        at,
        f"{flip.route} failed over: {flip.from_provider} → {flip.to_provider}, {write.when(at)}",
        [
            f"Why: {_canaries_of(flip.from_provider, plain(why, 400))}{begun}.",
            f"Now: {flip.to_provider} {proof}. {_readers(notified)} told.",
            f"Nobody was healthy: {flip.to_provider} is the last resort. It is only just "
            "recovering, and I look at it closely."
            if last_resort
            else "",
            f"**You, by day:** mend {flip.from_provider}'s account, as its own alert says. {stays}"
            if account
            else f"**Nothing to do.** {stays}",
            "" if planned or not force else f"Force back (still failing): {force}",
        ],
        incident,
    )


def failed_back(
    write: Wording, flip: Flip, *, proof: str, notified: int, incident: int | None
) -> AlertEvent:
    at = flip.at_ms / 1000
    return write.event(
        "failed_back",
        flip.decision_id,
        flip.route,
        Severity.INFO,
        at,
        f"{flip.route} failed back: {flip.from_provider} → {flip.to_provider}, {write.when(at)}",
        [
            f"Why: {plain(flip.reason, 400)}.",
            f"Now: {flip.to_provider} {proof}. {_readers(notified)} told.",
            "**Nothing to do.**",
        ],
        incident,
    )


def by_hand(write: Wording, flip: Flip) -> AlertEvent:
    """An operator's pin, unpin, failover or failback."""
    at = flip.at_ms / 1000
    who = plain(flip.actor or "an operator", 60)
    if flip.pin is not None:
        verb = f"{flip.route} pinned to {flip.to_provider} by {who}"
        end = f"Ends {write.when(flip.pin.until_ms / 1000)}."
        lever = f"End it now: `prober unpin {flip.route}`"
    elif flip.pin_cleared and not flip.moved:
        verb = f"{flip.route} unpinned by {who}"
        end, lever = "Automation decides again.", ""
    else:
        verb = f"{flip.route} moved by {who}: {flip.from_provider} → {flip.to_provider}"
        end, lever = "", ""
    return write.event(
        "pin",
        flip.decision_id,
        flip.route,
        Severity.INFO,
        at,
        verb,
        [write.when(at), f"Why: {plain(flip.reason)}." if flip.reason else "", end, lever],
    )


def break_glass(
    write: Wording, route: str, key: str, at: float, named: str, outcome: str
) -> AlertEvent:
    return write.event(
        "break_glass",
        key,
        route,
        Severity.WARNING,
        at,
        f"{route}: somebody set the flag by hand to {plain(named, 64)}",
        [
            write.when(at),
            f"{outcome}",
            f"**You:** next time use `prober pin {plain(named, 64)} --route {route}`, "
            "which says who and why.",
        ],
    )


def _canaries_of(provider: str, why: str) -> str:
    """ "9 of 24 anthropic canaries failed": one sentence, and nobody asks whose."""
    return why.replace(" canaries ", f" {provider} canaries ")


def _readers(notified: int) -> str:
    return "1 reader" if notified == 1 else f"{notified} readers"
