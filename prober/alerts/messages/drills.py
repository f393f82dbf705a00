"""The sentences of drills. Pure; see prober.alerts.text."""

from __future__ import annotations

from prober.alerts.event import AlertEvent, Severity
from prober.alerts.text import Wording, plain
from switch.flag import Flip, say_duration


def moved(write: Wording, flip: Flip, notified: int) -> AlertEvent:
    """A drill's way out, or its way back, from the flip alone."""
    out = flip.evidence.get("phase") == "out"
    return _began(write, flip, notified) if out else _over(write, flip)


def _began(write: Wording, flip: Flip, notified: int) -> AlertEvent:
    at, evidence = flip.at_ms / 1000, flip.evidence
    lasts = say_duration(float(evidence.get("for_s") or 0))
    readers = "1 reader" if notified == 1 else f"{notified} readers"
    lines = [
        write.when(at),
        f"Asked for by {plain(str(evidence.get('by') or 'an operator'), 60)}; {lasts} at most.",
        f"Now: {flip.to_provider} {evidence.get('proof', '')}. {readers} told.",
        f"**Nothing to do.** It goes back by itself, at once if {flip.to_provider} turns bad. "
        f"End it now: `prober failover {flip.from_provider} --route {flip.route}`",
    ]
    title = f"{flip.route} drill: {flip.from_provider} → {flip.to_provider}"
    return AlertEvent(
        flip.decision_id, "drill", flip.route, Severity.INFO, title, "\n".join(lines), at
    )


def _over(write: Wording, flip: Flip) -> AlertEvent:
    at, evidence = flip.at_ms / 1000, flip.evidence
    failed = evidence.get("result") == "failed"
    word = "FAILED" if failed else "over"
    lever = (
        f"**You:** find out why {flip.from_provider} cannot carry {flip.route}: `prober why`, "
        f"`prober history --provider {flip.from_provider}`."
        if failed
        else "**Nothing to do.**"
    )
    return AlertEvent(
        flip.decision_id,
        "drill",
        flip.route,
        Severity.WARNING if failed else Severity.INFO,
        f"{flip.route} drill {word}: {flip.from_provider} → {flip.to_provider}",
        "\n".join([write.when(at), f"{plain(flip.reason, 400)}.", lever]),
        at,
    )


def stuck(
    write: Wording, route: str, drill_id: str, home: str, away: str, why: str, at: float
) -> AlertEvent:
    """The drill's time is over, and there is no way back yet."""
    lines = [
        write.when(at),
        f"{plain(why, 400)}.",
        f"{away} goes on serving. I go back as soon as {home} is proven.",
        f"**You:** to stay, `prober pin {away} --route {route} --for 1h`.",
    ]
    title = f"{route} drill: no way back to {home} yet"
    body = "\n".join(lines)
    return AlertEvent(f"stuck/{drill_id}", "drill", route, Severity.WARNING, title, body, at)
