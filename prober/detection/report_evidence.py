"""Reports of applications as evidence beside the canaries. Pure; every call takes its time.

Requests are many, so they find a partial failure in seconds; but they come from programs that may
be wrong, so they never breach alone. The rule, with its figures in docs/detection.md:

- Counts of all processes make *blocks* of a second or more. A block weighs its log-likelihood
  ratio, p1 against the stream's own learned p0, at most `BLOCK_NATS` either way: a CUSUM.
- Blocks in which (nearly) all fails look like a blip: two in a row count, and with the third what
  was gathered falls to that much. Hard outages are left to the canaries' own streak.
- A process counts for `PROCESS_BLOCK` requests a block at most, and more than half of the seats
  must see the failures. Processes are shared out over `SEATS`, so that a fleet whose members have
  one request each can agree too, and a liar holds one seat.
- Canaries started since then must agree: a bad one after a good one, or before one with reports
  that go on failing (no blip makes either), and more likely than not by what the reports claim.
  If they keep being good, the reports are not believed for an hour, then two, up to a day.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prober.detection.detector import LEARN_CAP
from switch.flag import say_duration

if TYPE_CHECKING:
    from prober.config.objectives import Dials

BLOCK_S = 1.0
BLOCK_LEAST = 3
BLOCK_OLDEST_S = 10.0
BLOCK_NATS = 3.0
PROCESS_BLOCK = 20
# No process makes so many requests in the second of one report.
REPORT_MOST = 10_000
# Of 11 nats that canaries need: requests are not as independent as canaries are.
FACTOR = 21.0 / 11.0
SUSPECT_NATS = 5.0
SOLID = 0.9
SOLID_COUNTS = 2
SEATS = 7
MAX_PROCESSES = 20_000
PROCESS_IDLE_S = 60.0
SILENT_S = 30.0
AGREE_NATS = 1.0
REFUTED_NATS = -6.0
AGREE_WITHIN_S = 60.0
TURNED_S = 5.0
NOT_BELIEVED_S = 3_600.0
NOT_BELIEVED_MOST_S = 86_400.0
LEARN_S = 86_400.0
LEARN_STEP_S = 60.0


@dataclass(slots=True)
class _Counts:
    """Counts; `bad` of `total`."""

    bad: float = 0.0
    total: float = 0.0

    def add(self, bad: float, total: float) -> None:
        self.bad += bad
        self.total += total

    @property
    def share(self) -> float:
        return self.bad / self.total if self.total else 0.0


class ReportEvidence:
    """What applications report of one provider while it is a route's primary.

    Args:
        dials: of the availability objective.

    Attributes:
        learned: the reports' own usual share of failures.
        nats: the evidence, 0 to `threshold`.
        since_s: when the evidence began to grow; None while there is none.
    """

    def __init__(self, dials: Dials) -> None:
        self._p1 = dials.p1
        self._floor = dials.p0
        self._cap = max(dials.p0, min(LEARN_CAP, dials.p1 / 2))
        self.threshold = dials.evidence * FACTOR
        self.learned = dials.p0
        self._learned_s = -math.inf
        self._doubts = 0
        self._doubted_until_s = -math.inf
        self._seats: dict[str, tuple[int, float]] = {}
        self._crowd = [0] * SEATS
        self._swept_s = -math.inf
        self.heard_s = -math.inf
        self._forget()

    def _forget(self) -> None:
        self._block: dict[str, _Counts] = {}
        self._block_n = 0
        self._block_s = -math.inf
        self._settle()

    def _settle(self) -> None:
        """No evidence: what was counted towards it is let go."""
        self.nats = 0.0
        self.since_s: float | None = None
        self._until_s = 0.0
        self._solid = 0
        self._seen = [_Counts() for _ in range(SEATS)]
        self._told = _Counts()
        self._processes: set[str] = set()
        self._calm_canaries()

    def _calm_canaries(self) -> None:
        self._suspect_s: float | None = None
        self._canary_nats = 0.0
        self._asked = self._bad = 0
        self._apart()

    def _apart(self) -> None:
        """What canaries find from here on is compared with nothing before it."""
        # One was good since: the next bad one is fresh.
        self._good = False
        self._bad_s = -math.inf
        self._fresh_s = -math.inf
        # When the first good one after a bad one started.
        self._turned_s = math.inf

    # -- what happened -------------------------------------------------------------------------

    def add(self, process: str, ok: int, bad: int, at_s: float) -> None:
        """One report: calls that ended well and badly in the second before `at_s`.

        In the order of time, roughly; what is older than the open block is counted in it.
        """
        total = ok + bad
        if total == 0:
            return
        if total > REPORT_MOST:
            ok, bad = ok * REPORT_MOST // total, bad * REPORT_MOST // total
            total = ok + bad
        if at_s - self._block_s >= BLOCK_S:
            self.weigh(at_s, lag_s=0.0)
            if not self._block:
                self._block_s = at_s
        seen = self._block.get(process)
        if seen is None:
            if len(self._block) >= MAX_PROCESSES:
                return
            seen = self._block[process] = _Counts()
        seen.add(bad, total)
        self._block_n += total
        self.heard_s = at_s

    def weigh(self, now_s: float, *, lag_s: float = 1.0) -> None:
        """Closes the block that has had its time, and forgets what has gone silent.

        `lag_s`: how late a report may still come.
        """
        if self._block:
            age_s = now_s - self._block_s
            if age_s >= BLOCK_S + lag_s and self._block_n >= BLOCK_LEAST:
                self._close(self._block_s + BLOCK_S)
            elif age_s >= BLOCK_OLDEST_S:
                # So few requests say nothing.
                self._block, self._block_n = {}, 0
        if self.nats and not self._block and now_s - self._until_s > SILENT_S:
            self._settle()

    def canary(self, bad: bool, started_s: float) -> None:
        """A canary was judged; in the order of their starts. `started_s`: monotonic seconds."""
        if self._suspect_s is None or started_s < self._suspect_s:
            return
        self._asked += 1
        claimed = min(max(self.share, self._p1), 0.5)
        if bad:
            self._bad += 1
            self._canary_nats += math.log(claimed / self._floor)
            self._bad_s = started_s
            if self._good:
                self._fresh_s = started_s
        else:
            self._good = True
            if self._bad_s > -math.inf:
                self._turned_s = min(self._turned_s, started_s)
            self._canary_nats += math.log((1 - claimed) / (1 - self._floor))
        if self._canary_nats <= REFUTED_NATS:
            wait_s = min(NOT_BELIEVED_S * 2**self._doubts, NOT_BELIEVED_MOST_S)
            self._doubted_until_s = started_s + wait_s
            self._doubts = min(self._doubts + 1, 10)
            self._settle()

    def passed(self, seconds: float) -> None:
        """All went well for so long, with no evidence before: the same as `add` for each second."""
        self.learned *= math.exp(-seconds / LEARN_S)
        self._learned_s += seconds

    def reset(self) -> None:
        """A recovery or a time gap: the evidence is gone, what was learned stays."""
        self._forget()

    # -- blocks ----------------------------------------------------------------------------------

    def _close(self, end_s: float) -> None:
        block, self._block, self._block_n = self._block, {}, 0
        self._sweep(end_s)
        counts = _Counts()
        for seen in block.values():
            counts.add(seen.bad, seen.total)
            if seen.total > PROCESS_BLOCK:
                seen.bad *= PROCESS_BLOCK / seen.total
                seen.total = PROCESS_BLOCK
        now = _Counts(
            sum(seen.bad for seen in block.values()), sum(seen.total for seen in block.values())
        )
        if not self.suspicious:
            self._learn(now, end_s)
        if end_s < self._doubted_until_s or self.noisy:
            if self.nats:
                self._settle()
            return
        before = self.nats
        if before and end_s - self._until_s > SILENT_S:
            self._settle()
            before = 0.0
        self.nats = min(max(0.0, before + self._worth(now)), self.threshold)
        if self._solid > SOLID_COUNTS:
            self.nats = min(self.nats, SOLID_COUNTS * BLOCK_NATS)
            # A blip leaves a good canary before it and one behind it.
            self._apart()
        if self.nats == 0.0:
            if before or self._solid:
                self._settle()
            return
        if self.since_s is None:
            self.since_s = end_s - BLOCK_S
        self._until_s = end_s
        self._told.add(counts.bad, counts.total)
        if len(self._processes) < MAX_PROCESSES:
            self._processes.update(block)
        for process, seen in block.items():
            seat = self._seat(process, end_s)
            if seat is not None:
                self._seen[seat].add(seen.bad, seen.total)
        if self._suspect_s is None:
            if self.nats >= SUSPECT_NATS and self.majority:
                self._suspect_s = end_s
        elif self.nats < SUSPECT_NATS / 2:
            self._calm_canaries()

    def _worth(self, block: _Counts) -> float:
        """Nats of one block, bounded."""
        if block.share >= SOLID:
            self._solid += 1
            return BLOCK_NATS if self._solid <= SOLID_COUNTS else 0.0
        self._solid = 0
        p0, p1 = self.p0, self._p1
        good = block.total - block.bad
        nats = block.bad * math.log(p1 / p0) + good * math.log((1 - p1) / (1 - p0))
        return min(max(nats, -BLOCK_NATS), BLOCK_NATS)

    def _learn(self, block: _Counts, end_s: float) -> None:
        """A day's moving share, by time: a burst of requests is no longer than its seconds."""
        step_s = min(max(0.0, end_s - self._learned_s), LEARN_STEP_S)
        self._learned_s = end_s
        self.learned += (block.share - self.learned) * -math.expm1(-step_s / LEARN_S)

    def _seat(self, process: str, now_s: float) -> int | None:
        known = self._seats.get(process)
        if known is None:
            if len(self._seats) >= MAX_PROCESSES:
                return None
            seat = self._crowd.index(min(self._crowd))
            self._crowd[seat] += 1
        else:
            seat = known[0]
        self._seats[process] = seat, now_s
        return seat

    def _sweep(self, now_s: float) -> None:
        """A process that has gone leaves its seat."""
        if now_s - self._swept_s < PROCESS_IDLE_S / 4:
            return
        self._swept_s = now_s
        gone = [p for p, (_, at_s) in self._seats.items() if now_s - at_s > PROCESS_IDLE_S]
        for process in gone:
            self._crowd[self._seats.pop(process)[0]] -= 1

    # -- what is known ---------------------------------------------------------------------------

    @property
    def p0(self) -> float:
        return min(max(self.learned, self._floor), self._cap)

    @property
    def noisy(self) -> bool:
        """Applications always report so many failures that more would say nothing."""
        return self.learned > self._p1 / 2

    @property
    def resting(self) -> bool:
        """Nothing counts against the provider."""
        return self.nats == 0.0 and not any(seen.bad for seen in self._block.values())

    @property
    def suspicious(self) -> bool:
        return self._suspect_s is not None

    @property
    def share(self) -> float:
        """Of the requests since the evidence began, each process's capped: how many failed."""
        total = sum(seen.total for seen in self._seen)
        return sum(seen.bad for seen in self._seen) / total if total else 0.0

    @property
    def majority(self) -> bool:
        """More than half of the seats that had requests see a share worth a flip."""
        taken = [seen for seen in self._seen if seen.total]
        return 2 * sum(seen.share >= self._p1 / 2 for seen in taken) > len(taken)

    def agreed(self, now_s: float) -> bool:
        """Canaries saw it too, lately."""
        fresh_s = self._fresh_s
        if now_s - self._turned_s >= TURNED_S:
            # Reports went on failing after the canary was good: no blip had ended there.
            fresh_s = self._bad_s
        return now_s - fresh_s <= AGREE_WITHIN_S and self._canary_nats >= AGREE_NATS

    def breached(self, now_s: float) -> bool:
        return (
            self.nats >= self.threshold
            and self.share >= self._p1 / 2
            and self.majority
            and self.agreed(now_s)
        )

    @property
    def level(self) -> float:
        """How near a breach is; below 1, for the canaries have the last word."""
        return min(0.99, self.nats / self.threshold) if self.suspicious else 0.0

    def believed(self) -> None:
        """It came to a breach: earlier doubts are forgotten."""
        self._doubts = 0

    def clause(self, *, agreed: bool = False) -> str:
        """ "312 of 1,004 requests of 5 processes failed in 12 s, canaries agree (1 of 3)"."""
        if self.since_s is None:
            return ""
        count = len(self._processes)
        who = f"{count:,} process{'es' if count != 1 else ''}"
        span = say_duration(self._until_s - self.since_s)
        text = (
            f"{self._told.bad:,.0f} of {self._told.total:,.0f} requests of {who} failed in {span}"
        )
        if not self._asked:
            return f"{text}, no canary has said yet"
        word = "agree" if agreed or self.agreed(self._until_s) else "do not agree yet"
        return f"{text}, canaries {word} ({self._bad} of {self._asked})"

    def explain(self, now_s: float) -> str:
        """What reports say, for `prober why`; empty when there are none."""
        if now_s - self.heard_s > PROCESS_IDLE_S:
            return ""
        usual = f"usually {self.learned:.1%} fail"
        if now_s < self._doubted_until_s:
            left = say_duration(self._doubted_until_s - now_s)
            return f"canaries contradicted them; not believed for {left}"
        if self.noisy:
            return f"{usual}, too many to say anything"
        if not self.suspicious:
            return usual
        return f"{self.clause()}, evidence {self.nats:.1f} of {self.threshold:.0f} nats"
