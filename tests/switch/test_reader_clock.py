"""Dead subscriptions, hints and ages, by a clock that the tests move."""

from __future__ import annotations

import asyncio

from switch.poll_schedule import DEAF_S, ECHO_S, POLL_S
from tests.support.servers import Valkey
from tests.switch.proxy import Proxy
from tests.switch.reader_stage import NEVER_S, Clock, Make, forge, know, move_unheard, still
from tests.switch.switch_redis import KEYS, Desk, eventually


async def test_without_a_message_a_flip_is_seen_within_one_poll(
    make: Make, desk: Desk, valkey: Valkey
) -> None:
    clock = Clock()
    answer = await desk.seed("a")
    reader = make(valkey.url, {"chat": "x"}, clock=clock)
    await reader.confirms(answer.epoch)
    seen = await still(desk)
    await move_unheard(desk, "b", answer.epoch + 1)
    clock.now_s += 0.79 * POLL_S
    assert await still(desk) == seen
    assert reader.primary("chat") == "a"
    clock.now_s += 0.21 * POLL_S
    await reader.serves("b")


async def test_a_reader_that_may_not_subscribe_still_polls(
    make: Make, own_desk: Desk, own_valkey: Valkey
) -> None:
    clock = Clock()
    answer = await own_desk.seed("a")
    await own_desk.client.execute_command(
        "ACL", "SETUSER", "mute", "on", ">p", "~*", "&*", "+hgetall"
    )
    reader = make(f"unix://mute:p@{own_valkey.socket}", {"chat": "x"}, clock=clock)
    await reader.confirms(answer.epoch)
    await own_desk.flip("b")
    clock.now_s += POLL_S
    await reader.serves("b")


async def test_a_subscription_cut_in_silence_is_noticed_and_made_again(
    make: Make, desk: Desk, valkey: Valkey
) -> None:
    """Nobody hangs up: packets just end. Only an echo that does not come shows it."""
    clock = Clock()
    await desk.seed("a")
    await know(desk, "a", "b")
    async with Proxy.before(valkey.socket) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}"
        reader = make(url, {"chat": "x"}, poll_s=1e9, clock=clock)
        await reader.serves("a")
        await still(desk)
        proxy.silence()
        await desk.flip("b")
        await still(desk)
        assert reader.primary("chat") == "a", "the message was not let through"

        def in_time() -> bool:
            clock.now_s += 0.1
            return bool(reader.primary("chat") == "b")

        await eventually(in_time)
        await reader.close()


async def test_a_frozen_server_is_left_and_found_again(
    make: Make, own_desk: Desk, own_valkey: Valkey
) -> None:
    """Nothing is refused and nothing is answered: the subscription has to be given up."""
    answer = await own_desk.seed("a")
    clock = Clock()
    reader = make(own_valkey.url, {"chat": "x"}, clock=clock)
    await reader.confirms(answer.epoch)
    own_valkey.process.send_signal(19)
    for _ in range(8):
        clock.now_s += max(ECHO_S, DEAF_S, POLL_S)
        await asyncio.sleep(0.1)
        assert reader.primary("chat") == "a"
    await eventually(lambda: reader.flag("chat").stale)
    own_valkey.process.send_signal(18)
    await own_desk.flip("b")

    def in_time() -> bool:
        # A read that was on its way in the frost fails late, and is due by the clock of then.
        clock.now_s += 0.1
        return bool(reader.primary("chat") == "b")

    await eventually(in_time)


async def test_an_unconfirmed_message_is_taken_back_by_the_clock_alone(
    make: Make, desk: Desk, valkey: Valkey
) -> None:
    clock = Clock()
    answer = await desk.seed("a")
    await know(desk, "a", "b")
    reader = make(valkey.url, {"chat": "a"}, poll_s=NEVER_S, clock=clock)
    await reader.confirms(answer.epoch)
    await forge(desk, "b")
    await reader.serves("b")
    clock.now_s += 1.9
    await still(desk)
    assert reader.primary("chat") == "b"
    clock.now_s += 0.1
    await reader.serves("a")


async def test_the_ages_are_those_of_the_last_read_and_the_last_check(
    make: Make, desk: Desk, valkey: Valkey
) -> None:
    clock = Clock()
    answer = await desk.seed("a")
    reader = make(valkey.url, {"chat": "a"}, poll_s=NEVER_S, clock=clock)
    await reader.confirms(answer.epoch)
    await still(desk)
    clock.now_s += 100.0
    assert (reader.flag("chat").read_age_s, reader.flag("chat").checked_age_s) == (100.0, 100.0)
    await reader.read_once()  # Redis is here, the daemon is not
    assert (reader.flag("chat").read_age_s, reader.flag("chat").checked_age_s) == (0.0, 100.0)
    await desk.client.hincrby(KEYS.state, "checked_at", 1)
    await reader.read_once()
    assert reader.flag("chat").checked_age_s == 0.0
