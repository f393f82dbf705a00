"""flip.lua on a real server: what a committed call writes, and how the epoch grows."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis.asyncio

from switch.control.writer import PinChange, Status
from switch.flag import Flip, Mode, Op, Origin, Pin
from tests.switch.switch_redis import KEYS, Desk, pinning

FAR = 9_000_000_000_000_000  # beyond any clock here, and exact as a double


@pytest.fixture
async def desk(redis_client: redis.asyncio.Redis) -> Desk:
    return await Desk(redis_client).ready()


async def test_a_seed_writes_the_state_to_the_letter(desk: Desk) -> None:
    answer = await desk.seed("a", mode=Mode.PROPOSE)
    state = await desk.client.hgetall(KEYS.state)
    now = str(answer.time_ms)
    assert state == {
        "provider": "a",
        "epoch": str(answer.epoch),
        "decision_id": "d1",
        "parent": "",
        "previous": "",
        "reason": "seed to a",
        "actor": "tester",
        "origin": "seed",
        "changed_at": now,
        "checked_at": now,
        "mode": "propose",
        "frozen": "",
    }
    assert (answer.decision_id, answer.provider, answer.told) == ("d1", "a", 0)


async def test_a_flip_writes_the_state_to_the_letter(desk: Desk) -> None:
    await desk.seed("a", mode=Mode.PROPOSE)
    assert await desk.writer.heartbeat(KEYS, desk.lease.nonce, Mode.AUTO, 77)
    answer = await desk.flip("b")
    now = str(answer.time_ms)
    assert await desk.client.hgetall(KEYS.state) == {
        "provider": "b",
        "epoch": str(answer.epoch),
        "decision_id": "d2",
        "parent": "d1",
        "previous": "a",
        "reason": "auto to b",
        "actor": "tester",
        "origin": "automatic",
        "changed_at": now,
        "checked_at": now,
        "mode": "auto",
        "frozen": "77",
    }


async def test_a_vantage_that_writes_no_origin_leaves_none_of_somebody_else(desk: Desk) -> None:
    """Vantages are upgraded one by one: an older one's flip leaves the field as it finds it."""
    await desk.seed("a")
    await desk.set(Op.MANUAL, "b")
    answer = await desk.flip("a")
    await desk.client.hset(KEYS.state, "origin", "operator")
    (_, event), *_ = await desk.client.xrevrange(KEYS.events, count=1)
    del event["origin"]
    await desk.client.xdel(KEYS.events, f"{answer.epoch}-0")
    await desk.client.delete(KEYS.events)
    await desk.client.xadd(KEYS.events, event, id=f"{answer.epoch}-0")
    assert (await desk.flag()).origin is Origin.AUTOMATIC


async def test_the_mode_of_a_first_flag_is_auto_unless_said(desk: Desk) -> None:
    await desk.seed()
    assert (await desk.flag()).mode is Mode.AUTO


async def test_the_mirror_holds_the_bare_name(desk: Desk) -> None:
    await desk.seed("a")
    assert await desk.client.get("prober:{chat}:primary") == "a"
    await desk.flip("b")
    assert await desk.client.get("prober:{chat}:primary") == "b"


async def test_nothing_that_holds_the_flag_ever_expires(desk: Desk) -> None:
    await desk.seed("a")
    await desk.client.expire(KEYS.primary, 100)
    await desk.pin("b")
    for key in (KEYS.primary, KEYS.state, KEYS.pin, KEYS.events):
        assert await desk.client.ttl(key) == -1


@pytest.mark.parametrize("op", [Op.AUTO, Op.MANUAL, Op.REPAIR])
async def test_when_the_provider_stays_its_history_stays(desk: Desk, op: Op) -> None:
    await desk.seed("a")
    moved = await desk.flip("b")
    await desk.client.hset(KEYS.state, "changed_at", "5")
    again = await desk.set(op, "b")
    flag = await desk.flag()
    assert (flag.previous, flag.changed_at, flag.parent) == ("a", 5, moved.decision_id)
    assert flag.epoch == again.epoch > moved.epoch
    assert flag.checked_at == again.time_ms


async def test_a_state_that_lost_its_history_is_filled_again(desk: Desk) -> None:
    await desk.seed("a")
    await desk.client.hdel(KEYS.state, "changed_at", "previous", "frozen", "mode")
    answer = await desk.flip("a")
    state = await desk.client.hgetall(KEYS.state)
    assert (state["changed_at"], state["previous"]) == (str(answer.time_ms), "")
    assert (state["frozen"], state["mode"]) == ("", "auto")


# -- pins --------------------------------------------------------------------------------------


async def test_a_pin_is_written_to_the_letter_and_replaced_whole(desk: Desk) -> None:
    await desk.seed("a")
    await desk.client.hset(KEYS.pin, mapping={"provider": "a", "note": "by hand"})
    until = await desk.time_ms() + 60_000
    answer = await desk.set(Op.MANUAL, "b", pin=pinning("b", until))
    assert await desk.client.hgetall(KEYS.pin) == {
        "provider": "b",
        "owner": "ada",
        "reason": "maintenance",
        "until_ms": str(until),
        "epoch": str(answer.epoch),
    }


