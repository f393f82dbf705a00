"""Incidents: on disk before anybody is told, numbered, and there again after a restart."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from prober_values import Rows, written

from prober.incidents import Incident, Incidents
from prober.journal import Journal


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
    assert [(row.values["id"], row.values["closed_at"], row.changes) for row in rows] == [
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
