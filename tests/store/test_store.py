"""The same scenarios over every database: SQLite, and a real PostgreSQL."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine, select

from prober.flips import rows as flip_rows
from prober.sample import Outcome, Phases, Sample
from prober.store import queries, tables
from prober.store.schema import Version, open_engine, upgrade, version
from prober.store.writer import Row, Store
from switch.flag import Flip, Op, Pin


def sample(id: str) -> Row:
    taken = Sample(
        id=id,
        provider="a",
        vantage="v",
        model="m",
        started_at=1_700_000_000.0,
        started_s=1.0,
        outcome=Outcome.OVERLOADED,
        phases=Phases(total_s=0.5),
        detail="HTTP 529",
    )
    return Row("sample", tables.sample_row(taken))


def flip(epoch: int, **more: object) -> Flip:
    values = {
        "route": "chat",
        "op": Op.AUTO,
        "epoch": epoch,
        "decision_id": f"d{epoch}",
        "parent": "",
        "from_provider": "a",
        "to_provider": "b",
        "reason": "because",
        "actor": "prober@v",
        "at_ms": epoch,
        "evidence": {"why": "so"},
    }
    return Flip(**(values | more))  # type: ignore[arg-type]


def test_the_schema_is_made_once_and_known_to_be_current(engine: Engine) -> None:
    assert version(engine) is Version.EMPTY
    upgrade(engine)
    assert version(engine) is Version.CURRENT
    assert upgrade(engine).before == upgrade(engine).after


def test_a_row_put_twice_is_kept_once_and_a_change_is_applied(
    engine: Engine, tmp_path: Path
) -> None:
    store = Store(engine, tmp_path / "spool")
    store.start()
    incident = {
        "id": "i1", "number": 1, "route": "chat", "provider": "a", "opened_at": 1.0,
        "breached_at": 2.0, "closed_at": None, "objectives": "availability", "summary": "s",
    }  # fmt: skip
    store.put(sample("1"), sample("1"), sample("2"), Row("incident", incident))
    store.put(Row("incident", {**incident, "closed_at": 9.0}, ("closed_at",)))
    assert store.wait_written(20)
    assert {row["id"] for row in queries.samples(engine)} == {"1", "2"}
    assert queries.incidents(engine)[0]["closed_at"] == 9.0
    assert queries.open_incidents(engine) == []
    assert queries.last_incident_number(engine) == 1
    store.close()


def test_what_waited_in_the_spool_is_replayed_by_id(engine: Engine, tmp_path: Path) -> None:
    away = Store(open_engine(f"sqlite:///{tmp_path}/nowhere/x.db"), tmp_path / "spool")
    away.start()
    away.put(sample("1"), sample("2"))
    away.close(1.0)
    assert (tmp_path / "spool").stat().st_size > 0
    with (tmp_path / "spool").open("a") as file:
        file.write('["sample", {"id": "to')  # torn by a kill
    back = Store(engine, tmp_path / "spool")
    back.start()
    back.put(sample("2"), sample("3"))
    assert back.wait_written(20)
    assert sorted(row["id"] for row in queries.samples(engine)) == ["1", "2", "3"]
    assert not (tmp_path / "spool").exists()
    back.close()


def test_a_row_that_no_database_takes_is_counted_and_blocks_nothing(
    engine: Engine, tmp_path: Path
) -> None:
    store = Store(engine, tmp_path / "spool")
    store.start()
    poison = sample("bad")
    poison.values["provider"] = None
    store.put(sample("1"), poison, sample("2"))
    assert store.wait_written(20)
    assert sorted(row["id"] for row in queries.samples(engine)) == ["1", "2"]
    assert store.lost == 1
    store.close()


def test_flips_and_pins_are_told_back_as_they_were(engine: Engine, tmp_path: Path) -> None:
    store = Store(engine, tmp_path / "spool")
    store.start()
    pin = Pin("b", "ada", "why not", 99_000, 2)
    store.put(*flip_rows(flip(1)), *flip_rows(flip(2, op=Op.MANUAL, pin=pin)))
    assert store.wait_written(20)
    newest = queries.newest_flip(engine, "chat")
    assert newest is not None
    assert (newest.epoch, newest.evidence) == (2, {"why": "so"})
    standing = queries.standing_pin(engine, "chat")
    assert standing is not None
    assert (standing.provider, standing.owner, standing.until_ms) == ("b", "ada", 99_000)
    store.put(*flip_rows(flip(3, op=Op.MANUAL, pin_cleared=True)))
    assert store.wait_written(20)
    assert queries.standing_pin(engine, "chat") is None
    with engine.connect() as connection:
        assert len(connection.execute(select(tables.flip)).all()) == 3
    store.close()


def test_spending_is_summed_by_provider_from_each_moment_on(engine: Engine, tmp_path: Path) -> None:
    store = Store(engine, tmp_path / "spool")
    store.start()
    sent = [("a", 10.0, 0.5), ("a", 20.0, 0.25), ("a", 5.0, 9.0), ("b", 30.0, 1.0)]
    for number, (provider, at, cost) in enumerate(sent):
        row = sample(str(number))
        row.values.update(provider=provider, started_at=at, cost_usd=cost)
        store.put(row)
    assert store.wait_written(20)
    assert queries.spending(engine, (20.0, 10.0, 25.0)) == [
        queries.Spending("a", 10.0, (0.25, 0.75, 0.0)),
        queries.Spending("b", 30.0, (1.0, 1.0, 1.0)),
    ]
    assert queries.spending(engine, (99.0,)) == []
    store.close()
