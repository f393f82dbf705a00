"""Incidents: a breach from its first bad canary to the recovery, numbered for people."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from prober.journal import Journal, Record
from prober.store.writer import Row, Store


@dataclass(frozen=True, slots=True)
class Incident:
    """Times are seconds since the epoch; `closed_at` None: it goes on."""

    id: str
    number: int
    route: str
    provider: str
    opened_at: float
    breached_at: float
    objectives: str
    summary: str
    closed_at: float | None = None


class Incidents:
    """The open incidents, on disk before anybody is told."""

    def __init__(self, journal: Journal, store: Store | None) -> None:
        self._journal = journal
        self._store = store
        self._open: dict[tuple[str, str], Incident] = {}
        self._last_number = 0

    def find(self, route: str, provider: str) -> Incident | None:
        return self._open.get((route, provider))

    def numbered(self, number: int) -> Incident | None:
        return next((i for i in self._open.values() if i.number == number), None)

    @property
    def open(self) -> tuple[Incident, ...]:
        return tuple(self._open.values())

    async def begin(
        self,
        route: str,
        provider: str,
        *,
        opened_at: float,
        breached_at: float,
        objectives: str,
        summary: str,
    ) -> Incident:
        """Opens one, or gives the one that is open already (a breach again while recovering)."""
        if (known := self.find(route, provider)) is not None:
            return known
        self._last_number += 1
        incident = Incident(
            id=uuid.uuid4().hex,
            number=self._last_number,
            route=route,
            provider=provider,
            opened_at=opened_at,
            breached_at=breached_at,
            objectives=objectives,
            summary=summary,
        )
        self._open[route, provider] = incident
        await self._journal.append("incident", **asdict(incident))
        self._to_sql(incident)
        return incident

    async def end(self, route: str, provider: str, closed_at: float) -> Incident | None:
        incident = self._open.pop((route, provider), None)
        if incident is None:
            return None
        closed = replace(incident, closed_at=closed_at)
        await self._journal.append("incident_closed", id=incident.id, at=closed_at)
        self._to_sql(closed, "closed_at")
        return closed

    def _to_sql(self, incident: Incident, *changes: str) -> None:
        if self._store is not None:
            self._store.put(Row("incident", asdict(incident), changes))

    def restore(self, journal: Iterable[Record], sql: Iterable[dict[str, Any]], last: int) -> None:
        """Takes up the open incidents of an earlier run; `last` is the highest number in SQL."""
        rows = {row["id"]: Incident(**row) for row in sql}
        closed: dict[str, float] = {}
        for record in journal:
            if record["kind"] == "incident":
                values = {key: value for key, value in record.items() if key != "kind"}
                rows[record["id"]] = Incident(**values)
            elif record["kind"] == "incident_closed":
                closed[record["id"]] = record["at"]
        self._last_number = max([last, *(incident.number for incident in rows.values())])
        for incident in rows.values():
            # SQL may have missed either; writing both again is harmless.
            self._to_sql(incident)
            if incident.id in closed:
                ended = replace(incident, closed_at=closed[incident.id])
                self._to_sql(ended, "closed_at")
            else:
                self._open[incident.route, incident.provider] = incident