async def test_a_pin_holds_the_provider_that_the_call_names(desk: Desk) -> None:
    await desk.seed("a")
    until = await desk.time_ms() + 60_000
    await desk.set(Op.MANUAL, "b", pin=pinning("another", until))
    assert await desk.client.hget(KEYS.pin, "provider") == "b"


async def test_a_call_that_says_nothing_of_pins_keeps_them(desk: Desk) -> None:
    await desk.seed("a")
    await desk.pin("a")
    before = await desk.client.hgetall(KEYS.pin)
    await desk.flip("a")
    assert await desk.client.hgetall(KEYS.pin) == before


async def test_a_seed_restores_its_pin_with_it(desk: Desk) -> None:
    until = await desk.time_ms() + 60_000
    answer = await desk.seed("b", pin=pinning("b", until))
    seen = await desk.writer.observe(KEYS)
    assert seen.live_pin == Pin("b", "ada", "maintenance", until, answer.epoch)


# -- the stream --------------------------------------------------------------------------------


async def test_an_event_is_written_to_the_letter(desk: Desk) -> None:
    await desk.seed("a")
    answer = await desk.flip("b", evidence={"bad": 9, "kind": "failover"})
    entries = await desk.client.xrange(KEYS.events)
    assert entries[-1] == (
        f"{answer.epoch}-0",
        {
            "op": "auto",
            "epoch": str(answer.epoch),
            "decision_id": "d2",
            "parent": "d1",
            "from": "a",
            "to": "b",
            "reason": "auto to b",
            "evidence": '{"bad":9,"kind":"failover"}',
            "actor": "tester",
            "origin": "automatic",
            "at_ms": str(answer.time_ms),
            "pin": "keep",
        },
    )


async def test_the_stream_reads_back_as_flips(desk: Desk) -> None:
    first = await desk.seed("a")
    until = await desk.time_ms() + 60_000
    second = await desk.set(Op.MANUAL, "b", pin=pinning("b", until), evidence={"x": 1})
    third = await desk.set(Op.MANUAL, "b", pin=PinChange(None))
    seen = await desk.writer.observe(KEYS)
    assert seen.flips == (
        Flip("chat", Op.SEED, first.epoch, "d1", "", "", "a", "seed to a", "tester",
             first.time_ms, origin=Origin.SEED),
        Flip("chat", Op.MANUAL, second.epoch, "d2", "d1", "a", "b", "manual to b", "tester",
             second.time_ms, {"x": 1}, Pin("b", "ada", "maintenance", until, second.epoch),
             origin=Origin.OPERATOR),
        Flip("chat", Op.MANUAL, third.epoch, "d3", "d2", "b", "b", "manual to b", "tester",
             third.time_ms, pin_cleared=True, origin=Origin.OPERATOR),
    )  # fmt: skip
    assert seen.find("d2") == seen.flips[1]
    assert seen.find("d9") is None


async def test_the_stream_is_capped(desk: Desk) -> None:
    await desk.seed("a")
    async with desk.client.pipeline(transaction=False) as pipe:
        for count in range(1_500):
            pipe.xadd(KEYS.events, {"n": count})
        await pipe.execute()
    await desk.flip("b")
    assert 1_000 <= await desk.client.xlen(KEYS.events) < 1_200


# -- the epoch ---------------------------------------------------------------------------------


async def test_the_epoch_is_redis_time_in_milliseconds(desk: Desk) -> None:
    answer = await desk.seed()
    assert answer.epoch == answer.time_ms
    assert abs(answer.epoch - await desk.time_ms()) < 60_000


async def test_the_epoch_grows_above_the_stored_one(desk: Desk) -> None:
    await desk.seed(floor=FAR)
    assert [(await desk.flip("b")).epoch for _ in range(3)] == [FAR + 2, FAR + 3, FAR + 4]


async def test_the_epoch_ends_above_the_floor(desk: Desk) -> None:
    assert (await desk.seed(floor=FAR)).epoch == FAR + 1
    assert (await desk.flip("b", floor=FAR + 100)).epoch == FAR + 101
    assert (await desk.flip("c", floor=5)).epoch == FAR + 102


async def test_the_epoch_ends_above_the_newest_stream_id(desk: Desk) -> None:
    await desk.seed()
    await desk.client.xadd(KEYS.events, {"by": "hand"}, id=f"{FAR}-7")
    assert (await desk.flip("b")).epoch == FAR + 1


async def test_the_epoch_ends_above_a_stream_entry_since_deleted(desk: Desk) -> None:
    await desk.seed(floor=FAR)
    answer = await desk.flip("b")
    await desk.client.xdel(KEYS.events, f"{answer.epoch}-0")
    await desk.client.delete(KEYS.state)
    assert (await desk.seed("a")).epoch == answer.epoch + 1


