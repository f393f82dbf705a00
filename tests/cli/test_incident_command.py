"""`prober incident`: a story people can read at 3 a.m."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from prober.cli import incident_text
from prober.emulator import Emulator
from tests.support.servers import Valkey
from tests.support.stage import Hook, running, until, write_config

from .conftest import Prober

ZONE = ZoneInfo("Europe/Berlin")
# 2026-03-12 02:11:40 UTC
OPENED = 1_773_281_500.0
INCIDENT: dict[str, Any] = {
    "id": "i1",
    "number": 142,
    "route": "chat",
    "provider": "anthropic",
    "opened_at": OPENED,
    "breached_at": OPENED + 43,
    "closed_at": OPENED + 750,
    "objectives": "availability",
    "summary": "9 of 24 canaries failed in 61 s (overloaded)",
}


def line(kind: str, after_s: float, sentence: str) -> dict[str, Any]:
    return {"kind": kind, "at": OPENED + after_s, "sentence": sentence}


EVENTS = [
    line("failed_over", 43.05, "chat failed over: anthropic → openai"),
    line("proven", 43.05, "openai proven: 4 of 4, slowest first text 0.9 s"),
    line("breached", 43, f"anthropic breached availability: {INCIDENT['summary']}"),
    line("suspect", 0, "first bad canary of anthropic"),
    line("recovered", 750, "anthropic has recovered"),
    line("failed_back", 90_000, "chat failed back: openai → anthropic"),
]


def test_the_story_in_short() -> None:
    assert incident_text.in_short(INCIDENT, EVENTS, 0.0) == (
        "Found after 43 s, failed over 50 ms later, recovered after 12 min, "
        "failed back 25 h after that."
    )


@pytest.mark.parametrize(
    ("events", "closed_at", "said"),
    [
        ([line("held", 44, "no candidate")], None,
         "Found after 43 s, not failed over, open for 119 s."),
        ([line("would_fail_over", 44, "x"), line("held", 50, "y")], OPENED + 60,
         "Found after 43 s, would have failed over, not failed over, recovered after 60 s."),
        ([line("moved", 103, "chat moved by ann: anthropic → openai: slow")], OPENED + 600,
         "Found after 43 s, moved 60 s later, recovered after 10 min."),
        ([line("ended", 600, "not watched any more")], OPENED + 600,
         "Found after 43 s, ended after 10 min."),
        ([line("drill", 43, "openai served chat for a drill")], OPENED + 600,
         "Found after 43 s, recovered after 10 min."),
    ],
)  # fmt: skip
def test_what_did_not_happen_is_not_told(
    events: list[dict[str, Any]], closed_at: float | None, said: str
) -> None:
    assert (
        incident_text.in_short({**INCIDENT, "closed_at": closed_at}, events, OPENED + 119) == said
    )


def test_the_lines_are_in_order_in_local_time_and_fit_80_columns() -> None:
    told = list(incident_text.lines(INCIDENT, EVENTS, ZONE, 80))
    assert max(map(len, told)) <= 80
    assert told == [
        "Thursday, 2026-03-12 (Europe/Berlin)",
        "03:11:40            first bad canary of anthropic",
        "03:12:23     +43 s  anthropic breached availability: 9 of 24 canaries failed in",
        "                    61 s (overloaded)",
        "03:12:23     +43 s  openai proven: 4 of 4, slowest first text 0.9 s",
        "03:12:23     +43 s  chat failed over: anthropic → openai",
        "03:24:10   +12 min  anthropic has recovered",
        "Friday, 2026-03-13 (Europe/Berlin)",
        "04:11:40     +25 h  chat failed back: openai → anthropic",
    ]


def flipped(after_s: float, origin: str, to: str) -> dict[str, Any]:
    return {"at": OPENED + after_s, "from_provider": origin, "to_provider": to}


@pytest.mark.parametrize(
    ("flips", "said"),
    [
        ([], ""),
        ([flipped(-9000, "", "a")], "chat was served by a for 10 min."),
        (
            [flipped(-9000, "", "a"), flipped(43, "a", "b"), flipped(50, "b", "b")],
            "chat was served by a for 43 s, then b for 9 min.",
        ),
        ([flipped(60, "a", "b")], "chat was served by a for 60 s, then b for 9 min."),
        ([flipped(60, "", "a")], "chat was served by nobody for 60 s, then a for 9 min."),
    ],
)
def test_who_served_meanwhile(flips: list[dict[str, Any]], said: str) -> None:
    assert (
        incident_text.say_served("chat", incident_text.spans(flips, OPENED, OPENED + 600)) == said
    )


def test_a_list_says_when_what_and_how_long() -> None:
    told = list(incident_text.listed(INCIDENT, OPENED, ZONE, 80, drill=True))
    assert told == [
        " 142  2026-03-12 03:11:40  chat: anthropic, 12 min, in a drill",
        "      9 of 24 canaries failed in 61 s (overloaded)",
    ]


@pytest.fixture
def config(tmp_path: Path, emulator: Emulator, valkey: Valkey, oncall: Hook) -> Path:
    return write_config(tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url)


async def test_an_incident_is_listed_and_told(
    config: Path, valkey: Valkey, emulator: Emulator, oncall: Hook, prober: Prober
) -> None:
    async with running(config) as daemon:
        state = daemon.judge.states["chat"]
        await until(lambda: state.primary == "a")
        nothing = await prober("incident", "list")
        assert (nothing.exit_code, nothing.output) == (0, "No incident in the last 30d.\n")
        emulator.set_faults(api="anthropic", error_share=1.0, status=529)
        await until(lambda: state.primary == "b")
        await until(lambda: any("failed over" in t for t in oncall.titles))
        await until(lambda: not daemon.outbox.unsent and daemon.store.waiting == 0)
    listed = await prober("incident", "list", "--since", "1h", "--route", "chat")
    assert listed.exit_code == 0, listed.output
    assert "chat: a, open for" in listed.output
    rows = json.loads((await prober("incident", "list", "--json")).stdout)
    assert [(row["number"], row["in_drill"]) for row in rows] == [(1, False)]
    shown = await prober("incident", "show", "1")
    assert shown.exit_code == 0, shown.output
    for words in (
        "Incident 1: a in chat (availability)",
        "Found after ",
        "failed over ",
        "Canaries of a in that time: ",
        " overloaded",
        "chat was served by a for ",
        ", then b for ",
        "first bad canary of a",
        "a breached availability: ",
        "b proven: 4 of 4",
        "chat failed over: a → b",
        "told oncall: chat failed over: a → b",
    ):
        assert words in shown.output
    parsed = json.loads((await prober("incident", "show", "1", "--json")).stdout)
    assert [event["kind"] for event in parsed["events"]][:2] == ["suspect", "breached"]
    assert parsed["outcomes"]["overloaded"] >= 4
    assert [span["provider"] for span in parsed["served"]] == ["a", "b"]
    unknown = await prober("incident", "show", "99")
    assert unknown.exit_code == 2
    assert unknown.output.strip() == "prober: no incident 99; the last one is 1"


async def test_bad_questions_are_one_clear_line(config: Path, prober: Prober) -> None:
    early = await prober("incident", "show", "1")
    assert early.exit_code == 1
    assert "there is no history yet" in early.output
    assert (await prober("db", "upgrade")).exit_code == 0
    none = await prober("incident", "show", "1")
    assert none.output.strip() == "prober: no incident 1; there was none yet"
    since = await prober("incident", "list", "--since", "often")
    assert since.exit_code == 2
    assert "write a duration with its unit" in since.output
    route = await prober("incident", "list", "--route", "chatt")
    assert "no route 'chatt'; there are: chat" in route.output
