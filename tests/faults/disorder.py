"""Random schedules of faults, made from a seed. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.faults.victim import POINTS, RECOVERY

LONGEST_S = 0.6
# From an outage to its flip: the faults are to meet it.
FLIP_WITHIN_S = 1.5
FAULTS = {
    "kill": 4,
    "freeze": 3,
    "redis freezes": 3,
    "redis crashes": 2,
    "redis emptied": 1,
    "redis restored": 2,
    "redis backed up": 2,
    "operator moves": 2,
    "subscriptions cut": 1,
    "forged message": 1,
    "sql cut": 1,
}


@dataclass(frozen=True)
class Fault:
    """`action` done to daemon number `who`, after a pause.

    `lasts_s`: how long it stays dead, frozen or cut. `point`: where the daemon that is started
    again kills itself; empty for nowhere.
    """

    action: str
    pause_s: float
    lasts_s: float
    who: int
    point: str = ""


@dataclass(frozen=True)
class Schedule:
    """In each round the primary fails, and faults come while it is left."""

    seed: int
    daemons: int
    rounds: tuple[tuple[Fault, ...], ...]

    def __str__(self) -> str:
        lines = [f"seed {self.seed}, {self.daemons} daemons"]
        for number, faults in enumerate(self.rounds, 1):
            lines += [f"round {number}", *(f"  {fault}" for fault in faults)]
        return "\n".join(lines)


def schedule(seed: int, rounds: int) -> Schedule:
    chance = random.Random(seed)
    daemons = chance.choice([1, 1, 3])

    def fault(longest_s: float) -> Fault:
        (action,) = chance.choices(list(FAULTS), list(FAULTS.values()))
        return Fault(
            action,
            pause_s=chance.uniform(0, longest_s),
            lasts_s=chance.uniform(0, LONGEST_S),
            who=chance.randrange(daemons),
            point=chance.choice(["", *POINTS, *RECOVERY]),
        )

    return Schedule(
        seed,
        daemons,
        tuple((fault(FLIP_WITHIN_S), fault(LONGEST_S), fault(LONGEST_S)) for _ in range(rounds)),
    )
