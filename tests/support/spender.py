"""A process that spends as the daemon does, and kills itself at a named point:
`python spender.py FOLDER POINT COUNT SEED`.

Each canary that is "sent" is a line in FOLDER/sent, forced to disk before the next step. POINT is
struck for the COUNTth time; "none" runs until the budget refuses or somebody kills it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from prober.probing.budget import Budget
from prober.probing.pacing import Purpose

POINTS = ("written", "forced", "renamed", "reserved", "sent", "settled")
LIMIT = 1.0
# Noon of a day of its own, so that nothing hangs on when the test runs.
NOW = 1_772_366_400.0


class Trap:
    """Kills this process when its point is struck for the COUNTth time."""

    def __init__(self, point: str, count: int) -> None:
        self._point = point
        self._left = count

    def strike(self, point: str) -> None:
        if point == self._point:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def around(self, real: Callable[..., Any], before: str, after: str) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            self.strike(before)
            result = real(*args)
            self.strike(after)
            return result

        return call


def main(folder: Path, point: str, count: int, seed: int) -> None:
    trap, chance = Trap(point, count), Random(seed)
    sent = os.open(folder / "sent", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    fsync = os.fsync
    os.fsync = trap.around(os.fsync, "written", "forced")
    Path.replace = trap.around(Path.replace, "", "renamed")  # type: ignore[method-assign]
    budget = Budget({"a": LIMIT}, folder / "budget.json")
    purposes = [Purpose.BASE, Purpose.SUSPICION, Purpose.PROOF]
    while purposes:
        purpose, worst = chance.choice(purposes), chance.choice([0.0005, 0.002, 0.02])
        held = budget.reserve("a", worst, NOW, purpose)
        if held is None:
            if worst == 0.0005:
                purposes.remove(purpose)
            continue
        trap.strike("reserved")
        cost = worst * chance.choice([0.0, 0.3, 1.0])
        os.write(sent, f"{purpose} {cost!r}\n".encode())
        fsync(sent)
        trap.strike("sent")
        budget.settle(held, cost)
        trap.strike("settled")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
