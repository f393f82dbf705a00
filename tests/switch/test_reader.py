"""Reader and AsyncReader on real servers, by one set of scenarios."""

from __future__ import annotations

import asyncio
import re

import pytest
from redis.exceptions import RedisError

from switch import AsyncReader, NotReadyError, Reader, Source, UnknownRouteError
from switch.flag import Keys, Op
from tests.support.servers import Valkey
from tests.switch.reader_stage import NEVER_S, NOWHERE, SOON_S, Make, candidate, know
from tests.switch.switch_redis import KEYS, Desk, eventually

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


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ({"default": "chat"}, 'write {"chat": "anthropic"}'),
        ({"routes": "chat"}, "write routes=['chat']"),
        ({"supported": {"chat": "a"}}, "write ['a']"),
        ({"fallbacks": {"chat": "a"}}, "write ['a']"),
    ],
)
async def test_a_name_is_not_taken_for_the_list_of_its_letters(
    make: Make, said: dict[str, object], hint: str
) -> None:
    """Supporting "o", "p", "e"… a reader would hold its default through every failover."""
    with pytest.raises(TypeError, match=re.escape(hint)):
        make(NOWHERE, **said)


@pytest.mark.parametrize("url", [None, ""])
async def test_a_url_whose_variable_is_not_set_is_refused(make: Make, url: str | None) -> None:
    with pytest.raises(ValueError, match="is its environment variable set"):
        make(url, {"chat": "a"})


@pytest.mark.parametrize("poll_s", [0, -1.0, float("nan")])
async def test_a_poll_without_a_pause_is_refused(make: Make, poll_s: float) -> None:
    with pytest.raises(ValueError, match="give seconds above 0"):
        make(NOWHERE, {"chat": "a"}, poll_s=poll_s)


async def test_a_default_that_is_not_supported_is_refused_with_what_to_write(make: Make) -> None:
    with pytest.raises(ValueError, match="default") as raised:
        make(NOWHERE, {"chat": "a"}, supported={"chat": ["c", "b"]})
    assert raised.value.args == (
        "default['chat'] is 'a', which supported['chat'] does not name: add it there, or write one "
        "of b, c as the default",
    )
    make(NOWHERE, {"chat": "a"}, supported={"chat": ["a"], "mail": ["b"]})


async def test_until_the_daemons_list_is_read_fallbacks_follow_the_applications_own(
    make: Make, desk: Desk, valkey: Valkey
) -> None:
    said = {"supported": {"chat": ["a", "b", "c"]}, "fallbacks": {"chat": ["c", "x", "a", "b"]}}
    reader = make(valkey.url, {"chat": "a"}, started=False, **said)
    assert reader.fallbacks("chat") == ("c", "b")
    await know(desk, "b", "c")
    await desk.seed("a")
    await reader.read_once()
    assert reader.fallbacks("chat") == ("b", "c")


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
    await reader.told(("chat", "default", "a"))


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


async def test_fallbacks_follow_the_primary_in_the_routes_order(
    make: Make, desk: Desk, valkey: Valkey
) -> None:
    await desk.seed("b")
    await know(desk, "d", "b", "a", "c")
    reader = make(valkey.url, supported={"chat": ["a", "b", "d"]}, poll_s=SOON_S)
    await reader.serves("b")
    assert reader.fallbacks("chat") == ("d", "a")
    await desk.flip("a")
    await reader.serves("a")
    assert reader.fallbacks("chat") == ("d", "b")
    with pytest.raises(LookupError, match="did you mean 'chat'"):
        reader.fallbacks("chatt")


async def test_an_ineligible_candidate_is_no_fallback(
    make: Make, desk: Desk, valkey: Valkey
) -> None:
    await desk.seed("a")
    said = [candidate("a"), candidate("b", eligible=False, why_not="breached"), candidate("c")]
    await desk.writer.publish(desk.keys, said)
    reader = make(valkey.url, routes=["chat"], poll_s=SOON_S)
    await reader.serves("a")
    assert reader.fallbacks("chat") == ("c",)
    assert [c.why_not for c in reader.reader.candidates("chat")] == ["", "breached", ""]
    await desk.client.delete(KEYS.candidates)
    await reader.read_once()
    assert reader.fallbacks("chat") == ("c",), "an emptied Redis leaves the last known"


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
    await reader.told()


@pytest.mark.parametrize(
    ("forced", "serves", "line"),
    [
        ("openai", "openai", "PROBER_FORCE_CHAT=openai is in force: the flag does not move route"),
        ("nobody", "a", "PROBER_FORCE_CHAT=nobody is ignored: this application supports a, openai"),
        ("Open AI", "a", "PROBER_FORCE_CHAT='Open AI' is ignored: it is no provider's name"),
    ],
)
async def test_what_the_environment_forces_is_told_and_must_be_supported(
    make: Make,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    forced: str,
    serves: str,
    line: str,
) -> None:
    monkeypatch.setenv("PROBER_FORCE_CHAT", forced)
    reader = make(NOWHERE, {"chat": "a"}, supported={"chat": ["a", "openai"]})
    assert reader.primary("chat") == serves
    assert line in caplog.text


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
