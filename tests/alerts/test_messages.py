"""What people read, word by word."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest

from prober.alerts.event import AlertEvent, Severity
from prober.alerts.messages import alarms, drills, flips, outside, providers
from prober.alerts.text import Wording, by_itself, plain, takes
from prober.config.schema import EventName
from prober.detection.episode import Trouble
from prober.probing.certificates import Validity
from prober.sample import Cause, Outcome
from switch.control.target import Bar, Weighed
from switch.flag import Op, Pin
from tests.support.values import flip

AT = datetime(2026, 1, 15, 2, 12, 41, tzinfo=UTC).timestamp()
SINCE = AT - 61
RUNBOOK = "https://wiki.example/chat"
BERLIN = Wording(ZoneInfo("Europe/Berlin"), {"chat": RUNBOOK})
PLAIN = Wording(ZoneInfo("UTC"), {})
OVER = flip(
    2, "openai", from_provider="anthropic", at_ms=round(AT * 1000), reason="anthropic breached"
)

DRILL_OUT = replace(
    OVER,
    op=Op.MANUAL,
    actor="drill of ann",
    evidence={"drill": "x", "phase": "out", "by": "ann", "for_s": 120.0, "proof": "4 of 4"},
)


def trouble(outcome: str, detail: str = "", cause: Cause = Cause.NONE) -> Trouble:
    return Trouble(Outcome(outcome), cause, detail, SINCE)


def test_times_are_people_s_and_utc() -> None:
    assert BERLIN.when(AT) == "03:12:41 Berlin (02:12:41 UTC)"
    assert BERLIN.when(AT + 180 * 86_400) == "04:12:41 Berlin (02:12:41 UTC)"
    assert PLAIN.when(AT) == "02:12:41 UTC"
    new_york = Wording(ZoneInfo("America/New_York"), {})
    assert new_york.when(AT) == "21:12:41 New York (02:12:41 UTC)"


def failed_over(**changes: Any) -> AlertEvent:
    said: dict[str, Any] = {
        "why": "9 of 24 canaries failed in 61 s (overloaded)",
        "since": SINCE,
        "proof": "4 of 4, slowest first text 0.9 s",
        "notified": 41,
        "failback": "manual",
        "incident": 142,
    }
    return flips.failed_over(BERLIN, changes.pop("flip", OVER), **{**said, **changes})


def test_a_failover_reads_as_designed() -> None:
    event = failed_over()
    assert event.headline == (
        "🟠 chat failed over: anthropic → openai, 03:12:41 Berlin (02:12:41 UTC)"
    )
    assert event.body.splitlines() == [
        "Why: 9 of 24 anthropic canaries failed in 61 s (overloaded), since 03:11:40.",
        "Now: openai 4 of 4, slowest first text 0.9 s. 41 readers told.",
        "**Nothing to do.** Stays here until you fail back; I'll say when anthropic is ready.",
        'Force back (still failing): `prober pin anthropic --route chat --for 1h --reason "…"`',
        f"Incident 142 · {RUNBOOK}",
    ]
    assert (event.kind, event.key, event.route, event.at) == ("failed_over", "d2", "chat", AT)


def test_a_failover_for_the_account_says_what_is_left_to_do() -> None:
    lines = failed_over(account=True, since=None, why="key refused: HTTP 401").body.splitlines()
    assert lines[0] == "Why: key refused: HTTP 401."
    assert lines[2] == (
        "**You, by day:** mend anthropic's account, as its own alert says. "
        "Stays here until you fail back; I'll say when anthropic is ready."
    )


@pytest.mark.parametrize(
    ("serves", "too", "line"),
    [
        ("openai", False, "chat is served by openai and goes on."),
        ("openai", True, "openai, which serves chat, is failing too."),
        ("", False, "chat gets no first flag from a provider that is not proven."),
    ],
)
def test_a_candidate_that_fails_says_how_the_route_is(serves: str, too: bool, line: str) -> None:
    event = providers.breach(
        BERLIN, "chat", "k", AT, provider="local", why="9 of 24 canaries failed", since=SINCE,
        serves=serves, too=too, incident=3,
    )  # fmt: skip
    assert event.body.splitlines()[1] == line


def test_a_last_resort_says_that_it_is_one() -> None:
    lines = failed_over(last_resort=True).body.splitlines()
    assert lines[2] == (
        "Nobody was healthy: openai is the last resort. It is only just recovering, "
        "and I look at it closely."
    )


def test_nobody_fails_back_from_home() -> None:
    for failback in ("auto", "manual"):
        lines = failed_over(failback=failback, home=True).body.splitlines()
        assert lines[2] == "**Nothing to do.** Stays here: openai comes first."


def test_a_planned_move_has_no_lever_and_no_onset() -> None:
    event = failed_over(planned=True, since=None, notified=1, incident=None, failback="auto")
    assert event.body.splitlines() == [
        "Why: 9 of 24 anthropic canaries failed in 61 s (overloaded).",
        "Now: openai 4 of 4, slowest first text 0.9 s. 1 reader told.",
        "**Nothing to do.** I fail back by myself when it has been healthy long enough.",
        RUNBOOK,
    ]


def test_a_move_from_nowhere_offers_no_way_back() -> None:
    event = failed_over(flip=flip(2, "openai", at_ms=round(AT * 1000)))
    assert "prober pin" not in event.body


@pytest.mark.parametrize(
    ("weighed", "command"),
    [
        ((), "prober failover PROVIDER --route chat"),
        ((Weighed("c", False, "breached", Bar.BREACH),), "prober failover PROVIDER --route chat"),
        (
            (Weighed("c", True, "ok"), Weighed("d", True, "ok", proven=True)),
            "prober failover d --route chat",
        ),
    ],
)
def test_what_nothing_moves_for_names_who_could_take_it(
    weighed: tuple[Weighed, ...], command: str
) -> None:
    for advice in ("", "compare its answers"):
        event = alarms.stays(
            BERLIN, "chat", "k", AT, primary="a", why="slow", weighed=weighed, paused=False,
            incident=3, advice=advice,
        )  # fmt: skip
        assert f"`{command}`" in event.body


DWELL_MS = round((AT + 960) * 1000)


def no_candidate(**changes: Any) -> AlertEvent:
    said: dict[str, Any] = {
        "primary": "anthropic",
        "why": "38 % of canaries fail (overloaded)",
        "since": SINCE,
        "weighed": (
            Weighed("openai", False, "breached: 0 of 4, no first text in 8 s", Bar.BREACH),
            Weighed("groq", False, "recovering: good again", Bar.DWELL, DWELL_MS, proven=True),
            Weighed("local", False, "not allowed: residency us; allowed: eu", Bar.RESIDENCY),
        ),
        "incident": 142,
    }
    return alarms.no_candidate(BERLIN, "chat", "k", AT, **{**said, **changes})


def test_no_candidate_reads_as_designed() -> None:
    event = no_candidate()
    assert event.headline == "🔴 chat FAILING, NO FAILOVER: anthropic bad since 03:11:40"
    assert event.body.splitlines() == [
        "Flag unchanged. 38 % of canaries fail (overloaded).",
        "openai: breached: 0 of 4, no first text in 8 s. By itself: once it has recovered. "
        "Now: `prober failover openai --route chat --force`",
        "groq: recovering: good again. By itself: from 03:28:41 on (in 16 min), sooner if it is "
        "clearly better. Now: `prober failover groq --route chat`",
        "local: not allowed: residency us; allowed: eu. By itself: never. "
        "Now: `prober failover local --route chat --force`",
        "I keep probing and fail over by myself once one passes.",
        "**You:** degrade or queue chat; tell support. `prober ack 142` stops reminders for 1 h.",
        f"Incident 142 · {RUNBOOK}",
    ]


@pytest.mark.parametrize(
    ("bar", "free_s", "proven", "when", "forced"),
    [
        (None, 0, False, "once four of its canaries in a row are good", False),
        (None, 0, True, "now", False),
        (Bar.RESIDENCY, 0, True, "never", True),
        (Bar.MAINTENANCE, 3600, False, "from 03:12:41 on (in 60 min)", True),
        (Bar.MAINTENANCE, 0, False, "once that is over", True),
        (Bar.BUDGET, 7200, False, "from 04:12:41 on (in 2 h)", True),
        (Bar.BREACH, 0, False, "once it has recovered", True),
        (Bar.DWELL, 0, False, "once it has recovered, sooner if it is clearly better", False),
        (Bar.ACCOUNT, 0, False, "once somebody has mended its account", True),
        (Bar.UNPROBED, 0, False, "once it can be probed", True),
        (Bar.SLOW, 0, True, "once it is clearly faster", False),
    ],
)
def test_each_candidate_has_its_way_and_its_command(
    bar: Bar | None, free_s: int, proven: bool, when: str, forced: bool
) -> None:
    free_ms = round((AT + free_s) * 1000) if free_s else 0
    one = Weighed("b", bar is None, "x", bar, free_ms, proven)
    assert by_itself(one, AT, PLAIN.clock) == when
    command = "prober failover b --route chat"
    assert takes("chat", one) == (f"{command} --force" if forced else command)


def test_a_freeze_says_how_long_why_and_how_to_end_it() -> None:
    event = alarms.freeze(PLAIN, "chat", "k", AT, until=AT + 7200, flips=2, within_s=3600.0)
    assert event.headline == "🟠 chat is frozen until 04:12:41: 2 automatic flips within 60 min"
    assert "`prober ack chat` ends the freeze." in event.body


def test_no_candidate_without_an_incident_leaves_out_what_is_not_known() -> None:
    event = no_candidate(since=None, incident=None, weighed=())
    assert event.title == "chat FAILING, NO FAILOVER: anthropic cannot serve"
    assert event.body.splitlines()[1:] == [
        "chat has no other candidate.",
        "I keep probing and fail over by myself once one passes.",
        "**You:** degrade or queue chat; tell support.",
        RUNBOOK,
    ]


def test_a_drain_without_a_target_is_not_called_a_failure() -> None:
    why = "anthropic is drained: maintenance from 02:00 Europe/Berlin; no candidate is fit"
    event = no_candidate(since=None, incident=None, why=why, planned=True)
    assert event.title == "chat NOBODY TO MOVE TO: anthropic must be left"
    assert event.body.splitlines()[0] == f"Flag unchanged. {why}."
    assert "FAILING" in no_candidate(planned=True).title, "once it is bad it is said"


PIN = Pin("openai", "ann", "maintenance", round(AT * 1000) + 3_600_000)
HAND = {"op": Op.MANUAL, "actor": "ann", "from_provider": "anthropic", "at_ms": round(AT * 1000)}


@pytest.mark.parametrize(
    ("changes", "title", "words"),
    [
        (
            {"pin": PIN},
            "chat pinned to openai by ann",
            ["Ends 03:12:41 UTC.", "End it now: `prober unpin chat`"],
        ),
        (
            {"pin_cleared": True, "from_provider": "openai"},
            "chat unpinned by ann",
            ["Automation decides again."],
        ),
        ({"actor": ""}, "chat moved by an operator: anthropic → openai", ["Why: because."]),
        ({"pin_cleared": True}, "chat moved by ann: anthropic → openai", []),
    ],
)
def test_what_an_operator_did_is_told(
    changes: dict[str, Any], title: str, words: list[str]
) -> None:
    event = flips.by_hand(PLAIN, flip(3, "openai", **{**HAND, **changes}))
    assert (event.title, event.severity) == (title, Severity.INFO)
    lines = event.body.splitlines()
    assert lines[0] == "02:12:41 UTC"
    assert all(word in lines for word in words)


SAID: dict[str, tuple[Callable[[], AlertEvent], str, Severity, str]] = {
    "failed_back": (
        lambda: flips.failed_back(PLAIN, OVER, proof="4 of 4", notified=2, incident=None),
        "chat failed back: anthropic → openai, 02:12:41 UTC",
        Severity.INFO,
        "Now: openai 4 of 4. 2 readers told.",
    ),
    "drill": (
        lambda: drills.moved(PLAIN, DRILL_OUT, 2),
        "chat drill: anthropic → openai",
        Severity.INFO,
        "Asked for by ann; 2 min at most.",
    ),
    "break_glass": (
        lambda: flips.break_glass(PLAIN, "chat", "k", AT, "openai", "I took it over."),
        "chat: somebody set the flag by hand to openai",
        Severity.WARNING,
        "**You:** next time use `prober pin openai --route chat`, which says who and why.",
    ),
    "propose": (
        lambda: alarms.would_fail_over(
            PLAIN, "chat", "k", AT, target="openai", why="bad", incident=3
        ),
        "chat: I would fail over to openai",
        Severity.PAGE,
        "**You:** `prober failover openai --route chat`",
    ),
    "frozen": (
        lambda: alarms.frozen(PLAIN, "chat", "k", AT, why="bad", until=AT + 60, incident=None),
        "chat is bad, and frozen after too many flips",
        Severity.PAGE,
        "The freeze ends 02:13:41 UTC.",
    ),
    "candidate_ready": (
        lambda: alarms.candidate_ready(
            PLAIN,
            "chat",
            "k",
            AT,
            primary="a",
            incident=7,
            ready=Weighed("b", False, "recovering: x", Bar.DWELL, DWELL_MS, proven=True),
        ),
        "chat: b can be had again, and a is still bad",
        Severity.WARNING,
        "**You:** take it now with `prober failover b --route chat`",
    ),
    "pin": (
        lambda: alarms.pinned_while_bad(PLAIN, "chat", "k", AT, pin=PIN, why="bad"),
        "chat is pinned to openai, which is failing",
        Severity.PAGE,
        "The pin of ann ends 03:12:41 UTC.",
    ),
    "failback_ready": (
        lambda: alarms.failback_ready(PLAIN, "chat", "k", AT, home="a", why="well", extra_usd=1.5),
        "chat: a is ready again",
        Severity.INFO,
        "Staying costs 1.5 USD more per million tokens in and out.",
    ),
    "breach": (
        lambda: providers.breach(
            PLAIN,
            "chat",
            "k",
            AT,
            provider="b",
            why="2 of 3 failed",
            since=SINCE,
            serves="a",
            incident=4,
        ),
        "b is failing; chat cannot fail over to it",
        Severity.WARNING,
        "2 of 3 failed since 02:11:40.",
    ),
    "recovery": (
        lambda: providers.recovery(PLAIN, "chat", "k", AT, provider="b", lasted_s=600, incident=4),
        "b has recovered for chat",
        Severity.INFO,
        "It was bad for 10 min.",
    ),
    "account": (
        lambda: providers.account(
            PLAIN, "chat", "k", AT, provider="a", trouble=trouble("quota_exhausted", "no credit")
        ),
        "a: quota exhausted",
        Severity.PAGE,
        "**You:** add credit, or raise the spend limit of the account.",
    ),
    "canary": (
        lambda: providers.canary(
            PLAIN, "chat", "k", AT, provider="a", trouble=trouble("budget_too_small", "cut")
        ),
        "The canary for a is misconfigured",
        Severity.WARNING,
        "**You:** raise canary.max_tokens (reasoning models need 512), then try `prober probe a`.",
    ),
    "budget": (
        lambda: providers.budget(
            PLAIN, "k", AT, provider="a", spent_usd=0.9, limit_usd=1, out=False
        ),
        "The canary budget of a is nearly spent",
        Severity.WARNING,
        "0.9000 of 1 USD today. Canaries slow down, so that it lasts until midnight UTC; "
        "proofs never wait.",
    ),
    "certificate": (
        lambda: outside.certificate(
            PLAIN,
            AT,
            host="h.example",
            validity=Validity(AT - 80 * 86_400, AT + 8 * 86_400),
            whose=["provider a", "the heartbeat"],
        ),
        "The certificate of h.example ends on 2026-01-23, in 8 days",
        Severity.WARNING,
        "After that no connection to it stands: provider a, the heartbeat.",
    ),
    "model": (
        lambda: providers.model(
            PLAIN,
            "k",
            AT,
            provider="a",
            sentence="claude-x is deprecated and retires on 2026-01-22",
            days=7,
            serves=["chat"],
            stands_by=["summaries"],
        ),
        "a: claude-x is deprecated and retires on 2026-01-22",
        Severity.WARNING,
        "It serves chat now. It stands by for summaries.",
    ),
    "blind": (
        lambda: alarms.blind(PLAIN, "k", AT, vantage="eu-1", why="no connection"),
        "eu-1 is blind: its own network seems to be gone",
        Severity.PAGE,
        "**You:** check the network of eu-1.",
    ),
    "flag": (
        lambda: PLAIN.flag(
            "chat", "k", Severity.WARNING, AT, title="chat: flag repaired", why="lost"
        ),
        "chat: flag repaired",
        Severity.WARNING,
        "lost.",
    ),
    "regional": (
        lambda: alarms.regional(
            PLAIN, "chat", "k", AT, primary="a", why="breached for eu-1 only, of 3"
        ),
        "a, which serves chat, is failing for some vantages only",
        Severity.WARNING,
        "The flag stays; I fail over by myself once a majority sees it.",
    ),
    "no_quorum": (
        lambda: alarms.no_quorum(PLAIN, "chat", "k", AT, why="1 of 3 vantages votes, 2 needed"),
        "chat: too few vantages vote, so no flag moves",
        Severity.PAGE,
        "**You:** start the vantages that are silent; `prober vantages` shows them.",
    ),
    "daemon": (
        lambda: PLAIN.daemon(
            "k", Severity.WARNING, AT, title="The disk is full", lines=["one", "two"]
        ),
        "The disk is full",
        Severity.WARNING,
        "two",
    ),
}


@pytest.mark.parametrize("kind", SAID)
def test_each_event_says_what_happened_and_what_to_do(kind: str) -> None:
    write, title, severity, line = SAID[kind]
    event = write()
    assert (event.kind, event.title, event.severity) == (kind, title, severity)
    assert line in event.body.splitlines()
    assert "\n\n" not in event.body
    assert not any(words.endswith("..") for words in event.body.splitlines())


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (12, "That is in 12 days."),
        (1, "That is tomorrow."),
        (0, "That is today."),
        (-3, "That was 3 days ago."),
    ],
)
def test_a_model_s_end_is_told_in_days(days: int, words: str) -> None:
    event = providers.model(
        PLAIN, "k", AT, provider="a", sentence="m retires", days=days, serves=[], stands_by=[]
    )
    assert event.body.splitlines()[:2] == ["02:12:41 UTC", words]
    assert "put its successor into [[provider]].model" in event.body


def test_a_model_without_a_known_end_leaves_out_the_days() -> None:
    event = providers.model(
        PLAIN, "k", AT, provider="a", sentence="m is gone", days=None, serves=[], stands_by=[]
    )
    assert event.body.splitlines()[1].startswith("Nothing moves for this alone")


def test_every_kind_that_can_be_configured_is_written_and_no_other() -> None:
    assert {*SAID, "failed_over", "no_candidate"} == set(get_args(EventName))


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        ("auth", "put a valid key where [[provider]].key points, then `systemctl restart prober`"),
        ("model_not_found", "name a model the account can use"),
    ],
)
def test_each_trouble_of_the_account_names_its_fix(outcome: str, words: str) -> None:
    found = trouble(outcome)
    event = providers.account(PLAIN, "chat", "k", AT, provider="a", trouble=found)
    assert words in event.body
    assert "It says" not in event.body


def test_a_canary_that_is_answered_again_says_since_when_it_was_not() -> None:
    found = trouble("bad_request", "no such field")
    event = providers.canary_well(PLAIN, "chat", "k", AT, provider="a", trouble=found)
    assert (event.title, event.severity) == ("The canary for a is answered", Severity.INFO)
    assert "It was misconfigured since 02:11:40: no such field." in event.body


@pytest.mark.parametrize(
    ("outcome", "cause", "title", "fix"),
    [
        (
            "auth",
            Cause.UPSTREAM,
            "a: the gateway's own key refused",
            "give the gateway a valid key for its upstream",
        ),
        (
            "quota_exhausted",
            Cause.UPSTREAM,
            "a: the gateway's own quota exhausted",
            "add credit to the account that the gateway uses at its upstream",
        ),
        (
            "model_not_found",
            Cause.UPSTREAM,
            "a: model not found behind the gateway",
            "name a model that its upstream serves",
        ),
        ("auth", Cause.PLACE, "a: not served from here", "another key changes nothing"),
    ],
)
def test_whose_trouble_it_is_is_said_and_no_key_of_ours_is_asked_for(
    outcome: str, cause: Cause, title: str, fix: str
) -> None:
    found = trouble(outcome, "HTTP 401 x", cause)
    event = providers.account(PLAIN, "chat", "k", AT, provider="a", trouble=found)
    assert event.title == title
    assert fix in event.body
    assert "[[provider]]" not in event.body


def test_optional_clauses_are_left_out() -> None:
    spent = providers.budget(PLAIN, "k", AT, provider="a", spent_usd=1, limit_usd=1, out=True)
    assert "is spent" in spent.title
    assert "not probed until midnight UTC" in spent.body
    breach = providers.breach(
        PLAIN, "chat", "k", AT, provider="b", why="bad", since=None, incident=None
    )
    assert breach.body.splitlines()[0] == "bad."
    ready = alarms.failback_ready(PLAIN, "chat", "k", AT, home="a", why="well", extra_usd=0)
    assert "costs" not in ready.body


HOSTILE = (
    "<script>alert(1)</script> [click](https://evil.example) **bold** `rm -rf /` \x1b[2J\x00 "
    "line\r\nbreak | table \\ _under_ " + "x" * 5_000
)


def test_hostile_text_loses_its_markup_its_lines_and_its_length() -> None:
    clean = plain(HOSTILE)
    assert len(clean) == 200
    assert clean.endswith("…")
    assert not set(clean) & set("<>[]`*_|\\\x1b\x00\r\n")
    assert clean.startswith("script alert(1) /script click (https://evil.example) bold rm -rf /")


def test_hostile_text_is_neutralised_in_every_event_that_quotes_it() -> None:
    hand = flip(3, "openai", **{**HAND, "actor": HOSTILE, "reason": HOSTILE})
    back = flip(3, "openai", **{**HAND, "reason": HOSTILE})
    events = [
        failed_over(why=HOSTILE),
        no_candidate(why=HOSTILE, weighed=(Weighed("b", False, HOSTILE),)),
        flips.failed_back(BERLIN, back, proof="4 of 4", notified=1, incident=None),
        flips.by_hand(BERLIN, hand),
        flips.break_glass(BERLIN, "chat", "k", AT, HOSTILE, "done"),
        alarms.would_fail_over(BERLIN, "chat", "k", AT, target="b", why=HOSTILE, incident=1),
        alarms.frozen(BERLIN, "chat", "k", AT, why=HOSTILE, until=AT, incident=1),
        alarms.pinned_while_bad(
            BERLIN, "chat", "k", AT, pin=Pin("b", HOSTILE, HOSTILE, 10**12), why=HOSTILE
        ),
        alarms.failback_ready(BERLIN, "chat", "k", AT, home="a", why=HOSTILE, extra_usd=0),
        providers.breach(
            BERLIN, "chat", "k", AT, provider="b", why=HOSTILE, since=None, incident=1
        ),
        providers.account(BERLIN, "chat", "k", AT, provider="a", trouble=trouble("auth", HOSTILE)),
        providers.canary(
            BERLIN, "chat", "k", AT, provider="a", trouble=trouble("bad_request", HOSTILE)
        ),
        alarms.blind(BERLIN, "k", AT, vantage="eu-1", why=HOSTILE),
        BERLIN.flag("chat", "k", Severity.INFO, AT, title="t", why=HOSTILE),
    ]
    for event in events:
        for text in (event.title, event.body):
            assert "<script" not in text
            assert "](" not in text
            assert "\x1b" not in text
            assert "`rm" not in text
            assert len(text) < 2_000


def over(result: str, reason: str) -> AlertEvent:
    evidence = {"drill": "x", "phase": "back", "result": result}
    home: dict[str, Any] = {"from_provider": "openai", "to_provider": "anthropic"}
    return drills.moved(PLAIN, replace(DRILL_OUT, evidence=evidence, reason=reason, **home), 2)


def test_a_drill_that_carried_is_good_news_and_one_that_failed_is_a_warning() -> None:
    carried = over("carried", "drill over: openai carried 2 min; anthropic healthy, 4 of 4")
    assert carried.headline == "🟢 chat drill over: openai → anthropic"
    assert "**Nothing to do.**" in carried.body
    failed = over("failed", "drill over: openai failed after 40 s; anthropic healthy, 4 of 4")
    assert failed.headline == "🟠 chat drill FAILED: openai → anthropic"
    assert "**You:** find out why openai cannot carry chat" in failed.body
    assert {carried.kind, failed.kind} == {"drill"}


def test_a_drill_that_cannot_go_back_says_how_to_stay() -> None:
    why = "drill over; back to anthropic once"
    event = drills.stuck(PLAIN, "chat", "x", "anthropic", "openai", why, AT)
    assert event.headline == "🟠 chat drill: no way back to anthropic yet"
    assert "`prober pin openai --route chat --for 1h`" in event.body


def test_an_account_that_is_well_again_is_told() -> None:
    event = providers.account_well(PLAIN, "chat", "k", AT, "anthropic")
    assert (event.kind, event.headline) == (
        "account",
        "🟢 anthropic: the account is well again",
    )


def test_a_heartbeat_that_is_not_taken_says_what_that_means_and_when_it_is_over() -> None:
    event = outside.heartbeat(BERLIN, AT, host="hc.example", why="HTTP 404 Not Found")
    assert event.headline == "🟠 The heartbeat is not taken: HTTP 404 Not Found"
    assert "It may page now though nothing is wrong" in event.body
    assert "a new one goes where [daemon].heartbeat points" in event.body
    over = outside.heartbeat_taken(BERLIN, AT + 60, host="hc.example")
    assert over.headline == "🟢 The heartbeat is taken again"
    assert over.body.endswith("hc.example answers as it should.\n**Nothing to do.**")
    assert event.key != over.key


def test_a_certificate_that_ends_within_a_day_pages() -> None:
    ends = Validity(AT - 80 * 86_400, AT + 3_600)
    event = outside.certificate(PLAIN, AT, host="h.example", validity=ends, whose=["provider a"])
    assert event.headline == "🔴 The certificate of h.example ends on 2026-01-15, within a day"


@pytest.mark.parametrize(
    ("foreign", "shown"),
    [
        ("code model_not_found", "code model_not_found"),
        ("root@vm says no", "root@vm says no"),
        ("This organization has been disabled.", "This organization has been disabled"),
        ("no ... ", "no"),
        ("_under_ __init__ @someone x@", "under init someone x"),
        ("a@everyone @here x@channel_2", "a everyone here x@channel_2"),
        ("*a* **b** ~c~", "a b ~c~"),
    ],
)
def test_foreign_words_keep_their_letters_and_lose_markup_and_calls(
    foreign: str, shown: str
) -> None:
    assert plain(foreign) == shown
