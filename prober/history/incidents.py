"""Incidents: a breach from its first bad canary to the recovery, numbered for people.

Their story is `prober.history.timeline`'s; here it is kept.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from prober.history.store.writer import Row, Store
from prober.history.timeline import DecisionNote, Entry, EntryKind, Timeline, note_of

if TYPE_CHECKING:
    from prober.history.journal import Journal, Record
    from switch.control.decide import Decision

# The same remark about an incident is worth another line only after this long.
REPEAT_AFTER_S = 600.0


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


@dataclass
class _Noted:
    """Remarks made about an incident: the last one, and when each was made."""

    last: str = ""
    at: dict[str, float] = field(default_factory=dict)


class Incidents:
    """The open incidents, on disk before anybody is told."""

    def __init__(self, journal: Journal, store: Store | None) -> None:
        self._journal = journal
        self._store = store
        self._open: dict[tuple[str, str], Incident] = {}
        self._last_number = 0
        self._timeline = Timeline()
        self._noted: dict[str, _Noted] = {}
        self._remarks: dict[str, dict[tuple[str, str], tuple[EntryKind, str, float]]] = {}

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
        self._forget_notes()
        await self._journal.append("incident", **asdict(incident))
        self._to_sql(incident)
        return incident

    async def end(
        self, route: str, provider: str, closed_at: float, why: str = ""
    ) -> Incident | None:
        """Closes the open one. `why`: it did not recover, but ended otherwise."""
        incident = self._open.pop((route, provider), None)
        if incident is None:
            return None
        closed = replace(incident, closed_at=closed_at)
        more = {"why": why} if why else {}
        await self._journal.append("incident_closed", id=incident.id, at=closed_at, **more)
        self._to_sql(closed, "closed_at")
        return closed

    def _to_sql(self, incident: Incident, *changes: str) -> None:
        if self._store is not None:
            self._store.put(Row("incident", asdict(incident), changes))

    # -- the story -----------------------------------------------------------------------------

    def away(self, route: str, provider: str) -> int | None:
        """The number of the incident that made the flag leave a provider, until it is back."""
        followed = self._timeline.away(route, provider)
        return followed.number if followed is not None else None

    def heard(self, record: Record) -> None:
        """Takes a record of the journal; what it adds to an incident goes to SQL."""
        if record["kind"] == "incident_note":
            noted = self._noted.setdefault(record["incident"], _Noted())
            noted.last, noted.at[record["about"]] = record["about"], record["at"]
        for entry in self._timeline.take(record):
            self._tell(entry)

    def _tell(self, entry: Entry) -> None:
        if self._store is not None:
            self._store.put(Row("incident_event", {**asdict(entry), "kind": entry.kind.value}))

    async def note(
        self, route: str, provider: str, kind: EntryKind, sentence: str, at: float, about: str = ""
    ) -> None:
        """Adds a line to the incident of a provider.

        `about` says what counts as the same remark: one that still holds is not repeated, one
        that holds again only after ten minutes.
        """
        followed = self._timeline.follows(route, provider)
        if followed is None:
            return
        about = about or kind.value
        noted = self._noted.get(followed.id, _Noted())
        if noted.last == about or at - noted.at.get(about, float("-inf")) < REPEAT_AFTER_S:
            return
        await self._journal.append(
            "incident_note",
            incident=followed.id,
            what=kind.value,
            about=about,
            sentence=sentence,
            at=at,
        )

    def _forget_notes(self) -> None:
        """Only remarks about incidents that are still followed can be repeated."""
        self._noted = {id: noted for id, noted in self._noted.items() if self._timeline.knows(id)}

    def remark(
        self, route: str, provider: str, kind: EntryKind, sentence: str, at: float, about: str = ""
    ) -> None:
        """The same as `note`, put down once no flip is waited for: see `decided`."""
        waiting = self._remarks.setdefault(route, {})
        waiting.setdefault((provider, about or kind.value), (kind, sentence, at))

    async def decided(
        self, route: str, primary: str, decision: Decision, at: float, *, observing: bool
    ) -> None:
        """Why the flag did not move although an incident is open, or could go home again.

        While a target is being proven nothing is put down: the flip that follows shall not wait
        for the disk.
        """
        note = note_of(decision, observing=observing)
        if note is not None and self._concerned(route, primary, decision, note):
            about = decision.target if note.kind is EntryKind.READY else primary
            self.remark(route, about, note.kind, note.sentence, at, note.about)
        if note is not None and note.kind is EntryKind.PROVING:
            return
        for (provider, target), (kind, sentence, then) in self._remarks.pop(route, {}).items():
            await self.note(route, provider, kind, sentence, then, target)

    def _concerned(self, route: str, primary: str, decision: Decision, note: DecisionNote) -> bool:
        if note.kind is EntryKind.READY:
            return self._timeline.away(route, decision.target) is not None
        return self.find(route, primary) is not None

    # -- across a restart ----------------------------------------------------------------------

    def restore(self, journal: Iterable[Record], sql: Iterable[dict[str, Any]], last: int) -> None:
        """Takes up the open incidents of an earlier run; `last` is the highest number in SQL."""
        rows = {row["id"]: Incident(**row) for row in sql}
        closed: dict[str, Record] = {}
        known: set[str] = set()
        for record in journal:
            self.heard(record)
            if record["kind"] == "incident":
                values = {key: value for key, value in record.items() if key != "kind"}
                rows[record["id"]] = Incident(**values)
                known.add(record["id"])
            elif record["kind"] == "incident_closed":
                closed[record["id"]] = record
        for incident in rows.values():
            if incident.id not in known:
                # Only SQL knows it. Last, or older flips would be taken for its story.
                self.heard({"kind": "incident", **asdict(incident)})
                if incident.id in closed:
                    self.heard(closed[incident.id])
        self._last_number = max([last, *(incident.number for incident in rows.values())])
        for incident in rows.values():
            # SQL may have missed either; writing both again is harmless.
            self._to_sql(incident)
            if incident.id in closed:
                ended = replace(incident, closed_at=closed[incident.id]["at"])
                self._to_sql(ended, "closed_at")
            else:
                self._open[incident.route, incident.provider] = incident