async def test_the_epoch_grows_across_an_emptied_redis(desk: Desk) -> None:
    await desk.seed(floor=FAR)
    last = await desk.flip("b")
    await desk.client.flushall()
    assert await desk.lease.hold()
    assert (await desk.seed("b", floor=last.epoch)).epoch == last.epoch + 1


async def test_the_epoch_is_written_in_digits_everywhere(desk: Desk) -> None:
    async with desk.client.pubsub() as pubsub:
        await pubsub.subscribe(KEYS.changed)
        answer = await desk.seed(floor=FAR)
        message: Any = None
        while message is None:
            message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=10)
    until = await desk.time_ms() + 60_000
    pinned = await desk.set(Op.MANUAL, "a", pin=pinning("a", until))
    (_, first), (_, second) = await desk.client.xrange(KEYS.events)
    assert answer.epoch == FAR + 1
    assert f'"epoch":{FAR + 1}' in message["data"]
    assert first["epoch"] == str(FAR + 1)
    written = [
        await desk.client.hget(KEYS.state, "epoch"),
        await desk.client.hget(KEYS.state, "changed_at"),
        await desk.client.hget(KEYS.pin, "epoch"),
        await desk.client.hget(KEYS.pin, "until_ms"),
        second["epoch"],
        second["at_ms"],
        second["pin_until_ms"],
    ]
    assert all(text and text.isdigit() for text in written)
    assert written[0] == written[2] == written[4] == str(pinned.epoch) == str(FAR + 2)


# -- the channel -------------------------------------------------------------------------------


@pytest.mark.parametrize("decision_id", ["d-7", 'x","epoch":0,"y":"', "%0%1", "é\n"])
async def test_the_message_is_json_with_a_whole_epoch(desk: Desk, decision_id: str) -> None:
    async with desk.client.pubsub() as pubsub:
        await pubsub.subscribe("prober:{chat}:changed")
        answer = await desk.seed(decision_id=decision_id)
        message: Any = None
        while message is None:
            message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=10)
    assert answer.told == 1
    said = json.loads(message["data"])
    assert said == {"provider": "a", "epoch": answer.epoch, "decision_id": decision_id}
    assert type(said["epoch"]) is int


async def test_the_answer_counts_the_readers_told(desk: Desk) -> None:
    async with desk.client.pubsub() as one, desk.client.pubsub() as two:
        for pubsub in (one, two):
            await pubsub.subscribe(KEYS.changed)
            await pubsub.get_message(timeout=10)
        assert (await desk.seed()).told == 2
        request = await desk.request(Op.AUTO, "b", decision_id="d1")
        assert (await desk.writer.flip(KEYS, request)).told == 0


# -- heartbeats and candidates -----------------------------------------------------------------


async def test_a_heartbeat_notes_the_look(desk: Desk) -> None:
    await desk.seed()
    await desk.client.hset(KEYS.state, "checked_at", "5")
    assert await desk.writer.heartbeat(KEYS, desk.lease.nonce, Mode.OBSERVE, 99)
    state = await desk.client.hgetall(KEYS.state)
    assert int(state["checked_at"]) > 1_600_000_000_000
    assert state["checked_at"].isdigit()
    assert (state["mode"], state["frozen"], state["provider"]) == ("observe", "99", "a")
    assert await desk.writer.heartbeat(KEYS, desk.lease.nonce, Mode.AUTO, 0)
    assert await desk.client.hget(KEYS.state, "frozen") == ""


async def test_a_heartbeat_does_not_half_fill_an_emptied_redis(desk: Desk) -> None:
    assert not await desk.writer.heartbeat(KEYS, desk.lease.nonce, Mode.AUTO, 0)
    assert await desk.client.keys("*") == [KEYS.lease]


@pytest.mark.parametrize("nonce", ["", "another"])
async def test_a_heartbeat_needs_the_lease(desk: Desk, nonce: str) -> None:
    await desk.seed()
    before = await desk.client.hgetall(KEYS.state)
    assert not await desk.writer.heartbeat(KEYS, nonce, Mode.OBSERVE, 99)
    await desk.client.delete(KEYS.lease)
    assert not await desk.writer.heartbeat(KEYS, desk.lease.nonce, Mode.OBSERVE, 99)
    assert await desk.client.hgetall(KEYS.state) == before


async def test_a_publish_that_fails_undoes_no_flip(own_desk: Desk) -> None:
    """Readers find it by their poll."""
    await own_desk.seed()
    await own_desk.client.execute_command("ACL", "SETUSER", "default", "resetchannels")
    answer = await own_desk.call(Op.AUTO, "b")
    assert (answer.status, answer.told) == (Status.COMMITTED, 0)
    assert (await own_desk.flag()).provider == "b"
    assert await own_desk.client.get(KEYS.primary) == "b"
