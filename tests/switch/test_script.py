"""flip.lua on a real server: which call is refused, and that a refusal writes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
import redis.asyncio
from redis.exceptions import ResponseError

from switch.control.writer import _FLIP, PinChange, Status
from switch.flag import Op
from tests.support.servers import Valkey
from tests.switch.switch_redis import KEYS, Desk, pinning


@pytest.fixture
async def desk(redis_client: redis.asyncio.Redis) -> Desk:
    return await Desk(redis_client).ready()


Dump = Callable[[], Awaitable[dict[str, Any]]]


@pytest.fixture
async def dump(valkey: Valkey) -> AsyncIterator[Dump]:
    """Everything the server holds, byte for byte."""
    client = redis.asyncio.Redis.from_url(valkey.url)

    async def dumped() -> dict[str, Any]:
        return {key: await client.dump(key) for key in await client.keys()}

    yield dumped
    await client.aclose()


# -- one refusal each --------------------------------------------------------------------------


@pytest.mark.parametrize("provider", ["", "A", "a b", "a{", "a:b", "a\n", "é", "x" * 65])
async def test_a_malformed_provider_is_refused(desk: Desk, provider: str) -> None:
    with pytest.raises(ResponseError, match="PROBER malformed flip"):
        await desk.call(Op.SEED, provider)
    assert await desk.client.keys("*") == [KEYS.lease]


@pytest.mark.parametrize("provider", ["a", "a-b", "a_b", "0", "-", "x" * 64])
async def test_a_well_formed_provider_is_taken(desk: Desk, provider: str) -> None:
    await desk.seed(provider)
    assert (await desk.flag()).provider == provider


@pytest.mark.parametrize(("place", "argument"), [(0, "guess"), (1, ""), (4, "x"), (5, ""),
                                             (13, "many"), (14, "hold"), (17, "soon"),
                                             (18, "")])  # fmt: skip
async def test_a_malformed_argument_is_refused(desk: Desk, place: int, argument: str) -> None:
    now = await desk.time_ms()
    good: list[Any] = ["seed", "d", "0", "", "0", now + 5000, desk.lease.nonce, "a", "why", "{}",
                       "me", "auto", KEYS.changed, "1000", "set", "ada", "why", now,
                       "seed"]  # fmt: skip
    names = [KEYS.state, KEYS.primary, KEYS.pin, KEYS.events, KEYS.lease]
    bad = [*good[:place], argument, *good[place + 1 :]]
    with pytest.raises(ResponseError, match="PROBER malformed flip"):
        await desk.client.eval(_FLIP, 5, *names, *bad)
    assert await desk.client.keys("*") == [KEYS.lease]
    assert (await desk.client.eval(_FLIP, 5, *names, *good))[0] == "committed"


async def test_a_replay_is_committed_and_writes_nothing(desk: Desk, dump: Dump) -> None:
    await desk.seed()
    request = await desk.request(Op.AUTO, "b")
    first = await desk.writer.flip(KEYS, request)
    before = await dump()
    again = await desk.writer.flip(KEYS, request)
    assert (again.status, again.epoch, again.provider) == (Status.COMMITTED, first.epoch, "b")
    assert await dump() == before


async def test_a_call_after_its_deadline_is_expired(desk: Desk, dump: Dump) -> None:
    await desk.seed()
    before = await dump()
    answer = await desk.call(Op.AUTO, "b", deadline_ms=await desk.time_ms() - 1)
    assert (answer.status, answer.provider) == (Status.EXPIRED, "a")
    assert answer.time_ms > 1_600_000_000_000
    assert await dump() == before


@pytest.mark.parametrize("op", [Op.AUTO, Op.REPAIR])
@pytest.mark.parametrize("nonce", ["", "another"])
async def test_without_the_lease_only_people_write(
    desk: Desk, dump: Dump, op: Op, nonce: str
) -> None:
    await desk.seed()
    before = await dump()
    assert (await desk.call(op, "b", nonce=nonce)).status is Status.NOT_LEADER
    assert await dump() == before
    await desk.set(Op.MANUAL, "b", nonce=nonce)


async def test_a_lease_that_ran_out_fences_its_holder(desk: Desk) -> None:
    await desk.client.delete(KEYS.lease)
    assert (await desk.call(Op.SEED, "a")).status is Status.NOT_LEADER
    assert (await desk.call(Op.SEED, "a", nonce="")).status is Status.NOT_LEADER
    assert await desk.client.keys("*") == []


async def test_a_seed_never_replaces_a_state(desk: Desk, dump: Dump) -> None:
    first = await desk.seed()
    before = await dump()
    answer = await desk.call(Op.SEED, "b")
    assert (answer.status, answer.epoch) == (Status.CONFLICT, first.epoch)
    assert (answer.provider, answer.decision_id) == ("a", first.decision_id)
    assert await dump() == before


@pytest.mark.parametrize("op", [Op.AUTO, Op.MANUAL, Op.REPAIR])
async def test_an_empty_redis_is_only_seeded(desk: Desk, op: Op) -> None:
    answer = await desk.call(op, "b")
    assert (answer.status, answer.epoch, answer.provider) == (Status.EMPTY, 0, "")
    assert await desk.client.keys("*") == [KEYS.lease]


@pytest.mark.parametrize("op", [Op.AUTO, Op.MANUAL, Op.REPAIR])
async def test_a_decision_on_another_epoch_or_decision_conflicts(
    desk: Desk, dump: Dump, op: Op
) -> None:
    first = await desk.seed()
    before = await dump()
    for stale in (
        {"expected_epoch": first.epoch - 1},
        {"expected_epoch": first.epoch + 1},
        {"expected_epoch": 0},
        {"expected_decision_id": "another"},
        {"expected_decision_id": ""},
    ):
        assert (await desk.call(op, "b", **stale)).status is Status.CONFLICT
    assert await dump() == before


@pytest.mark.parametrize("op", [Op.AUTO, Op.MANUAL, Op.REPAIR])
async def test_a_live_pin_on_another_provider_is_kept(desk: Desk, dump: Dump, op: Op) -> None:
    await desk.seed()
    await desk.pin("a")
    before = await dump()
    assert (await desk.call(op, "b")).status is Status.PINNED
    assert await dump() == before


async def test_a_live_pin_lets_its_own_provider_through(desk: Desk) -> None:
    await desk.seed()
    until = await desk.time_ms() + 60_000
    await desk.client.hset(KEYS.pin, mapping={"provider": "b", "until_ms": until})
    await desk.flip("b")
    assert await desk.client.hget(KEYS.pin, "provider") == "b"


async def test_people_set_another_pin_or_clear_it(desk: Desk) -> None:
    await desk.seed()
    await desk.pin("a")
    await desk.pin("b")
    assert (await desk.flag()).provider == "b"
    await desk.set(Op.MANUAL, "c", pin=PinChange(None))
    assert (await desk.flag()).provider == "c"
    assert not await desk.client.exists(KEYS.pin)


async def test_a_repair_carries_the_pin_as_it_was_known(desk: Desk) -> None:
    await desk.seed()
    await desk.pin("a")
    assert (await desk.call(Op.REPAIR, "b")).status is Status.PINNED
    answer = await desk.call(Op.REPAIR, "b", pin=PinChange(None))
    assert answer.status is Status.COMMITTED
    assert not await desk.client.exists(KEYS.pin)


@pytest.mark.parametrize("op", [Op.AUTO])
async def test_a_decision_cannot_free_itself_of_a_pin(desk: Desk, dump: Dump, op: Op) -> None:
    await desk.seed()
    await desk.pin("a")
    before = await dump()
    until = await desk.time_ms() + 60_000
    for change in (PinChange(None), pinning("b", until)):
        assert (await desk.call(op, "b", pin=change)).status is Status.PINNED
    assert await dump() == before


@pytest.mark.parametrize(
    "pin", [{"until_ms": "1"}, {"until_ms": "soon"}, {"until_ms": ""}, {}, {"owner": "ada"}]
)
async def test_an_expired_or_unreadable_pin_is_no_pin(desk: Desk, pin: dict[str, str]) -> None:
    await desk.seed()
    await desk.client.hset(KEYS.pin, mapping={"provider": "a"} | pin)
    await desk.flip("b")


async def test_a_seed_obeys_a_pin_that_survived(desk: Desk) -> None:
    until = await desk.time_ms() + 60_000
    await desk.client.hset(KEYS.pin, mapping={"provider": "b", "until_ms": until})
    assert (await desk.call(Op.SEED, "a")).status is Status.PINNED
    await desk.seed("b")


# -- their order -------------------------------------------------------------------------------

BREAKS: list[tuple[Status | None, dict[str, Any]]] = [
    (None, {"decision_id": ""}),
    (Status.EXPIRED, {"deadline_ms": 1}),
    (Status.NOT_LEADER, {"nonce": "another"}),
    (Status.CONFLICT, {"expected_epoch": 1}),
    (Status.PINNED, {"provider": "b"}),
]


@pytest.mark.parametrize("first", range(len(BREAKS) - 1))
async def test_of_two_faults_the_earlier_check_speaks(desk: Desk, first: int) -> None:
    await desk.seed()
    await desk.pin("a")
    status, fault = BREAKS[first]
    for _, later in BREAKS[first + 1 :]:
        request = replace(await desk.request(Op.AUTO, "a"), **(later | fault))
        if status is None:
            with pytest.raises(ResponseError, match="malformed"):
                await desk.writer.flip(KEYS, request)
        else:
            assert (await desk.writer.flip(KEYS, request)).status is status


@pytest.mark.parametrize(
    ("op", "status"), [(Op.SEED, Status.CONFLICT), (Op.AUTO, Status.NOT_LEADER)]
)
async def test_the_lease_is_checked_before_the_state(desk: Desk, op: Op, status: Status) -> None:
    answer = await desk.call(Op.AUTO, "b", nonce="another")
    assert answer.status is Status.NOT_LEADER  # and not empty
    await desk.seed()
    assert (await desk.call(Op.SEED, "b", nonce="another")).status is Status.NOT_LEADER
    nonce = desk.lease.nonce if op is Op.SEED else "another"
    assert (await desk.call(op, "b", nonce=nonce, expected_epoch=1)).status is status


async def test_a_seed_conflict_speaks_before_the_pin(desk: Desk) -> None:
    await desk.seed()
    await desk.pin("a")
    assert (await desk.call(Op.SEED, "b")).status is Status.CONFLICT


@pytest.mark.parametrize("later", [fault for _, fault in BREAKS[1:]])
async def test_a_replay_is_committed_whatever_else_has_changed(
    desk: Desk, later: dict[str, Any]
) -> None:
    await desk.seed()
    await desk.pin("a")
    request = replace(await desk.request(Op.AUTO, "a"), **later)
    done = replace(request, decision_id=(await desk.flag()).decision_id)
    assert (await desk.writer.flip(KEYS, done)).status is Status.COMMITTED
    assert (await desk.flag()).provider == "a"


async def test_a_malformed_replay_is_still_malformed(desk: Desk) -> None:
    answer = await desk.seed()
    with pytest.raises(ResponseError, match="malformed"):
        await desk.call(Op.AUTO, "B", decision_id=answer.decision_id)


# -- keys of another type ----------------------------------------------------------------------


@pytest.mark.parametrize("key", [KEYS.state, KEYS.pin, KEYS.events, KEYS.lease])
@pytest.mark.parametrize("seeded", [False, True])
async def test_a_key_of_another_type_refuses_everything(
    desk: Desk, dump: Dump, key: str, seeded: bool
) -> None:
    if seeded:
        await desk.seed()
    request = await desk.request(Op.AUTO if seeded else Op.SEED, "b")
    await desk.client.delete(key)
    await desk.client.lpush(key, "stray")
    before = await dump()
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await desk.writer.flip(KEYS, request)
    assert await dump() == before


async def test_a_mirror_of_another_type_is_put_right(desk: Desk) -> None:
    await desk.client.lpush(KEYS.primary, "stray")
    await desk.seed()
    assert await desk.client.get(KEYS.primary) == "a"


# -- concurrency -------------------------------------------------------------------------------


@pytest.fixture
async def crowd(valkey: Valkey, desk: Desk) -> AsyncIterator[list[Desk]]:
    clients = [redis.asyncio.Redis.from_url(valkey.url, decode_responses=True) for _ in range(20)]
    desks = [Desk(client) for client in clients]
    for each in desks:
        each.lease = desk.lease
    yield desks
    for client in clients:
        await client.aclose()


async def test_of_twenty_flips_made_on_one_epoch_exactly_one_lands(
    desk: Desk, crowd: list[Desk]
) -> None:
    first = await desk.seed()
    requests = [
        await each.request(Op.AUTO, f"p{place}", decision_id=f"mine-{place}")
        for place, each in enumerate(crowd)
    ]
    answers = await asyncio.gather(
        *(each.writer.flip(KEYS, r) for each, r in zip(crowd, requests, strict=True))
    )
    done = [answer for answer in answers if answer.status is Status.COMMITTED]
    assert len(done) == 1
    assert [a.status for a in answers].count(Status.CONFLICT) == 19
    flag = await desk.flag()
    assert (flag.provider, flag.epoch) == (done[0].provider, done[0].epoch)
    assert flag.parent == first.decision_id
    assert {(a.provider, a.epoch) for a in answers} == {(flag.provider, flag.epoch)}
    assert await desk.client.xlen(KEYS.events) == 2


async def test_of_twenty_seeds_exactly_one_lands(crowd: list[Desk]) -> None:
    answers = await asyncio.gather(
        *(
            each.call(Op.SEED, f"p{place}", decision_id=f"mine-{place}")
            for place, each in enumerate(crowd)
        )
    )
    assert [answer.status for answer in answers].count(Status.COMMITTED) == 1
