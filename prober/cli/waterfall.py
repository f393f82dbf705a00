"""One canary's phases as bars on one line of time. Pure: figures in, lines of text out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text

from prober.sample import TIMEOUTS, Sample
from switch.flag import say_duration

if TYPE_CHECKING:
    from prober.probing.capture import Capture

LABEL, FIGURE, AT = 15, 8, 9
LEAST_BAR = 10
# Signing takes microseconds; fetching a token takes a request of its own.
WORTH_A_ROW_S = 0.001


@dataclass(frozen=True, slots=True)
class Phase:
    """From the end of the phase before to `end_s`, both since the start of the canary."""

    name: str
    start_s: float
    end_s: float
    colour: str


def phases(sample: Sample, tape: Capture) -> list[Phase]:
    """What was reached, in the order of time; the last one ends with the canary."""
    seen = sample.phases
    ends = [
        ("DNS", seen.dns_s, "cyan"),
        ("connect", seen.connect_s, "cyan"),
        ("TLS", seen.tls_s, "cyan"),
        ("sent", tape.sent_s, "blue"),
        ("first byte", seen.first_byte_s, "yellow"),
        ("first event", seen.first_event_s, "yellow"),
        ("first reasoning", seen.first_reasoning_s, "magenta"),
        ("first text", seen.first_text_s, "green"),
        (
            "given up" if sample.outcome in TIMEOUTS else "end",
            seen.total_s,
            "green" if sample.ok else "red",
        ),
    ]
    rows: list[Phase] = []
    if (fetched_s := tape.fetched_s or 0.0) > WORTH_A_ROW_S:
        rows.append(Phase("credentials", -fetched_s, 0.0, "cyan"))  # before its start
    start_s = 0.0
    for name, end_s, colour in sorted(
        ((name, end_s, colour) for name, end_s, colour in ends if end_s is not None),
        key=lambda row: row[1],
    ):
        rows.append(Phase(name, start_s, end_s, colour))
        start_s = end_s
    return rows


def lines(sample: Sample, tape: Capture, width: int) -> list[Text]:
    """One line a phase: its name, how long it took, its bar, and when it had ended."""
    room = width - LABEL - FIGURE - AT - 6
    # Too narrow for a bar that says anything: the figures alone.
    room = room if room >= LEAST_BAR else 0
    rows = []
    if not sample.new_connection and tape.sent_s is not None:
        rows.append(Text(f"  {'connection':<{LABEL}} kept from the canary before", "dim"))
    for phase in phases(sample, tape):
        took = f"{say_ms(phase.end_s - phase.start_s):>{FIGURE}}"
        at = f"{say_ms(phase.end_s):>{AT}}"
        bar = _bar(phase, sample.phases.total_s, room) if room else ""
        colour = phase.colour
        line = Text.assemble(
            f"  {phase.name:<{LABEL}} {took}  ", (f"{bar:<{room}}", colour), (at, "dim")
        )
        rows.append(line)
    return rows


def _bar(phase: Phase, total_s: float, room: int) -> str:
    if total_s <= 0:
        return ""
    start, end = (round(at_s / total_s * room) for at_s in (phase.start_s, phase.end_s))
    start = min(max(start, 0), room - 1)
    # What is too short for a column still shows where it was.
    return " " * start + ("█" * (end - start) or "▏")


def say_ms(seconds: float | None) -> str:
    """0.4 ms, 31 ms, 1.24 s, 2m 3s; a dash where nobody knows."""
    if seconds is None:
        return "–"
    if seconds < 0.0995:
        return f"{seconds * 1000:.1f} ms" if seconds < 0.00995 else f"{seconds * 1000:.0f} ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.2f} s" if seconds < 60 else say_duration(seconds)
