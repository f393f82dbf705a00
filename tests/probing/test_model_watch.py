"""The daily look at a list of models: when it is taken, what is told of it, what is kept."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from prober.emulator import Emulator
from prober.probing import model_watch
from prober.probing.credentials import CredentialsError
from prober.probing.model_watch import APART_S, EVERY_S, FIRST_S, Look, ModelWatch, read, telling
from prober.probing.network import Network
from prober.probing.plans import Plan
from prober.providers import ADAPTERS
from prober.providers.events import Endpoint, HttpRequest
from prober.providers.model_list import UNREADABLE, Listing
from tests.support.raw_server import answering, plain, silent_after
from tests.support.values import StillClock

TODAY = date(2026, 3, 1)


def look(listing: Listing, since: date = TODAY) -> Look:
    return Look("m", listing, 0.0, since)


# -- what is told ------------------------------------------------------------------------------


def test_a_model_that_stays_is_nothing_to_tell() -> None:
    assert telling(look(Listing(True)), TODAY) == ""


def test_the_same_words_are_told_once_and_again_a_week_and_a_day_before() -> None:
    retires = TODAY + timedelta(days=30)
    said = [
        telling(look(Listing(True, True, retires)), TODAY + timedelta(days=days))
        for days in range(34)
    ]
    changes = [day for day in range(1, 34) if said[day] != said[day - 1]]
    assert changes == [23, 29], "seven days before, and one"
    assert "retires on 2026-03-31" in said[0]


def test_what_comes_late_is_told_once_for_all_that_has_passed() -> None:
    in_three_days = look(Listing(True, retires=TODAY + timedelta(days=3)))
    assert telling(in_three_days, TODAY) == telling(in_three_days, TODAY + timedelta(days=1))
    assert telling(in_three_days, TODAY) != telling(in_three_days, TODAY + timedelta(days=2))


def test_a_model_that_went_came_back_and_went_again_is_told_again() -> None:
    gone, later = Listing(False), TODAY + timedelta(days=9)
    assert telling(look(gone), later) != telling(look(gone, since=later), later)


# -- one look ----------------------------------------------------------------------------------


def plan(url: str, api: str = "openai", model: str = "m", **more: Any) -> Plan:
    return Plan("a", api, Endpoint(url, model, "secret-key"), **more)


async def test_a_model_that_ends_is_read_from_a_real_answer(
    emulator: Emulator, network: Network
) -> None:
    emulator.set_faults(api="anthropic", retires="2027-01-31")
    found = await read(plan(emulator.url, "anthropic"), network)
    assert found == Listing(True, True, date(2027, 1, 31))


async def test_a_model_that_is_gone_is_read_from_a_404(
    emulator: Emulator, network: Network
) -> None:
    emulator.set_faults(api="anthropic", model_not_found_share=1.0)
    assert await read(plan(emulator.url, "anthropic"), network) == Listing(False)


async def test_a_look_carries_the_same_credentials_as_a_canary(network: Network) -> None:
    async def sign(request: HttpRequest) -> HttpRequest:
        return HttpRequest(request.method, request.url, {**request.headers, "x-signed": "yes"}, b"")

    async with answering(plain(b'{"data": [{"id": "m"}]}')) as server:
        assert await read(plan(server.url, authorize=sign), network) == Listing(True)
    sent = server.requests[0].lower()
    assert b"authorization: bearer secret-key" in sent
    assert b"x-signed: yes" in sent


async def test_whatever_cannot_be_read_is_silence(
    network: Network, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    async def refused(request: HttpRequest) -> HttpRequest:
        raise CredentialsError("no credentials: secret-key")

    monkeypatch.setattr(model_watch, "TIMEOUT_S", 0.3)
    monkeypatch.setattr(model_watch, "MAX_BYTES", 1000)
    page = b'{"data": [{"id": "m"}]}'
    plays = [
        plain(b"<html>", status="200 OK"),
        plain(page, status="401 Unauthorized"),
        plain(page, status="404 Not Found"),
        plain(page, status="307 Elsewhere", headers="location: http://127.0.0.1:9/\r\n"),
        plain(b'{"data": ["' + b"x" * 1000 + b'"]}'),
        plain(b"not HTTP at all", status="\r\n"),
        silent_after(page[:10]),
    ]
    for play in plays:
        async with answering(play) as server:
            assert await read(plan(server.url), network) == UNREADABLE
    assert await read(plan("http://127.0.0.1:9"), network) == UNREADABLE
    assert await read(plan("http://x\x7f"), network) == UNREADABLE
    away = plan("http://127.0.0.1:9", authorize=refused)
    assert await read(away, network, lambda said: said.replace("secret-key", "•")) == UNREADABLE
    assert "no credentials: •" in caplog.text
    assert "secret-key" not in caplog.text


# -- day by day --------------------------------------------------------------------------------


class Days:
    """Catalogues over lists that the test writes, and a clock that it moves."""

    def __init__(self, path: Path, network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        self.clock = StillClock()
        self.network = network
        self.says: dict[str, Listing] = {}
        self.looked: list[str] = []
        self.told: list[tuple[str, str, int | None]] = []
        self.keys: list[str] = []
        monkeypatch.setattr(model_watch, "read", self._read)

    async def _read(self, plan: Plan, network: Network, scrub: object) -> Listing:
        self.looked.append(plan.provider)
        return self.says.get(plan.provider, Listing(True))

    async def _tell(self, provider: str, look: Look, key: str, days: int | None) -> None:
        self.told.append((provider, look.sentence, days))
        self.keys.append(key)

    def plans(self, model: str = "m") -> dict[str, Plan]:
        return {
            name: Plan(name, api, Endpoint("http://127.0.0.1:9", model))
            for name, api in (("a", "anthropic"), ("b", "openai"))
        }

    async def start(self) -> None:
        """As a daemon that begins."""
        plans, clock, path, tell = self.plans(), self.clock, self.path, self._tell
        self.looks = await asyncio.to_thread(ModelWatch, plans, self.network, clock, path, tell)

    @property
    def today(self) -> date:
        return datetime.fromtimestamp(self.clock.now(), UTC).date()

    async def after(self, seconds: float) -> None:
        self.clock.at_s += seconds
        await self.looks.run_due()

    async def day(self) -> list[tuple[str, str, int | None]]:
        """One day on; what was told."""
        before = len(self.told)
        await self.after(EVERY_S)
        return self.told[before:]


@pytest.fixture
async def days(tmp_path: Path, network: Network, monkeypatch: pytest.MonkeyPatch) -> Days:
    days = Days(tmp_path / "models.json", network, monkeypatch)
    await days.start()
    return days


async def test_first_looks_come_after_minutes_and_apart_then_once_a_day(days: Days) -> None:
    await days.after(FIRST_S - 1)
    assert days.looked == []
    await days.after(1)
    assert days.looked == ["a"]
    await days.after(APART_S)
    assert days.looked == ["a", "b"]
    await days.after(EVERY_S - APART_S - 1)
    assert days.looked == ["a", "b"]
    await days.after(APART_S + 1)
    assert sorted(days.looked) == ["a", "a", "b", "b"]


async def test_a_restart_looks_no_sooner_and_tells_nothing_twice(days: Days) -> None:
    days.says["a"] = Listing(True, True, date(2030, 1, 1))
    await days.after(FIRST_S + APART_S)
    assert [told[0] for told in days.told] == ["a"]
    await days.start()
    await days.after(3600)
    assert (len(days.looked), len(days.told)) == (2, 1)
    assert days.looks.found("a") is not None, "it knows what was said before"
    assert await days.day() == []
    assert len(days.looked) == 4


async def test_only_a_change_of_what_is_said_is_told(days: Days) -> None:
    days.says["a"] = Listing(True, deprecated=True)
    assert await days.day() == [("a", "m is deprecated; no date of retirement is given", None)]
    assert await days.day() == []
    today = days.today
    days.says["a"] = Listing(True, True, today + timedelta(days=100))
    told = await days.day()
    assert [days_left for _, _, days_left in told] == [99]
    days.says["a"] = Listing(True)
    assert await days.day() == []
    days.says["a"] = Listing(False)
    assert await days.day() == [("a", "m is not in the provider's list of models", None)]
    assert len(set(days.keys)) == 3


async def test_reminders_come_even_while_the_list_cannot_be_read(days: Days) -> None:
    today = days.today
    days.says["a"] = Listing(True, retires=today + timedelta(days=20))
    assert len(await days.day()) == 1
    days.says["a"] = UNREADABLE
    left = [told[2] for _ in range(22) for told in await days.day()]
    assert left == [7, 1]


async def test_an_unreadable_list_keeps_what_is_known_and_is_asked_again_soon(days: Days) -> None:
    days.says["a"] = Listing(False)
    assert len(await days.day()) == 1
    days.says["a"] = UNREADABLE
    assert await days.day() == []
    found = days.looks.found("a")
    assert found is not None
    assert found["warning"] == "m is not in the provider's list of models"
    looked = len(days.looked)
    await days.after(model_watch.AGAIN_S)
    assert days.looked[looked:] == ["a"]


async def test_another_model_begins_afresh(days: Days) -> None:
    days.says["a"] = Listing(False)
    await days.day()
    days.looks.configure(days.plans("new"))
    assert days.looks.found("a") is None
    days.says["a"] = Listing(True)
    await days.after(FIRST_S + APART_S)
    found = days.looks.found("a")
    assert found is not None
    assert (found["name"], found["warning"]) == ("new", "")


async def test_an_answer_that_comes_after_a_reload_is_not_believed(
    days: Days, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slow(plan: Plan, network: Network, scrub: object) -> Listing:
        days.looks.configure(days.plans("new"))
        await asyncio.sleep(0)
        return Listing(False)

    monkeypatch.setattr(model_watch, "read", slow)
    await days.after(FIRST_S)
    assert days.looks.found("a") is None
    assert days.told == []


async def test_a_provider_without_a_list_is_left_alone(
    days: Days, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ADAPTERS, "openai", replace(ADAPTERS["openai"], catalogue=None))
    await days.start()
    await days.day()
    assert days.looked == ["a"]


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', '{"a": {"model": "m"}}', '{"a": {}}'])
async def test_a_state_file_that_cannot_be_believed_is_a_fresh_start(days: Days, text: str) -> None:
    days.path.write_text(text)
    await days.start()
    days.says["a"] = Listing(False)
    await days.after(FIRST_S)
    assert len(days.told) == 1
    assert json.loads(days.path.read_text())["a"]["listing"]["found"] is False


async def test_a_look_from_the_time_to_come_delays_nothing(days: Days) -> None:
    days.clock.at_s += 10 * EVERY_S
    await days.after(FIRST_S + APART_S)
    days.clock.at_s -= 10 * EVERY_S
    days.looked.clear()
    await days.start()
    await days.after(FIRST_S + APART_S)
    assert days.looked == ["a", "b"]


async def test_a_disk_that_refuses_keeps_people_told_once(days: Days) -> None:
    days.path.with_name(f"{days.path.name}.new").mkdir()
    days.says["a"] = Listing(False)
    assert len(await days.day()) == 1
    assert await days.day() == []
