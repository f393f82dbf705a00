"""The story of an incident, as a whole daemon writes it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from prober.daemon.daemon import Daemon
from prober.daemon.operator_api import OperatorApi
from prober.emulator import Emulator
from prober.history.store import queries
from switch.flag import Keys
from tests.support.servers import Valkey
from tests.support.stage import Hook, running, until, write_config


def get(valkey: Valkey) -> str | None:
    with valkey.client() as client:
        found: str | None = client.get("prober:{chat}:primary")
        return found


async def story(daemon: Daemon, number: int = 1) -> list[dict[str, Any]]:
    """The lines of an incident in SQL, oldest first."""
    assert await asyncio.to_thread(daemon.store.wait_written, 10)
    engine = daemon.store.engine
    incident = await asyncio.to_thread(queries.incident, engine, number)
    assert incident is not None
    return await asyncio.to_thread(queries.incident_events, engine, [incident["id"]])


async def test_a_failover_and_the_way_home_are_one_story_in_order(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    path = write_config(tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url)
    async with running(path) as daemon:
        await until(lambda: get(valkey) == "a")
        emulator.set_faults(api="anthropic", error_share=1.0, status=529)
        await until(lambda: get(valkey) == "b")
        emulator.set_faults(api="anthropic", ttft_s=0.001)
        await until(lambda: get(valkey) == "a")
        await until(lambda: any("failed back" in t for t in oncall.titles))
        await until(lambda: not daemon.outbox.unsent)
        lines = await story(daemon)
    told = [(line["kind"], line["sentence"]) for line in lines]
    kinds = [kind for kind, _ in told if kind not in ("proving", "alert")]
    assert kinds[:2] == ["suspect", "breached"]
    assert set(kinds[2:4]) == {"proven", "failed_over"}
    assert kinds[4:6] == ["recovering", "recovered"]
    assert set(kinds[6:]) == {"proven", "failed_back"}
    assert len(kinds) == 8
    assert ("failed_over", "chat failed over: a → b") in told
    alerts = [sentence for kind, sentence in told if kind == "alert"]
    assert any(said.startswith("told oncall: chat failed over: a → b") for said in alerts)
    assert any(said.startswith("told oncall: chat failed back: b → a") for said in alerts)
    times = {line["kind"]: line["at"] for line in lines}
    assert times["suspect"] < times["breached"] <= times["failed_over"] < times["recovered"]


async def test_held_and_acknowledged_are_lines_that_outlive_a_restart(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    path = write_config(tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url)
    async with running(path) as daemon:
        await until(lambda: get(valkey) == "a")
        emulator.set_faults(api="*", error_share=1.0, status=503)
        await until(lambda: any("NO FAILOVER" in t for t in oncall.titles))
        await until(lambda: not daemon.outbox.unsent)
        incident = daemon.incidents.find("chat", "a")
        assert incident is not None
        await OperatorApi(daemon).acknowledge({"about": str(incident.number), "actor": "ann@desk"})
        before = await story(daemon, incident.number)
    kinds = [line["kind"] for line in before]
    assert "held" in kinds
    assert "acknowledged by ann@desk: no reminders for 1 h" in [line["sentence"] for line in before]
    (tmp_path / "prober.db").unlink()
    async with running(path) as daemon:
        after = await story(daemon, incident.number)
    ids = [line["id"] for line in after]
    assert {line["id"] for line in before} <= set(ids), "the journal alone gives them back"
    assert len(ids) == len(set(ids))


async def test_what_observing_would_have_done_is_a_line(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    path = write_config(
        tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url, mode="observe"
    )
    async with running(path) as daemon:
        state = daemon.judge.states["chat"]
        await until(lambda: state.primary == "a")
        emulator.set_faults(api="anthropic", error_share=1.0, status=529)
        await until(lambda: state.primary == "b")
        await until(lambda: daemon.store.waiting == 0)
        lines = await story(daemon)
    would = [line["sentence"] for line in lines if line["kind"] == "would_fail_over"]
    assert len(would) == 1
    assert would[0].startswith("would fail over to b (mode observe): a breached availability")


OTHER = """
[[route]]
name = "other"
candidates = ["b", "a"]
[route.detector]
min_span = "1s"
"""


async def test_a_route_that_a_reload_removes_leaves_no_incident_and_no_lease(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    path = write_config(
        tmp_path / "prober.toml",
        emulator=emulator.url,
        redis=valkey.url,
        healthy_for="1h",
        more=OTHER,
    )
    lease = Keys("other").lease
    async with running(path) as daemon:
        await until(lambda: get(valkey) == "a")
        emulator.set_faults(api="anthropic", error_share=1.0, status=529)
        await until(lambda: len(daemon.incidents.open) == 2, "a is bad for both routes")
        with valkey.client() as client:
            assert client.get(lease)
        gone = daemon.incidents.find("other", "a")
        assert gone is not None
        path.write_text(path.read_text().replace(OTHER, ""))
        assert await daemon.reload()
        assert [incident.route for incident in daemon.incidents.open] == ["chat"]

        def free() -> bool:
            with valkey.client() as client:
                return client.get(lease) is None

        await until(free, "another daemon need not wait for the lease to run out")
        sentences = [line["sentence"] for line in await story(daemon, gone.number)]
        assert "a is not watched for other any more" in sentences


async def test_an_account_that_is_well_again_is_told_once(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    path = write_config(
        tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url, more=OTHER
    )
    async with running(path):
        await until(lambda: get(valkey) == "a")
        emulator.set_faults(api="anthropic", auth_share=1.0)
        await until(lambda: any(t.endswith("a: key refused") for t in oncall.titles))
        emulator.set_faults(api="anthropic", ttft_s=0.001)
        await until(lambda: any("a: the account is well again" in t for t in oncall.titles))
        await until(lambda: get(valkey) == "a")
    assert sum("well again" in title for title in oncall.titles) == 1
