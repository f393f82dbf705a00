"""The story of an incident, told from what the journal records anyway. Pure.

Everything that happens to a route passes through the journal: breaches, flips, refusals, alerts
and their delivery. `Timeline` reads those records in their order and gives each incident its
entries. The same records give the same entries with the same ids, so that a replay after a kill
adds what was missed and doubles nothing.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from prober.history.records import from_record
from switch.control.decide import Action, Alarm, Decision
from switch.flag import Flip, Op, say_duration

_NAMESPACE = uuid.UUID("a5f3f5b6-6b9c-4a52-9d0e-70726f626572")


class EntryKind(StrEnum):
    """What an entry says; those of one moment happened in this order."""

    SUSPECT = "suspect"
    BREACHED = "breached"
    DRILL = "drill"
    PROVING = "proving"
    PROVEN = "proven"
    FAILED_OVER = "failed_over"
    FAILED_BACK = "failed_back"
    MOVED = "moved"
    PINNED = "pinned"
    UNPINNED = "unpinned"
    WOULD_FAIL_OVER = "would_fail_over"
    HELD = "held"
    REFUSED = "refused"
    RECOVERING = "recovering"
    RECOVERED = "recovered"
    ENDED = "ended"
    READY = "ready"
    ACKNOWLEDGED = "acknowledged"
    ALERT = "alert"


ORDER = {kind: place for place, kind in enumerate(EntryKind)}
LEAVES = (EntryKind.FAILED_OVER, EntryKind.MOVED, EntryKind.DRILL)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of an incident. `at` is seconds since the epoch."""

    id: str
    incident_id: str
    at: float
    kind: EntryKind
    sentence: str


@dataclass
class Followed:
    """An incident, open or the last of its route and provider.

    Attributes:
        left: the flag went elsewhere, and has not come back.
    """

    id: str
    number: int
    route: str
    provider: str
    breached_at: float
    open: bool = True
    left: bool = False

    def entry(self, kind: EntryKind, at: float, sentence: str, key: str = "") -> Entry:
        id = uuid.uuid5(_NAMESPACE, f"{self.id}/{kind}/{key}").hex
        return Entry(id, self.id, at, kind, sentence)


class Timeline:
    """Folds records of the journal into entries; give it each record once, oldest first."""

    def __init__(self) -> None:
        self._followed: dict[tuple[str, str], Followed] = {}
        self._letters: dict[str, tuple[Followed, str]] = {}
        self._meant: dict[str, tuple[str, str]] = {}
        # Route -> who serves or served for its last drill, whose it was, until when (seconds).
        self._drills: dict[str, tuple[str, str, float]] = {}

    def follows(self, route: str, provider: str) -> Followed | None:
        """The incident that is open, or was the last one."""
        return self._followed.get((route, provider))

    def away(self, route: str, provider: str) -> Followed | None:
        """The incident that made the flag leave a provider it has not come back to."""
        followed = self.follows(route, provider)
        return followed if followed is not None and followed.left else None

    def knows(self, id: str) -> bool:
        return self._by_id(id) is not None

    def take(self, record: Mapping[str, Any]) -> list[Entry]:
        """The entries that one record adds, to whichever incidents it belongs."""
        match record["kind"]:
            case "incident":
                return self._begins(record)
            case "incident_closed":
                return self._ends(record)
            case "incident_note":
                return self._noted(record)
            case "intent":
                self._meant[record["decision_id"]] = record["from"], record["to"]
            case "done":
                self._meant.pop(record["decision_id"], None)
                return self._flipped(from_record(record))
            case "refusal":
                return self._refused(record)
            case "alert":
                self._written(record)
            case "sent":
                return self._sent(record)
        return []

    # -- from the first bad canary to the recovery -------------------------------------------

    def _begins(self, record: Mapping[str, Any]) -> list[Entry]:
        place = record["route"], record["provider"]
        before = self._followed.get(place)
        if before is not None and before.id == record["id"]:
            return []
        followed = Followed(record["id"], record["number"], *place, record["breached_at"])
        # A provider that breaks again before the flag is home again is still the one left.
        followed.left = before is not None and before.left
        self._followed[place] = followed
        first = f"first bad canary of {followed.provider}"
        entries = [
            followed.entry(EntryKind.SUSPECT, record["opened_at"], first),
            followed.entry(
                EntryKind.BREACHED,
                followed.breached_at,
                f"{followed.provider} breached {record['objectives']}: {record['summary']}",
            ),
        ]
        serves, who, until = self._drills.get(followed.route, ("", "", 0.0))
        # Its first bad canary ends a drill; the breach comes when the flag is home again.
        if serves == followed.provider and record["opened_at"] <= until:
            text = f"{serves} served {followed.route} for a drill ({who})"
            entries.append(followed.entry(EntryKind.DRILL, followed.breached_at, text))
        return entries

    def _ends(self, record: Mapping[str, Any]) -> list[Entry]:
        followed = self._by_id(record["id"])
        if followed is None:
            return []
        followed.open = False
        if why := record.get("why"):
            return [followed.entry(EntryKind.ENDED, record["at"], why)]
        return [
            followed.entry(EntryKind.RECOVERED, record["at"], f"{followed.provider} has recovered")
        ]

    def _noted(self, record: Mapping[str, Any]) -> list[Entry]:
        followed = self._by_id(record["incident"])
        if followed is None:
            return []
        sentence = record["sentence"]
        return [
            followed.entry(EntryKind(record["what"]), record["at"], sentence, str(record["at"]))
        ]

    def _by_id(self, id: str) -> Followed | None:
        return next((f for f in self._followed.values() if f.id == id), None)

    # -- the flag ----------------------------------------------------------------------------

    def _flipped(self, flip: Flip) -> list[Entry]:
        entries = [
            entry
            for followed in self._followed.values()
            if followed.route == flip.route
            for entry in _flip_entries(followed, flip)
        ]
        if flip.op in (Op.AUTO, Op.MANUAL):
            if flip.evidence.get("drill") and flip.evidence.get("phase") == "out":
                self._drills[flip.route] = flip.to_provider, flip.actor, math.inf
            elif (last := self._drills.get(flip.route)) is not None and last[2] == math.inf:
                self._drills[flip.route] = last[0], last[1], flip.at_ms / 1000
        return entries

    def _refused(self, record: Mapping[str, Any]) -> list[Entry]:
        leaving, wanted = self._meant.pop(record["decision_id"], ("", ""))
        followed = self._followed.get((record["route"], leaving))
        if followed is None or not followed.open or leaving == wanted:
            return []
        # Records of an earlier version bear no time; such a one belongs after the breach.
        at = max(record.get("at", 0.0), followed.breached_at)
        status = record["status"]
        text = f"Redis did not take the flip to {wanted} ({status.replace('_', ' ')})"
        # Once for each kind of refusal: the same one is tried again and again.
        return [followed.entry(EntryKind.REFUSED, at, text, status)]

    # -- alerts ------------------------------------------------------------------------------

    def _written(self, record: Mapping[str, Any]) -> None:
        number = record.get("incident")
        for followed in self._followed.values():
            if number is not None and (followed.number, followed.route) == (
                number,
                record["route"],
            ):
                self._letters[record["id"]] = followed, record["title"]

    def _sent(self, record: Mapping[str, Any]) -> list[Entry]:
        followed, title = self._letters.pop(record["id"], (None, ""))
        if followed is None:
            return []
        text = f"told {record['channel']}: {title}"
        return [followed.entry(EntryKind.ALERT, record["at"], text, record["id"])]


