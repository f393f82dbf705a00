"""Whole answers of all nine APIs: each has its outcome, however its bytes are cut."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.canary import Canary
from prober.providers import ADAPTERS
from prober.providers.outcomes import OutcomeRow
from prober.sample import Outcome
from tests.golden.frames import framed, header
from tests.golden.reading import read
from tests.golden.streams import CASES, DISTINCT, GOLDEN, GOOD, outcome_of
from tests.support.values import STEADY

CANARY = Canary("ab12")
APIS = list(ADAPTERS)


def test_every_api_has_its_golden_streams() -> None:
    assert list(GOLDEN) == APIS
    needed = {"success", "reasoning", "length", "error", "truncated", "empty"}
    for golden in GOLDEN.values():
        assert needed <= set(golden.streams)
        assert {"refusal", "declined"} & set(golden.streams)


@pytest.mark.parametrize(("api", "case"), CASES)
def test_a_documented_stream_has_its_outcome(api: str, case: str) -> None:
    outcome, detail = read(api, GOLDEN[api].streams[case]).conclude(CANARY)
    assert outcome is outcome_of(case)
    assert bool(detail) is (outcome is not Outcome.OK)


@pytest.mark.parametrize("api", APIS)
def test_a_whole_answer_gives_its_text_and_its_counts(api: str) -> None:
    transcript = read(api, GOLDEN[api].streams["success"])
    assert (transcript.text, transcript.terminal) == ("ab12", True)
    assert transcript.tokens == GOLDEN[api].tokens
    assert transcript.first_reasoning_s is None


@pytest.mark.parametrize("api", APIS)
def test_reasoning_is_seen_and_is_not_the_answer(api: str) -> None:
    """The reasoning of these streams names the answer: it must not count."""
    transcript = read(api, GOLDEN[api].streams["reasoning"])
    assert transcript.first_reasoning_s is not None
    assert transcript.text == "ab12"


@pytest.mark.parametrize("api", APIS)
def test_an_error_as_the_whole_answer_is_named_and_told(api: str) -> None:
    refused = GOLDEN[api].refused
    failure = ADAPTERS[api].classify(refused.status, refused.body, refused.headers)
    assert (failure.outcome, failure.detail) == (refused.outcome, refused.detail)


@pytest.mark.parametrize(
    ("api", "case"), [(a, c) for a, c in CASES if "error" in c or c in ("failed", "throttled")]
)
def test_the_configuration_s_own_rule_names_an_error_inside_a_stream(api: str, case: str) -> None:
    rules = (OutcomeRow(Outcome.OVERLOADED, (api,)), OutcomeRow(Outcome.AUTH))
    outcome, _ = read(api, GOLDEN[api].streams[case], rules=rules).conclude(CANARY)
    # A reason to finish is no error to name.
    finished = case == "finished by an error"
    assert outcome is (Outcome.STREAM_ERROR if finished else Outcome.OVERLOADED)


@pytest.mark.parametrize(("api", "case"), DISTINCT)
def test_a_stream_reads_the_same_split_in_two_anywhere(api: str, case: str) -> None:
    stream = GOLDEN[api].streams[case]
    whole = read(api, stream)
    for cut in range(1, len(stream)):
        assert read(api, stream[:cut], stream[cut:]) == whole, cut


@pytest.mark.parametrize(("api", "case"), DISTINCT)
def test_a_stream_reads_the_same_byte_by_byte_and_in_random_parts(api: str, case: str) -> None:
    stream = GOLDEN[api].streams[case]
    whole = read(api, stream)
    assert read(api, *(stream[at : at + 1] for at in range(len(stream)))) == whole
    chance = random.Random(f"{api} {case}")
    for parts in (3, 7, 20, 100):
        cuts = sorted(chance.randrange(len(stream) + 1) for _ in range(parts - 1))
        pieces = [stream[a:b] for a, b in pairwise([0, *cuts, len(stream)])]
        assert read(api, *pieces) == whole, cuts


@pytest.mark.parametrize(("api", "case"), GOOD)
def test_a_stream_cut_anywhere_before_its_end_is_never_ok(api: str, case: str) -> None:
    golden = GOLDEN[api]
    stream, last = golden.streams[case], golden.end_of(case)
    for end in range(last):
        outcome, detail = read(api, stream[:end]).conclude(CANARY)
        # The first letters of "data:" alone may be an error that is no event, as Google sends.
        assert outcome in (Outcome.STREAM_TRUNCATED, Outcome.STREAM_ERROR), (end, outcome)
        assert detail
    assert read(api, stream[:last]).conclude(CANARY)[0] is Outcome.OK


@pytest.mark.parametrize(("api", "case"), CASES)
def test_the_end_of_a_line_may_be_missing_at_the_very_end(api: str, case: str) -> None:
    whole = GOLDEN[api].streams[case]
    short = whole if api == "bedrock" else whole.rstrip()
    assert read(api, short) == read(api, whole)


TEXTUAL = [(api, case) for api, case in GOOD if api not in ("bedrock", "ollama")]


@pytest.mark.parametrize(("api", "case"), TEXTUAL)
@pytest.mark.parametrize("comment", [b": ping\n\n", b":\n\n", b"\n\n", b"id: 7\nretry: 3\n\n"])
def test_comments_between_events_change_nothing(api: str, case: str, comment: bytes) -> None:
    stream = GOLDEN[api].streams[case]
    end = b"\r\n\r\n" if b"\r\n\r\n" in stream else b"\n\n"
    pinged = comment + stream.replace(end, end + comment)
    assert read(api, pinged) == read(api, stream)


@pytest.mark.parametrize("api", APIS)
@STEADY
@given(st.data())
def test_an_error_anywhere_in_a_good_stream_is_never_ok(api: str, data: st.DataObject) -> None:
    """Whatever comes behind it: an error said once is not taken back by an end marker."""
    golden = GOLDEN[api].streams
    ends = [at for at in range(len(golden["success"])) if _between(api, golden["success"], at)]
    at = data.draw(st.sampled_from(ends))
    error = golden["error"]
    tail = error[max(_starts(api, error)) :]
    mixed = golden["success"][:at] + tail + (b"" if api == "bedrock" else b"\n\n")
    outcome, _ = read(api, mixed + golden["success"][at:]).conclude(CANARY)
    assert outcome is Outcome.STREAM_ERROR


def _starts(api: str, stream: bytes) -> list[int]:
    return [at for at in range(len(stream)) if at == 0 or _between(api, stream, at)]


def _between(api: str, stream: bytes, at: int) -> bool:
    """Whether a message ends right before `at`, and another one follows."""
    if api == "bedrock":
        start = 0
        while start < at:
            start += int.from_bytes(stream[start : start + 4], "big")
        return start == at and at < len(stream)
    end = b"\n" if api == "ollama" else b"\n\n"
    if api in ("gemini", "vertex"):
        end = b"\r\n\r\n"
    return stream[:at].endswith(end) and at < len(stream)


def test_a_message_of_amazon_s_may_carry_headers_of_every_kind() -> None:
    """Types 0 to 9 of the specification; only text is read, the others are stepped over."""
    sizes = {0: b"", 1: b"", 2: b"1", 3: b"12", 4: b"1234", 5: b"12345678", 8: b"12345678"}
    sizes |= {6: b"\x00\x03abc", 7: b"\x00\x02hi", 9: b"0123456789abcdef"}
    odd = b"".join(b"\x02h" + str(kind).encode() + bytes([kind]) + v for kind, v in sizes.items())
    stop = framed(b'{"stopReason": "end_turn"}', odd + header("event_type", "messageStop"))
    good = GOLDEN["bedrock"].streams["truncated"] + stop
    assert read("bedrock", good).conclude(CANARY)[0] is Outcome.OK
