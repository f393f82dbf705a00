"""Reader and AsyncReader on real servers, by one set of scenarios."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import redis.asyncio
from redis.exceptions import RedisError
from servers import Valkey
from switch_redis import KEYS, Desk, eventually

from switch import AsyncReader, NotReadyError, Reader, Source, UnknownRouteError
from switch.connect import connect_async
from switch.flag import Candidate, Keys, Op

NOWHERE = "unix:///nowhere/at/all"
NEVER_S = 600.0  # a poll that does not come within a test
SOON_S = 0.05
FAR = 9_000_000_000_000_000

Make = Callable[..., Any]


class Held:
    """Either reader under one set of names, with every change it reported."""

    def __init__(self, kind: str, url: str, *args: Any, **said: Any) -> None:
        self.changes: list[tuple[str, str, str]] = []
        said = {"on_change": lambda *change: self.changes.append(change)} | said
        self.reader: Any = (Reader if kind == "thread" else AsyncReader)(url, *args, **said)
        self.threaded = kind == "thread"
        self.primary, self.flag = self.reader.primary, self.reader.flag

    async def _call(self, method: Callable[..., Any], *args: Any) -> Any:
        return await (asyncio.to_thread(method, *args) if self.threaded else method(*args))

    async def wait_ready(self, seconds: float) -> bool:
        return bool(await self._call(self.reader.wait_ready, seconds))

    async def read_once(self) -> None:
        await self._call(self.reader.read_once)

    async def close(self) -> None:
        await self._call(self.reader.close)

    async def serves(self, provider: str, route: str = "chat") -> None:
        def serving() -> bool:
            try:
                return bool(self.primary(route) == provider)
            except NotReadyError:
                return False

        await eventually(serving)

    async def confirms(self, epoch: int, route: str = "chat") -> None:
        await eventually(lambda: self.flag(route).epoch == epoch)


@pytest.fixture(params=["thread", "task"])
async def make(request: pytest.FixtureRequest) -> AsyncIterator[Make]:
    held: list[Held] = []

    def made(*args: Any, started: bool = True, **said: Any) -> Held:
        held.append(Held(request.param, *args, **said))
        if started and not held[-1].threaded:
            held[-1].reader.start()
        return held[-1]

    yield made
    for each in held:
        await each.close()


@pytest.fixture
async def desk(redis_client: redis.asyncio.Redis) -> Desk:
    return await Desk(redis_client).ready()


async def know(desk: Desk, *names: str) -> None:
    await desk.writer.publish(
        desk.keys, [Candidate(name, "openai", "v", "m", "https://x") for name in names]
    )


async def forge(desk: Desk, provider: str, epoch: int = FAR) -> None:
    message = {"provider": provider, "epoch": epoch, "decision_id": "forged"}
    assert await desk.client.publish(KEYS.changed, json.dumps(message)) == 1


# -- without a server --------------------------------------------------------------------------


async def test_the_default_is_served_while_redis_is_away(make: Make) -> None:
    reader = make(NOWHERE, {"chat": "a"})
    assert reader.primary("chat") == "a"
    reading = reader.flag("chat")
    assert (reading.provider, reading.epoch, reading.source) == ("a", 0, Source.DEFAULT)
    assert (reading.read_age_s, reading.stale) == (None, True)
    assert not await reader.wait_ready(0.01)
    with pytest.raises(RedisError):
        await reader.read_once()


async def test_a_route_without_flag_and_default_is_not_ready(make: Make) -> None:
    reader = make(NOWHERE, routes=["chat"])
    with pytest.raises(NotReadyError, match="route 'chat' has no flag yet and no default"):
        reader.primary("chat")
    assert reader.flag("chat").provider == ""


@pytest.mark.parametrize(
    ("asked", "hint"), [("chatt", "did you mean 'chat'?"), ("zzz", "known: chat, mail")]
)
async def test_an_unknown_route_raises_with_a_near_name(make: Make, asked: str, hint: str) -> None:
    reader = make(NOWHERE, {"chat": "a"}, routes=["mail", "chat"])
    for method in (reader.primary, reader.flag):
        with pytest.raises(UnknownRouteError) as raised:
            method(asked)
        assert raised.value.args == (f"route {asked!r} is not one of this reader's; {hint}",)


async def test_a_reader_of_no_route_is_refused(make: Make) -> None:
    with pytest.raises(ValueError, match="name a route"):
        make(NOWHERE)


async def test_a_route_that_cannot_be_a_key_is_refused(make: Make) -> None:
    with pytest.raises(ValueError, match="route 'Chat'"):
        make(NOWHERE, {"Chat": "a"})


# -- live --------------------------------------------------------------------------------------


async def test_a_flag_is_live_once_it_is_there(make: Make, desk: Desk, valkey: Valkey) -> None:
    reader = make(valkey.url, {"chat": "default"}, poll_s=SOON_S)
    assert not await reader.wait_ready(0.1)
    assert reader.primary("chat") == "default"
    answer = await desk.seed("a")
    assert await reader.wait_ready(20)
    reading = reader.flag("chat")
    assert (reading.provider, reading.epoch) == ("a", answer.epoch)
    assert (reading.source, reading.reason) == (Source.LIVE, "seed to a")
    assert reading.read_age_s is not None
    assert reading.checked_age_s is not None
    assert reader.changes == [("chat", "default", "a")]


async def test_several_routes_are_read_each_by_its_own_keys(
    make: Make, desk: Desk, valkey: Valkey
) -> None:
    mail = await Desk(desk.client, Keys("mail", "team")).ready()
    chat = await Desk(desk.client, Keys("chat", "team")).ready()
    await desk.seed("stranger")
    await mail.seed("m")
    await chat.seed("c")
    reader = make(valkey.url, {"chat": "x"}, routes=["mail"], namespace="team", poll_s=NEVER_S)
    assert await reader.wait_ready(20)
    assert (reader.primary("chat"), reader.primary("mail")) == ("c", "m")
    await mail.flip("n")
    await reader.serves("n", "mail")
    assert reader.primary("chat") == "c"


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
    assert reader.changes == [("chat", "", "a"), ("chat", "a", "b")]


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
    assert reader.changes == [("chat", "a", "b"), ("chat", "b", "a")]
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
    assert reader.changes == [("chat", "a", "b")]
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
    assert await desk.client.publish(KEYS.changed, message) == 1
    await desk.flip("b")
    await reader.serves("b")
    assert reader.changes == [("chat", "a", "b")]


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
    assert reader.changes == [("chat", "default", "a"), ("chat", "a", "c")]


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


async def test_a_name_this_build_does_not_support_is_not_served(
    make: Make, desk: Desk, valkey: Valkey
) -> None:
    told: list[tuple[str, str]] = []
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
    await eventually(lambda: told == [("chat", "c")])
    await desk.flip("b")
    await reader.serves("b")
    assert told == [("chat", "c")]
    assert [to for _, _, to in reader.changes] == ["a", "b"]


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
    await eventually(lambda: len(caplog.records) >= 3)
    assert {record.getMessage() for record in caplog.records} == {
        "a callback of the flag reader failed"
    }


# -- servers that go ---------------------------------------------------------------------------


@pytest.fixture
async def own_desk(own_valkey: Valkey) -> AsyncIterator[Desk]:
    client = connect_async(own_valkey.url, timeout_s=2.0)
    yield await Desk(client).ready()
    await client.aclose()


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
    await eventually(lambda: not reader.flag("chat").stale)
    assert (reader.primary("chat"), reader.flag("chat").epoch) == ("a", first.epoch)
    await own_desk.ready()
    await own_desk.seed("b", floor=first.epoch)
    await reader.serves("b")
    assert reader.changes == [("chat", "default", "a"), ("chat", "a", "b")]


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


# -- by hand -----------------------------------------------------------------------------------


async def test_the_environment_forces_a_provider(
    make: Make, desk: Desk, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROBER_FORCE_CHAT", "forced")
    monkeypatch.setenv("PROBER_FORCE_MY_MAIL", "too")
    monkeypatch.setenv("PROBER_FORCE_OTHER", "")
    answer = await desk.seed("a")
    reader = make(valkey.url, {"chat": "x", "my-mail": "x", "other": "x"}, poll_s=NEVER_S)
    await reader.confirms(answer.epoch)
    assert [reader.primary(name) for name in ("chat", "my-mail", "other")] == ["forced", "too", "x"]
    reading = reader.flag("chat")
    assert (reading.provider, reading.source) == ("forced", Source.FORCED)
    assert (reading.reason, reading.epoch) == ("forced by the environment", answer.epoch)
    await desk.flip("b")
    await eventually(lambda: reader.flag("chat").epoch > answer.epoch)
    assert reader.primary("chat") == "forced"
    assert reader.changes == []


async def test_reading_once_needs_no_listening(make: Make, desk: Desk, valkey: Valkey) -> None:
    answer = await desk.set(Op.SEED, "a")
    reader = make(valkey.url, {"chat": "x"}, poll_s=NEVER_S, started=False)
    await reader.read_once()
    assert (reader.primary("chat"), reader.flag("chat").epoch) == ("a", answer.epoch)


async def test_both_readers_are_context_managers(desk: Desk, valkey: Valkey) -> None:
    await desk.seed("a")
    async with AsyncReader(valkey.url, routes=["chat"]) as reader:
        reader.start()  # a second start starts nothing
        assert await reader.wait_ready(20)
        assert reader.primary("chat") == "a"

    def threaded() -> str:
        with Reader(valkey.url, routes=["chat"]) as plain:
            assert plain.wait_ready(20)
            return plain.primary("chat")

    assert await asyncio.to_thread(threaded) == "a"

    async def gone() -> bool:
        return bool((await desk.client.pubsub_numsub(KEYS.changed))[0][1] == 0)

    await eventually(gone)


FORKING = """
import os, sys, time
from switch import Reader

reader = Reader(sys.argv[1], {"chat": "default"}, poll_s=600)
closed = Reader(sys.argv[1], {"chat": "default"}, poll_s=600)
closed.close()
assert reader.wait_ready(20)
print("ready", flush=True)
sys.stdin.readline()
child = os.fork()
if child == 0:
    assert reader.wait_ready(20)
    print("forked", flush=True)
until = time.monotonic() + 20
while reader.primary("chat") != "b" and time.monotonic() < until:
    time.sleep(0.01)
if child == 0:
    os._exit(7 if reader.primary("chat") == "b" else 8)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
reader.close()
sys.exit(status)
"""


async def test_a_reader_goes_on_reading_in_a_forked_child(desk: Desk, valkey: Valkey) -> None:
    await desk.seed("a")
    await know(desk, "a", "b")
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        FORKING,
        valkey.url,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert program.stdin is not None
    assert program.stdout is not None
    async with asyncio.timeout(30):
        assert await program.stdout.readline() == b"ready\n"
        program.stdin.write(b"fork\n")
        assert await program.stdout.readline() == b"forked\n"
        await desk.flip("b")
        assert await program.wait() == 7
