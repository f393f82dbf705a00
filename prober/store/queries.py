"""What is asked of history. Every function takes an engine, blocks, and raises SQLAlchemyError."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Engine, Table, desc, func, select

from prober.store import tables
from switch.flag import Flip, Op, Pin


def _rows(engine: Engine, statement: Any) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(statement).mappings()]


def samples(
    engine: Engine, *, provider: str | None = None, since: float = 0.0, limit: int = 50
) -> list[dict[str, Any]]:
    """The newest samples, newest first."""
    table = tables.sample
    query = select(table).where(table.c.started_at >= since)
    if provider:
        query = query.where(table.c.provider == provider)
    return _rows(engine, query.order_by(desc(table.c.started_at)).limit(limit))


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
    query = select(table).where(table.c.number == number).order_by(desc(table.c.opened_at))
    return next(iter(_rows(engine, query.limit(1))), None)


def incident_events(engine: Engine, ids: Iterable[str]) -> list[dict[str, Any]]:
    """The lines of some incidents, oldest first; those of one moment in no order."""
    table = tables.incident_event
    query = select(table).where(table.c.incident_id.in_(list(ids)))
    return _rows(engine, query.order_by(table.c.at))


def outcomes(engine: Engine, provider: str, since: float, until: float) -> dict[str, int]:
    """How many canaries of a provider ended how, most first; both ends of the time belong to it."""
    table = tables.sample
    count = func.count().label("count")
    query = (
        select(table.c.outcome, count)
        .where(table.c.provider == provider, table.c.started_at.between(since, until))
        .group_by(table.c.outcome)
        .order_by(desc(count), table.c.outcome)
    )
    return {row["outcome"]: row["count"] for row in _rows(engine, query)}


def served(engine: Engine, route: str, since: float, until: float) -> list[dict[str, Any]]:
    """What the flag named in a time: the flip that stood at its begin, then those within it."""
    table = tables.flip
    of_route = select(table).where(table.c.route == route)
    before = of_route.where(table.c.at <= since).order_by(desc(table.c.epoch)).limit(1)
    within = of_route.where(table.c.at > since, table.c.at <= until).order_by(table.c.epoch)
    return [*_rows(engine, before), *_rows(engine, within)]


def last_drill(engine: Engine, route: str) -> list[Flip]:
    """The flips of a route's last drill: out, and what ended it."""
    table = tables.flip
    of_route = select(table).where(table.c.route == route)
    drills = of_route.where(table.c.actor.startswith("drill of ")).order_by(desc(table.c.epoch))
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
    query = select(table).where(table.c[time] >= since)
    if route:
        query = query.where(table.c.route == route)
    return _rows(engine, query.order_by(desc(table.c[time])).limit(limit))


def open_incidents(engine: Engine) -> list[dict[str, Any]]:
    table = tables.incident
    return _rows(engine, select(table).where(table.c.closed_at.is_(None)))


def last_incident_number(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.execute(select(func.max(tables.incident.c.number))).scalar() or 0


def newest_flip(engine: Engine, route: str) -> Flip | None:
    """The record of the highest epoch that SQL has of a route."""
    table = tables.flip
    query = select(table).where(table.c.route == route).order_by(desc(table.c.epoch)).limit(1)
    found = _rows(engine, query)
    return _flip(found[0]) if found else None


def _flip(row: dict[str, Any]) -> Flip:
    return Flip(
        route=row["route"],
        op=Op(row["op"]),
        epoch=row["epoch"],
        decision_id=row["decision_id"],
        parent=row["parent"],
        from_provider=row["from_provider"],
        to_provider=row["to_provider"],
        reason=row["reason"],
        actor=row["actor"],
        at_ms=round(row["at"] * 1000),
        evidence=row["evidence"],
    )


def unsent(engine: Engine, vantage: str) -> list[dict[str, Any]]:
    """Alerts of this vantage that no channel has taken yet, oldest first."""
    table = tables.outbox
    query = select(table).where(table.c.sent_at.is_(None), table.c.vantage == vantage)
    return _rows(engine, query.order_by(table.c.created_at))


def standing_pin(engine: Engine, route: str) -> Pin | None:
    """The newest pin of a route, unless a later flip ended it. Its end may have passed."""
    table, flips = tables.pin, tables.flip
    query = select(table).where(table.c.route == route).order_by(desc(table.c.set_at)).limit(1)
    found = _rows(engine, query)
    if not found:
        return None
    row = found[0]
    later = select(flips.c.evidence).where(flips.c.route == route, flips.c.at > row["set_at"])
    if any(flip["evidence"].get("pin_cleared") for flip in _rows(engine, later)):
        return None
    return Pin(row["provider"], row["owner"], row["reason"], round(row["until"] * 1000))
