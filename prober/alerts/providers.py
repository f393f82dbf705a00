"""The sentences of providers: health, account, model, canaries. Pure; see prober.alerts.text."""

from __future__ import annotations

from collections.abc import Sequence

from prober.alerts.event import Event, Severity
from prober.alerts.text import Writer, plain
from switch.flag import say_duration


def breach(
    write: Writer,
    route: str,
    key: str,
    at: float,
    *,
    provider: str,
    why: str,
    since: float | None,
    incident: int | None,
    served: bool = True,
    answered: str = "",
    advice: str = "",
) -> Event:
    """A candidate is in breach.

    Args:
        served: somebody else serves the route; else it has no flag yet.
        answered: of answers that are wrong, and nothing else is: what the last one was.
        advice: the same: what to do about it.
    """
    begun = f" since {write.clock(since)}" if since is not None else ""
    does = "answers wrongly" if advice else "is failing"
    then = f"{route} cannot fail over to it" if served else f"{route} has no flag yet"
    goes_on = (
        f"{route} is served by another provider and goes on."
        if served
        else f"{route} gets no first flag from a provider that is not proven."
    )
    return write.event(
        "breach",
        key,
        route,
        Severity.WARNING,
        at,
        f"{provider} {does}; {then}",
        [
            f"{plain(why, 400)}{begun}.",
            f"The last one: {plain(answered)}." if answered else "",
            goes_on,
            f"**You:** {advice}; `prober probe {provider}` shows an answer." if advice else "",
        ],
        incident,
    )


def recovery(
    write: Writer,
    route: str,
    key: str,
    at: float,
    *,
    provider: str,
    lasted_s: float,
    incident: int | None,
) -> Event:
    return write.event(
        "recovery",
        key,
        route,
        Severity.INFO,
        at,
        f"{provider} has recovered for {route}",
        [write.when(at), f"It was bad for {say_duration(lasted_s)}."],
        incident,
    )


def account(
    write: Writer, route: str, key: str, at: float, *, provider: str, outcome: str, detail: str
) -> Event:
    fix = {
        "quota_exhausted": "add credit, or raise the spend limit of the account",
        "auth": "put a valid key where [[provider]].key points, then `systemctl reload prober`",
        "model_not_found": "name a model the account can use in [[provider]].model",
    }.get(outcome, "look at the provider's account page")
    return write.event(
        "account",
        key,
        route,
        Severity.PAGE,
        at,
        f"{provider}: {outcome.replace('_', ' ')}",
        [
            f"It says: {plain(detail)}." if detail else "",
            "This is the account's trouble, not an outage of the provider.",
            f"**You:** {fix}.",
        ],
    )


def model(
    write: Writer,
    key: str,
    at: float,
    *,
    provider: str,
    sentence: str,
    days: int | None,
    serves: Sequence[str],
    stands_by: Sequence[str],
) -> Event:
    """What a provider's list says of our model. `days`: until it stops, where that is known."""
    roles = [
        f"It serves {', '.join(serves)} now." if serves else "",
        f"It stands by for {', '.join(stands_by)}." if stands_by else "",
    ]
    return write.event(
        "model",
        key,
        "",
        Severity.WARNING,
        at,
        f"{provider}: {plain(sentence)}",
        [
            write.when(at),
            _in_days(days),
            " ".join(role for role in roles if role),
            "Nothing moves for this alone: canaries find out when it stops answering.",
            "**You:** put its successor into [[provider]].model, here and in the application, "
            f"then `systemctl reload prober` and `prober probe {provider}`.",
        ],
    )


def account_well(write: Writer, route: str, key: str, at: float, provider: str) -> Event:
    return write.event(
        "account",
        key,
        route,
        Severity.INFO,
        at,
        f"{provider}: the account is well again",
        [write.when(at), "Its canaries are answered.", "**Nothing to do.**"],
    )


def canary(write: Writer, route: str, key: str, at: float, *, provider: str, detail: str) -> Event:
    return write.event(
        "canary",
        key,
        route,
        Severity.WARNING,
        at,
        f"The canary for {provider} is misconfigured",
        [
            f"It says: {plain(detail)}.",
            "Until that is mended I know nothing about this provider.",
            "**You:** check model, base_url and canary.max_tokens (reasoning models need 512), "
            f"then try `prober probe {provider}`.",
        ],
    )


def budget(
    write: Writer,
    key: str,
    at: float,
    *,
    provider: str,
    spent_usd: float,
    limit_usd: float,
    out: bool,
    page: bool = False,
) -> Event:
    state = "is spent" if out else "is nearly spent"
    effect = (
        "It is not probed until midnight UTC: as a primary unknown, as a candidate refused."
        if out
        else "Canaries slow down, so that it lasts until midnight UTC; proofs never wait."
    )
    return write.event(
        "budget",
        key,
        "",
        Severity.PAGE if page else Severity.WARNING,
        at,
        f"The canary budget of {provider} {state}",
        [
            f"{spent_usd:.4f} of {limit_usd:g} USD today. {effect}",
            "**You:** raise canary.daily_budget_usd, or lengthen canary.interval.",
        ],
    )


def _in_days(days: int | None) -> str:
    match days:
        case None:
            return ""
        case 0 | 1:
            return "That is tomorrow." if days else "That is today."
        case _:
            return f"That is in {days} days." if days > 0 else f"That was {-days} days ago."
