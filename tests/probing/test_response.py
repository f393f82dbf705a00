"""From the events of one answer to its outcome."""

from __future__ import annotations

import pytest

from prober.canary import Canary
from prober.probing.response import MAX_CHECKS, MAX_TEXT, Transcript
from prober.providers import ADAPTERS
from prober.providers.events import (
    Closed,
    Failure,
    Other,
    Reasoning,
    Stop,
    Stopped,
    StreamEvent,
    Terminal,
    Text,
    Usage,
)
from prober.sample import Outcome, Tokens
from tests.golden.streams import GOLDEN

CANARY = Canary("ab12")
END = [Stopped(Stop.END), Terminal()]


def told(*events: StreamEvent) -> Transcript:
    transcript = Transcript()
    for number, event in enumerate(events):
        transcript.take(event, float(number))
    return transcript


@pytest.mark.parametrize(
    ("events", "outcome"),
    [
        ([Text("ab12"), *END], Outcome.OK),
        ([Text("ab"), Text("12"), Terminal()], Outcome.STREAM_TRUNCATED),
        ([Text("ab12"), Stopped(Stop.LENGTH), Terminal()], Outcome.OK),
        ([], Outcome.STREAM_TRUNCATED),
        ([Text("ab12"), Stopped(Stop.END)], Outcome.STREAM_TRUNCATED),
        ([Other(), Text("ab12")], Outcome.STREAM_TRUNCATED),
        (END, Outcome.EMPTY_COMPLETION),
        ([Text(" \n\t"), *END], Outcome.EMPTY_COMPLETION),
        ([Reasoning(), *END], Outcome.EMPTY_COMPLETION),
        ([Stopped(Stop.LENGTH), Terminal()], Outcome.BUDGET_TOO_SMALL),
        ([Reasoning(), Stopped(Stop.LENGTH), Terminal()], Outcome.BUDGET_TOO_SMALL),
        ([Text("other"), *END], Outcome.WRONG_ANSWER),
        ([Text("ab12"), Stopped(Stop.REFUSAL), Terminal()], Outcome.REFUSAL),
        ([Stopped(Stop.REFUSAL), *END], Outcome.REFUSAL),
        ([Text("ab12"), Stopped(Stop.ERROR), Terminal()], Outcome.STREAM_ERROR),
        ([Text("ab12"), Failure(Outcome.OVERLOADED, "x"), *END], Outcome.OVERLOADED),
        ([Text("ab12"), *END, Failure(Outcome.STREAM_ERROR, "x")], Outcome.STREAM_ERROR),
    ],
)
def test_a_canary_is_ok_only_when_everything_is(
    events: list[StreamEvent], outcome: Outcome
) -> None:
    found, detail = told(*events).conclude(CANARY)
    assert found is outcome
    assert bool(detail) is (outcome is not Outcome.OK)


@pytest.mark.parametrize("stop", list(Stop))
def test_half_an_echo_is_never_a_wrong_answer(stop: Stop) -> None:
    found, detail = told(Text(" Ab1"), Stopped(stop, "word"), Terminal()).conclude(CANARY)
    assert (
        found
        is {
            Stop.END: Outcome.STREAM_TRUNCATED,
            Stop.CUT: Outcome.STREAM_TRUNCATED,
            Stop.LENGTH: Outcome.BUDGET_TOO_SMALL,
            Stop.REFUSAL: Outcome.REFUSAL,
            Stop.ERROR: Outcome.STREAM_ERROR,
            Stop.UNKNOWN: Outcome.STREAM_ERROR,
        }[stop]
    )
    assert detail


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        (Stop.END, Stop.LENGTH, Stop.LENGTH),
        (Stop.UNKNOWN, Stop.END, Stop.END),
        (Stop.END, Stop.ERROR, Stop.ERROR),
        (Stop.ERROR, Stop.END, Stop.ERROR),
        (Stop.CUT, Stop.END, Stop.CUT),
        (Stop.REFUSAL, Stop.END, Stop.REFUSAL),
    ],
)
def test_a_failure_to_finish_said_once_stays_said(first: Stop, second: Stop, kept: Stop) -> None:
    stopped = told(Stopped(first), Stopped(second)).stopped
    assert stopped is not None
    assert stopped.stop is kept


SOFT = Terminal(last=False)


@pytest.mark.parametrize(
    ("events", "over"),
    [
        ([Text("ab12")], False),
        ([Text("ab12"), Stopped(Stop.END)], False),
        ([Text("ab12"), Stopped(Stop.END), SOFT], True),
        ([Text("ab"), Stopped(Stop.END), SOFT], False),
        ([Text("ab"), Stopped(Stop.END), SOFT, Text("12")], True),
        ([Stopped(Stop.END), SOFT], False),
        ([Text("ab"), Stopped(Stop.END), SOFT, Closed()], True),
        ([Text("ab"), Stopped(Stop.LENGTH), SOFT], True),
        ([Text("ab"), Stopped(Stop.UNKNOWN), SOFT], False),
        ([Text("ab"), *END], True),
        ([Text("ab"), Failure(Outcome.OVERLOADED, "x")], True),
    ],
)
def test_an_end_is_believed_when_nothing_more_can_come_or_need_come(
    events: list[StreamEvent], over: bool
) -> None:
    assert told(*events).over(CANARY) is over


