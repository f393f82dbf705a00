"""History in SQL, replayed: the same over every database."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine, insert

from prober.config.loader import parse
from prober.config.schema import Config
from prober.history.records import rows
from prober.history.store import queries, tables
from prober.history.store.queries import NoHistoryError
from prober.history.store.schema import upgrade
from prober.history.store.writer import write
from prober.simulation.backtest.history import BacktestResult, backtest
from switch.flag import Flip, Op, Origin
from tests.support.histories import AT, canaries, configuration, keep

HOUR_S = 3_600.0
OUTAGE = (2 * HOUR_S, 3 * HOUR_S)


def partial(name: str, at_s: float, chance: float) -> bool:
    return name == "a" and OUTAGE[0] <= at_s < OUTAGE[1] and chance < 0.4


def config(more: str = "") -> Config:
    return parse(configuration(Path(), "sqlite:///x", more), other_tools=True)


NORMAL = config()
FOR_5M = config('[route.detector]\nkind = "for-5m"\n')


def kept(engine: Engine) -> Engine:
    upgrade(engine)
    keep(engine, canaries(5 * HOUR_S, partial))
    return engine


def played(engine: Engine, *configs: Config) -> BacktestResult:
    return backtest(engine, configs, "chat", AT, AT + 6 * HOUR_S)


def test_settings_in_force_and_tried_stand_beside_each_other(engine: Engine) -> None:
    found = played(kept(engine), NORMAL, FOR_5M)
    normal, slow = found.columns
    assert [(turn.source, turn.target) for turn in normal.turns] == [("a", "b"), ("b", "a")]
    assert OUTAGE[0] < normal.turns[0].at - AT < OUTAGE[0] + 300
    assert slow.turns == ()
    assert (normal.found, slow.found) == (1, 0)
    plain = found.plain(["in_force", "tried"])
    assert set(plain) == {
        "route", "since", "until", "primary", "samples", "silent_s", "recorded_flips",
        "incidents", "columns",
    }  # fmt: skip
    [incident] = plain["incidents"]
    assert incident["provider"] == "a"
    assert incident["in_force"]["flipped_s"] < 300
    assert incident["tried"] == {"detected_s": None, "flipped_s": None}
    assert plain["columns"]["in_force"]["flips"][0]["reason"] == normal.turns[0].reason
    assert plain["samples"].keys() == {"a", "b"}


def test_the_same_history_gives_the_same_whatever_the_batch(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = played(kept(engine), NORMAL)
    batches = list(
        queries.sample_batches(engine, vantage="local", since=AT, until=AT + 6 * HOUR_S, size=7)
    )
    assert {len(batch) for batch in batches[:-1]} == {7}
    ids = [taken.id for batch in batches for taken in batch]
    assert len(ids) == len(set(ids)) == sum(whole.samples.values())
    times = [taken.started_at for batch in batches for taken in batch]
    assert times == sorted(times)
    assert played(engine, NORMAL) == whole


def test_canaries_of_the_same_moment_are_read_once_each(engine: Engine) -> None:
    """A batch may end in the middle of them."""
    upgrade(engine)
    made = [tables.sample_row(s) for s in canaries(300, lambda *_: False, providers="a")]
    for number, row in enumerate(made):
        row.update(id=f"{number:02}", started_at=AT + number // 5)
    with engine.begin() as connection:
        connection.execute(insert(tables.sample), made)
    found = [
        taken.id
        for batch in queries.sample_batches(engine, vantage="local", since=AT, until=AT + 9, size=2)
        for taken in batch
    ]
    assert found == sorted(row["id"] for row in made)


def test_the_flag_begins_where_the_record_says_and_its_incidents_count(engine: Engine) -> None:
    kept(engine)
    flip = Flip(
        "chat",
        Op.AUTO,
        1,
        "d1",
        "",
        "a",
        "b",
        "because",
        "prober@local",
        round(AT - 60) * 1000,
        origin=Origin.AUTOMATIC,
    )
    incident = {
        "id": "i1", "number": 1, "route": "chat", "provider": "b", "opened_at": AT + 600,
        "breached_at": AT + 660, "closed_at": AT + 900, "objectives": "availability",
        "summary": "s",
    }  # fmt: skip
    with engine.begin() as connection:
        write(connection, rows(flip))
        connection.execute(insert(tables.incident), [incident])
    found = played(engine, NORMAL)
    assert found.primary == "b"
    assert found.recorded == ()  # it was before the period
    assert [(past.provider, past.source) for past in found.incidents] == [
        ("b", "recorded"),
        ("a", "measured"),
    ]
    assert found.columns[0].turns[0].kind == "failback"


def test_without_canaries_there_is_a_line_that_says_why(engine: Engine) -> None:
    upgrade(engine)
    with pytest.raises(NoHistoryError, match="no canaries were recorded then"):
        played(engine, NORMAL)
    keep(engine, canaries(600, partial, vantage="eu-1"))
    with pytest.raises(NoHistoryError, match=r"others did: eu-1 \(\d+\); set PROBER_VANTAGE"):
        played(engine, NORMAL)
