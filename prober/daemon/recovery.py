"""What an earlier run left, from journal and SQL, given back to the parts: docs/safety.md."""

from __future__ import annotations

import asyncio
import fcntl
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from sqlalchemy.exc import SQLAlchemyError

from prober.config.paths import write_whole
from prober.daemon import detector_state
from prober.failover.drill import drilled
from prober.failover.memory import JournalMemory, Memory, remember
from prober.history.journal import COMPACT_BYTES, Journal, Record
from prober.history.store import queries
from switch.control.lease import new_nonce

if TYPE_CHECKING:
    from prober.alerts.outbox import Outbox
    from prober.config.schema import Config
    from prober.failover.judge import Judge
    from prober.history.incidents import Incidents
    from prober.history.store.writer import Store
    from switch.flag import Flip, Pin

log = logging.getLogger(__name__)

# As long as a restart may still ask whether a flip's alert was written down.
RECENT_S = 7200.0


class StartError(Exception):
    """The daemon cannot start as it is configured; each line says what to change."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = list(problems)


@dataclass
class LastRun:
    """Everything that outlived the last run."""

    records: list[Record]
    remembered: JournalMemory
    memories: dict[str, Memory]
    unsent: list[dict[str, Any]] = field(default_factory=list)
    incidents: list[dict[str, Any]] = field(default_factory=list)
    last_incident: int = 0


def lock(folder: Path) -> TextIO:
    """One daemon a state directory. Raises StartError."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = (folder / "lock").open("w", encoding="ascii")
    except OSError as error:
        raise StartError(
            f"the state directory {folder} cannot be written: {error.strerror}; "
            "set [daemon].state_dir"
        ) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise StartError(
            f"another Prober runs with the state directory {folder}; stop it, "
            "or set another [daemon].state_dir"
        ) from None
    return file


def lease_nonce(folder: Path) -> str:
    """The nonce of the last run on this boot, else a new one. Blocks.

    Whoever has the lock knows that the last run is dead: its lease may go on at once instead of
    outliving it, and what its calls still do is fenced by their deadline and the epoch. A copy
    of the folder, here or on another machine, or a restored one, is another place.
    """
    here, path = _place(folder), folder / "lease"
    try:
        place, _, nonce = path.read_text("ascii").partition(" ")
        if here and place == here and nonce:
            return nonce
    except (OSError, ValueError):
        pass  # none yet, or not ours
    nonce = new_nonce()
    try:
        write_whole(path, f"{here} {nonce}")
    except OSError as error:
        log.warning("%s cannot be written (%s): a restart will wait for its lease", path, error)
    return nonce


def _place(folder: Path) -> str:
    """This boot and this very folder; empty where that cannot be known."""
    boot = detector_state.boot_id()
    try:
        status = folder.stat()
    except OSError:
        return ""
    return boot and f"{boot}:{status.st_dev}:{status.st_ino}"


async def recall(records: list[Record], store: Store, config: Config, seconds: float) -> LastRun:
    """Joins the journal with SQL, which gets `seconds` to answer; the journal alone suffices.

    SQL is asked for our own installation only, and not at all while nobody knows which that is.
    """
    remembered = remember(records)
    past = LastRun(records, remembered, remembered.memories)
    if store.installation is None:
        return past
    try:
        async with asyncio.timeout(seconds):
            sql = await asyncio.to_thread(_from_sql, store, config)
    except (SQLAlchemyError, TimeoutError) as error:
        log.warning("SQL said nothing of the past (%s); going by the journal", type(error).__name__)
        sql = None
    if sql is not None:
        _join(past, sql)
    return past


@dataclass(frozen=True)
class _SqlMemory:
    """What SQL knows. Read in a thread that may come too late: it touches nothing of ours."""

    newest: list[tuple[Flip, Pin | None, list[Flip]]]
    unsent: list[dict[str, Any]]
    incidents: list[dict[str, Any]]
    last_incident: int


def _from_sql(store: Store, config: Config) -> _SqlMemory | None:
    if not store.wait_written(1.0):
        return None
    names = [route.name for route in config.route]
    engine = store.engine
    sure = queries.sure_since(engine)
    return _SqlMemory(
        [
            (flip, queries.standing_pin(engine, name, sure), queries.last_drill(engine, name))
            for name in names
            if (flip := queries.newest_flip(engine, name, sure)) is not None
        ],
        [row for row in queries.unsent(engine, config.daemon.vantage) if row["created_at"] >= sure],
        [row for row in queries.open_incidents(engine) if row["opened_at"] >= sure],
        queries.last_incident_number(engine),
    )


