"""Incidents: on disk before anybody is told, numbered, and there again after a restart."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from prober.daemon.recovery import compacted
from prober.history.incidents import REPEAT_AFTER_S, Incident, Incidents
from prober.history.journal import Journal
from prober.history.records import to_record
from prober.history.timeline import EntryKind
from switch.control.decide import Action, Alarm, Decision
from tests.support.values import Rows, flip, written


@pytest.fixture
def rows() -> Rows:
    return Rows()


async def begin(incidents: Incidents, route: str = "chat", provider: str = "a") -> Incident:
    return await incidents.begin(
        route,
        provider,
        opened_at=10.0,
        breached_at=20.0,
        objectives="availability",
        summary="9 of 24 canaries failed",
    )


async def test_an_incident_is_in_the_journal_and_on_its_way_to_sql(
    journal: Journal, rows: Rows
) -> None:
    incidents = Incidents(journal, rows.store)
    incident = await begin(incidents)
    assert incident.number == 1
    assert incidents.find("chat", "a") is incident
    assert incidents.numbered(1) is incident
    assert incidents.numbered(2) is None
    assert written(journal) == [{"kind": "incident", **asdict(incident)}]
    assert [(row.table, row.values, row.changes) for row in rows] == [
        ("incident", asdict(incident), ())
    ]


async def test_a_breach_again_belongs_to_the_open_incident(journal: Journal, rows: Rows) -> None:
    incidents = Incidents(journal, rows.store)
    first, second = await begin(incidents), await begin(incidents)
    other = await begin(incidents, "summaries")
    assert second is first
    assert (other.number, incidents.open) == (2, (first, other))


async def test_an_incident_ends_once(journal: Journal, rows: Rows) -> None:
    incidents = Incidents(journal, rows.store)
    incident = await begin(incidents)
    closed = await incidents.end("chat", "a", 90.0)
    assert closed is not None
    assert (closed.id, closed.closed_at) == (incident.id, 90.0)
    assert incidents.find("chat", "a") is None
    assert await incidents.end("chat", "a", 95.0) is None
    assert written(journal)[-1] == {"kind": "incident_closed", "id": incident.id, "at": 90.0}
    assert (rows[-1].values["closed_at"], rows[-1].changes) == (90.0, ("closed_at",))


async def test_the_next_number_is_never_one_that_was_given(journal: Journal) -> None:
    incidents = Incidents(journal, None)
    await begin(incidents)
    await incidents.end("chat", "a", 1.0)
    again = Incidents(journal, None)
    again.restore(written(journal), [], last=0)
    assert (await begin(again)).number == 2
    later = Incidents(journal, None)
    later.restore(written(journal), [], last=41)
    assert (await begin(later, "other")).number == 42


async def test_after_a_restart_the_open_ones_are_open(journal: Journal, rows: Rows) -> None:
    incidents = Incidents(journal, None)
    gone, stays = await begin(incidents), await begin(incidents, provider="b")
    await incidents.end("chat", "a", 90.0)
    again = Incidents(journal, rows.store)
    again.restore(written(journal), [], last=0)
    assert again.open == (stays,)
    incidents_of = [row for row in rows if row.table == "incident"]
    assert [(row.values["id"], row.values["closed_at"], row.changes) for row in incidents_of] == [
        (gone.id, None, ()),
        (gone.id, 90.0, ("closed_at",)),
        (stays.id, None, ()),
    ]


async def test_sql_s_open_ones_are_open_unless_the_journal_knows_better(journal: Journal) -> None:
    incidents = Incidents(journal, None)
    mine = await begin(incidents)
    await incidents.end("chat", "a", 90.0)
    elsewhere = {**asdict(mine), "id": "other", "provider": "c", "number": 7}
    again = Incidents(journal, None)
    again.restore(written(journal), [asdict(mine), elsewhere], last=7)
    assert [incident.id for incident in again.open] == ["other"]


# -- the story -----------------------------------------------------------------------------------


def telling(journal: Journal, rows: Rows) -> Incidents:
    """As the daemon wires it: every record of the journal is heard."""
    incidents = Incidents(journal, rows.store)
    journal.heard = incidents.heard
    return incidents


def lines(rows: Rows) -> list[tuple[float, str, str]]:
    """(at, kind, sentence) of what went to SQL, each once."""
    events = {row.values["id"]: row.values for row in rows if row.table == "incident_event"}
    return [(event["at"], event["kind"], event["sentence"]) for event in events.values()]


HELD = Decision(Action.HOLD, "a is bad; no candidate is fit", alarm=Alarm.NO_CANDIDATE)
PROVING = Decision(Action.PROVE, "proving", "b", kind="failover")


async def test_what_the_journal_takes_is_a_line_of_the_story(journal: Journal, rows: Rows) -> None:
    incidents = telling(journal, rows)
    await begin(incidents)
    await incidents.end("chat", "a", 90.0)
    assert lines(rows) == [
        (10.0, "suspect", "first bad canary of a"),
        (20.0, "breached", "a breached availability: 9 of 24 canaries failed"),
        (90.0, "recovered", "a has recovered"),
    ]


async def test_a_remark_that_still_holds_is_made_once(journal: Journal, rows: Rows) -> None:
    incidents = telling(journal, rows)
    await begin(incidents)
    for at, decision in (
        (30.0, HELD),
        (31.0, HELD),
        (32.0, PROVING),
        (33.0, HELD),
        (34.0, PROVING),
        (30.0 + REPEAT_AFTER_S, HELD),
    ):
        await incidents.decided("chat", "a", decision, at, observing=False)
    assert [(at, kind) for at, kind, _ in lines(rows)[2:]] == [
        (30.0, "held"),
        (32.0, "proving"),
        (30.0 + REPEAT_AFTER_S, "held"),
    ]


async def test_no_remark_makes_a_flip_wait_for_the_disk(journal: Journal, rows: Rows) -> None:
    """While a target is proven nothing is written; afterwards, with the time it was so."""
    incidents = telling(journal, rows)
    await begin(incidents)
    incidents.remark("chat", "a", EntryKind.RECOVERING, "a answers again", 30.0)
    for at in (31.0, 32.0):
        await incidents.decided("chat", "a", PROVING, at, observing=False)
        assert len(written(journal)) == 1
    over = Decision(Action.FLIP, "a is bad", "b", kind="failover")
    await incidents.decided("chat", "a", over, 33.0, observing=False)
    assert lines(rows)[2:] == [
        (30.0, "recovering", "a answers again"),
        (31.0, "proving", "proving b before moving to it"),
    ]


async def test_remarks_need_an_incident(journal: Journal, rows: Rows) -> None:
    incidents = telling(journal, rows)
    await incidents.decided("chat", "a", HELD, 30.0, observing=False)
    await begin(incidents, provider="b")
    await incidents.decided("chat", "a", HELD, 30.0, observing=False)
    ready = Decision(Action.HOLD, "b waits", "b", alarm=Alarm.FAILBACK_READY)
    await incidents.decided("chat", "a", ready, 30.0, observing=False)
    assert [kind for _, kind, _ in lines(rows)] == ["suspect", "breached"]


async def test_a_restart_tells_the_same_story_and_repeats_no_remark(
    journal: Journal, rows: Rows
) -> None:
    incidents = telling(journal, rows)
    await begin(incidents)
    await incidents.decided("chat", "a", HELD, 30.0, observing=False)
    before = lines(rows)
    journal.heard = None
    again = telling(journal, rows)
    again.restore(written(journal), [], last=1)
    await again.decided("chat", "a", HELD, 31.0, observing=False)
    await again.note("chat", "a", EntryKind.ACKNOWLEDGED, "acknowledged by ann", 40.0)
    assert lines(rows) == [*before, (40.0, "acknowledged", "acknowledged by ann")]


async def test_one_that_only_sql_knows_goes_on_with_its_story(journal: Journal, rows: Rows) -> None:
    there = await begin(Incidents(journal, None))
    incidents = telling(journal, rows)
    incidents.restore([], [asdict(there)], last=1)
    await incidents.end("chat", "a", 90.0, why="a is not watched for chat any more")
    assert lines(rows)[-1] == (90.0, "ended", "a is not watched for chat any more")
    assert written(journal)[-1]["why"] == "a is not watched for chat any more"


async def test_a_shortened_journal_keeps_its_order_and_whom_the_flag_left(
    journal: Journal, rows: Rows
) -> None:
    incidents = telling(journal, rows)
    first = await begin(incidents)
    await incidents.end("chat", "a", 30.0)
    second = await begin(incidents)
    for at_ms in (60_000, 61_000):
        moved = flip(at_ms, "b", from_provider="a", at_ms=at_ms)
        await journal.append("done", **to_record(moved))
    await incidents.end("chat", "a", 90.0)
    kept = compacted(written(journal), 100_000.0)
    assert [record["kind"] for record in kept] == ["incident", "done", "done", "incident_closed"]
    assert first.id not in {record.get("id") for record in kept}
    again = Incidents(journal, None)
    again.restore(kept, [], last=2)
    assert again.away("chat", "a") == second.number == 2
    assert again.open == ()


async def test_flips_from_before_an_incident_are_not_its_story(
    journal: Journal, rows: Rows
) -> None:
    """SQL gives open incidents without the order in which the journal has them."""
    await journal.append("done", **to_record(flip(1, "a")))
    incident = await begin(Incidents(journal, None))
    again = telling(journal, rows)
    again.restore(written(journal), [asdict(incident)], last=1)
    assert [kind for _, kind, _ in lines(rows)] == ["suspect", "breached"]
    elsewhere = Rows()
    other = Incidents(journal, elsewhere.store)
    records = [record for record in written(journal) if record["kind"] != "incident"]
    other.restore(records, [asdict(incident)], last=1)
    assert [kind for _, kind, _ in lines(elsewhere)] == ["suspect", "breached"]
