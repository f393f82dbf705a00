"""The canary budget: no loop of ours can spend past it, over restarts and kill -9 included.

Each day has two purses, so that looking cannot eat what acting needs: base canaries never use
more than 70 %, and the last 5 % are for proofs alone. Money is taken in blocks. A block is on
disk before its first canary is sent, and counts as spent whole if the process dies, so the file
never says less than was spent.
"""

from __future__ import annotations

import json
import logging
import math
import threading
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from prober.config.costs import BASE_SHARE
from prober.config.paths import write_whole
from prober.probing.pacing import Pace, Purpose

log = logging.getLogger(__name__)

BLOCKS_A_DAY = 200
PROOF_SHARE = 0.05
# Canaries slow down when no more than a tenth of what base canaries may use is left.
LOW_SHARE = 0.1 * BASE_SHARE
DAY_S = 86_400.0
# Sums of floats are never exact.
TINY = 1e-12


@dataclass
class _Purse:
    """USD of one day. `on_disk` is what a restart would count; never less than is spent."""

    spent: float = 0.0
    on_disk: float = 0.0


@dataclass
class _Day:
    """`day` is empty until somebody knows which one it is."""

    day: str
    base: _Purse = field(default_factory=_Purse)
    urgent: _Purse = field(default_factory=_Purse)

    @property
    def spent(self) -> float:
        return self.base.spent + self.urgent.spent

    def left(self, limit: float, purpose: Purpose) -> float:
        """What a purpose may still use. Suspicion pays from what is kept for it first."""
        left = limit - self.spent
        if purpose is Purpose.PROOF:
            return left
        kept = PROOF_SHARE * limit
        if purpose is Purpose.BASE:
            kept = max(kept, (1 - BASE_SHARE) * limit - self.urgent.spent)
        return left - kept


@dataclass(frozen=True, slots=True)
class Reservation:
    """The worst cost of one canary, counted as spent until it is settled."""

    usd: float
    purse: _Purse = field(repr=False)


