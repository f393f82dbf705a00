"""An incident told to people: sentences first, then its lines in their order. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from prober.history.timeline import LEAVES, ORDER, EntryKind
from switch.flag import say_duration

EventRow = Mapping[str, Any]
AFTER = 8
WAITS = {
    EntryKind.HELD: "not failed over",
    EntryKind.WOULD_FAIL_OVER: "would have failed over",
    EntryKind.REFUSED: "not failed over",
}


def in_order(events: Sequence[EventRow]) -> list[EventRow]:
    """By time; lines of one moment in the order in which such things happen."""
    return sorted(events, key=lambda event: (event["at"], ORDER.get(event["kind"], len(ORDER))))


def end_of(incident: EventRow, now: float) -> float:
    return float(now if incident["closed_at"] is None else incident["closed_at"])


def lasted(incident: EventRow, now: float) -> str:
    """ "12 min", "open for 3 min"."""
    span = say_duration(end_of(incident, now) - incident["opened_at"])
    return f"open for {span}" if incident["closed_at"] is None else span


def in_short(incident: EventRow, events: Sequence[EventRow], now: float) -> str:
    """ "Found after 43 s, failed over 50 ms later, recovered after 12 min."."""
    opened, breached, closed = (
        incident[name] for name in ("opened_at", "breached_at", "closed_at")
    )
    parts = [f"found after {say_duration(breached - opened)}"]
    events = in_order(events)
    moved = next((e for e in events if e["kind"] in LEAVES and " → " in e["sentence"]), None)
    if moved is not None:
        verb = "failed over" if moved["kind"] == EntryKind.FAILED_OVER else "moved"
        parts.append(f"{verb} {say_duration(max(0.0, moved['at'] - breached))} later")
    else:
        parts += {WAITS[e["kind"]]: None for e in events if e["kind"] in WAITS}
    if closed is None:
        parts.append(lasted(incident, now))
    else:
        ended = any(event["kind"] == EntryKind.ENDED for event in events)
        parts.append(f"{'ended' if ended else 'recovered'} after {say_duration(closed - opened)}")
        back = next((e for e in reversed(events) if e["kind"] == EntryKind.FAILED_BACK), None)
        if back is not None and back["at"] >= closed:
            parts.append(f"failed back {say_duration(back['at'] - closed)} after that")
    text = ", ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def spans(flips: Sequence[EventRow], since: float, until: float) -> list[tuple[str, float]]:
    """(provider, seconds) in their order: what the flag named between two moments."""
    if not flips:
        return []
    first = flips[0]
    serves = first["to_provider"] if first["at"] <= since else first["from_provider"]
    served, begun = [], since
    for flip in flips:
        if flip["at"] > since and flip["to_provider"] != serves:
            served.append((serves, flip["at"] - begun))
            serves, begun = flip["to_provider"], flip["at"]
    served.append((serves, until - begun))
    return [(name or "nobody", seconds) for name, seconds in served]


def say_served(route: str, served: Sequence[tuple[str, float]]) -> str:
    if not served:
        return ""
    text = ", then ".join(f"{name} for {say_duration(seconds)}" for name, seconds in served)
    return f"{route} was served by {text}."


def say_outcomes(provider: str, counts: Mapping[str, int]) -> str:
    if not counts:
        return f"No canary of {provider} in that time is on record."
    text = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items())
    return f"Canaries of {provider} in that time: {text}."


def lines(
    incident: EventRow, events: Sequence[EventRow], zone: ZoneInfo, width: int
) -> Iterator[str]:
    """Local time, how long after the first bad canary, and the sentence, folded to `width`."""
    day = ""
    indent = " " * (len("03:11:40") + 2 + AFTER + 2)
    for event in in_order(events):
        when = datetime.fromtimestamp(event["at"], UTC).astimezone(zone)
        if day != (day := when.strftime("%A, %F")):
            yield f"{day} ({zone.key})"
        after_s = event["at"] - incident["opened_at"]
        after = f"+{say_duration(after_s)}" if after_s > 0 else ""
        yield from textwrap.wrap(
            " ".join(event["sentence"].split()),
            max(width, len(indent) + 20),
            initial_indent=f"{when:%H:%M:%S}  {after:>{AFTER}}  ",
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )


def listed(
    incident: EventRow, now: float, zone: ZoneInfo, width: int, *, drill: bool
) -> Iterator[str]:
    """One incident in a list: what and when, then the finding below it."""
    when = datetime.fromtimestamp(incident["opened_at"], UTC).astimezone(zone)
    mark = ", in a drill" if drill else ""
    head = f"{incident['number']:>4}  {when:%F %H:%M:%S}  {incident['route']}: "
    yield f"{head}{incident['provider']}, {lasted(incident, now)}{mark}"
    yield from textwrap.wrap(
        " ".join(incident["summary"].split()),
        max(width, 30),
        initial_indent=" " * 6,
        subsequent_indent=" " * 6,
        break_long_words=False,
    )