def _join(past: LastRun, sql: _SqlMemory) -> None:
    past.unsent, past.incidents = sql.unsent, sql.incidents
    past.last_incident = sql.last_incident
    for flip, pin, drill in sql.newest:
        memory = past.memories.setdefault(flip.route, Memory())
        if memory.flip is None or flip.epoch > memory.flip.epoch:
            memory.learn(flip)
            memory.pin = pin
        if memory.drilled is None:
            for one in drill:
                memory.drilled = drilled(memory.drilled, one)


def restore(past: LastRun, judge: Judge, outbox: Outbox, incidents: Incidents) -> None:
    """Gives journal and SQL's memory back. Ships to SQL what it may have missed."""
    outbox.restore(past.records, past.unsent)
    incidents.restore(past.records, past.incidents, past.last_incident)
    for name, state in judge.states.items():
        state.unsettled = list(past.remembered.open_intents.get(name, ()))
    judge.ship(past.remembered.flips)
    for record in past.records:
        if record["kind"] == "pause":
            judge.paused = record["paused"]
        elif record["kind"] == "ack" and record["route"] in judge.states:
            judge.states[record["route"]].acknowledged_ms = record["at_ms"]


async def notify_missed(past: LastRun, judge: Judge) -> None:
    """Alerts of flips that a kill may have kept from being written down; known ones are skipped."""
    for flip in past.remembered.flips:
        state = judge.states.get(flip.route)
        if state is not None:
            await judge.missed(state, flip)


def resume_incidents(judge: Judge) -> None:
    """Providers with an open incident are not taken for healthy just because we restarted.

    Old evidence moves no flag: the primary starts clean, any other stays bad until it recovers.
    """
    for incident in judge.incidents.open:
        state = judge.states.get(incident.route)
        tracker = state.trackers.get(incident.provider) if state else None
        if state is None or tracker is None or tracker.breach.latched or tracker.breach.resumed:
            continue
        primary = state.memory.flip.to_provider if state.memory.flip else ""
        if incident.provider == primary:
            tracker.breach.resume(incident.opened_at)
        else:
            names = incident.objectives.split(", ")
            tracker.breach.restore(names, incident.summary, incident.opened_at)


def stranded(judge: Judge, config: Config) -> list[str]:
    """Why a new configuration would leave a route without any fit provider."""
    problems = []
    for route in config.route:
        state = judge.states.get(route.name)
        if state is None or not state.primary or state.primary in route.candidates:
            continue
        fit = [
            name
            for name in route.candidates
            if (tracker := state.trackers.get(name)) is None or not tracker.breached
        ]
        if not fit:
            problems.append(
                f'[[route]] "{route.name}": drops the primary {state.primary}, '
                "and every remaining candidate is in breach"
            )
    return problems


def compacted(records: list[Record], now: float) -> list[Record]:
    """What of a journal must be kept once SQL has all the rest."""
    last_done: dict[str, list[Record]] = {}
    last_incident: dict[tuple[str, str], Record] = {}
    kept: list[Record] = []
    controls: dict[tuple[str, str], Record] = {}
    sent = {record["id"] for record in records if record["kind"] == "sent"}
    closed = {record["id"] for record in records if record["kind"] == "incident_closed"}
    open_intents = {
        intent["decision_id"]
        for intents in remember(records).open_intents.values()
        for intent in intents
    }
    for record in records:
        match record["kind"]:
            case "done":
                last_done.setdefault(record["route"], []).append(record)
            case "intent" if record["decision_id"] in open_intents:
                kept.append(record)
            case "alert" if record["id"] not in sent or now - record["created_at"] < RECENT_S:
                kept.append(record)
            case "sent" if now - record["at"] < RECENT_S:
                kept.append(record)
            case "incident":
                # The last of each is followed until the flag is home again.
                last_incident[record["route"], record["provider"]] = record
                if record["id"] not in closed:
                    kept.append(record)
            case "pause" | "ack":
                controls[record["kind"], record.get("route", "")] = record
    lines = [record for records in last_done.values() for record in records[-50:]]
    followed = {record["id"] for record in last_incident.values()}
    ends = [r for r in records if r["kind"] == "incident_closed" and r["id"] in followed]
    chosen = [*lines, *controls.values(), *last_incident.values(), *ends, *kept]
    stay = {id(record) for record in chosen}
    return [record for record in records if id(record) in stay]


def compact_if_large(journal: Journal, now: float) -> None:
    """Shortens a long journal; only once SQL has everything, and nobody appends. Blocks."""
    if journal.size > COMPACT_BYTES:
        try:
            journal.compact(compacted(journal.load(), now))
        except OSError as error:
            log.warning("the journal stays long: %s", error)
