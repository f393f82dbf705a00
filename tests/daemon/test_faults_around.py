"""SQL away, alerts refused, providers that misbehave, our own network gone."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from prober.config.schema import Provider
from prober.daemon.operator_api import OperatorApi
from prober.daemon.recovery import StartError
from prober.emulator import Emulator
from prober.history.store import queries
from prober.sample import Outcome
from tests.support.servers import Valkey
from tests.support.stage import Hook, hasty, running, until, write_config


def get(valkey: Valkey) -> str | None:
    with valkey.client() as client:
        found: str | None = client.get("prober:{chat}:primary")
        return found


async def test_a_flip_and_its_alert_need_no_sql_and_history_catches_up(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    database = tmp_path / "later" / "prober.db"
    path = write_config(
        tmp_path / "prober.toml",
        emulator=emulator.url,
        redis=valkey.url,
        database=f"sqlite:///{database}",
    )
    async with running(path) as daemon:
        await until(lambda: get(valkey) == "a")
        assert not daemon.store.up
        emulator.set_faults(api="anthropic", error_share=1.0, status=529)
        await until(lambda: get(valkey) == "b", "the flip")
        await until(lambda: any("failed over" in t for t in oncall.titles), "its alert")
        database.parent.mkdir()
        await until(lambda: daemon.store.up, "SQL is back")
        assert await asyncio.to_thread(daemon.store.wait_written, 10)
        flips = await asyncio.to_thread(queries.flips, daemon.store.engine)
        assert [flip["to_provider"] for flip in flips] == ["b", "a"]
        samples = await asyncio.to_thread(queries.samples, daemon.store.engine, limit=1000)
        assert {sample["outcome"] for sample in samples} >= {"ok", "overloaded"}


async def test_a_database_of_a_newer_prober_is_refused(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    with sqlite3.connect(tmp_path / "prober.db") as connection:
        connection.execute("create table alembic_version (version_num text)")
        connection.execute("insert into alembic_version values ('9999')")
    connection.close()
    path = write_config(tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url)
    with pytest.raises(StartError, match="made by a newer Prober"):
        async with running(path):
            pass


async def test_a_second_daemon_in_the_same_directory_is_refused(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    path = write_config(tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url)
    async with running(path):
        with pytest.raises(StartError, match="another Prober runs"):
            async with running(path):
                pass


async def test_a_dead_alert_channel_delays_no_flip_and_gets_its_alert_later(
    tmp_path: Path,
    valkey: Valkey,
    emulator: Emulator,
    oncall: Hook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("prober.alerts.outbox.FIRST_PAUSE_S", 0.05)
    oncall.status = 500
    path = write_config(tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url)
    async with running(path):
        await until(lambda: get(valkey) == "a")
        emulator.set_faults(api="anthropic", error_share=1.0, status=529)
        await until(lambda: get(valkey) == "b", "the flip does not wait")
        await until(lambda: oncall.refused > 1, "it is tried again")
        assert oncall.letters == []
        oncall.status = 200
        await until(lambda: any("failed over" in t for t in oncall.titles), "it arrives")


async def test_a_channel_that_cannot_be_is_told_at_the_start_and_at_a_reload(
    tmp_path: Path,
    valkey: Valkey,
    emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("ODD", "slak://T1/secret-token")
    odd = '[[alert]]\nname = "odd"\nurl = { env = "ODD" }'
    path = write_config(
        tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url, alerts=odd
    )

    def told(name: str) -> bool:
        return any(f'[[alert]] "{name}": apprise can do' in said for said in caplog.messages)

    async with running(path) as daemon:
        await until(lambda: told("odd"))
        path.write_text(path.read_text().replace('"odd"', '"odder"'))
        assert await daemon.reload()
        await until(lambda: told("odder"))


async def test_undelivered_alerts_outlive_a_restart(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    oncall.status = 500
    path = write_config(tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url)
    async with running(path) as daemon:
        await until(lambda: len(daemon.outbox.unsent) > 0)
        await until(lambda: oncall.refused > 0)
    oncall.status = 200
    async with running(path):
        await until(lambda: any("first flag set to a" in t for t in oncall.titles))
    assert sum("first flag" in title for title in oncall.titles) == 1


@pytest.mark.parametrize(
    ("faults", "outcome"),
    [
        ({"hang_share": 1.0}, Outcome.TIMEOUT_FIRST_TEXT),
        ({"reset_share": 1.0}, Outcome.RESET),
        ({"garbage_share": 1.0}, Outcome.STREAM_TRUNCATED),
        ({"huge_bytes": 100_000_000}, Outcome.STREAM_ERROR),
        ({"slow_byte_s": 1.0}, Outcome.TIMEOUT_FIRST_TEXT),
    ],
)
async def test_a_misbehaving_provider_is_an_outcome_and_disturbs_nobody(
    tmp_path: Path,
    valkey: Valkey,
    emulator: Emulator,
    oncall: Hook,
    faults: dict[str, Any],
    outcome: Outcome,
) -> None:
    path = write_config(
        tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url, healthy_for="1h"
    )
    async with running(path) as daemon:
        await until(lambda: get(valkey) == "a")
        hasty(path)
        assert await daemon.reload()
        tracker = daemon.judge.states["chat"].trackers["a"]
        emulator.set_faults(api="anthropic", **faults)
        await until(lambda: get(valkey) == "b", "it is left")
        # A slow machine may add timeouts of its own.
        assert outcome in tracker.evidence[0].outcomes
        # Timeouts of the slow machine may make it suspect; what a does must not breach it.
        assert not daemon.judge.states["chat"].trackers["b"].breached


async def test_without_our_own_network_no_flag_moves_and_the_lease_is_given_up(
    tmp_path: Path,
    valkey: Valkey,
    emulator: Emulator,
    oncall: Hook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Seen as remote machines: their connection failures need a witness.
    monkeypatch.setattr(Provider, "on_loopback", False)
    path = write_config(tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url)
    async with running(path) as daemon:
        await until(lambda: get(valkey) == "a")
        emulator.set_faults(api="*", reset_share=1.0)
        await until(lambda: daemon.judge.blindness.since_s is not None, "it knows that it is blind")
        await until(lambda: any("is blind" in t for t in oncall.titles))
        await until(lambda: not daemon.judge.states["chat"].leased)
        assert get(valkey) == "a"
        emulator.reset()
        await until(lambda: daemon.judge.blindness.since_s is None, "sight comes back")
        await until(lambda: daemon.judge.states["chat"].leased)
        assert get(valkey) == "a"


async def test_one_unreachable_provider_is_left_on_the_word_of_a_witness(
    tmp_path: Path,
    valkey: Valkey,
    emulator: Emulator,
    oncall: Hook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Provider, "on_loopback", False)
    path = write_config(tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url)
    async with running(path):
        await until(lambda: get(valkey) == "a")
        emulator.set_faults(api="anthropic", reset_share=1.0)
        await until(lambda: get(valkey) == "b", "b answers, so our own path is fine")


async def test_a_revoked_key_is_the_accounts_trouble_and_the_alert_names_the_fix(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    path = write_config(tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url)
    async with running(path) as daemon:
        await until(lambda: get(valkey) == "a")
        emulator.set_faults(api="anthropic", auth_share=1.0)
        await until(lambda: get(valkey) == "b", "the account is shared with the application")
        await until(lambda: any(t.endswith("a: key refused") for t in oncall.titles))
        letter = next(one for one in oncall.letters if one["title"].endswith("a: key refused"))
        assert "put a valid key" in letter["message"]
        health, why = daemon.judge.states["chat"].trackers["a"].health(daemon.clock.mono())
        assert health == "ineligible"
        assert "key refused" in why


async def test_secrets_are_nowhere_but_in_the_request(
    tmp_path: Path,
    valkey: Valkey,
    emulator: Emulator,
    oncall: Hook,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = write_config(tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url)
    async with running(path) as daemon:
        await until(lambda: get(valkey) == "a")
        emulator.set_faults(api="anthropic", auth_share=1.0)
        await until(lambda: any("failed over" in t for t in oncall.titles))
        asked = OperatorApi(daemon)
        status = str(await asked.status({})) + str(await asked.why({"route": "chat"}))
        shown = repr(daemon.resolved) + repr(daemon.config)
        with valkey.client() as client:
            events = str(client.xrange("prober:{chat}:events"))
            events += str(client.hgetall("prober:{chat}:candidates"))
    files = [f.read_bytes() for f in tmp_path.iterdir() if f.is_file() and f.suffix != ".toml"]
    places = [status, shown, events, str(oncall.letters), caplog.text]
    assert all("secret-key-of" not in place for place in places)
    assert all(b"secret-key-of" not in file for file in files)


async def test_a_reload_may_add_a_priced_provider_and_the_daemon_lives_on(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    path = write_config(tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url)
    async with running(path) as daemon:
        await until(lambda: get(valkey) == "a")
        added = (
            '\n[[provider]]\nname = "c"\napi = "ollama"\nmodel = "m"\n'
            f'base_url = "{emulator.url}"\nprice = {{ input = 1.0, output = 1.0 }}\n'
            "canary = { daily_budget_usd = 1000.0 }\n"
        )
        text = path.read_text().replace('candidates = ["a", "b"]', 'candidates = ["a", "b", "c"]')
        path.write_text(text + added)
        assert await daemon.reload()
        tracker = daemon.judge.states["chat"].trackers["c"]
        await until(lambda: tracker.proven(daemon.clock.mono()) or tracker.good_in_a_row >= 4)
        assert daemon.schedule.spent_today("c") > 0


async def test_a_reload_forgets_no_breach(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    path = write_config(
        tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url, healthy_for="1h"
    )
    async with running(path) as daemon:
        await until(lambda: get(valkey) == "a")
        emulator.set_faults(api="anthropic", error_share=1.0, status=529)
        await until(lambda: get(valkey) == "b")
        path.write_text(path.read_text().replace('model = "claude-test"', 'model = "claude-new"'))
        assert await daemon.reload()
        tracker = daemon.judge.states["chat"].trackers["a"]
        assert tracker.breach.latched == {"availability"}
        assert not tracker.proven(daemon.clock.mono())


async def test_a_candidate_that_cannot_be_proven_does_not_block_the_next(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    more = f'\n[[provider]]\nname = "c"\napi = "ollama"\nmodel = "m"\nbase_url = "{emulator.url}"\n'
    path = write_config(
        tmp_path / "prober.toml",
        emulator=emulator.url,
        redis=valkey.url,
        candidates='["a", "b", "c"]',
        more=more,
    )
    async with running(path):
        await until(lambda: get(valkey) == "a")
        emulator.set_faults(api="openai", length_share=1.0)
        emulator.set_faults(api="anthropic", error_share=1.0, status=529)
        await until(lambda: get(valkey) == "c", "b is misconfigured, c is fine")


async def test_a_redis_that_takes_no_writes_is_told_and_counts_as_lost(
    tmp_path: Path,
    own_valkey: Valkey,
    emulator: Emulator,
    oncall: Hook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("prober.failover.notifier.REDIS_LOST_AFTER_S", 0.2)
    path = write_config(tmp_path / "prober.toml", emulator=emulator.url, redis=own_valkey.url)
    async with running(path):
        await until(lambda: get(own_valkey) == "a")
        with own_valkey.client() as client:
            client.execute_command("REPLICAOF", "127.0.0.1", "1")
        await until(lambda: any("Redis cannot be read" in t for t in oncall.titles))
        with own_valkey.client() as client:
            client.execute_command("REPLICAOF", "NO", "ONE")
        await until(lambda: any("Redis can be read again" in t for t in oncall.titles))


async def test_refused_flips_are_told_and_tried_less_and_less_often(
    tmp_path: Path, own_valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    path = write_config(tmp_path / "prober.toml", emulator=emulator.url, redis=own_valkey.url)
    async with running(path) as daemon:
        await until(lambda: get(own_valkey) == "a")
        with own_valkey.client() as client:
            client.config_set("maxmemory", "1")
        emulator.set_faults(api="anthropic", error_share=1.0, status=529)
        await until(lambda: any("refuses to change the flag" in t for t in oncall.titles))
        assert daemon.judge.states["chat"].refusals <= 4
        with own_valkey.client() as client:
            client.config_set("maxmemory", "0")
        await until(lambda: get(own_valkey) == "b", "and once it may, it does", 25)


async def test_a_bad_primary_that_nothing_moves_is_told(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    path = write_config(tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url)
    text = path.read_text().replace(
        "[route.detector]", "[route.objectives]\nquality = 0.95\n\n[route.detector]"
    )
    path.write_text(text)
    async with running(path):
        await until(lambda: get(valkey) == "a")
        emulator.set_faults(api="anthropic", wrong_answer_share=1.0)
        await until(lambda: any("serves chat, answers wrongly" in t for t in oncall.titles))
        (letter,) = (one for one in oncall.letters if "answers wrongly" in one["title"])
        assert "prober failover b --route chat" in letter["message"]
        assert get(valkey) == "a"
