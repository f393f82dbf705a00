"""What is asked of history. Every function takes an engine, blocks, and raises SQLAlchemyError.

They see the rows of the engine's installation alone: see `schema.of_installation`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import (
    Column,
    ColumnElement,
    Engine,
    Select,
    Table,
    and_,
    case,
    desc,
    func,
    or_,
    select,
)

from prober.history.store import tables
from switch.flag import Flip, Op, Origin, Pin, decode_origin


class NoHistoryError(Exception):
    """There is nothing to replay; the message is one line that says why and what to do."""


def _rows(engine: Engine, statement: Any) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(statement).mappings()]


def _mine(engine: Engine, table: Table) -> ColumnElement[bool]:
    """Whether a row belongs to the engine's installation."""
    column: Column[str] = table.c.installation_id
    return column == _whose(engine)


def _whose(engine: Engine) -> str:
    return str(engine.get_execution_options().get("installation", ""))


def _of(engine: Engine, table: Table) -> Select[Any]:
    """Our rows of a table, without whose they are."""
    return select(*_columns(table)).where(_mine(engine, table))


def _columns(table: Table) -> list[Column[Any]]:
    return [column for column in table.c if column.name != "installation_id"]


def installations(engine: Engine) -> list[str]:
    """Whose history is in this database, the oldest first."""
    table = tables.installation
    with engine.connect() as connection:
        return list(connection.scalars(select(table.c.id).order_by(table.c.created_at)))


def sure_since(engine: Engine) -> float:
    """From when on our rows are ours for sure: older ones were labelled by a migration."""
    table = tables.installation
    query = select(table.c.sure_since).where(table.c.id == _whose(engine))
    with engine.connect() as connection:
        return connection.scalar(query) or 0.0


def samples(
    engine: Engine, *, provider: str | None = None, since: float = 0.0, limit: int = 50
) -> list[dict[str, Any]]:
    """The newest samples, newest first."""
    table = tables.sample
    query = _of(engine, table).where(table.c.started_at >= since)
    if provider:
        query = query.where(table.c.provider == provider)
    return _rows(engine, query.order_by(desc(table.c.started_at)).limit(limit))


@dataclass(frozen=True, slots=True)
class Spending:
    """What a provider's canaries cost.

    Attributes:
        first_at: when the oldest of them was sent, seconds since the epoch.
        usd: one sum for each moment that was asked for: from then on.
    """

    provider: str
    first_at: float
    usd: tuple[float, ...]


def spending(engine: Engine, since: Sequence[float]) -> list[Spending]:
    """Of every provider with a sample since the earliest of `since`, all vantages together."""
    table = tables.sample
    sums = [
        func.sum(case((table.c.started_at >= moment, table.c.cost_usd), else_=0.0))
        for moment in since
    ]
    query = (
        select(table.c.provider, func.min(table.c.started_at), *sums)
        .where(_mine(engine, table), table.c.started_at >= min(since))
        .group_by(table.c.provider)
        .order_by(table.c.provider)
    )
    with engine.connect() as connection:
        rows = connection.execute(query).all()
    return [Spending(row[0], row[1], tuple(float(usd) for usd in row[2:])) for row in rows]


class Taken(NamedTuple):
    """One recorded canary, as far as judging goes; `started_at` in seconds since the epoch."""

    id: str
    provider: str
    started_at: float
    outcome: str
    first_byte_s: float | None
    first_text_s: float | None
    total_s: float
    output_tokens: int | None
    reasoning_tokens: int | None
    base_rate: bool
    detail: str
    retried: int | None = None


