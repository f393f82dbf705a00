"""Each fault does over the wire what its name says, on every API."""

from __future__ import annotations

import json
import time

import httpx
import pytest

from prober.emulator import Emulator
from tests.emulator.emulator_wires import Asker

SHORT = httpx.Timeout(10, read=0.1)


def test_a_healthy_stream_says_the_nonce_in_pieces_and_ends_with_its_marker(asker: Asker) -> None:
    response = asker.ask()
    texts = asker.texts(response.content)
    assert (response.status_code, "".join(texts)) == (200, "n0nce-42")
    assert len(texts) in (2, 3)
    assert asker.ended(response.content)


def test_a_healthy_answer_in_one_piece_says_the_nonce(asker: Asker) -> None:
    response = asker.ask(stream=False)
    assert response.headers["content-type"] == "application/json"
    assert asker.wire.whole_text(response.json()) == "n0nce-42"


@pytest.mark.parametrize("status", [500, 503, 529, 429, 418])
def test_an_error_has_the_status_that_was_asked_for(
    asker: Asker, emulator: Emulator, status: int
) -> None:
    emulator.set_faults(asker.api, error_share=1, status=status)
    response = asker.ask()
    assert response.status_code == status
    assert asker.wire.problem(response.json())


def test_an_error_inside_a_stream_follows_text_under_status_200(
    asker: Asker, emulator: Emulator
) -> None:
    emulator.set_faults(asker.api, in_stream_error_share=1)
    response = asker.ask()
    assert response.status_code == 200
    assert asker.texts(response.content)
    assert asker.wire.error in response.content
    assert not asker.ended(response.content)


def test_without_a_stream_an_error_in_it_is_an_http_error(asker: Asker, emulator: Emulator) -> None:
    emulator.set_faults(asker.api, in_stream_error_share=1, status=500)
    assert asker.ask(stream=False).status_code == 500


def test_a_truncated_stream_ends_in_order_without_its_marker(
    asker: Asker, emulator: Emulator
) -> None:
    emulator.set_faults(asker.api, truncate_share=1)
    response = asker.ask()
    assert response.status_code == 200
    assert len(asker.texts(response.content)) == 1
    assert not asker.ended(response.content)
    assert response.headers["connection"] == "close"


def test_a_truncated_answer_in_one_piece_is_half_its_json(asker: Asker, emulator: Emulator) -> None:
    emulator.set_faults(asker.api, truncate_share=1)
    with pytest.raises(json.JSONDecodeError):
        asker.ask(stream=False).json()


@pytest.mark.parametrize("stream", [True, False])
def test_a_reset_is_a_reset(asker: Asker, emulator: Emulator, stream: bool) -> None:
    emulator.set_faults(asker.api, reset_share=1)
    with pytest.raises(httpx.ReadError, match="reset by peer"):
        asker.ask(stream=stream)


@pytest.mark.parametrize("stream", [True, False])
def test_a_hanging_api_sends_not_one_byte(asker: Asker, emulator: Emulator, stream: bool) -> None:
    emulator.set_faults(asker.api, hang_share=1)
    traced: list[str] = []
    request = asker.request(stream=stream, timeout=SHORT)
    request.extensions["trace"] = lambda name, _: traced.append(name)
    with pytest.raises(httpx.ReadTimeout):
        asker.client.send(request)
    assert "http11.receive_response_headers.failed" in traced


def test_a_stalled_stream_brings_its_first_event_and_no_more(
    asker: Asker, emulator: Emulator
) -> None:
    emulator.set_faults(asker.api, stall_share=1)
    seen: list[bytes] = []
    response = asker.client.send(asker.request(timeout=httpx.Timeout(10, read=0.2)), stream=True)
    with pytest.raises(httpx.ReadTimeout):
        seen.extend(response.iter_raw())
    response.close()
    assert len(asker.wire.events(b"".join(seen))) == 1
    assert not asker.ended(b"".join(seen))


def test_a_stalled_answer_in_one_piece_stays_half(asker: Asker, emulator: Emulator) -> None:
    emulator.set_faults(asker.api, stall_share=1)
    with pytest.raises(httpx.ReadTimeout):
        asker.ask(stream=False, timeout=SHORT)


@pytest.mark.parametrize(("api", "stream"), [("ollama", True), ("gemini", False)])
def test_a_slow_answer_pauses_after_every_byte_and_is_whole(
    client: httpx.Client, emulator: Emulator, api: str, stream: bool
) -> None:
    emulator.set_faults(api, slow_byte_s=0.001, latency_factor=0.1)
    asker = Asker(api, client)
    began = time.monotonic()
    response = asker.ask(stream=stream)
    assert time.monotonic() - began > len(response.content) * 0.0001
    assert "".join(asker.texts(response.content)) == "n0nce-42"


