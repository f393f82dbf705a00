"""The canary budget: no loop of ours can spend past it, over restarts and kill -9 included.

Money is taken from the day in blocks. A block is on disk before its first canary is sent, and
counts as spent whole if the process dies, so the file never says less than was spent.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from prober.pace import Purpose

BLOCKS_A_DAY = 200
# The rest of the day is kept for suspicion and proof.
BASE_SHARE = 0.7
LOW_SHARE = 0.9


@dataclass
class _Day:
    day: str
    reserved: float = 0.0
    spent: float = 0.0


class Budget:
    """Per provider and UTC day, in USD.

    Args:
        limits: provider -> USD a day for this vantage.
        path: where the reserved blocks are kept; None: in memory only.
    """

    def __init__(self, limits: dict[str, float], path: Path | None = None) -> None:
        self._limits = limits
        self._path = path
        self._days: dict[str, _Day] = {}
        self._load()

    def reserve(self, provider: str, usd: float, now: float, purpose: Purpose) -> bool:
        """Takes the worst cost of one canary; False when the day does not allow it.

        `now` is wall-clock seconds. Writes the file when a new block is begun; when the disk
        refuses, the canary is sent all the same and the block is counted in memory.
        """
        if usd <= 0:
            return True
        day, limit = self._day(provider, now), self._limits[provider]
        allowed = limit * BASE_SHARE if purpose is Purpose.BASE else limit
        if day.spent + usd > allowed + 1e-12:
            return False
        if day.spent + usd > day.reserved:
            day.reserved = min(limit, max(day.spent + usd, day.reserved + limit / BLOCKS_A_DAY))
            self._save()
        day.spent += usd
        return True

    def configure(self, limits: dict[str, float]) -> None:
        """Takes new limits; what was spent stays spent."""
        self._limits = limits

    def begins_block(self, provider: str, usd: float, now: float) -> bool:
        """Whether `reserve` would write the file, and so may block."""
        day = self._day(provider, now)
        return usd > 0 and day.spent + usd > day.reserved

    def settle(self, provider: str, reserved: float, cost: float, now: float) -> None:
        """What the canary really cost takes the place of what was reserved for it."""
        day = self._day(provider, now)
        day.spent = max(0.0, day.spent + cost - reserved)

    def spent(self, provider: str, now: float) -> float:
        return self._day(provider, now).spent

    def low(self, provider: str, now: float) -> bool:
        """Nine tenths of what base canaries may use are gone."""
        return self.spent(provider, now) >= LOW_SHARE * BASE_SHARE * self._limits[provider]

    def exhausted(self, provider: str, usd: float, now: float) -> bool:
        """Not even a proof can be paid for."""
        return usd > 0 and self.spent(provider, now) + usd > self._limits[provider] + 1e-12

    def _day(self, provider: str, now: float) -> _Day:
        date = datetime.fromtimestamp(now, UTC).date()
        today, tomorrow = date.isoformat(), (date + timedelta(days=1)).isoformat()
        day = self._days.get(provider)
        # A clock set back a little must not give the day a second budget; a day further ahead
        # was written by a clock gone wrong.
        if day is None or today > day.day or day.day > tomorrow:
            day = self._days[provider] = _Day(today)
        return day

    def _load(self) -> None:
        if self._path is None:
            return
        try:
            said = json.loads(self._path.read_text("utf-8"))
            for provider, row in said.items():
                reserved = float(row["reserved"])
                if not reserved >= 0:
                    raise ValueError(f"{reserved} is no sum")
                self._days[provider] = _Day(str(row["day"]), reserved, reserved)
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            # Unreadable: nobody knows what was spent, so today's base share counts as gone.
            today = datetime.now(UTC).date().isoformat()
            for provider, limit in self._limits.items():
                self._days[provider] = _Day(today, limit * BASE_SHARE, limit * BASE_SHARE)

    def _save(self) -> None:
        if self._path is None:
            return
        rows = {name: {"day": d.day, "reserved": d.reserved} for name, d in self._days.items()}
        fresh = self._path.with_suffix(".new")
        try:
            with fresh.open("w", encoding="utf-8") as file:
                json.dump(rows, file)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)
        except OSError:
            return
