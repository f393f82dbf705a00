"""What `prober probe` shows, from plain values."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

from prober.cli import waterfall
from prober.cli.probe_rows import Rows, notes, summary
from prober.cli.probe_run import HealthCheck, Probed
from prober.cli.probe_screen import screen
from prober.cli.waterfall import say_ms
from prober.config.redact import Scrubber
from prober.config.schema import Price, Provider
from prober.probing.capture import Capture
from prober.probing.certificates import Validity
from prober.sample import Limits, Outcome, Phases, Room, Sample, Tokens

KEY = "sk-very-secret-0123456789"
PHASES = Phases(0.010, 0.020, 0.050, 0.150, 0.160, 0.200, 0.450, 1.0)
SAMPLE = Sample(
    "id", "a", "local", "m-1", 0.0, 0.0, Outcome.OK, PHASES, Tokens(30, 26, 20, 8), 0.000062, 200,
    "req_1",
)  # fmt: skip
BAD = replace(SAMPLE, outcome=Outcome.OVERLOADED, detail="HTTP 529 overloaded_error Busy")
PROVIDER = Provider.model_validate(
    {"name": "a", "api": "openai", "model": "m-1", "preset": "vllm",
     "price": {"input": 1.0, "output": 2.0}}
)  # fmt: skip
TAPE = Capture(status="HTTP/2 200 OK", fetched_s=0.0001, sent_s=0.051, answer="ab12cd34")


def probed(sample: Sample = SAMPLE, tape: Capture = TAPE, **more: Any) -> Probed:
    return Probed(PROVIDER, sample, tape, scrub=Scrubber([KEY]), **more)


def plain(lines: list[Text]) -> str:
    return "\n".join(line.plain for line in lines)


def shown(found: Probed, width: int = 80) -> str:
    return plain(screen(found, "2026-03-12 03:12:41 Europe/Berlin", width))


def test_one_screen_holds_all_that_a_canary_found() -> None:
    text = shown(probed())
    for words in (
        "a: ok, HTTP 200, 1.00 s",
        "m-1 · openai · http://127.0.0.1:8000/v1 · HTTP/2, 2026-03-12 03:12:41\n",
        '"ab12cd34", as it should be',
        "30 in (8 of them cached), 26 out (20 of them reasoning)",
        "10.9 tokens/s after the first text",
        "$0.000062",
        "req_1",
    ):
        assert words in text
    assert len(text.splitlines()) <= 24


def test_the_waterfall_shows_each_phase_where_it_was_and_how_long_it_took() -> None:
    drawn = [line.plain.split("ms  ", 1) for line in waterfall.lines(SAMPLE, TAPE, 80)]
    assert [took.split() for took, _ in drawn] == [
        ["DNS", "10"], ["connect", "10"], ["TLS", "30"], ["sent", "1.0"], ["first", "byte", "99"],
        ["first", "event", "10"], ["first", "reasoning", "40"], ["first", "text", "250"],
        ["end", "550"],
    ]  # fmt: skip
    # A second on 42 columns; what is too short for one still shows where it was.
    assert [rest[:44].rstrip() for _, rest in drawn] == [
        "▏",
        "█",
        " █",
        "  ▏",
        "  ████",
        "      █",
        "       █",
        "        ███████████",
        " " * 19 + "█" * 23,
    ]
    assert [rest[44:].strip() for _, rest in drawn] == [
        "10 ms", "20 ms", "50 ms", "51 ms", "150 ms", "160 ms", "200 ms", "450 ms", "1.00 s",
    ]  # fmt: skip


def test_a_kept_connection_says_so() -> None:
    kept = replace(
        SAMPLE, new_connection=False, phases=replace(PHASES, dns_s=None, connect_s=None, tls_s=None)
    )
    text = shown(probed(kept))
    assert "connection      kept from the canary before" in text
    assert "DNS" not in text


def test_fetching_a_token_is_a_phase_of_its_own() -> None:
    """Before the canary begins: else it would look like a slow name server."""
    phases = waterfall.phases(SAMPLE, replace(TAPE, fetched_s=0.004))
    assert [phase.name for phase in phases][:2] == ["credentials", "DNS"]
    assert (phases[0].start_s, phases[0].end_s, phases[1].start_s) == (-0.004, 0.0, 0.0)


@pytest.mark.parametrize(
    ("outcome", "last"),
    [(Outcome.OK, "end"), (Outcome.AUTH, "end"), (Outcome.TIMEOUT_TOTAL, "given up")],
)
def test_the_last_phase_says_whether_we_gave_up(outcome: Outcome, last: str) -> None:
    assert waterfall.phases(replace(SAMPLE, outcome=outcome), TAPE)[-1].name == last


def test_a_canary_that_reached_nothing_has_one_phase() -> None:
    phases = waterfall.phases(
        replace(SAMPLE, outcome=Outcome.CONNECT, phases=Phases(total_s=0)), Capture()
    )
    assert [(phase.name, phase.end_s) for phase in phases] == [("end", 0)]
    assert shown(probed(replace(BAD, phases=Phases()), Capture()))


def test_a_failure_says_why_and_whose_fault_it_is() -> None:
    text = shown(probed(BAD))
    assert "a: overloaded, HTTP 200" in text
    assert "why          HTTP 529 overloaded_error Busy" in text
    assert "fault        counts against the provider" in text
    auth = replace(BAD, outcome=Outcome.AUTH)
    assert "a: key refused (auth)" in shown(probed(auth))


def test_a_health_check_that_disagrees_with_the_canary_is_pointed_at() -> None:
    fine = HealthCheck("http://h/health", 200, '{"status":"ok"}', 0.003)
    text = shown(probed(BAD, health=fine))
    assert 'http://h/health says 200 in 3.0 ms: {"status":"ok"}' in text
    assert "says that all is well; the canary says that it is not" in text
    assert "the canary says" not in shown(probed(SAMPLE, health=fine))
    ill = HealthCheck("http://h/health", None, "Connect call failed", 0.003)
    text = shown(probed(SAMPLE, health=ill))
    assert "no answer: Connect call failed" in text
    assert "answered well, whatever its health check says" in text
    assert "but http://h/health says that all is well" in plain(
        notes([probed(BAD, health=fine)], 80)
    )


def test_a_retry_inside_the_gateway_is_shown_beside_a_good_answer() -> None:
    retried = probed(replace(SAMPLE, retried=2))
    said = "after 2 retries inside the gateway"
    assert f"gateway      {said}: its upstream failed first" in shown(retried)
    assert plain(notes([retried], 80)) == f"a: {said}"
    assert "gateway" not in shown(probed())
    assert notes([probed()], 80) == []


def test_a_server_that_ignores_the_bound_is_remarked_and_nothing_is_wrong() -> None:
    chatty = probed(replace(SAMPLE, tokens=Tokens(30, 60)))
    said = "asked for 16 tokens at the most, got 60: the server ignores the bound"
    assert f"  {said}" in shown(chatty)
    assert "a: ok, HTTP 200" in shown(chatty)
    assert plain(notes([chatty], 80)) == f"a: {said}"
    assert "asked for" not in shown(probed(replace(SAMPLE, tokens=Tokens(30, 16))))


@pytest.mark.parametrize("outcome", [Outcome.AUTH, Outcome.QUOTA_EXHAUSTED, Outcome.BAD_REQUEST])
def test_after_our_own_key_or_canary_failed_no_health_check_disagrees(outcome: Outcome) -> None:
    health = HealthCheck("http://127.0.0.1:8000/health", 200, "ok", 0.001)
    found = probed(replace(SAMPLE, outcome=outcome, detail="HTTP 401 no such key."), health=health)
    assert "all is well" not in shown(found)
    assert plain(notes([found], 80)) == "a: HTTP 401 no such key"


def test_an_answer_that_says_nothing_of_the_provider_is_not_called_refused() -> None:
    fallback = replace(SAMPLE, outcome=Outcome.BAD_REQUEST, detail="the gateway fell back")
    assert shown(probed(fallback)).startswith("a: canary misconfigured (bad_request), HTTP 200,")


@pytest.mark.parametrize("width", [40, 60])
def test_a_narrow_terminal_gets_the_figures_without_the_bars(width: int) -> None:
    lines = waterfall.lines(SAMPLE, TAPE, width)
    assert max(len(line.plain) for line in lines) <= width
    assert all("ms" in line.plain or " s" in line.plain for line in lines)
    assert ("█" in plain(lines)) is (width == 60)
    rows = Rows(["openai-eu", "a"], width)
    table = [rows.heading(), rows.row(replace(SAMPLE, provider="openai-eu"))]
    assert max(len(line.plain) for line in table) <= width
    assert table[0].plain.split() == ["provider", "outcome", "total"]


def test_the_room_in_the_rate_limits_is_told_in_words() -> None:
    limits = Limits(Room(50, 49, 12.0), Room(40_000, 3_000, 0.006), 2.0)
    text = shown(probed(replace(SAMPLE, limits=limits)), 100)
    assert "49 of 50 requests left (full again in 12.00 s)" in text
    assert "3,000 of 40,000 tokens left, asks to wait 2 s" in " ".join(text.split())


def test_headers_worth_seeing_are_shown_and_no_others() -> None:
    headers = {
        "x-request-id": "req_1", "x-ratelimit-remaining-requests": "49", "retry-after": "2",
        "openai-processing-ms": "20", "via": "1.1 gw", "server": "cloudflare",
        "x-portkey-cache-status": "MISS", "set-cookie": "session", "x-odd": "odd",
        "x-cache-key": "hidden", "x-litellm-call-id": f"echoes {KEY}",
    }  # fmt: skip
    found = probed(tape=replace(TAPE, headers=headers)).headers
    assert set(found) == set(headers) - {"set-cookie", "x-odd"}
    assert found["x-cache-key"] == "***"
    assert found["x-litellm-call-id"] == "echoes ***"


def test_an_answer_is_cut_escaped_and_scrubbed_and_is_no_markup() -> None:
    tape = replace(TAPE, answer=f"[red]\x1b[31m\r {KEY} " + "y" * 200)
    wrong = replace(BAD, outcome=Outcome.WRONG_ANSWER, detail="answered '[bold]no\x1b[0m'")
    text = shown(probed(wrong, tape), 100)
    assert '"[red]\\x1b[31m\\r *** yyyy' in " ".join(text.split())
    assert "…" in text
    assert ", which is wrong" in " ".join(text.split())
    assert "\x1b" not in text
    assert KEY not in text


def test_no_line_is_wider_than_the_terminal() -> None:
    limits = Limits(Room(10_000, 10_000, 60.0), Room(200_000, 200_000, 90.0))
    headers = {f"x-ratelimit-{kind}": "v" * 90 for kind in ("a", "b")} | {"x-request-id": "r" * 200}
    long = replace(BAD, limits=limits, detail="word " * 60, request_id="r" * 200, model="m" * 90)
    health = HealthCheck("http://h/health", 200, "well " * 40, 0.003)
    found = probed(long, replace(TAPE, headers=headers, answer="z" * 100), health=health)
    for width in (80, 100, 160):
        assert max(map(len, shown(found, width).splitlines())) <= min(width, 100)


def test_a_pipe_gets_no_colour() -> None:
    file = io.StringIO()
    console = Console(file=file, width=80)
    for line in [*screen(probed(BAD), "now", 80), Rows(["a"], 80).row(BAD), summary([probed()], 0)]:
        console.print(line)
    assert "\x1b" not in file.getvalue()


def test_rows_fit_80_columns_and_tell_more_on_100() -> None:
    names = ["a", "a-provider-with-a-rather-long-name"]
    failed = replace(BAD, outcome=Outcome.TIMEOUT_FIRST_TEXT, provider=names[1])
    narrow, wide = Rows(names, 80), Rows(names, 130)
    for rows, width in ((narrow, 80), (wide, 130)):
        lines = [rows.heading(), rows.row(SAMPLE), rows.row(failed), rows.waiting("a", 1.25)]
        assert max(len(line.plain) for line in lines) <= width
    assert "tokens/s" not in narrow.heading().plain
    assert "tokens/s" in wide.heading().plain
    assert "a-provider-wit…" in narrow.row(failed).plain
    assert "timeout_first_text" in narrow.row(failed).plain
    assert narrow.waiting("a", 1.25).plain.split() == ["a", "…", "1.2", "s"]


def test_the_last_line_sums_up() -> None:
    text = summary([probed(), probed(BAD)], 1).plain
    assert text == "1 of 2 ok, $0.000124 spent; not ok: a (overloaded); 1 could not be asked"


def test_the_last_line_stays_short_when_all_fail() -> None:
    bad = [probed(replace(BAD, provider=f"p{number}")) for number in range(19)]
    assert summary(bad, 0).plain.endswith(
        "not ok: p0 (overloaded), p1 (overloaded), p2 (overloaded) and 16 more"
    )


def test_money_that_no_price_tells_is_not_called_zero() -> None:
    free = PROVIDER.model_copy(update={"price": Price()})
    unpriced = replace(probed(replace(SAMPLE, cost_usd=0.0)), provider=free)
    assert summary([unpriced], 0).plain == "1 of 1 ok, no price is configured"
    both = summary([probed(), unpriced], 0).plain
    assert both == "2 of 2 ok, $0.000062 spent (1 without a price)"
    assert Rows(["a"], 80).row(unpriced.sample).plain.endswith(" –")
    assert Rows(["a"], 80).row(SAMPLE).plain.endswith(" 0.000062")


def test_one_hostile_header_does_not_fill_the_screen() -> None:
    headers = {"x-ratelimit-limit-requests": "9" * 5000, "x-served-by": "edge-1"}
    text = shown(probed(replace(SAMPLE, request_id="r" * 5000), replace(TAPE, headers=headers)))
    assert len(text.splitlines()) <= 28
    assert "…" in text
    assert "x-served-by: edge-1" in text


def test_a_row_that_waits_for_its_turn_has_no_time_yet() -> None:
    assert Rows(["a"], 80).waiting("a", None).plain.split() == ["a", "waits"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "–"), (0, "0.0 ms"), (0.0004, "0.4 ms"), (0.00996, "10 ms"), (0.031, "31 ms"),
        (0.9994, "999 ms"), (0.9996, "1.00 s"), (12.345, "12.35 s"), (123, "2 min"),
    ],
)  # fmt: skip
def test_times_are_short(seconds: float | None, words: str) -> None:
    assert say_ms(seconds) == words


def test_a_certificate_that_ends_soon_is_said_beside_a_good_canary_too() -> None:
    ends = Validity(-80 * 86_400, 8.5 * 86_400)
    assert "certificate  ends on 1970-01-09, in 8 days" in shown(probed(certificate=ends))
    (line,) = notes([probed(certificate=ends)], 100)
    assert line.plain == "a: the certificate of 127.0.0.1 ends on 1970-01-09, in 8 days"
    assert probed(certificate=ends).plain()["certificate_ends_at"] == ends.ends_at
    fine = Validity(0, 60 * 86_400)
    assert "certificate  ends on 1970-03-02, in 60 days" in shown(probed(certificate=fine))
    assert notes([probed(certificate=fine)], 100) == []
