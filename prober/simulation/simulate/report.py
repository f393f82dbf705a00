"""What a simulation found, in figures: pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prober.config.schema import Config
    from prober.simulation.simulate.scenario import Outage, Scenario
    from prober.simulation.simulate.trace import Move, Trace

YEAR_S = 365.25 * 86_400
# Kinds of flips that nobody takes for an alarm: going home, and leaving by plan (maintenance).
MEANT = ("failback", "planned")


@dataclass(frozen=True, slots=True)
class Suffered:
    """One incident, as applications lived it.

    Attributes:
        detected_s: from its start to the breach; None: it was never found.
        flipped_s: from its start to the first flip away; None: there was none.
        covered: share of its time that the flag pointed elsewhere, over the routes it is in.
    """

    incident: Outage
    detected_s: float | None
    flipped_s: float | None
    covered: float

    def plain(self) -> dict[str, Any]:
        return {
            "provider": self.incident.provider,
            "start_s": self.incident.start_s,
            "end_s": self.incident.end_s,
            "detected_s": self.detected_s,
            "flipped_s": self.flipped_s,
            "covered": self.covered,
        }


@dataclass(frozen=True, slots=True)
class SimulationResult:
    """What `prober simulate` says.

    Attributes:
        false_flips: flips away from a provider that had no incident then; going home is none,
            and so is what was planned.
        provider_years: of all providers that were probed together.
    """

    flips: tuple[Move, ...]
    incidents: tuple[Suffered, ...]
    false_flips: int
    probes: int
    cost_usd: float
    provider_years: float

    def plain(self) -> dict[str, Any]:
        return {
            "flips": [
                {
                    "t_s": move.at_s,
                    "route": move.route,
                    "from": move.source,
                    "to": move.target,
                    "reason": move.reason,
                }
                for move in self.flips
            ],
            "incidents": [suffered.plain() for suffered in self.incidents],
            "false_flips": self.false_flips,
            "probes": self.probes,
            "cost_usd": self.cost_usd,
            "provider_years": self.provider_years,
        }


def result(scenario: Scenario, config: Config, course: Trace) -> SimulationResult:
    flips = tuple(move for move in course.moves if move.source)
    return SimulationResult(
        flips=flips,
        incidents=tuple(
            _suffered(scenario, config, course, incident) for incident in scenario.incidents
        ),
        false_flips=sum(is_false(scenario, move) for move in flips),
        probes=sum(course.probes.values()),
        cost_usd=course.cost_usd,
        provider_years=len(course.probes) * scenario.duration_s / YEAR_S,
    )


def is_false(scenario: Scenario, flip: Move) -> bool:
    """Away from a provider with no incident at that moment; a blip is no excuse, a plan is."""
    return flip.kind not in MEANT and not any(
        incident.provider == flip.source and incident.start_s <= flip.at_s < incident.end_s
        for incident in scenario.incidents
    )


def _suffered(scenario: Scenario, config: Config, course: Trace, incident: Outage) -> Suffered:
    name, start_s = incident.provider, incident.start_s
    end_s = min(incident.end_s, scenario.duration_s)
    delays = [
        max(0.0, from_s - start_s)
        for _, from_s, to_s in course.breaches.get(name, ())
        if from_s < end_s and to_s > start_s
    ]
    left = [
        move.at_s - start_s
        for move in course.moves
        if move.source == name and move.kind != "failback" and start_s <= move.at_s < end_s
    ]
    shares = [
        _elsewhere_s(course, route.name, name, start_s, end_s) / (end_s - start_s)
        for route in config.route
        if name in route.candidates and end_s > start_s
    ]
    return Suffered(
        incident,
        detected_s=min(delays, default=None),
        flipped_s=min(left, default=None),
        covered=sum(shares) / len(shares) if shares else 0.0,
    )


def _elsewhere_s(course: Trace, route: str, name: str, start_s: float, end_s: float) -> float:
    """How long between the two moments the route's flag named somebody else."""
    moves = [move for move in course.moves if move.route == route]
    ends = [move.at_s for move in moves[1:]] + [end_s]
    return (
        sum(
            max(0.0, min(until_s, end_s) - max(move.at_s, start_s))
            for move, until_s in zip(moves, ends, strict=True)
            if move.target != name
        )
        if moves
        else 0.0
    )
