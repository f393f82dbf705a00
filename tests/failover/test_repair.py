"""What the judge does on a real Redis that was emptied, set back, or written by other hands."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis.asyncio

from prober.failover.memory import Memory, remember
from prober.failover.notifier import actor_of
from prober.history.records import to_record
from prober.sample import Outcome
from switch.control.writer import FlagWriter, FlipRequest, PinChange
from switch.flag import Op, Origin, Pin
from tests.support.judge_stage import CONFIG, KEYS, Bench, bench
from tests.support.values import flip


@pytest.fixture
async def on(tmp_path: Path, redis_client: redis.asyncio.Redis) -> AsyncIterator[Bench]:
    """ "a" serves, and has just proven itself."""
    async with bench(tmp_path, redis_client) as made:
        made.found("a", count=4)
        await made.judge.tick()
        assert (await made.flag()).provider == "a"
        yield made


async def move(on: Bench, to: str, pin: PinChange | None = None) -> int:
    """The daemon's own flip; gives its epoch, which Redis TIME alone will not reach again."""
    seen = await on.seen()
    on.state.saw(seen)
    done = await on.executor.flip(
        on.state,
        Op.MANUAL if pin else Op.AUTO,
        to,
        "because",
        actor="ann@desk" if pin else "prober@local",
        origin=Origin.OPERATOR if pin else None,
        pin=pin,
        floor=seen.time_ms + 86_400_000,
    )
    assert done is not None
    return done.flip.epoch


async def by_hand(on: Bench, to: str, number: int = 0, who: str = "ann@desk") -> None:
    """An operator's flip, straight in Redis."""
    seen = await on.seen()
    assert seen.flag is not None
    request = FlipRequest(
        Op.MANUAL, f"hand{number}", to, "by hand", who, seen.time_ms + 5000,
        seen.flag.epoch, seen.flag.decision_id, origin=Origin.OPERATOR,
    )  # fmt: skip
    await FlagWriter(on.client).flip(KEYS, request)


async def test_a_freeze_outlives_an_emptied_redis(on: Bench) -> None:
    """Whoever flapped may not go on because Redis forgot it."""
    for to in ("b", "a"):
        await move(on, to)
    on.state.saw(await on.seen())
    until = on.state.frozen_until
    assert until > (await on.seen()).time_ms
    await on.client.flushall()
    on.state.saw(await on.seen())
    assert on.state.frozen_until == until
    again = remember(await on.records("done")).memories["chat"]
    assert again.decided == on.state.memory.decided


# -- data lost -------------------------------------------------------------------------------------


async def test_an_emptied_redis_is_seeded_with_what_was_committed_last_and_its_pin(
    on: Bench,
) -> None:
    pin = Pin("b", "ann", "upgrade", (await on.seen()).time_ms + 600_000)
    lost = await move(on, "b", PinChange(pin))
    await on.client.flushall()
    await on.judge.tick()
    seen = await on.seen()
    assert seen.flag is not None
    assert seen.flag.provider == "b"
    assert seen.flag.epoch > lost
    assert seen.live_pin == replace(pin, epoch=seen.flag.epoch)
    assert [one.op for one in seen.flips] == [Op.SEED]
    assert await on.told("flag set again to b")


async def test_what_people_placed_by_hand_stays_although_redis_forgot_that_they_did(
    tmp_path: Path, redis_client: redis.asyncio.Redis
) -> None:
    text = CONFIG + '[route.failover]\nfailback = "auto"\nhealthy_for = "1ms"\n'
    async with bench(tmp_path, redis_client, text=text) as on:
        on.found("a", count=4)
        await on.judge.tick()
        await by_hand(on, "b")
        on.found("b", count=4)
        await on.judge.tick()
        assert on.state.decision.reason.endswith("placed here by ann@desk")
        await on.client.flushall()
        for _ in range(3):
            on.found("a", count=4)
            on.found("b", count=4)
            await on.judge.tick()
        assert (await on.flag()).provider == "b"
        assert on.state.decision.reason.endswith("placed here by ann@desk")