class Budget:
    """Per provider and UTC day, in USD. Safe to use from several threads.

    Args:
        limits: provider -> USD a day for this vantage.
        path: where the reserved blocks are kept; None: in memory only.
    """

    def __init__(self, limits: dict[str, float], path: Path | None = None) -> None:
        self._limits = limits
        self._path = path
        self._days: dict[str, _Day] = {}
        # Held for moments, and never while the disk is waited for.
        self._memory = threading.Lock()
        self._disk = threading.Lock()
        self._refused = False
        self._load()

    def reserve(
        self, provider: str, usd: float, now: float, purpose: Purpose
    ) -> Reservation | None:
        """Takes the worst cost of one canary; None when the day does not allow it.

        `now` is wall-clock seconds. Writes the file when a new block is begun; when the disk
        refuses, the canary is sent all the same and the block is counted in memory.
        """
        with self._memory:
            day, limit = self._day(provider, now), self._limits[provider]
            purse = day.base if purpose is Purpose.BASE else day.urgent
            if usd > 0 and usd > day.left(limit, purpose) + TINY:
                return None
            purse.spent += max(0.0, usd)
            begins = purse.spent > purse.on_disk
        if begins:
            self._save()
        return Reservation(max(0.0, usd), purse)

    def begins_block(self, provider: str, usd: float, now: float, purpose: Purpose) -> bool:
        """Whether `reserve` would write the file, and so may block."""
        with self._memory:
            day = self._day(provider, now)
            purse = day.base if purpose is Purpose.BASE else day.urgent
            return self._path is not None and usd > 0 and purse.spent + usd > purse.on_disk

    def settle(self, held: Reservation, cost: float) -> None:
        """What the canary really cost takes the place of what was reserved for it.

        Counts for the day it was reserved on. Writes the file when it cost more.
        """
        with self._memory:
            held.purse.spent = max(0.0, held.purse.spent + cost - held.usd)
        if cost > held.usd:
            self._save()

    def configure(self, limits: dict[str, float]) -> None:
        """Takes new limits; what was spent stays spent."""
        with self._memory:
            self._limits = limits

    def spent(self, provider: str, now: float) -> float:
        with self._memory:
            return self._day(provider, now).spent

    def exhausted(self, provider: str, usd: float, now: float) -> bool:
        """Not even a proof can be paid for."""
        with self._memory:
            day, limit = self._day(provider, now), self._limits[provider]
            return usd > 0 and usd > day.left(limit, Purpose.PROOF) + TINY

    def afforded(
        self, provider: str, usd: float, now: float, wanted: Pace, interval_s: float
    ) -> Pace:
        """`wanted`, slowed near the end of the budget so that it lasts until midnight UTC.

        Never slower than what base canaries, `interval_s` apart, can pay; proofs never wait.
        """
        base_s = _slowed(interval_s, self._lasting_s(provider, usd, now, Purpose.BASE))
        if wanted.purpose is Purpose.BASE:
            return Pace(base_s, Purpose.BASE)
        lasting_s = self._lasting_s(provider, usd, now, wanted.purpose)
        if lasting_s <= wanted.interval_s:
            return wanted
        slow_s = _slowed(wanted.interval_s, lasting_s)
        return Pace(slow_s, wanted.purpose) if slow_s < base_s else Pace(base_s, Purpose.BASE)

    def _lasting_s(self, provider: str, usd: float, now: float, purpose: Purpose) -> float:
        """The interval at which a purpose's money lasts; 0 while there is plenty."""
        if usd <= 0 or purpose is Purpose.PROOF:
            return 0.0
        with self._memory:
            day, limit = self._day(provider, now), self._limits[provider]
            left = day.left(limit, purpose)
        if left > LOW_SHARE * limit:
            return 0.0
        midnight = datetime.combine(date.fromisoformat(day.day), datetime.min.time(), UTC)
        until_s = max(0.0, midnight.timestamp() + DAY_S - now)
        return until_s * min(1.0, usd / left) if left > 0 else until_s

    def _day(self, provider: str, now: float) -> _Day:
        today = datetime.fromtimestamp(now, UTC).date()
        tomorrow = (today + timedelta(days=1)).isoformat()
        day = self._days.setdefault(provider, _Day(""))
        day.day = day.day or today.isoformat()
        # A clock set back a little must not give the day a second budget; a day further ahead
        # was written by a clock gone wrong.
        if today.isoformat() > day.day or day.day > tomorrow:
            day = self._days[provider] = _Day(today.isoformat())
        return day

    # -- on disk -------------------------------------------------------------------------------

    def close(self) -> None:
        """At the end nothing is under way: what was begun and not used goes back. Blocks."""
        with self._memory:
            for day in self._days.values():
                for purse in (day.base, day.urgent):
                    purse.on_disk = purse.spent
            rows = self._rows()
        if self._path is not None:
            with self._disk:
                self._write(self._path, rows)

    def _save(self) -> None:
        """Begins blocks where money was taken beyond the last one, and puts them on disk."""
        if self._path is None:
            return
        with self._disk:
            with self._memory:
                begun = [
                    (purse, self._block(provider, day, purse))
                    for provider, day in self._days.items()
                    for purse in (day.base, day.urgent)
                    if purse.spent > purse.on_disk
                ]
                rows = self._rows(begun)
            if begun and self._write(self._path, rows):
                with self._memory:
                    for purse, usd in begun:
                        purse.on_disk = usd

    def _block(self, provider: str, day: _Day, purse: _Purse) -> float:
        """What the disk shall say: a block further, but not past what may be used at all."""
        limit = self._limits.get(provider, 0.0)
        purpose = Purpose.BASE if purse is day.base else Purpose.PROOF
        left = max(0.0, day.left(limit, purpose))
        return max(purse.spent, min(purse.on_disk + limit / BLOCKS_A_DAY, purse.spent + left))

    def _rows(
        self, begun: list[tuple[_Purse, float]] | None = None
    ) -> dict[str, dict[str, object]]:
        new = {id(purse): usd for purse, usd in begun or []}
        return {
            provider: {
                "day": day.day,
                "base": new.get(id(day.base), day.base.on_disk),
                "urgent": new.get(id(day.urgent), day.urgent.on_disk),
            }
            for provider, day in self._days.items()
        }

    def _write(self, path: Path, rows: dict[str, dict[str, object]]) -> bool:
        try:
            write_whole(path, json.dumps(rows))
        except OSError as error:
            if not self._refused:
                log.error("%s: cannot be written (%s); a restart would not know what was spent",
                          path, error.strerror or error)  # fmt: skip
            self._refused = True
            return False
        self._refused = False
        return True

    def _load(self) -> None:
        if self._path is None:
            return
        try:
            rows = json.loads(self._path.read_text("utf-8"))
            if not isinstance(rows, dict):
                raise ValueError("no table")
        except FileNotFoundError:
            return
        except (OSError, ValueError):
            log.error("%s: cannot be read; seven tenths of today count as spent", self._path)
            rows = dict.fromkeys(self._limits)
        for provider, row in rows.items():
            self._days[provider] = _read(row) or self._unknown(provider)

    def _unknown(self, provider: str) -> _Day:
        """Nobody knows what was spent: most of the day, and yet nobody goes blind."""
        usd = BASE_SHARE * self._limits.get(provider, 0.0)
        return _Day("", urgent=_Purse(usd, usd))


def _read(row: object) -> _Day | None:
    """One provider's day as the file has it; None for what is none."""
    if not isinstance(row, dict) or not isinstance(row.get("day"), str):
        return None
    try:
        day = date.fromisoformat(row["day"]).isoformat()
        base, urgent = float(row["base"]), float(row["urgent"])
    except (KeyError, TypeError, ValueError):
        return None
    if not (0 <= base < math.inf and 0 <= urgent < math.inf):
        return None
    return _Day(day, _Purse(base, base), _Purse(urgent, urgent))


def _slowed(interval_s: float, lasting_s: float) -> float:
    """Whole intervals, so that the pace does not change with every second."""
    return interval_s * max(1, math.ceil(lasting_s / interval_s - 1e-9))
