"""Which fault strikes which request, and how one says so over HTTP."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from random import Random
from typing import Any

import httpx
import pytest

from prober.emulator import Emulator, Faults, FaultsError, InjectedFault
from prober.emulator.rules import FaultRule
from tests.emulator.emulator_wires import KEY, Asker

FAULTS = "/_emulator/faults"
REQUESTS = "/_emulator/requests"


def drawn(count: int, **faults: Any) -> list[InjectedFault]:
    rule = FaultRule(Faults(**faults), Random(faults.get("seed")))
    return [rule.draw() for _ in range(count)]


def test_half_the_requests_fail_when_half_are_asked_to(asker: Asker, emulator: Emulator) -> None:
    emulator.set_faults(asker.api, error_share=0.5, even=True, ttft_s=0)
    statuses = [asker.ask().status_code == 200 for _ in range(8)]
    assert statuses == [True, False] * 4


def test_three_of_every_ten_requests_fail_evenly_spread() -> None:
    faults = drawn(1000, error_share=0.3, even=True)
    for start in range(len(faults) - 10):
        assert faults[start : start + 10].count(InjectedFault.ERROR) == 3
    failed = [index for index, fault in enumerate(faults) if fault is InjectedFault.ERROR]
    assert {later - index for index, later in pairwise(failed)} == {3, 4}


def test_several_shares_are_each_exact() -> None:
    faults = drawn(1000, error_share=0.5, truncate_share=0.25, hang_share=0.1, even=True)
    assert Counter(faults) == {
        InjectedFault.ERROR: 500,
        InjectedFault.TRUNCATE: 250,
        InjectedFault.NONE: 150,
        InjectedFault.HANG: 100,
    }


def test_shares_that_make_a_whole_leave_nothing_healthy() -> None:
    assert InjectedFault.NONE not in drawn(100, error_share=0.7, reset_share=0.3, even=True)
    assert InjectedFault.NONE not in drawn(1000, error_share=0.7, reset_share=0.3)


def test_chance_comes_near_the_share_and_the_seed_repeats_it() -> None:
    faults = drawn(10_000, error_share=0.3, seed=7)
    assert 2_700 < faults.count(InjectedFault.ERROR) < 3_300
    assert faults == drawn(10_000, error_share=0.3, seed=7)
    assert faults != drawn(10_000, error_share=0.3, seed=8)


def test_a_healthy_rule_never_strikes() -> None:
    assert set(drawn(1000)) == {InjectedFault.NONE}


def test_the_most_specific_rule_wins(asker: Asker, emulator: Emulator) -> None:
    emulator.set_faults("*", error_share=1, status=500)
    assert asker.ask(model="m").status_code == 500
    emulator.set_faults("*", "m", error_share=1, status=501)
    assert asker.ask(model="m").status_code == 501
    emulator.set_faults(asker.api, error_share=1, status=502)
    assert asker.ask(model="m").status_code == 502
    emulator.set_faults(asker.api, "m", error_share=1, status=503)
    assert asker.ask(model="m").status_code == 503
    assert asker.ask(model="other").status_code == 502


def test_setting_again_replaces_the_rule_whole(asker: Asker, emulator: Emulator) -> None:
    emulator.set_faults(asker.api, error_share=1)
    emulator.set_faults(asker.api, ttft_s=0)
    assert asker.ask().status_code == 200


def test_faults_are_set_shown_and_reset_over_http(client: httpx.Client) -> None:
    settings = {"api": "openai", "model": "m", "error_share": 0.5, "even": True}
    shown = client.put(FAULTS, json=settings).raise_for_status().json()
    assert shown == client.get(FAULTS).json()
    assert shown["rules"][0].items() >= settings.items()
    assert client.delete(FAULTS).raise_for_status().json() == {"rules": []}
    assert client.get(FAULTS).json() == {"rules": []}


def test_faults_set_over_http_strike(asker: Asker) -> None:
    asker.client.put(FAULTS, json={"api": asker.api, "error_share": 1, "status": 500})
    assert asker.ask().status_code == 500
    asker.client.delete(FAULTS)
    assert asker.ask().status_code == 200


SERVED = (
    "anthropic, gemini, azure-openai, openai, openai-responses, mistral, vertex, bedrock, ollama"
)
BAD = [
    ({"eror_share": 1}, "eror_share is not a field; did you mean error_share?"),
    ({"ttft": 1}, "ttft is not a field; did you mean ttft_s?"),
    ({"api": "antropic"}, "api 'antropic' is not served; did you mean anthropic?"),
    ({"api": "x"}, f"api 'x' is not served; it serves {SERVED}"),
    ({"api": 1}, "api is 1; it must be a name, or '*' for all"),
    ({"model": 1}, "model is 1; it must be a name, or left out for all"),
    ({"error_share": 1.5}, "error_share is 1.5; it must be a number from 0 to 1"),
    ({"error_share": "1"}, "error_share is '1'; it must be a number from 0 to 1"),
    ({"error_share": True}, "error_share is True; it must be a number from 0 to 1"),
    ({"error_share": None}, "error_share is None; it must be a number from 0 to 1"),
    ({"ttft_s": -1}, "ttft_s is -1; it must be a number of seconds from 0 to 3600"),
    ({"status": 200}, "status is 200; it must be an HTTP status from 400 to 599, or null"),
    ({"huge_bytes": 1.5}, "huge_bytes is 1.5; it must be a number of bytes from 0 to 1073741824"),
    ({"latency_factor": []}, "latency_factor is []; it must be a number from 0 to 1000"),
    ({"even": 1}, "even is 1; it must be true or false"),
    ({"seed": "x"}, "seed is 'x'; it must be a whole number or null"),
    (
        {"error_share": 0.7, "hang_share": 0.6},
        "the shares add up to 1.3; they must not pass 1",
    ),
    ([], 'the body is not a JSON object, as in {"error_share": 0.5}'),
]


@pytest.mark.parametrize(("settings", "line"), BAD, ids=[line for _, line in BAD])
def test_a_bad_setting_is_refused_with_one_line(
    client: httpx.Client, settings: Any, line: str
) -> None:
    response = client.put(FAULTS, json=settings)
    assert (response.status_code, response.json()) == (422, {"error": line})
    assert client.get(FAULTS).json() == {"rules": []}


NO_SETTINGS = [b"", b"{", b"\xff", b'{"error_share": NaN}', b'{"\\ud800": 1}']


@pytest.mark.parametrize("content", NO_SETTINGS)
def test_a_body_that_is_no_setting_is_refused(client: httpx.Client, content: bytes) -> None:
    response = client.put(FAULTS, content=content)
    assert response.status_code == 422
    assert "\n" not in response.json()["error"]


def test_a_bad_setting_in_process_raises_the_same_line(emulator: Emulator) -> None:
    with pytest.raises(FaultsError, match=r"^eror_share is not a field; did you mean error_share"):
        emulator.set_faults(eror_share=1)


def test_requests_are_counted_and_told_by_what_was_done_to_them(
    asker: Asker, emulator: Emulator
) -> None:
    asker.ask()
    emulator.set_faults(asker.api, reset_share=1)
    with pytest.raises(httpx.ReadError):
        asker.ask()
    traffic = emulator.requests()
    assert traffic.counts == {asker.api: {"m": 2}}
    assert traffic.total == 2
    assert [(one.status, one.fault) for one in traffic.last] == [
        (200, InjectedFault.NONE),
        (None, InjectedFault.RESET),
    ]
    assert asker.client.get(REQUESTS).json()["last"][1] == {
        "api": asker.api,
        "path": asker.path(),
        "model": "m",
        "status": None,
        "fault": "reset",
    }


def test_the_key_is_never_told(asker: Asker) -> None:
    asker.ask(params={**asker.wire.params, "key": KEY})
    assert KEY not in asker.client.get(REQUESTS).text


def test_only_the_last_hundred_requests_are_kept_and_all_are_counted(
    client: httpx.Client, emulator: Emulator
) -> None:
    emulator.set_faults(ttft_s=0)
    for number in range(101):
        Asker("ollama", client).ask(model=f"m{number}", stream=False)
    traffic = emulator.requests()
    assert traffic.total == 101
    assert [traffic.last[0].model, traffic.last[-1].model] == ["m1", "m100"]
    assert len(traffic.last) == 100


def test_a_reset_forgets_the_requests(asker: Asker, emulator: Emulator) -> None:
    asker.ask()
    emulator.reset()
    assert emulator.requests().total == 0