async def test_who_logs_in_as_prober_keeps_what_he_placed_though_nothing_else_is_known_of_it(
    tmp_path: Path, redis_client: redis.asyncio.Redis
) -> None:
    """The signature is the daemon's own; `origin` in the state is not."""
    text = CONFIG + '[route.failover]\nfailback = "auto"\nhealthy_for = "1ms"\n'
    async with bench(tmp_path / "first", redis_client, text=text) as one:
        one.found("a", count=4)
        await one.judge.tick()
        await by_hand(one, "b", who=actor_of(one.judge.config))
    await redis_client.delete(KEYS.lease, KEYS.events)
    async with bench(tmp_path / "second", redis_client, text=text) as two:
        for _ in range(3):
            two.found("a", count=4)
            two.found("b", count=4)
            await two.judge.tick()
        assert (await two.flag()).provider == "b"
        assert two.state.decision.reason.endswith("placed here by prober@local")


@pytest.mark.parametrize("route", ["first-line", "again", "chat"])
async def test_how_loud_an_alert_is_has_nothing_to_do_with_the_routes_name(
    tmp_path: Path, redis_client: redis.asyncio.Redis, route: str
) -> None:
    text = CONFIG.replace('"chat"', f'"{route}"')
    async with bench(tmp_path, redis_client, text=text) as on:
        await on.notifier.redis(on.state, lost=True)
        on.clock.at_s += 11
        await on.notifier.redis(on.state, lost=True)
        await on.notifier.redis(on.state, lost=False)
        assert await on.told("Redis can be read again")
        assert [letter.event.headline for letter in on.letters] == [
            f"🟠 {route}: Redis cannot be read",
            f"🟢 {route}: Redis can be read again",
        ]


async def test_a_lost_last_write_is_repaired_at_a_higher_epoch(on: Bench) -> None:
    before = await on.dump()
    lost = await move(on, "b")
    await on.put_back(before)
    await on.judge.tick()
    seen = await on.seen()
    assert seen.flag is not None
    assert (seen.flag.provider, seen.primary) == ("b", "b")
    assert seen.flag.epoch > lost
    assert seen.flips[-1].op is Op.REPAIR
    assert await on.told("flag repaired to b")


async def test_a_lost_flip_onto_a_provider_that_is_in_breach_now_is_not_repaired(
    on: Bench,
) -> None:
    """The flag is decided afresh, but above every epoch that was ever told."""
    before = await on.dump()
    lost = await move(on, "b")
    on.found("b", Outcome.OVERLOADED)
    await on.put_back(before)
    await on.judge.tick()
    seen = await on.seen()
    assert seen.flag is not None
    assert seen.flag.provider == "a"
    assert seen.flag.epoch > lost
    assert [(one.op, one.to_provider) for one in seen.flips] == [(Op.SEED, "a"), (Op.REPAIR, "a")]


async def test_an_older_flag_of_another_line_keeps_its_provider_above_every_epoch_known(
    on: Bench,
) -> None:
    ours = await move(on, "b")
    await on.client.hset(KEYS.state, mapping={"provider": "a", "decision_id": "x", "epoch": 7})
    await on.client.set(KEYS.primary, "a")
    await on.judge.tick()
    flag = await on.flag()
    assert flag.provider == "a"
    assert flag.epoch > ours


async def test_a_newer_flag_is_adopted_as_it_stands_and_told(on: Bench) -> None:
    await by_hand(on, "b")
    before = await on.dump()
    await on.judge.tick()
    after = await on.flag()
    assert (after.provider, after.decision_id) == ("b", "hand0")
    assert (await on.dump())[KEYS.events] == before[KEYS.events], "nothing was written"
    assert [record["decision_id"] for record in await on.records("done")][-1] == "hand0"
    assert await on.told("chat moved by ann@desk: a → b")


async def test_without_the_lease_nothing_is_mended(on: Bench) -> None:
    before = await on.dump()
    await move(on, "b")
    await on.put_back(before)
    await on.client.set(KEYS.lease, "another")
    meant = await on.records("intent")
    await on.judge.tick()
    assert (await on.flag()).provider == "a"
    assert await on.records("intent") == meant, "it is not even tried"
    assert on.state.decision.reason == "another vantage holds the lease"