def sample_batches(
    engine: Engine,
    *,
    vantage: str,
    since: float,
    until: float,
    size: int = 10_000,
) -> Iterator[list[Taken]]:
    """What one vantage took from `since` to before `until`, oldest first, `size` at a time."""
    table = tables.sample
    wanted = (
        select(*(table.c[name] for name in Taken._fields))
        # No provider is asked for: the index by time then gives the order, without sorting.
        .where(_mine(engine, table), table.c.vantage == vantage, table.c.started_at < until)
        .order_by(table.c.started_at, table.c.id)
        .limit(size)
    )
    after = table.c.started_at >= since
    while True:
        # A statement for each batch: a long one would hold the writer's log, or time out.
        with engine.connect() as connection:
            batch = list(map(Taken._make, connection.execute(wanted.where(after)).fetchall()))
        if batch:
            yield batch
        if len(batch) < size:
            return
        at, id = batch[-1].started_at, batch[-1].id
        after = and_(table.c.started_at >= at, or_(table.c.started_at > at, table.c.id > id))


def vantages(engine: Engine, since: float) -> dict[str, int]:
    """Who took samples since then: vantage -> how many."""
    table = tables.sample
    count = select(table.c.vantage, func.count())
    query = count.where(_mine(engine, table), table.c.started_at >= since)
    with engine.connect() as connection:
        return {row[0]: row[1] for row in connection.execute(query.group_by(table.c.vantage))}


def incidents_between(
    engine: Engine, route: str, since: float, until: float
) -> list[dict[str, Any]]:
    """Incidents of a route that touch the period, oldest first."""
    table = tables.incident
    lasting = or_(table.c.closed_at.is_(None), table.c.closed_at > since)
    query = _of(engine, table).where(table.c.route == route, table.c.opened_at < until, lasting)
    return _rows(engine, query.order_by(table.c.opened_at, table.c.id))


def flips_between(engine: Engine, route: str, since: float, until: float) -> list[Flip]:
    """What moved a route's flag in the period, oldest first."""
    table = tables.flip
    query = _of(engine, table).where(
        table.c.route == route,
        table.c.from_provider != table.c.to_provider,
        table.c.at >= since,
        table.c.at < until,
    )
    return [_flip(row) for row in _rows(engine, query.order_by(table.c.epoch))]


def flag_at(engine: Engine, route: str, at: float) -> Flip | None:
    """What had moved a route's flag last by then."""
    table = tables.flip
    query = _of(engine, table).where(table.c.route == route, table.c.at <= at)
    newest = _rows(engine, query.order_by(desc(table.c.epoch)).limit(1))
    return _flip(newest[0]) if newest else None


def flips(
    engine: Engine, *, route: str | None = None, since: float = 0.0, limit: int = 50
) -> list[dict[str, Any]]:
    """What moved a flag's epoch, newest first."""
    return _of_route(engine, tables.flip, "at", route, since, limit)


def incidents(
    engine: Engine, *, route: str | None = None, since: float = 0.0, limit: int = 50
) -> list[dict[str, Any]]:
    return _of_route(engine, tables.incident, "opened_at", route, since, limit)


def incident(engine: Engine, number: int) -> dict[str, Any] | None:
    """The newest incident of a number: daemons that share a database may give one twice."""
    table = tables.incident
    query = _of(engine, table).where(table.c.number == number).order_by(desc(table.c.opened_at))
    return next(iter(_rows(engine, query.limit(1))), None)


def incident_events(engine: Engine, ids: Iterable[str]) -> list[dict[str, Any]]:
    """The lines of some incidents, oldest first; those of one moment in no order."""
    table = tables.incident_event
    query = _of(engine, table).where(table.c.incident_id.in_(list(ids)))
    return _rows(engine, query.order_by(table.c.at))


def outcomes(engine: Engine, provider: str, since: float, until: float) -> dict[str, int]:
    """How many canaries of a provider ended how, most first; both ends of the time belong to it."""
    table = tables.sample
    count = func.count().label("count")
    query = (
        select(table.c.outcome, count)
        .where(
            _mine(engine, table),
            table.c.provider == provider,
            table.c.started_at.between(since, until),
        )
        .group_by(table.c.outcome)
        .order_by(desc(count), table.c.outcome)
    )
    return {row["outcome"]: row["count"] for row in _rows(engine, query)}


