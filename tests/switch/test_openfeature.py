"""The OpenFeature provider, through the SDK's own client."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator

import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.event import EventDetails, ProviderEvent
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import Reason
from openfeature.provider import ProviderStatus

from switch import Reader
from switch.flag import Keys
from switch.openfeature import ProberProvider
from switch.testing import FakeAsyncReader, FakeReader
from tests.support.servers import Valkey
from tests.switch.reader_stage import NEVER_S, NOWHERE


def until(met: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not met():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


@pytest.fixture
def fake() -> FakeReader:
    return FakeReader({"chat": "a"}, routes=["mail"], fallbacks={"chat": ["b", "c"]})


@pytest.fixture
def client(request: pytest.FixtureRequest) -> Iterator[OpenFeatureClient]:
    yield api.get_client(request.node.name)
    api.clear_providers()


def use(client: OpenFeatureClient, reader: object, ready_within_s: float = 0.0) -> None:
    provider = ProberProvider(reader, ready_within_s=ready_within_s)  # type: ignore[arg-type]
    api.set_provider_and_wait(provider, client.domain)


def test_a_route_is_a_string_flag(client: OpenFeatureClient, fake: FakeReader) -> None:
    use(client, fake)
    fake.set_primary("chat", "b", "a is down")
    said = client.get_string_details("chat", "mine")
    assert (said.value, said.variant, said.reason) == ("b", "b", Reason.CACHED)
    assert said.flag_metadata == {"epoch": 2, "why": "a is down", "source": "live", "stale": False}
    assert said.error_code is None


def test_a_route_is_an_object_flag_with_its_fallbacks(
    client: OpenFeatureClient, fake: FakeReader
) -> None:
    use(client, fake)
    said = client.get_object_details("chat", {})
    assert said.value == {"provider": "a", "fallbacks": ["b", "c"], "epoch": 1, "reason": ""}
    assert (said.variant, said.reason) == ("a", Reason.CACHED)


def test_what_is_old_is_stale_and_what_is_unknown_is_the_callers_default(
    client: OpenFeatureClient, fake: FakeReader
) -> None:
    use(client, fake)
    fake.set_stale("chat")
    said = client.get_string_details("chat", "mine")
    assert (said.value, said.reason) == ("a", Reason.STALE)
    unknown = client.get_string_details("mail", "mine")
    assert (unknown.value, unknown.reason, unknown.variant) == ("mine", Reason.DEFAULT, None)
    assert client.get_object_value("mail", {"provider": "mine"}) == {"provider": "mine"}


def test_a_default_a_snapshot_and_a_forced_one_say_so(
    client: OpenFeatureClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROBER_FORCE_MAIL", "forced")
    with Reader(NOWHERE, {"chat": "a", "mail": "a"}) as reader:
        use(client, reader)
        chat, mail = (client.get_string_details(route, "mine") for route in ("chat", "mail"))
    assert (chat.value, chat.reason) == ("a", Reason.DEFAULT)
    assert (mail.value, mail.reason) == ("forced", Reason.STATIC)


def test_an_unknown_route_is_not_found_and_names_a_near_one(
    client: OpenFeatureClient, fake: FakeReader
) -> None:
    use(client, fake)
    said = client.get_string_details("chatt", "mine")
    assert (said.value, said.error_code) == ("mine", ErrorCode.FLAG_NOT_FOUND)
    assert said.error_message is not None
    assert "did you mean 'chat'?" in said.error_message


def test_another_type_is_a_mismatch(client: OpenFeatureClient, fake: FakeReader) -> None:
    use(client, fake)
    for said in (
        client.get_boolean_details("chat", True),
        client.get_integer_details("chat", 7),
        client.get_float_details("chat", 0.5),
    ):
        assert said.error_code == ErrorCode.TYPE_MISMATCH
    assert client.get_boolean_details("chatt", True).error_code == ErrorCode.FLAG_NOT_FOUND


def test_a_flag_that_this_application_cannot_follow_is_in_the_metadata(
    client: OpenFeatureClient,
) -> None:
    fake = FakeReader({"chat": "a"}, supported={"chat": ["a"]})
    use(client, fake)
    fake.set_primary("chat", "b")
    said = client.get_string_details("chat", "mine")
    assert (said.value, said.flag_metadata["unsupported"]) == ("a", "b")


async def test_it_answers_in_a_loop_too(client: OpenFeatureClient) -> None:
    await asyncio.to_thread(use, client, FakeAsyncReader({"chat": "a"}))
    assert await client.get_string_value_async("chat", "mine") == "a"


def test_flips_and_staleness_are_events(client: OpenFeatureClient) -> None:
    fake = FakeReader({"chat": "a", "mail": "m"})
    seen: list[tuple[ProviderEvent, list[str] | None]] = []

    def note(event: ProviderEvent) -> Callable[[EventDetails], None]:
        return lambda details: seen.append((event, details.flags_changed))

    use(client, fake)
    for event in ProviderEvent:
        client.add_handler(event, note(event))
    until(lambda: (ProviderEvent.PROVIDER_READY, None) in seen)
    seen.clear()
    fake.set_primary("chat", "b")
    until(lambda: seen)
    assert seen == [(ProviderEvent.PROVIDER_CONFIGURATION_CHANGED, ["chat"])]
    fake.set_stale("mail")
    until(lambda: len(seen) == 2)
    assert client.get_provider_status() == ProviderStatus.STALE
    assert client.get_string_value("chat", "mine") == "b", "stale is no reason not to answer"
    fake.set_stale("mail", False)
    until(lambda: len(seen) == 3)
    assert client.get_provider_status() == ProviderStatus.READY
    assert [event for event, _ in seen[1:]] == [
        ProviderEvent.PROVIDER_STALE,
        ProviderEvent.PROVIDER_READY,
    ]


def test_without_redis_it_is_ready_and_then_stale_and_serves_the_default(
    client: OpenFeatureClient,
) -> None:
    with Reader(NOWHERE, {"chat": "a"}) as reader:
        use(client, reader)
        until(lambda: client.get_provider_status() == ProviderStatus.STALE)
        assert client.get_string_value("chat", "mine") == "a"
        api.clear_providers()


def test_initialisation_waits_for_a_first_read(client: OpenFeatureClient, valkey: Valkey) -> None:
    state = {"provider": "b", "epoch": "1", "decision_id": "d"}
    with valkey.client() as redis:
        redis.hset(Keys("chat").state, mapping=state)
    with Reader(valkey.url, {"chat": "a"}, poll_s=NEVER_S) as reader:
        use(client, reader, ready_within_s=20)
        assert client.get_string_value("chat", "mine") == "b"
        api.clear_providers()


def test_shutdown_ends_its_thread_and_leaves_the_reader_open(
    client: OpenFeatureClient, fake: FakeReader
) -> None:
    use(client, fake)
    provider = api.provider_registry.get_provider(client.domain)
    assert isinstance(provider, ProberProvider)
    api.clear_providers()
    watcher = provider._watcher
    assert watcher is not None
    assert not watcher.is_alive()
    assert not fake.closed
