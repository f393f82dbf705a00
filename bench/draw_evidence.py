"""`python -m bench.draw_evidence`: draws docs/evidence.svg, the chart of docs/detection.md.

Each curve is one simulated run: the daemon's own schedule and detector against a provider that
has a blip, a 30 % partial outage or a hard one, with fixed seeds. The same code, the same chart.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prober.config.defaults import fill_in
from prober.config.schema import Config
from prober.detection.detector import Fresh
from prober.simulation.simulate.engine import Engine
from prober.simulation.simulate.scenario import Scenario

CHART = Path(__file__).resolve().parent.parent / "docs" / "evidence.svg"
# Long after the first flag, and half an interval after a canary, as happens on average.
ONSET_S = 3_594.0
BEFORE_S, AFTER_S = 20, 200
WIDTH, HEIGHT = 760, 360
LEFT, RIGHT, TOP, BOTTOM = 58, 736, 34, 312
HIGHEST = 80.0


@dataclass(frozen=True)
class Case:
    """What happens to the provider, and how its curve is drawn."""

    name: str
    seed: int
    lasts_s: float
    error_rate: float
    colour: str
    dash: str


CASES = (
    Case("a blip of 25 s", 4, 25, 1.0, "#5b7083", "2 3"),
    Case("30 % of requests fail", 4, 900, 0.3, "#b45f06", "7 3"),
    Case("everything fails", 4, 900, 1.0, "#a61c28", ""),
)


@dataclass(frozen=True)
class Curve:
    """Points of (seconds since the onset, S), and when and why the breach came."""

    points: tuple[tuple[float, float], ...]
    threshold: float
    breached_s: float | None
    by_streak: bool


def run(case: Case) -> Curve:
    """Plays the case and writes down S after each canary of the provider that fails."""
    provider: list[dict[str, Any]] = [
        {"name": name, "api": "openai", "model": "m", "failure_domains": [name]}
        for name in ("a", "b")
    ]
    route = {"name": "chat", "candidates": ["a", "b"]}
    config = fill_in(Config.model_validate({"provider": provider, "route": [route]}))
    scenario = Scenario.model_validate(
        {
            "seed": case.seed,
            "duration_s": ONSET_S + AFTER_S,
            "providers": {"a": {"error_rate": 0.0}, "b": {"error_rate": 0.0}},
            "incidents": [
                {
                    "provider": "a",
                    "start_s": ONSET_S,
                    "end_s": ONSET_S + case.lasts_s,
                    "error_rate": case.error_rate,
                }
            ],
        }
    )
    engine = Engine(scenario, config, every_second=True)
    evidence = engine.states[0].trackers["a"].evidence[0]
    detector = evidence.detector
    assert isinstance(detector, Fresh)
    points: list[tuple[float, float]] = []
    breached_s: float | None = None
    by_streak = False

    class Watching(Fresh):
        """The same detector; each event leaves a point."""

        def event(self, bad: bool, started_s: float, ended_s: float, base_rate: bool) -> None:
            nonlocal breached_s, by_streak
            before = self.breached
            super().event(bad, started_s, ended_s, base_rate)
            if breached_s is None:
                points.append((ended_s - ONSET_S, self.points))
            if self.breached and not before and breached_s is None:
                breached_s, by_streak = ended_s - ONSET_S, self.points < self.threshold

    evidence.detector = Watching(detector.dials)
    engine.run()
    return Curve(tuple(points), detector.threshold, breached_s, by_streak)


# -- drawing ---------------------------------------------------------------------------------


def x_of(at_s: float) -> float:
    return LEFT + (at_s + BEFORE_S) / (BEFORE_S + AFTER_S) * (RIGHT - LEFT)


def y_of(points: float) -> float:
    return BOTTOM - points / HIGHEST * (BOTTOM - TOP)


def text(x: float, y: float, said: str, *, anchor: str = "start", colour: str = "#333") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{said}</text>'


def line(x1: float, y1: float, x2: float, y2: float, colour: str, dash: str = "") -> str:
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"{dashed}/>'
    )


def axes(threshold: float) -> list[str]:
    drawn = []
    for points in range(0, int(HIGHEST) + 1, 20):
        drawn += [
            line(LEFT, y_of(points), RIGHT, y_of(points), "#e4e4e4"),
            text(LEFT - 8, y_of(points) + 4, str(points), anchor="end"),
        ]
    for at_s in range(0, AFTER_S + 1, 20):
        drawn += [
            line(x_of(at_s), BOTTOM, x_of(at_s), BOTTOM + 4, "#777"),
            text(x_of(at_s), BOTTOM + 18, str(at_s), anchor="middle"),
        ]
    drawn += [
        line(x_of(0), TOP, x_of(0), BOTTOM, "#bbb"),
        line(LEFT, y_of(threshold), RIGHT, y_of(threshold), "#111", "1 3"),
        text(RIGHT, y_of(threshold) - 6, f"breached at {threshold:.0f}", anchor="end"),
        text((LEFT + RIGHT) / 2, BOTTOM + 38, "seconds since the onset", anchor="middle"),
        text(LEFT - 44, TOP - 16, "S, points of evidence"),
    ]
    return drawn


def curve(case: Case, found: Curve) -> list[str]:
    """A staircase: S stands still between two canaries."""
    steps = [(-float(BEFORE_S), 0.0)]
    for at_s, points in found.points:
        if at_s >= -BEFORE_S:
            steps += [(at_s, steps[-1][1]), (at_s, points)]
    if found.breached_s is None:
        steps.append((float(AFTER_S), steps[-1][1]))
    path = " ".join(f"{x_of(at_s):.1f},{y_of(points):.1f}" for at_s, points in steps)
    dashed = f' stroke-dasharray="{case.dash}"' if case.dash else ""
    drawn = [
        f'<polyline points="{path}" fill="none" stroke="{case.colour}" stroke-width="2"{dashed}/>'
    ]
    if found.breached_s is not None:
        x, y = x_of(found.breached_s), y_of(steps[-1][1])
        why = "45 s without a success" if found.by_streak else "enough fresh failures"
        said = f"flip after {found.breached_s:.0f} s: {why}"
        drawn += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{case.colour}"/>',
            text(x, y - 12, said, anchor="middle", colour=case.colour)
            if found.by_streak
            else text(x + 9, y + 20, said, colour=case.colour),
        ]
    return drawn


def legend() -> list[str]:
    drawn, x = [], LEFT + 180.0
    for case in CASES:
        drawn += [
            line(x, TOP - 20, x + 28, TOP - 20, case.colour, case.dash),
            text(x + 34, TOP - 16, case.name, colour=case.colour),
        ]
        x += 176
    return drawn


def chart() -> str:
    curves = [run(case) for case in CASES]
    drawn = axes(curves[0].threshold) + legend()
    # The blip lies over the hard outage: their first ten seconds are the same.
    for case, found in reversed(list(zip(CASES, curves, strict=True))):
        drawn += curve(case, found)
    body = "\n  ".join(drawn)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="sans-serif" font-size="12">\n'
        "  <title>Evidence against time for a blip, a partial and a hard outage</title>\n"
        f'  <rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>\n  {body}\n</svg>\n'
    )


def main() -> None:
    CHART.write_text(chart(), encoding="utf-8")
    print(f"wrote {CHART.name}")


if __name__ == "__main__":
    main()
