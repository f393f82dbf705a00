"""A network that holds back, loses and answers late: between a daemon or a reader and Redis."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from prober.emulator import Emulator
from prober.web.control_socket import ask
from switch.flag import Op
from tests.faults.scene import (
    about_to_flip,
    answered,
    application,
    asked,
    by_hand,
    daemons,
    deadline_of,
    epoch,
    evaluations,
    events,
    primary,
    recorded,
    staying,
    verdict,
)
from tests.faults.vantages import NAMES, all_vote, configured, leader
from tests.support.servers import Valkey
from tests.support.stage import Hook, until
from tests.switch.proxy import Proxy


async def test_a_flip_whose_answer_is_lost_is_read_back_and_told_once(
    tmp_path: Path, own_valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    """Redis has it and readers follow, long before the daemon knows."""
    ledger = tmp_path / "ledger"
    async with (
        Proxy.before(own_valkey.socket) as proxy,
        daemons(ledger) as made,
        application(own_valkey.url, ledger) as reader,
    ):
        path = staying(tmp_path, emulator, proxy.url)
        # So late that it can only be told because it was found.
        await about_to_flip(made, path, own_valkey, emulator, deadline_ms=60_000)
        proxy.hold(answers_only=True)
        made.let_go(path)
        await until(lambda: primary(own_valkey) == "b", "it lands")
        await until(lambda: reader.flag("chat").epoch == epoch(own_valkey), "the reader knows")
        (decision,) = asked(ledger)
        await until(lambda: answered(ledger, decision) == ["unknown"], "the daemon does not")
        proxy.heal()
        await until(lambda: any("failed over: a → b" in t for t in oncall.titles), "the alert")
        await made.stop_all()
        assert reader.primary("chat") == "b"
    assert asked(ledger) == [decision]
    assert [entry["to"] for entry in events(own_valkey)] == ["a", "b"]
    assert sum("failed over" in title for title in oncall.titles) == 1
    rows = await asyncio.to_thread(recorded, path)
    assert verdict(ledger, own_valkey, rows) == []


@pytest.mark.parametrize("request_", ["is lost", "arrives late"])
async def test_a_flip_that_did_not_come_through_in_time_is_decided_anew(
    request_: str, tmp_path: Path, own_valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    """Whether the network swallowed it without a word, or brings it when its time is over."""
    ledger = tmp_path / "ledger"
    async with (
        Proxy.before(own_valkey.socket) as proxy,
        daemons(ledger) as made,
        application(own_valkey.url, ledger) as reader,
    ):
        path = staying(tmp_path, emulator, proxy.url)
        await about_to_flip(made, path, own_valkey, emulator, deadline_ms=1500)
        if request_ == "is lost":
            proxy.silence()
        else:
            proxy.hold()
        made.let_go(path)
        await until(lambda: asked(ledger), "it is sent")
        lost = asked(ledger)[0]
        await until(lambda: answered(ledger, lost) == ["unknown"], "it is not answered")
        if request_ == "arrives late":
            deadline_ms = deadline_of(ledger, lost)
            await until(lambda: time.time() * 1000 > deadline_ms + 1, "its time is over")
            assert primary(own_valkey) == "a"
        proxy.heal()
        await until(lambda: primary(own_valkey) == "b", "another decision")
        await until(lambda: any("failed over: a → b" in t for t in oncall.titles), "the alert")
        await until(lambda: reader.flag("chat").epoch == epoch(own_valkey), "the reader knows")
        await made.stop_all()
    assert evaluations(own_valkey) == len(asked(ledger, *Op)) - (request_ == "is lost")
    first, second = events(own_valkey)
    assert (first["to"], second["to"]) == ("a", "b")
    assert second["decision_id"] == asked(ledger)[-1] != lost
    assert sum("failed over" in title for title in oncall.titles) == 1
    rows = await asyncio.to_thread(recorded, path)
    assert verdict(ledger, own_valkey, rows) == []


async def test_a_flip_under_way_finds_that_a_person_was_first(
    tmp_path: Path, own_valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    """It arrives in time and by the lease-holder: only the flag it was decided on is another."""
    ledger = tmp_path / "ledger"
    async with (
        Proxy.before(own_valkey.socket) as proxy,
        daemons(ledger) as made,
        application(own_valkey.url, ledger) as reader,
    ):
        path = staying(tmp_path, emulator, proxy.url)
        await about_to_flip(made, path, own_valkey, emulator, deadline_ms=4_000)
        proxy.hold()
        made.let_go(path)
        await until(lambda: asked(ledger), "it is sent")
        (late,) = asked(ledger)
        await until(lambda: answered(ledger, late) == ["unknown"], "it is not answered")
        await by_hand(own_valkey.url, "b")
        before = evaluations(own_valkey)
        proxy.heal()
        await until(lambda: evaluations(own_valkey) == before + 1, "it arrives")
        await until(lambda: any("chat moved by ann" in t for t in oncall.titles), "the alert")
        await until(lambda: reader.flag("chat").epoch == epoch(own_valkey), "the reader knows")
        await made.stop_all()
    assert [(e["op"], e["to"]) for e in events(own_valkey)] == [("seed", "a"), ("manual", "b")]
    assert sum("failed over" in title for title in oncall.titles) == 0
    rows = await asyncio.to_thread(recorded, path)
    assert verdict(ledger, own_valkey, rows) == []


async def test_what_a_cut_off_daemon_learnt_meanwhile_it_acts_on_once_redis_is_back(
    tmp_path: Path, own_valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    """Cut off between two flips; everything it asked meanwhile arrives late, and harms nobody."""
    ledger = tmp_path / "ledger"
    async with (
        Proxy.before(own_valkey.socket) as proxy,
        daemons(ledger) as made,
        application(own_valkey.url, ledger) as reader,
    ):
        path = staying(tmp_path, emulator, proxy.url)
        await made.start(path)
        await until(lambda: reader.primary("chat") == "a", "the first flag")
        proxy.hold()
        emulator.set_faults(api="anthropic", error_share=1.0, status=529)
        while (seen := await sight(path))["redis"] == "ok" or health(seen, "a") != "breached":
            await asyncio.sleep(0.05)
        assert "Redis" in seen["decision"]["reason"]
        assert (primary(own_valkey), reader.primary("chat")) == ("a", "a")
        proxy.heal()
        await until(lambda: primary(own_valkey) == "b", "the flip")
        await until(lambda: any("failed over: a → b" in t for t in oncall.titles), "the alert")
        await until(lambda: reader.flag("chat").epoch == epoch(own_valkey), "the reader knows")
        await made.stop_all()
    assert len(asked(ledger)) == 1
    assert [entry["to"] for entry in events(own_valkey)] == ["a", "b"]
    assert sum("failed over" in title for title in oncall.titles) == 1
    rows = await asyncio.to_thread(recorded, path)
    assert verdict(ledger, own_valkey, rows) == []


async def sight(path: Path) -> dict[str, Any]:
    """The route as the daemon itself says it sees it."""
    said = await asyncio.to_thread(ask, path.parent, "GET", "/status", {}, 20.0)
    (route,) = said["routes"]
    return dict(route)


def health(seen: dict[str, Any], provider: str) -> str:
    return next(str(one["health"]) for one in seen["providers"] if one["name"] == provider)


async def test_two_of_three_vantages_cut_off_from_redis_move_nothing_until_they_are_back(
    tmp_path: Path, own_valkey: Valkey, emulator: Emulator, oncall: Hook, database: str
) -> None:
    """The third sees the outage too, gets the lease if it has none, and pages."""
    ledger = tmp_path / "ledger"
    async with (
        Proxy.before(own_valkey.socket) as proxy,
        daemons(ledger) as made,
        application(own_valkey.url, ledger) as reader,
    ):
        *away, alone = NAMES
        urls = {**dict.fromkeys(away, proxy.url), alone: own_valkey.url}
        paths = configured(tmp_path, emulator, urls)
        await all_vote(made, paths, own_valkey)
        proxy.hold()
        emulator.set_faults(api="anthropic", error_share=1.0, status=529)
        await until(lambda: leader(own_valkey) == alone, "the third leads")
        await until(lambda: any("too few vantages vote" in t for t in oncall.titles), "it pages")
        while health(await sight(paths[alone]), "a") != "breached":
            await asyncio.sleep(0.05)
        assert (primary(own_valkey), reader.primary("chat")) == ("a", "a")
        assert asked(ledger) == []
        proxy.heal()
        await until(lambda: primary(own_valkey) == "b", "the majority's flip")
        await until(lambda: any("failed over: a → b" in t for t in oncall.titles), "the alert")
        await until(lambda: reader.flag("chat").epoch == epoch(own_valkey), "the reader knows")
        await made.stop_all()
    assert [entry["to"] for entry in events(own_valkey)] == ["a", "b"]
    assert sum("failed over" in title for title in oncall.titles) == 1
    rows = await asyncio.to_thread(recorded, database)
    assert verdict(ledger, own_valkey, rows) == []
