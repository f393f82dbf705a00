"""What readers make of the channel: a hint to be confirmed, and no more."""

from __future__ import annotations

import pytest

from tests.support.servers import Valkey
from tests.switch.reader_stage import NEVER_S, SOON_S, Make, forge, know, publish
from tests.switch.switch_redis import KEYS, Desk, eventually


async def test_a_flip_to_a_known_provider_is_heard_and_then_confirmed(
    make: Make, desk: Desk, valkey: Valkey
) -> None:
    await desk.seed("a")
    await know(desk, "a", "b")
    reader = make(valkey.url, poll_s=NEVER_S, routes=["chat"])
    await reader.serves("a")
    answer = await desk.flip("b")
    await reader.serves("b")
    await reader.confirms(answer.epoch)
    await reader.told(("chat", "", "a"), ("chat", "a", "b"))


async def test_a_message_alone_serves_a_known_provider_and_is_taken_back(
    make: Make, desk: Desk, valkey: Valkey
) -> None:
    answer = await desk.seed("a")
    await know(desk, "a", "b")
    reader = make(valkey.url, {"chat": "a"}, poll_s=NEVER_S)
    await reader.confirms(answer.epoch)
    await forge(desk, "b")
    await reader.serves("b")
    assert reader.flag("chat").epoch == answer.epoch
    await reader.serves("a")
    await reader.told(("chat", "a", "b"), ("chat", "b", "a"))
    # The forged epoch is forgotten: a true flip, far below it, is still followed.
    await desk.flip("b")
    await reader.serves("b")


async def test_a_message_naming_a_stranger_is_served_only_once_state_says_so(
    make: Make, desk: Desk, valkey: Valkey
) -> None:
    answer = await desk.seed("a")
    await know(desk, "a", "b")
    reader = make(valkey.url, {"chat": "a"}, poll_s=NEVER_S)
    await reader.confirms(answer.epoch)
    await forge(desk, "stranger")
    await forge(desk, "b")
    await reader.serves("b")  # so the message before it has been heard
    await reader.told(("chat", "a", "b"))
    await reader.serves("a")
    await desk.flip("stranger")
    await reader.serves("stranger")


@pytest.mark.parametrize("message", ["", "{", "[]", b"\xff\xfe", b'{"provider":"\xff"}'])
async def test_a_torn_message_changes_nothing_and_breaks_nothing(
    make: Make, desk: Desk, valkey: Valkey, message: str | bytes
) -> None:
    await desk.seed("a")
    await know(desk, "a", "b")
    reader = make(valkey.url, {"chat": "a"}, poll_s=NEVER_S)
    assert await reader.wait_ready(20)
    await publish(desk, message)
    await desk.flip("b")
    await reader.serves("b")
    await reader.told(("chat", "a", "b"))


async def test_a_lost_message_is_made_up_for_by_the_poll(
    make: Make, desk: Desk, valkey: Valkey
) -> None:
    answer = await desk.seed("a")
    reader = make(valkey.url, {"chat": "a"}, poll_s=SOON_S)
    await reader.confirms(answer.epoch)
    await desk.client.hset(
        KEYS.state, mapping={"provider": "b", "epoch": answer.epoch + 1, "decision_id": "other"}
    )
    await reader.serves("b")


async def test_a_killed_subscription_is_made_again(make: Make, desk: Desk, valkey: Valkey) -> None:
    answer = await desk.seed("a")
    reader = make(valkey.url, {"chat": "a"}, poll_s=SOON_S)
    await reader.confirms(answer.epoch)
    assert await desk.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub") == 1
    await desk.flip("b")
    await reader.serves("b")

    async def listening() -> bool:
        return bool((await desk.client.pubsub_numsub(KEYS.changed))[0][1] == 1)

    await eventually(listening)


async def test_what_was_missed_while_not_subscribed_is_read_on_subscribing(
    make: Make, desk: Desk, valkey: Valkey
) -> None:
    answer = await desk.seed("a")
    reader = make(valkey.url, {"chat": "a"}, poll_s=NEVER_S)
    await reader.confirms(answer.epoch)
    # In one transaction: the reader cannot be subscribed when the flag changes.
    async with desk.client.pipeline(transaction=True) as pipe:
        pipe.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        pipe.hset(
            KEYS.state,
            mapping={"provider": "b", "epoch": answer.epoch + 1, "decision_id": "other"},
        )
        await pipe.execute()
    await reader.serves("b")