async def test_the_whole_stream_is_shipped_after_being_away(
    tmp_path: Path, redis_client: redis.asyncio.Redis
) -> None:
    """Redis is the shared record of flips: what happened meanwhile belongs into our history."""
    async with bench(tmp_path / "first", redis_client) as one:
        one.found("a", count=4)
        await one.judge.tick()
        for number in range(100):
            await by_hand(one, "ba"[number % 2], number)
    first = (await one.seen()).flips[0]
    memory = Memory()
    memory.learn(first)
    async with bench(tmp_path / "second", redis_client, memory=memory) as two:
        await two.client.delete(KEYS.lease)
        await two.judge.tick()
        rows = {row.values["decision_id"] for row in two.rows if row.table == "flip"}
        assert rows == {f"hand{number}" for number in range(100)}
        assert two.state.memory.known().descends_from(first.decision_id), "an unbroken line"


# -- break-glass -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["far", "stranger"])
async def test_a_hand_set_name_that_is_unknown_or_not_allowed_is_put_back_with_an_alert(
    on: Bench, name: str
) -> None:
    before = (await on.flag()).epoch
    await on.client.set(KEYS.primary, name)
    await on.judge.tick()
    seen = await on.seen()
    assert seen.flag is not None
    assert (seen.primary, seen.flag.provider, seen.pin) == ("a", "a", None)
    assert seen.flag.epoch > before
    assert await on.told(f"by hand to {name}")


async def test_a_hand_set_provider_is_a_pin_of_an_hour_at_a_new_epoch_with_an_alert(
    on: Bench,
) -> None:
    before = (await on.flag()).epoch
    await on.client.set(KEYS.primary, "b")
    await on.judge.tick()
    seen = await on.seen()
    assert seen.flag is not None
    assert seen.live_pin is not None
    assert (seen.flag.provider, seen.live_pin.provider) == ("b", "b")
    assert seen.flag.epoch > before
    assert 3_590_000 < seen.live_pin.until_ms - seen.time_ms <= 3_600_000
    assert await on.told("set the flag by hand to b")


# -- a call whose answer never came ----------------------------------------------------------------


async def unanswered(on: Bench, *, left_ms: int, **changes: object) -> None:
    """As a restart or a timeout leaves it: an intent without an end."""
    seen = await on.seen()
    assert seen.flag is not None
    meant = flip(0, "b", seen.flag.decision_id, decision_id="mine", from_provider="a")
    intent = {
        **to_record(meant),
        "deadline_ms": seen.time_ms + left_ms,
        "expected_decision_id": seen.flag.decision_id,
        "replication_id": seen.replication_id,
    }
    on.state.unsettled.append({**intent, **changes})


async def test_until_its_deadline_has_passed_nothing_else_is_decided(on: Bench) -> None:
    on.found("b", count=4)
    on.found("a", Outcome.OVERLOADED)
    await unanswered(on, left_ms=60_000)
    before = (await on.flag()).epoch
    for _ in range(3):
        await on.judge.tick()
    assert on.state.decision.reason == "the last write is not settled yet; reading it back"
    assert (await on.flag()).epoch == before
    on.state.unsettled[0]["deadline_ms"] = 1
    await on.judge.tick()
    assert [record["decision_id"] for record in await on.records("abandoned")] == ["mine"]
    assert (await on.flag()).provider == "b", "and then the outage is left"


async def test_what_landed_after_all_is_recorded_and_told_and_not_done_again(on: Bench) -> None:
    await unanswered(on, left_ms=60_000)
    seen = await on.seen()
    assert seen.flag is not None
    request = FlipRequest(
        Op.AUTO, "mine", "b", "because", "prober@local", seen.time_ms + 5000, seen.flag.epoch,
        seen.flag.decision_id, nonce=on.state.lease.nonce, origin=Origin.AUTOMATIC,
    )  # fmt: skip
    await FlagWriter(on.client).flip(KEYS, request)
    await on.judge.tick()
    assert on.state.unsettled == []
    assert [record["decision_id"] for record in await on.records("done")][-1] == "mine"
    assert len((await on.seen()).flips) == 2
    assert await on.told("chat failed over: a → b")


async def test_on_another_history_its_fate_is_unresolved_recorded_and_told(on: Bench) -> None:
    await unanswered(on, left_ms=-1, replication_id="of another server")
    await on.judge.tick()
    assert [record["decision_id"] for record in await on.records("unresolved")] == ["mine"]
    assert await on.told("the fate of a flip is not known")
    kept = [row.values["status"] for row in on.rows if row.table == "refusal"]
    assert kept == ["unresolved"]
    assert (await on.flag()).provider == "a"