def test_a_huge_answer_is_as_long_as_asked_for_and_well_formed(
    asker: Asker, emulator: Emulator
) -> None:
    emulator.set_faults(asker.api, huge_bytes=300_000)
    body = asker.ask().content
    assert 300_000 <= len("".join(asker.texts(body))) < 310_000
    assert asker.ended(body)


def test_garbage_is_a_200_that_speaks_no_protocol(asker: Asker, emulator: Emulator) -> None:
    emulator.set_faults(asker.api, garbage_share=1, seed=1)
    first, second = asker.ask(), asker.ask(stream=False)
    assert (first.status_code, second.status_code) == (200, 200)
    with pytest.raises(UnicodeDecodeError):
        first.content.decode()
    assert first.content != second.content


def test_a_wrong_answer_is_well_formed_and_lacks_the_nonce(
    asker: Asker, emulator: Emulator
) -> None:
    emulator.set_faults(asker.api, wrong_answer_share=1)
    body = asker.ask().content
    assert asker.texts(body)
    assert "n0nce-42" not in "".join(asker.texts(body))
    assert asker.ended(body)


def test_half_an_answer_ends_as_if_it_were_whole(asker: Asker, emulator: Emulator) -> None:
    emulator.set_faults(asker.api, half_share=1)
    body = asker.ask().content
    assert "".join(asker.texts(body)) == "n0nce-42"[:4]
    assert asker.stops(body)[-1].lower() in ("end_turn", "stop", "completed")
    assert asker.ended(body)


def test_an_empty_answer_is_well_formed_and_has_no_text(asker: Asker, emulator: Emulator) -> None:
    emulator.set_faults(asker.api, empty_share=1)
    body = asker.ask().content
    assert asker.texts(body) == []
    assert asker.stops(body)[-1].lower() in ("end_turn", "stop", "completed")
    assert asker.ended(body)
    assert asker.ask(stream=False).status_code == 200


def test_an_answer_cut_by_length_has_no_text_and_says_why(asker: Asker, emulator: Emulator) -> None:
    emulator.set_faults(asker.api, length_share=1)
    body = asker.ask().content
    assert asker.texts(body) == []
    assert asker.stops(body)[-1].lower() in ("max_tokens", "length", "max_output_tokens")
    assert asker.ended(body)


MALFORMED = [b"", b"[]", b"{}", b"{" * 2000, b"\xff", b'{"model": 1}', b'{"model": "\\ud800"}']


@pytest.mark.parametrize("content", MALFORMED)
def test_a_malformed_request_is_a_400_and_draws_no_fault(
    asker: Asker, emulator: Emulator, content: bytes
) -> None:
    emulator.set_faults(error_share=1)
    response = asker.ask(json=None, content=content)
    assert response.status_code == asker.wire.bad_request
    assert asker.wire.problem(response.json())


def test_the_time_to_first_text_is_what_was_set_times_the_factor(
    asker: Asker, emulator: Emulator
) -> None:
    emulator.set_faults(asker.api, ttft_s=0.02, tokens_pause_s=0.01, latency_factor=2)
    for stream in (True, False):
        began = time.monotonic()
        asker.ask(stream=stream)
        assert time.monotonic() - began >= 0.07


def test_no_event_waits_for_the_one_before_to_be_acknowledged(
    asker: Asker, emulator: Emulator
) -> None:
    emulator.set_faults(ttft_s=0)
    began = time.monotonic()
    for _ in range(25):
        asker.ask(stream=False)
    # 40 ms each where small writes are held back, 2 ms otherwise.
    assert time.monotonic() - began < 1


def test_a_silent_answer_takes_its_time_too(asker: Asker, emulator: Emulator) -> None:
    emulator.set_faults(asker.api, empty_share=1, ttft_s=0.05)
    began = time.monotonic()
    asker.ask()
    assert time.monotonic() - began >= 0.04


def test_a_connection_is_kept_for_the_next_request(asker: Asker) -> None:
    opened: list[str] = []
    for _ in range(2):
        request = asker.request()
        request.extensions["trace"] = lambda name, _: opened.append(name)
        asker.client.send(request)
    assert opened.count("connection.connect_tcp.complete") == 1


def test_every_api_is_served_below_its_name_too(asker: Asker) -> None:
    path = asker.path().removeprefix(f"/{asker.api}")
    response = asker.ask(url=f"/{asker.api}{path}")
    assert "".join(asker.texts(response.content)) == "n0nce-42"
