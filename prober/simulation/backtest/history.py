"""One pass over recorded history: blocks, and raises SQLAlchemyError."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import Engine

from prober.history.store import queries
from prober.history.store.queries import NoHistoryError
from prober.simulation.backtest.compare import Column, column
from prober.simulation.backtest.replay import Replay
from prober.simulation.backtest.truth import RecordedIncident, Truth

if TYPE_CHECKING:
    from prober.config.schema import Config, Route
    from prober.history.store.queries import Taken
    from switch.flag import Flip

OnRead = Callable[[float], None]
"""(seconds since the epoch up to which history has been read)."""


class BatchReader(Protocol):
    """What history is read to."""

    def feed(self, batch: Sequence[Taken]) -> None: ...


@dataclass(frozen=True, slots=True)
class BacktestResult:
    """What `prober backtest` says.

    Attributes:
        primary: where the flag began, by the record or else by order.
        samples: provider -> how many canaries were replayed.
        recorded: what moved the flag in truth.
        silent_s: how long nobody looked at all.
    """

    route: str
    since: float
    until: float
    primary: str
    samples: dict[str, int]
    incidents: tuple[RecordedIncident, ...]
    recorded: tuple[Flip, ...]
    silent_s: float
    columns: tuple[Column, ...]

    def plain(self, names: Sequence[str]) -> dict[str, Any]:
        columns = dict(zip(names, self.columns, strict=True))
        return {
            "route": self.route,
            "since": self.since,
            "until": self.until,
            "primary": self.primary,
            "samples": self.samples,
            "silent_s": self.silent_s,
            "recorded_flips": [
                {
                    "at": flip.at_ms / 1000,
                    "from": flip.from_provider,
                    "to": flip.to_provider,
                    "op": flip.op.value,
                }
                for flip in self.recorded
            ],
            "incidents": [
                {
                    "provider": past.provider,
                    "start": past.start,
                    "end": past.end,
                    "source": past.source,
                    **{name: column.seen[at].plain() for name, column in columns.items()},
                }
                for at, past in enumerate(self.incidents)
            ],
            "columns": {name: column.plain() for name, column in columns.items()},
        }


class Counter:
    """How many canaries of whom, and from when to when."""

    def __init__(self) -> None:
        self.samples: dict[str, int] = {}
        self.first: float | None = None
        self.last = 0.0

    def feed(self, batch: Sequence[Taken]) -> None:
        if self.first is None:
            self.first = batch[0].started_at
        self.last = batch[-1].started_at
        for taken in batch:
            self.samples[taken.provider] = self.samples.get(taken.provider, 0) + 1


def read(
    engine: Engine,
    config: Config,
    readers: Sequence[BatchReader],
    since: float,
    until: float,
    progress: OnRead | None = None,
) -> Counter:
    """Gives every reader each batch once. Raises NoHistoryError when there is none."""
    counter = Counter()
    vantage = config.daemon.vantage
    for batch in queries.sample_batches(engine, vantage=vantage, since=since, until=until):
        for reader in (counter, *readers):
            reader.feed(batch)
        if progress is not None:
            progress(counter.last)
    if counter.first is None:
        raise NoHistoryError(_why_none(engine, vantage, since))
    return counter


def _why_none(engine: Engine, vantage: str, since: float) -> str:
    others = queries.vantages(engine, since)
    others.pop(vantage, None)
    if others:
        known = ", ".join(f"{name} ({count})" for name, count in sorted(others.items()))
        return (
            f"vantage {vantage!r} took no canaries then, others did: {known}; "
            "set PROBER_VANTAGE to replay theirs"
        )
    return "no canaries were recorded then; history begins with: prober run"


def primary_at(engine: Engine, route: Route, since: float) -> str:
    """Whom the flag named, as far as the record knows; else the first candidate."""
    flip = queries.flag_at(engine, route.name, since)
    if flip is not None and flip.to_provider in route.candidates:
        return flip.to_provider
    later = queries.flips_between(engine, route.name, since, float("inf"))
    if later and later[0].from_provider in route.candidates:
        return later[0].from_provider
    return route.candidates[0]


def backtest(
    engine: Engine,
    configs: Sequence[Config],
    route: str,
    since: float,
    until: float,
    progress: OnRead | None = None,
) -> BacktestResult:
    """Replays history through each configuration; the first one is that in force.

    Raises NoHistoryError.
    """
    routes = [
        configured for config in configs if (configured := config.find_route(route)) is not None
    ]
    primary = primary_at(engine, routes[0], since)
    truth = Truth(configs[0], routes[0])
    replays = [Replay(c, r, primary, since) for c, r in zip(configs, routes, strict=True)]
    counter = read(engine, configs[0], [truth, *replays], since, until, progress)
    for replay in replays:
        replay.finish()
    rows = queries.incidents_between(engine, route, since, until)
    past = truth.incidents(rows, until)
    assert counter.first is not None
    return BacktestResult(
        route=route,
        since=max(since, counter.first),
        until=counter.last,
        primary=primary,
        samples=counter.samples,
        incidents=past,
        recorded=tuple(queries.flips_between(engine, route, since, until)),
        silent_s=sum(end - start for start, end in replays[0].gaps if start > since),
        columns=tuple(column(replay, past, primary, since, until) for replay in replays),
    )