def served(engine: Engine, route: str, since: float, until: float) -> list[dict[str, Any]]:
    """What the flag named in a time: the flip that stood at its begin, then those within it."""
    table = tables.flip
    of_route = _of(engine, table).where(table.c.route == route)
    before = of_route.where(table.c.at <= since).order_by(desc(table.c.epoch)).limit(1)
    within = of_route.where(table.c.at > since, table.c.at <= until).order_by(table.c.epoch)
    return [*_rows(engine, before), *_rows(engine, within)]


def last_drill(engine: Engine, route: str) -> list[Flip]:
    """The flips of a route's last drill: out, and what ended it."""
    table = tables.flip
    of_route = _of(engine, table).where(table.c.route == route)
    drills = of_route.where(table.c.origin == Origin.DRILL.value).order_by(desc(table.c.epoch))
    out = next((r for r in _rows(engine, drills.limit(2)) if _is_out(r)), None)
    if out is None:
        return []
    later = of_route.where(table.c.epoch > out["epoch"], table.c.op.in_(["auto", "manual"]))
    return [_flip(row) for row in [out, *_rows(engine, later.order_by(table.c.epoch).limit(1))]]


def _is_out(row: dict[str, Any]) -> bool:
    return bool(row["evidence"].get("phase") == "out")


def refusals(
    engine: Engine, *, route: str | None = None, since: float = 0.0, limit: int = 50
) -> list[dict[str, Any]]:
    return _of_route(engine, tables.refusal, "at", route, since, limit)


def _of_route(
    engine: Engine, table: Table, time: str, route: str | None, since: float, limit: int
) -> list[dict[str, Any]]:
    query = _of(engine, table).where(table.c[time] >= since)
    if route:
        query = query.where(table.c.route == route)
    return _rows(engine, query.order_by(desc(table.c[time])).limit(limit))


def open_incidents(engine: Engine) -> list[dict[str, Any]]:
    table = tables.incident
    return _rows(engine, _of(engine, table).where(table.c.closed_at.is_(None)))


def last_incident_number(engine: Engine) -> int:
    table = tables.incident
    with engine.connect() as connection:
        newest = select(func.max(table.c.number)).where(_mine(engine, table))
        return connection.execute(newest).scalar() or 0


def newest_flip(engine: Engine, route: str, since: float = 0.0) -> Flip | None:
    """The record of the highest epoch that SQL has of a route."""
    table = tables.flip
    query = _of(engine, table).where(table.c.route == route, table.c.at >= since)
    newest = _rows(engine, query.order_by(desc(table.c.epoch)).limit(1))
    return _flip(newest[0]) if newest else None


def _flip(row: dict[str, Any]) -> Flip:
    op = Op(row["op"])
    return Flip(
        route=row["route"],
        op=op,
        epoch=row["epoch"],
        decision_id=row["decision_id"],
        parent=row["parent"],
        from_provider=row["from_provider"],
        to_provider=row["to_provider"],
        reason=row["reason"],
        actor=row["actor"],
        at_ms=round(row["at"] * 1000),
        evidence=row["evidence"],
        origin=decode_origin(row["origin"], row["actor"], op),
    )


def unsent(engine: Engine, vantage: str) -> list[dict[str, Any]]:
    """Alerts of this vantage that no channel has taken yet, oldest first."""
    table = tables.outbox
    query = _of(engine, table).where(table.c.sent_at.is_(None), table.c.vantage == vantage)
    return _rows(engine, query.order_by(table.c.created_at))


def standing_pin(engine: Engine, route: str, since: float = 0.0) -> Pin | None:
    """The newest pin of a route, unless a later flip ended it. Its end may have passed."""
    table, flips = tables.pin, tables.flip
    query = _of(engine, table).where(table.c.route == route, table.c.set_at >= since)
    newest = _rows(engine, query.order_by(desc(table.c.set_at)).limit(1))
    if not newest:
        return None
    row = newest[0]
    of_route = select(flips.c.evidence).where(_mine(engine, flips), flips.c.route == route)
    later = of_route.where(flips.c.at > row["set_at"])
    if any(flip["evidence"].get("pin_cleared") for flip in _rows(engine, later)):
        return None
    return Pin(row["provider"], row["owner"], row["reason"], round(row["until"] * 1000))