def _flip_entries(followed: Followed, flip: Flip) -> Iterator[Entry]:
    home, route = followed.provider, flip.route
    returns = flip.moved and flip.to_provider == home
    concerns = home in (flip.from_provider, flip.to_provider) or followed.left
    if not (concerns if followed.open else followed.left and returns):
        return
    # Redis and this host may disagree by a little about the time; the breach came first.
    at = max(flip.at_ms / 1000, followed.breached_at)
    key = flip.decision_id
    if flip.moved:
        proof = flip.evidence.get("proof")
        if proof:
            text = f"{flip.to_provider} proven: {proof}"
            yield followed.entry(EntryKind.PROVEN, at, text, key)
        kind, text = _move(flip, returns)
        yield followed.entry(kind, at, text, key)
        followed.left = not returns
    if flip.pin is not None:
        lasts = say_duration((flip.pin.until_ms - flip.at_ms) / 1000)
        why = f": {flip.pin.reason}" if flip.pin.reason else ""
        text = f"{route} pinned to {flip.pin.provider} by {flip.pin.owner} for {lasts}{why}"
        yield followed.entry(EntryKind.PINNED, at, text, key)
    elif flip.pin_cleared and flip.op is Op.MANUAL:
        yield followed.entry(EntryKind.UNPINNED, at, f"{route} unpinned by {flip.actor}", key)


def _move(flip: Flip, returns: bool) -> tuple[EntryKind, str]:
    arrow = f"{flip.from_provider or 'no flag'} → {flip.to_provider}"
    if flip.evidence.get("drill"):
        return EntryKind.DRILL, f"{flip.route}: {arrow} ({flip.actor}): {flip.reason}"
    if flip.op is Op.AUTO:
        if returns:
            return EntryKind.FAILED_BACK, f"{flip.route} failed back: {arrow}"
        return EntryKind.FAILED_OVER, f"{flip.route} failed over: {arrow}"
    if flip.op is Op.MANUAL:
        return EntryKind.MOVED, f"{flip.route} moved by {flip.actor}: {arrow}: {flip.reason}"
    return EntryKind.MOVED, f"{flip.route}: the flag was put right, {arrow}: {flip.reason}"


@dataclass(frozen=True, slots=True)
class DecisionNote:
    """What a decision adds to an incident; `about`: the same thing said again."""

    kind: EntryKind
    about: str
    sentence: str


def note_of(decision: Decision, *, observing: bool) -> DecisionNote | None:
    """What is worth a line of a decision that moves no flag."""
    target = decision.target
    if decision.alarm is Alarm.FAILBACK_READY:
        return DecisionNote(EntryKind.READY, f"ready/{target}", decision.reason)
    if decision.action is Action.FLIP:
        text = f"would fail over to {target} (mode observe): {decision.reason}"
        return (
            DecisionNote(EntryKind.WOULD_FAIL_OVER, f"would/{target}", text) if observing else None
        )
    if decision.alarm is Alarm.WOULD_FAIL_OVER:
        text = f"would fail over to {target} (mode propose): {decision.reason}"
        return DecisionNote(EntryKind.WOULD_FAIL_OVER, f"would/{target}", text)
    if decision.alarm is not None:
        return DecisionNote(EntryKind.HELD, f"held/{decision.alarm}", f"held: {decision.reason}")
    if decision.action is Action.PROVE and decision.leaves:
        return DecisionNote(
            EntryKind.PROVING, f"proving/{target}", f"proving {target} before moving to it"
        )
    return None
