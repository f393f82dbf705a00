"""The same scenarios over every database: SQLite, and a real PostgreSQL."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any
from uuid import uuid4

import pytest
from alembic import command
from sqlalchemy import Engine, create_engine, select, text

from prober.history.records import rows as flip_rows
from prober.history.store import adoption, queries, schema, tables
from prober.history.store.schema import Version, open_engine, upgrade, version
from prober.history.store.writer import Row, Store
from prober.sample import Outcome, Phases, Sample
from switch.flag import Flip, Op, Origin, Pin, decode_origin
from tests.support.servers import Postgres


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


def flip(epoch: int, **more: Any) -> Flip:
    values: dict[str, Any] = {
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
    values |= more
    values.setdefault("origin", decode_origin(None, values["actor"], values["op"]))
    return Flip(**values)


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


def test_rows_that_an_older_version_spooled_go_in_beside_newer_ones(
    engine: Engine, tmp_path: Path
) -> None:
    """They lack the columns that came since; one statement cannot hold both."""
    rows = [sample("1"), sample("2"), sample("3"), sample("4")]
    for old in rows[::2]:
        del old.values["retried"]
    rows[1].values["retried"] = 2
    (tmp_path / "spool").write_text("".join(row.encode() + "\n" for row in rows))
    store = Store(engine, tmp_path / "spool")
    store.start()
    assert store.wait_written(20)
    kept = {row["id"]: row["retried"] for row in queries.samples(engine)}
    assert kept == {"1": None, "2": 2, "3": None, "4": 0}
    store.close()


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


def line(id: str, at: float, kind: str = "held", incident: str = "i1") -> Row:
    values = {"id": id, "incident_id": incident, "at": at, "kind": kind, "sentence": f"said {id}"}
    return Row("incident_event", values)


def test_the_lines_of_an_incident_are_kept_once_and_told_in_their_order(
    engine: Engine, tmp_path: Path
) -> None:
    store = Store(engine, tmp_path / "spool")
    store.start()
    changed = Row("incident_event", {**line("1", 1.0).values, "sentence": "another"})
    store.put(line("2", 2.0), line("1", 1.0), changed, line("3", 3.0, incident="i2"))
    assert store.wait_written(20)
    told = queries.incident_events(engine, ["i1"])
    assert [(row["id"], row["sentence"]) for row in told] == [("1", "said 1"), ("2", "said 2")]
    assert [row["id"] for row in queries.incident_events(engine, ["i1", "i2"])] == ["1", "2", "3"]
    assert queries.incident_events(engine, []) == []
    assert Row.decode(line("1", 1.0).encode()) == line("1", 1.0), "and through the spool"
    store.close()


def incident(id: str, number: int, opened_at: float) -> Row:
    values = {
        "id": id, "number": number, "route": "chat", "provider": "a", "opened_at": opened_at,
        "breached_at": opened_at, "closed_at": None, "objectives": "availability", "summary": "s",
    }  # fmt: skip
    return Row("incident", values)


def test_what_surrounds_an_incident_is_found(engine: Engine, tmp_path: Path) -> None:
    """Its number, the outcomes in its time, and who served."""
    store = Store(engine, tmp_path / "spool")
    store.start()
    well = sample("ok")
    well.values["outcome"] = "ok"
    late = sample("late")
    late.values["started_at"] += 100.0
    store.put(incident("old", 7, 1.0), incident("new", 7, 2.0))
    store.put(sample("1"), sample("2"), well, late)
    moves = [flip(e, at_ms=e * 1000, from_provider="x", to_provider=f"p{e}") for e in (1, 2, 5, 9)]
    store.put(*(row for one in moves for row in flip_rows(one)))
    assert store.wait_written(20)
    found = queries.incident(engine, 7)
    assert found is not None
    assert found["id"] == "new", "of two the newest"
    assert queries.incident(engine, 8) is None
    start = 1_700_000_000.0
    assert queries.outcomes(engine, "a", start, start + 10) == {"overloaded": 2, "ok": 1}
    assert queries.outcomes(engine, "b", start, start + 10) == {}
    served = queries.served(engine, "chat", 3.0, 8.0)
    assert [row["to_provider"] for row in served] == ["p2", "p5"]
    store.close()


def test_the_last_drill_is_its_way_out_and_what_ended_it(engine: Engine, tmp_path: Path) -> None:
    store = Store(engine, tmp_path / "spool")
    store.start()
    drill = {"op": Op.MANUAL, "actor": "ann", "origin": Origin.DRILL}
    out, back = {"drill": "x", "phase": "out"}, {"drill": "x", "phase": "back"}
    flips = [
        flip(1, **drill, evidence={**out, "drill": "old"}),
        flip(2, **drill, evidence={**back, "drill": "old"}),
        flip(3, **drill, evidence=out),
        flip(4, op=Op.REPAIR),
        flip(5, **drill, evidence=back),
        flip(6),
    ]
    store.put(*(row for one in flips for row in flip_rows(one)))
    assert store.wait_written(20)
    assert [one.epoch for one in queries.last_drill(engine, "chat")] == [3, 5]
    assert queries.last_drill(engine, "other") == []
    store.close()


def test_a_database_of_the_first_version_gains_the_stories(engine: Engine) -> None:
    command.upgrade(schema._alembic(engine), "0001")
    assert version(engine) is Version.OLD
    upgrade(engine)
    assert version(engine) is Version.CURRENT
    assert queries.incident_events(engine, ["i1"]) == []
    command.downgrade(schema._alembic(engine), "0001")
    assert version(engine) is Version.OLD


def test_flips_of_before_have_their_origin_from_op_and_signature(engine: Engine) -> None:
    command.upgrade(schema._alembic(engine), "0004")
    wrote = [
        ("auto", "prober@v", Origin.AUTOMATIC),
        ("seed", "prober@v", Origin.SEED),
        ("repair", "prober@v", Origin.REPAIR),
        ("manual", "break-glass", Origin.BREAK_GLASS),
        ("manual", "drill of ann", Origin.DRILL),
        ("manual", "prober@desk", Origin.OPERATOR),
    ]
    insert = text(
        "INSERT INTO flip VALUES (:id, 'chat', :op, :epoch, '', 'a', 'b', 'why', :actor, 1.0, '{}')"
    )
    with engine.begin() as connection:
        for epoch, (op, actor, _) in enumerate(wrote):
            connection.execute(
                insert, {"id": f"d{epoch}", "op": op, "epoch": epoch, "actor": actor}
            )
    upgrade(engine, "1" * 32)
    mine = schema.of_installation(engine, "1" * 32)
    found = {row["epoch"]: row["origin"] for row in queries.flips(mine)}
    assert [found[epoch] for epoch in range(len(wrote))] == [origin for *_, origin in wrote]
    # A vantage of the version between writes no origin.
    late = text(
        "INSERT INTO flip (decision_id, route, op, epoch, parent, from_provider, "
        "to_provider, reason, actor, at, evidence, installation_id) VALUES "
        f"('d9', 'chat', 'auto', 9, '', 'a', 'b', 'why', 'prober@v', 2.0, '{{}}', '{'1' * 32}')"
    )
    with engine.begin() as connection:
        connection.execute(late)
    newest = queries.newest_flip(mine, "chat")
    assert newest is not None
    assert newest.origin is Origin.AUTOMATIC


def test_two_daemons_may_make_one_database_at_once(postgresql: Postgres) -> None:
    """Both find it empty; both are held at the same door, then let go together."""
    name = f"t{uuid4().hex}"
    postgresql.create(name)
    url = postgresql.url_of(name)
    imported = "from prober.history.store.schema import open_engine, upgrade"
    make = f"{imported}; upgrade(open_engine({url!r}))"
    engine = create_engine(url)
    with engine.connect() as door:
        door.exec_driver_sql(f"SELECT pg_advisory_lock({0x70726F626572})")
        makers = [Popen([sys.executable, "-c", make], stderr=PIPE) for _ in range(2)]
        until = time.monotonic() + 30
        while door.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")) < 2:
            assert time.monotonic() < until, [maker.poll() for maker in makers]
            time.sleep(0.02)
    engine.dispose()  # which ends the connection, and with it the lock
    for maker in makers:
        assert maker.communicate(timeout=30)[1] == b""
        assert maker.returncode == 0
    engine = open_engine(url)
    assert version(engine) is Version.CURRENT
    engine.dispose()


# -- installations ---------------------------------------------------------------------------------


def alert(title: str) -> Row:
    values = {
        "id": "same-in-both", "channel": "c", "event": "daemon", "route": "", "created_at": 1.0,
        "severity": "page", "title": title, "body": "", "vantage": "v", "sent_at": None,
    }  # fmt: skip
    return Row("outbox", values)


def everything(epoch: int, provider: str) -> list[Row]:
    """A row for each table that is asked anything."""
    pinned = Pin(provider, "ada", "why not", 99_000, epoch)
    drill = {"drill": f"x{epoch}", "phase": "out"}
    moved = flip(epoch, to_provider=provider, pin=pinned, origin=Origin.DRILL, evidence=drill)
    taken, opened = sample(f"s{epoch}"), incident(f"i{epoch}", epoch, float(epoch))
    taken.values["provider"] = opened.values["provider"] = provider
    refused = {
        "decision_id": f"r{epoch}", "route": "chat", "at": 1.0, "status": "s", "wanted": provider,
        "reason": "r",
    }  # fmt: skip
    story = line(f"l{epoch}", 1.0, incident=f"i{epoch}")
    return [*flip_rows(moved), taken, opened, story, alert(provider), Row("refusal", refused)]


def asked(engine: Engine) -> str:
    """All that history says of both."""
    at, far = 0.0, 4e9
    said = [
        queries.samples(engine), queries.spending(engine, (at,)), queries.vantages(engine, at),
        list(queries.sample_batches(engine, vantage="v", since=at, until=far)),
        queries.incidents_between(engine, "chat", at, far), queries.incidents(engine),
        queries.flips_between(engine, "chat", at, far), queries.flag_at(engine, "chat", far),
        queries.flips(engine), queries.incident(engine, 1), queries.incident(engine, 2),
        queries.incident_events(engine, ["i1", "i2"]), queries.refusals(engine),
        queries.outcomes(engine, "ours", at, far), queries.outcomes(engine, "theirs", at, far),
        queries.served(engine, "chat", at, far), queries.last_drill(engine, "chat"),
        queries.open_incidents(engine), queries.newest_flip(engine, "chat"),
        queries.standing_pin(engine, "chat"), queries.unsent(engine, "v"),
        queries.last_incident_number(engine),
    ]  # fmt: skip
    return repr(said)


def test_two_installations_in_one_database_see_nothing_of_each_other(
    engine: Engine, tmp_path: Path
) -> None:
    ours = Store(engine, tmp_path / "ours", "1" * 32)
    theirs = Store(engine, tmp_path / "theirs", "2" * 32)
    for store, rows in ((ours, everything(1, "ours")), (theirs, everything(2, "theirs"))):
        store.start()
        store.put(*rows)
        assert store.wait_written(20)
    sent = Row("outbox", {**alert("theirs").values, "sent_at": 5.0}, ("sent_at",))
    theirs.put(sent)
    assert theirs.wait_written(20)
    assert queries.installations(engine) == ["1" * 32, "2" * 32]
    for store, mine, other in ((ours, "ours", "theirs"), (theirs, "theirs", "ours")):
        said = asked(store.engine)
        assert said.count(f"'{mine}'") >= 12
        assert f"'{other}'" not in said
        assert ours.installation not in said
    assert queries.last_incident_number(ours.engine) == 1
    (waits,) = queries.unsent(ours.engine, "v")
    assert waits["title"] == "ours", "that theirs was sent says nothing of ours"
    assert queries.unsent(theirs.engine, "v") == []
    ours.close()
    theirs.close()


def test_history_waits_until_somebody_knows_whose_it_is(engine: Engine, tmp_path: Path) -> None:
    store = Store(engine, tmp_path / "spool", None)
    store.start()
    store.put(sample("1"))
    assert not store.wait_written(0.2)
    assert "which installation" in store.why_down
    store.belongs_to("1" * 32)
    assert store.wait_written(20)
    assert [row["id"] for row in queries.samples(store.engine)] == ["1"]
    store.close()


@pytest.mark.parametrize("given", ["1" * 32, ""], ids=["of a known one", "of nobody yet"])
def test_a_filled_database_of_an_earlier_version_belongs_to_one_installation(
    given: str, engine: Engine, tmp_path: Path
) -> None:
    command.upgrade(schema._alembic(engine), "0005")
    with engine.begin() as connection:
        for row in everything(1, "ours"):
            table = tables.metadata.tables[row.table]
            connection.execute(table.insert().values(row.values).inline())
    upgrade(engine, given)
    (id,) = queries.installations(engine)
    assert id == (given or id)
    assert len(id) == 32
    mine = schema.of_installation(engine, id)
    assert asked(mine).count("'ours'") >= 12
    assert "'ours'" not in asked(schema.of_installation(engine, "2" * 32))
    assert queries.sure_since(mine) > 1_700_000_000
    assert queries.newest_flip(mine, "chat", queries.sure_since(mine)) is None, "not to restore by"
    store = Store(engine, tmp_path / "spool", id)
    store.start()
    store.put(*everything(2, "ours"))
    assert store.wait_written(20)
    store.close()
    command.downgrade(schema._alembic(engine), "0005")
    assert version(engine) is Version.OLD
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM flip")).scalar() == 2
        assert connection.execute(text("SELECT count(*) FROM outbox")).scalar() == 1


def test_the_history_of_one_installation_can_be_given_to_another_or_removed(
    engine: Engine, tmp_path: Path
) -> None:
    ours = Store(engine, tmp_path / "ours", "1" * 32)
    theirs = Store(engine, tmp_path / "theirs", "2" * 32)
    for store, rows in ((ours, everything(1, "ours")), (theirs, everything(2, "theirs"))):
        store.start()
        store.put(*rows)
        assert store.wait_written(20)
    assert adoption.counted(engine, "2" * 32) == 7
    adoption.hand_over(engine, "2" * 32, "1" * 32, 50.0)
    assert queries.installations(engine) == ["1" * 32]
    assert len(queries.flips(ours.engine)) == 2
    assert [row["title"] for row in queries.unsent(ours.engine, "v")] == ["ours"]
    assert queries.sure_since(ours.engine) == 50.0, "what came is not to restore by"
    adoption.remove(engine, "1" * 32)
    assert queries.installations(engine) == []
    assert adoption.counted(engine, "1" * 32) == 0
    ours.close()
    theirs.close()
