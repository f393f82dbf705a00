"""The sentences of providers: health, account, model, canaries. Pure; see prober.alerts.text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from prober.alerts.event import AlertEvent, Severity
from prober.alerts.text import Wording, plain
from prober.sample import Cause, Outcome
from switch.flag import say_duration

if TYPE_CHECKING:
    from prober.detection.episode import Trouble


def breach(
    write: Wording,
    route: str,
    key: str,
    at: float,
    *,
    provider: str,
    why: str,
    since: float | None,
    serves: str = "",
    too: bool = False,
    incident: int | None,
    answered: str = "",
    advice: str = "",
) -> AlertEvent:
    """A candidate is in breach.

    Args:
        serves: who is the primary; empty: the route has no flag yet.
        too: the primary is bad as well.
        answered: of answers that are wrong, and nothing else is: what the last one was.
        advice: the same: what to do about it.
    """
    begun = f" since {write.clock(since)}" if since is not None else ""
    does = "answers wrongly" if advice else "is failing"
    then = f"{route} cannot fail over to it" if serves else f"{route} has no flag yet"
    goes_on = f"{route} gets no first flag from a provider that is not proven."
    if serves:
        goes_on = f"{route} is served by {serves} and goes on."
    if too:
        goes_on = f"{serves}, which serves {route}, is failing too."
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
    write: Wording,
    route: str,
    key: str,
    at: float,
    *,
    provider: str,
    lasted_s: float,
    incident: int | None,
) -> AlertEvent:
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


# What mends an account, by what is refused and whose it is.
_FIXES: dict[tuple[Outcome, Cause], str] = {
    (Outcome.QUOTA_EXHAUSTED, Cause.NONE): "add credit, or raise the spend limit of the account",
    (Outcome.AUTH, Cause.NONE): (
        # systemd hands variables and credentials to a process only when it starts.
        "put a valid key where [[provider]].key points, then `systemctl restart prober`; for a "
        "`{ file = … }`, `systemctl reload prober` will do"
    ),
    (Outcome.MODEL_NOT_FOUND, Cause.NONE): (
        "name a model the account can use in [[provider]].model"
    ),
    (Outcome.QUOTA_EXHAUSTED, Cause.UPSTREAM): (
        "add credit to the account that the gateway uses at its upstream, or raise its limit there"
    ),
    (Outcome.AUTH, Cause.UPSTREAM): (
        "give the gateway a valid key for its upstream, in the gateway's own settings; the key "
        "that opens the gateway is fine"
    ),
    (Outcome.MODEL_NOT_FOUND, Cause.UPSTREAM): (
        "name a model that its upstream serves, in the gateway's own settings"
    ),
    (Outcome.AUTH, Cause.PLACE): (
        "allow this country, address or network at the vendor, or use an endpoint that serves it; "
        "another key changes nothing"
    ),
}
_WHOSE = {
    Cause.UPSTREAM: (
        "The gateway answers; its own account behind it does not work. That is no outage of the "
        "gateway."
    ),
    Cause.PLACE: "It refuses where the request comes from. Not an outage of the provider.",
}


def account(
    write: Wording, route: str, key: str, at: float, *, provider: str, trouble: Trouble
) -> AlertEvent:
    kind = trouble.outcome, trouble.cause
    return write.event(
        "account",
        key,
        route,
        Severity.PAGE,
        at,
        f"{provider}: {trouble.words}",
        [
            f"It says: {plain(trouble.detail)}." if trouble.detail else "",
            _WHOSE.get(
                trouble.cause, "This is the account's trouble, not an outage of the provider."
            ),
            f"**You:** {_FIXES.get(kind, 'look at the account page of the provider')}.",
        ],
    )


def model(
    write: Wording,
    key: str,
    at: float,
    *,
    provider: str,
    sentence: str,
    days: int | None,
    serves: Sequence[str],
    stands_by: Sequence[str],
) -> AlertEvent:
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


def account_well(write: Wording, route: str, key: str, at: float, provider: str) -> AlertEvent:
    return write.event(
        "account",
        key,
        route,
        Severity.INFO,
        at,
        f"{provider}: the account is well again",
        [write.when(at), "Its canaries are answered.", "**Nothing to do.**"],
    )


def canary(
    write: Wording, route: str, key: str, at: float, *, provider: str, trouble: Trouble
) -> AlertEvent:
    fix = (
        "raise canary.max_tokens (reasoning models need 512)"
        if trouble.outcome is Outcome.BUDGET_TOO_SMALL
        else "check model, base_url and the canary's settings"
    )
    return write.event(
        "canary",
        key,
        route,
        Severity.WARNING,
        at,
        f"The canary for {provider} is misconfigured",
        [
            f"It says: {plain(trouble.detail or trouble.words)}.",
            "Until that is mended I know nothing about this provider.",
            f"**You:** {fix}, then try `prober probe {provider}`.",
        ],
    )


def canary_well(
    write: Wording, route: str, key: str, at: float, *, provider: str, trouble: Trouble
) -> AlertEvent:
    return write.event(
        "canary",
        key,
        route,
        Severity.INFO,
        at,
        f"The canary for {provider} is answered",
        [
            write.when(at),
            f"It was misconfigured since {write.clock(trouble.since_at)}: "
            f"{plain(trouble.detail or trouble.words)}.",
            "**Nothing to do.**",
        ],
    )


def budget(
    write: Wording,
    key: str,
    at: float,
    *,
    provider: str,
    spent_usd: float,
    limit_usd: float,
    out: bool,
    page: bool = False,
) -> AlertEvent:
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
