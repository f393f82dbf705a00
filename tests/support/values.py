"""Values the tests are built from: samples, records, a clock that stands still, settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from hypothesis import HealthCheck, settings

from prober.clock import Clock
from prober.history.journal import Journal, Record, decode
from prober.history.store.writer import Row, Store
from prober.sample import Cause, Outcome, Phases, Sample, Tokens
from switch.control.writer import Observed
from switch.flag import Flag, Flip, Op, Pin, decode_origin

# The same examples in every run.
STEADY = settings(
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=80,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

WALL = 1_700_000_000.0


@dataclass
class StillClock(Clock):
    """Moves only when told."""

    at_s: float = 100.0

    def mono(self) -> float:
        return self.at_s

    def now(self) -> float:
        return WALL + self.at_s


def sample(
    outcome: Outcome = Outcome.OK,
    at_s: float = 0.0,
    *,
    took_s: float = 1.0,
    first_text_s: float | None = 0.5,
    byte: bool = True,
    base_rate: bool = True,
    detail: str = "",
    id: str = "",
    output: int | None = None,
    retried: int = 0,
    cause: Cause = Cause.NONE,
) -> Sample:
    """A canary that started at `at_s`. `byte`: the provider sent at least one."""
    ok = outcome is Outcome.OK
    return Sample(
        id=id or f"{outcome}-{at_s}",
        provider="a",
        vantage="local",
        model="m",
        started_at=WALL + at_s,
        started_s=at_s,
        outcome=outcome,
        phases=Phases(
            first_byte_s=0.1 if byte else None,
            first_text_s=first_text_s if ok else None,
            total_s=took_s,
        ),
        tokens=Tokens(output=output),
        base_rate=base_rate,
        cause=cause,
        detail=detail,
        retried=retried,
    )


def flip(epoch: int = 1, to: str = "a", parent: str = "", **changes: Any) -> Flip:
    values: dict[str, Any] = {
        "route": "chat",
        "op": Op.AUTO,
        "epoch": epoch,
        "decision_id": f"d{epoch}",
        "parent": parent or (f"d{epoch - 1}" if epoch > 1 else ""),
        "from_provider": "",
        "to_provider": to,
        "reason": "because",
        "actor": "prober@local",
        "at_ms": 1000 * epoch,
    }
    values |= changes
    values.setdefault("origin", decode_origin(None, values["actor"], values["op"]))
    return Flip(**values)


def flag(epoch: int = 1, provider: str = "a", **changes: Any) -> Flag:
    values: dict[str, Any] = {"decision_id": f"d{epoch}", "parent": f"d{epoch - 1}"}
    return Flag(route="chat", provider=provider, epoch=epoch, **{**values, **changes})


def observed(shown: Flag | None = None, **changes: Any) -> Observed:
    values: dict[str, Any] = {
        "time_ms": 10_000,
        "replication_id": "r1",
        "writable": True,
        "replicas": 0,
        "flag": shown,
        "pin": None,
        "primary": shown.provider if shown else None,
        "lease": None,
        "flips": (),
    }
    return Observed(**{**values, **changes})


def pin(until_ms: int = 20_000, provider: str = "a") -> Pin:
    return Pin(provider, "ann", "maintenance", until_ms, 1)


def written(journal: Journal) -> list[Record]:
    """What stands on the disk now."""
    return decode(journal.path.read_bytes())[0]


class Rows(list[Row]):
    """Takes rows as a Store does, and only remembers them."""

    def put(self, *rows: Row) -> None:
        self.extend(rows)

    @property
    def store(self) -> Store:
        return cast(Store, self)
