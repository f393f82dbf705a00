"""States that must not be followed, and servers that go away."""

from __future__ import annotations

import asyncio

import pytest
from redis.exceptions import RedisError

from switch import Source
from tests.support.servers import Valkey
from tests.switch.reader_stage import FAR, SOON_S, Make, know
from tests.switch.switch_redis import KEYS, Desk, eventually


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]


# -- states that must not be followed ----------------------------------------------------------


@pytest.mark.parametrize(
    "change", [{"epoch": "many"}, {"provider": "B!"}, {"provider": b"\xff"}, {"mode": "x"}]
)
async def test_a_malformed_state_is_not_followed(
    make: Make, desk: Desk, valkey: Valkey, change: dict[str, str | bytes]
) -> None:
    answer = await desk.seed("a")
    reader = make(valkey.url, {"chat": "default"}, poll_s=SOON_S)
    await reader.confirms(answer.epoch)
    state = await desk.client.hgetall(KEYS.state)
    await desk.client.hset(
        KEYS.state, mapping={"provider": "b", "epoch": answer.epoch + 1} | change
    )
    await reader.read_once()
    assert reader.primary("chat") == "a"
    await desk.client.hset(KEYS.state, mapping=state)
    await desk.flip("c")
    await reader.serves("c")
    await reader.told(("chat", "default", "a"), ("chat", "a", "c"))


async def test_a_state_of_another_type_is_not_followed(
    make: Make, desk: Desk, valkey: Valkey
) -> None:
    answer = await desk.seed("a")
    reader = make(valkey.url, {"chat": "default"}, poll_s=SOON_S)
    await reader.confirms(answer.epoch)
    await desk.client.delete(KEYS.state)
    await desk.client.sadd(KEYS.state, "stray")
    with pytest.raises(RedisError):
        await reader.read_once()
    assert reader.primary("chat") == "a"
    await desk.client.delete(KEYS.state)
    await desk.seed("b")
    await reader.serves("b")


async def test_a_lower_epoch_is_not_followed(make: Make, desk: Desk, valkey: Valkey) -> None:
    await desk.seed("a", floor=FAR)
    reader = make(valkey.url, {"chat": "default"}, poll_s=SOON_S)
    await reader.confirms(FAR + 1)
    await desk.client.delete(KEYS.state, KEYS.events)
    answer = await desk.seed("b")
    assert answer.epoch < FAR
    await reader.read_once()
    assert (reader.primary("chat"), reader.flag("chat").epoch) == ("a", FAR + 1)
    await desk.flip("c", floor=FAR + 1)
    await reader.serves("c")


async def test_a_name_this_build_does_not_support_is_not_served_and_is_told_once(
    make: Make, desk: Desk, valkey: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[tuple[str, str]] = []
    caplog.set_level("INFO", "switch")
    await desk.seed("a")
    await know(desk, "a", "b", "c")
    reader = make(
        valkey.url,
        supported={"chat": ["a", "b"]},
        poll_s=SOON_S,
        on_unsupported=lambda *said: told.append(said),
    )
    await reader.serves("a")
    answer = await desk.flip("c")
    await reader.confirms(answer.epoch)
    assert (reader.primary("chat"), reader.flag("chat").provider) == ("a", "a")
    assert reader.flag("chat").unsupported == "c"
    await eventually(lambda: told == [("chat", "c")])
    later = await desk.flip("c")  # the same episode
    await reader.confirms(later.epoch)
    supported = await desk.flip("b")
    await reader.confirms(supported.epoch)
    assert (reader.primary("chat"), reader.flag("chat").unsupported) == ("b", "")
    await reader.told(("chat", "", "a"), ("chat", "a", "b"))
    assert told == [("chat", "c")]
    assert warnings(caplog) == [
        "the flag of route 'chat' names 'c', and this application supports a, b: 'a' stays. Add "
        "'c' to supported['chat'] once it can be called, or take it out of the route's candidates "
        "in prober.toml"
    ]
    await desk.flip("d")
    await eventually(lambda: reader.flag("chat").unsupported == "d")
    await eventually(lambda: len(warnings(caplog)) == 2)
    assert "names 'd'" in warnings(caplog)[1]


async def test_callbacks_that_raise_break_nothing(
    make: Make, desk: Desk, valkey: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    def burst(*_: str) -> None:
        raise RuntimeError("the application's own fault")

    await desk.seed("a")
    reader = make(
        valkey.url,
        supported={"chat": ["a", "b"]},
        poll_s=SOON_S,
        on_change=burst,
        on_unsupported=burst,
    )
    await reader.serves("a")
    answer = await desk.flip("c")
    await reader.confirms(answer.epoch)
    await desk.flip("b")
    await reader.serves("b")
    await eventually(lambda: sum(r.levelname == "ERROR" for r in caplog.records) >= 3)
    failures = [r.getMessage() for r in caplog.records if r.levelname == "ERROR"]
    assert set(failures) == {"a callback of the flag reader failed"}
    assert len(failures) + len(warnings(caplog)) == len(caplog.records)


# -- servers that go ---------------------------------------------------------------------------


async def test_a_dead_server_and_an_emptied_one_leave_the_last_known(
    make: Make, own_valkey: Valkey, own_desk: Desk
) -> None:
    first = await own_desk.seed("a")
    reader = make(own_valkey.url, {"chat": "default"}, poll_s=SOON_S)
    await reader.confirms(first.epoch)
    await asyncio.to_thread(own_valkey.stop)
    await eventually(lambda: reader.flag("chat").stale)
    assert (reader.primary("chat"), reader.flag("chat").source) == ("a", Source.CACHED)
    await asyncio.to_thread(own_valkey.start, empty=True)
    assert await own_desk.client.keys("*") == []
    age_s = reader.flag("chat").read_age_s
    await eventually(lambda: reader.flag("chat").read_age_s < age_s)
    reading = reader.flag("chat")
    assert (reading.provider, reading.epoch, reading.source) == ("a", first.epoch, Source.CACHED)
    assert reading.stale, "Redis is there, and does not confirm it"
    await own_desk.ready()
    await own_desk.seed("b", floor=first.epoch)
    await reader.serves("b")
    assert not reader.flag("chat").stale
    await reader.told(("chat", "default", "a"), ("chat", "a", "b"))


async def test_a_route_without_a_flag_is_stale_however_well_redis_answers(
    make: Make, desk: Desk, valkey: Valkey
) -> None:
    reader = make(valkey.url, {"chat": "a"}, poll_s=SOON_S, fallbacks={"chat": ["a", "b"]})
    await eventually(lambda: reader.flag("chat").read_age_s is not None)
    assert reader.flag("chat").stale
    assert reader.fallbacks("chat") == ("b",)
    await know(desk, "b", "a", "c")
    answer = await desk.seed("a")
    await reader.confirms(answer.epoch)
    assert not reader.flag("chat").stale
    assert reader.fallbacks("chat") == ("b", "c")


async def test_a_reader_built_before_its_server_finds_it(
    make: Make, own_valkey: Valkey, own_desk: Desk
) -> None:
    await own_desk.client.config_set("appendfsync", "always")  # or the crash may lose the seed
    await own_desk.seed("a")
    await asyncio.to_thread(own_valkey.stop)
    reader = make(own_valkey.url, {"chat": "default"})
    assert not await reader.wait_ready(0.01)
    assert reader.primary("chat") == "default"
    await asyncio.to_thread(own_valkey.start)
    assert await own_desk.client.exists(KEYS.state)
    assert await reader.wait_ready(20)
    assert reader.primary("chat") == "a"