def test_an_answer_that_says_a_thousand_times_that_it_is_done_is_checked_a_few_times() -> None:
    class Counted(Canary):
        checks = 0

        def right(self, answer: str) -> bool:
            Counted.checks += 1
            return False

    transcript, canary = Transcript(), Counted("ab12")
    for at in range(1_000):
        for event in (Text("x"), Stopped(Stop.END), SOFT):
            transcript.take(event, float(at))
        assert not transcript.over(canary)
    assert Counted.checks == MAX_CHECKS


def test_the_answer_s_time_is_at_its_reason_to_finish_or_at_text_behind_it() -> None:
    assert told(Text("ab12"), Stopped(Stop.END), SOFT, Usage(), SOFT, Closed()).terminal_s == 2
    assert told(Text("ab"), SOFT, Text("12"), SOFT, Closed()).terminal_s == 2
    assert told(Text("ab"), Failure(Outcome.OVERLOADED, "x"), Other()).terminal_s == 1


def test_reasoning_in_the_text_is_neither_answer_nor_first_text() -> None:
    inside = told(Text("<think>"), Text("ab12"), Text("</think>"), Text("ab12"), *END)
    assert (inside.first_reasoning_s, inside.first_text_s, inside.text) == (0, 3, "ab12")
    # Its opening tag stood in the prompt: seen only when it closes.
    late = told(Text("hm, ab12"), Text("</think>"), Text("ab12"), *END)
    assert (late.first_reasoning_s, late.first_text_s, late.text) == (0, 2, "ab12")


def test_the_first_failure_is_the_one_that_counts() -> None:
    first, second = Failure(Outcome.RATE_LIMITED, "one"), Failure(Outcome.STREAM_ERROR, "two")
    assert told(first, second).conclude(CANARY) == (Outcome.RATE_LIMITED, "one")


def test_an_answer_that_was_no_stream_says_so() -> None:
    assert told().conclude(CANARY)[1] == "the answer was empty or no stream of this API"
    assert told(Other()).conclude(CANARY)[1] == "the stream ended without its end marker"


def test_each_first_has_its_own_time() -> None:
    transcript = told(Other(), Reasoning(), Reasoning(), Text(" "), Text("x"), Text("y"), *END)
    assert (
        transcript.first_event_s,
        transcript.first_reasoning_s,
        transcript.first_text_s,
        transcript.terminal_s,
    ) == (0, 1, 4, 7)


def test_later_counts_override_where_they_say_something() -> None:
    transcript = told(Usage(input=10, output=1, cached=2), Usage(output=7, reasoning=3))
    assert transcript.tokens == Tokens(input=10, output=7, reasoning=3, cached=2)


def test_text_is_kept_up_to_a_bound() -> None:
    transcript = told(*[Text("x" * 3_000)] * 50, Text("y" * 1_000_000))
    assert len(transcript.text) <= 2 * MAX_TEXT


def test_a_wrong_answer_is_shown_short_and_harmless() -> None:
    _, detail = told(Text("no\x1b[31m\n" + "x" * 500), *END).conclude(CANARY)
    assert detail.startswith("answered 'no\\x1b[31m\\nx")
    assert len(detail) < 100


def test_a_first_time_is_never_moved_by_what_follows() -> None:
    """Reasoning between texts, texts after the end: the first of each kind stands."""
    transcript = told(Reasoning(), Text("a"), Reasoning(), Text("b"), *END, Text("c"), Other())
    assert (
        transcript.first_event_s,
        transcript.first_reasoning_s,
        transcript.first_text_s,
        transcript.terminal_s,
    ) == (0, 0, 1, 5)


@pytest.mark.parametrize("blank", ["", " ", "\n\n", "\u00a0", "\t"])
def test_what_cannot_be_seen_is_no_first_text(blank: str) -> None:
    transcript = told(Text(blank), Text("x"))
    assert (transcript.first_event_s, transcript.first_text_s) == (0, 1)
    assert transcript.text == f"{blank}x"


def test_a_failure_is_an_event_too() -> None:
    transcript = told(Failure(Outcome.OVERLOADED, "x"))
    assert (transcript.first_event_s, transcript.first_text_s) == (0, None)


@pytest.mark.parametrize("api", list(GOLDEN))
def test_every_api_s_first_event_reasoning_and_text_are_kept_apart(api: str) -> None:
    """Fed byte by byte, with the byte's number as its time."""
    stream = GOLDEN[api].streams["reasoning"]
    reader, transcript = ADAPTERS[api].reader(), Transcript()
    for at in range(len(stream)):
        for event in reader.feed(stream[at : at + 1]):
            transcript.take(event, float(at))
    first = transcript.first_event_s
    reasoning, text, end = (
        transcript.first_reasoning_s,
        transcript.first_text_s,
        transcript.terminal_s,
    )
    assert first is not None
    assert reasoning is not None
    assert text is not None
    assert end is not None
    # Some begin with reasoning, the others with an empty start.
    bare = api in ("gemini", "ollama", "vertex")
    assert (first == reasoning) if bare else (first < reasoning)
    assert reasoning < text <= end
