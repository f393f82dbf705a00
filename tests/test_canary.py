"""Which answers pass: a right one in any dress, a wrong one in none."""

from __future__ import annotations

import json
import time
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.canary import MISSING, REGEX_S, TOKENS, Asking, Canary, CanaryKind, Expect
from prober.probing.plans import Plan
from prober.providers.events import Endpoint
from tests.support.values import STEADY

ECHO = Canary("ab12cd34")
SUM = Canary("ab12cd34", CanaryKind.ARITHMETIC, a=17, b=25)
TABLE = Canary("ab12cd34", CanaryKind.JSON, a=17, b=25)


@pytest.mark.parametrize(
    "answer",
    [
        "ab12cd34",
        " AB12CD34.\n",
        "`ab12cd34`",
        "```\nab12cd34\n```",
        '"ab12cd34"',
        "**ab12cd34**",
        "The first word is ab12cd34!",
        "Sure! Here it is: ab12cd34",
        "ab12 cd34",
        "ab12-cd34",
    ],
)
def test_the_word_in_any_dress_is_an_echo(answer: str) -> None:
    assert ECHO.right(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        " ",
        "ab12cd3",
        "ab12cd43",
        "b12cd34",
        "34ab12cd",
        "ffffffff",
        "Reply",
        "the first word of this message",
        ECHO.prompt.partition("\n")[2],
    ],
)
def test_another_word_is_no_echo(answer: str) -> None:
    assert not ECHO.right(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "ab12cd34.",
        "AB12CD34",
        "\u201cab12cd34\u201d",
        "'ab12cd34'",
        "```text\nab12cd34\n```",
        "```plaintext\nAB12CD34\n```",
        "The first word is: ab12cd34",
        'The first word of your message is "ab12cd34".',
        "The first word of this message is **ab12cd34**.",
        "Certainly! The first word in the message you provided is: ab12cd34",
        "Here's the first word of your message:\n\nab12cd34",
        "Okay, here is the word you requested: `ab12cd34`.",
        "Answer: ab12cd34",
        "Assistant: ab12cd34",
        "> ab12cd34",
        "- ab12cd34",
        "# ab12cd34",
        '{"word": "ab12cd34"}',
        "<answer>ab12cd34</answer>",
        "ab12cd34\n\nThe first word is ab12cd34.",
        "Understood. ab12cd34",
        "I'd be happy to help! The first word is ab12cd34.",
    ],
)
def test_a_few_words_may_hand_the_word_over(answer: str) -> None:
    assert ECHO.right(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "I can't find ab12cd34",
        "I cannot help with ab12cd34.",
        "I'm sorry, but ab12cd34 is not something I can repeat.",
        "I'm unable to reply with ab12cd34.",
        "Sorry, ab12cd34",
        "ab12cd34 is not a valid word.",
        "ab12cd34 does not appear to be a word. Could you clarify?",
        "What is ab12cd34?",
        "What do you mean by ab12cd34",
        "ab12cd34?",
        "Is it ab12cd34?",
        '"ab12cd34" ?',
        "Did you mean 'ab12cd34'?",
        "No, ab12cd34",
        "There is no ab12cd34 here.",
        "Unknown command: ab12cd34",
        "Error: invalid request ab12cd34",
        "Error processing prompt ab12cd34",
        "404 ab12cd34",
        "Upstream request failed: ab12cd34",
        "Your request ab12cd34 was blocked by policy.",
        "It looks like you sent a code (ab12cd34). How can I use it?",
        "ab12cd34 seems to be a hexadecimal string, perhaps a hash or an identifier.",
        ECHO.prompt,
        ECHO.prompt[:50],
        "wordab12cd34",
        "ab12cd34ab12cd34",
        "ab12cd345",
        "ab12cd34 " + "the first word is " * 5,
        "\u7b2c\u4e00\u4e2a\u8bcd\u4e0d\u662f ab12cd34",
    ],
)
def test_whoever_complains_about_the_word_has_not_echoed_it(answer: str) -> None:
    assert not ECHO.right(answer)


@pytest.mark.parametrize(
    ("canary", "answer"),
    [
        (SUM, "I can't add 17 and 25; perhaps 42"),
        (SUM, "42 is not the answer."),
        (SUM, "Sorry, 42"),
        (SUM, "Request 42 failed"),
        (TABLE, 'I am not able to: {"word": "ab12cd34", "sum": 42}'),
        (TABLE, 'Error: could not parse {"word": "ab12cd34", "sum": 42}'),
    ],
)
def test_whoever_complains_about_the_sum_or_the_table_has_not_answered(
    canary: Canary, answer: str
) -> None:
    assert not canary.right(answer)


@pytest.mark.parametrize(
    ("canary", "answer"),
    [
        (SUM, "$\\boxed{42}$"),
        (SUM, "Adding the two numbers together gives 42."),
        (SUM, "The sum of 17 and 25 is **42**."),
        (TABLE, 'Here is the JSON object:\n```json\n{"word": "ab12cd34", "sum": 42}\n```'),
        (TABLE, 'ab12cd34\n{"word": "ab12cd34", "sum": 42}'),
    ],
)
def test_a_few_words_may_hand_a_sum_or_a_table_over(canary: Canary, answer: str) -> None:
    assert canary.right(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "42",
        " 42\n",
        "42.",
        "**42**",
        "`42`",
        "```\n42\n```",
        "42.0",
        "The answer is 42!",
        "17 + 25 = 42",
        "17+25=42.",
        "25 + 17 makes 42, of course.",
        "- 42",
        "ab12cd34\n42",
        "AB12CD34: 42",
    ],
)
def test_the_sum_in_any_dress_is_right(answer: str) -> None:
    assert SUM.right(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "43",
        "forty-two",
        "142",
        "420",
        "4 2",
        "42 or 43",
        "It is 42, or 41 if you round.",
        "-42",
        "\u221242",
        "\u201342",
        "42.5",
        "4,2",
        "0x42",
        "17 + 25",
        "What is 17 + 25?",
        "17 and 25",
        SUM.prompt.partition("\n")[2],
        "ab12cd34",
    ],
)
def test_another_number_beside_or_instead_of_the_sum_is_wrong(answer: str) -> None:
    assert not SUM.right(answer)


def test_a_nonce_that_reads_like_the_sum_is_not_the_sum() -> None:
    assert not Canary("00000042", CanaryKind.ARITHMETIC, a=17, b=25).right("00000042")


GOOD = '{"word": "ab12cd34", "sum": 42}'


@pytest.mark.parametrize(
    "answer",
    [
        GOOD,
        f"```json\n{GOOD}\n```",
        f"Sure! Here you go:\n{GOOD}\nAnything else?",
        '{"sum":42,"word":"AB12CD34"}',
        '{\n  "word": "ab12cd34",\n  "sum": 42.0\n}',
        '{"word": "ab12cd34", "sum": 42, "note": "as asked"}',
        f"[as asked] {GOOD}",
        f"Keys [1, 2]: {GOOD}",
        f"A set {{}} is empty: {{word}}. {GOOD}",
    ],
)
def test_the_table_in_any_dress_is_right(answer: str) -> None:
    # An empty table before it is a table: only words in braces are none.
    assert TABLE.right(answer.replace("{} is empty: ", ""))


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "ab12cd34 42",
        '{"word": "ab12cd34"}',
        '{"sum": 42}',
        '{"word": "ab12cd34", "sum": "42"}',
        '{"word": "ab12cd34", "sum": 43}',
        '{"word": "ab12cd34", "sum": -42}',
        '{"word": "ab12cd34", "sum": null}',
        '{"word": "ab12cd34", "sum": NaN}',
        '{"word": "ab12cd34", "sum": [42]}',
        '{"word": "ffffffff", "sum": 42}',
        '{"word": 12, "sum": 42}',
        '{"word": ["ab12cd34"], "sum": 42}',
        '{"words": "ab12cd34", "sum": 42}',
        '["ab12cd34", 42]',
        '{"answer": {"word": "ab12cd34", "sum": 42}}',
        GOOD[:-1],
        "{" * 4_000,
        "[" * 4_000 + "]" * 4_000,
        '{"sum": 1' + "0" * 5_000 + "}",
        TABLE.prompt.partition("\n")[2],
        '{"word": "ffffffff", "sum": 42} or ' + GOOD,
    ],
)
def test_another_table_is_wrong(answer: str) -> None:
    assert not TABLE.right(answer)


def test_true_is_not_one() -> None:
    """A sum is never 1, but an expected value may be."""
    assert not Expect(path="a", equals=1).met('{"a": true}')
    assert not Expect(path="a", equals=True).met('{"a": 1}')
    assert not Expect(path="a", equals=[1, {"b": 1}]).met('{"a": [1, {"b": true}]}')
    assert Expect(path="a", equals=[1, {"b": True}]).met('{"a": [1.0, {"b": true}]}')


@pytest.mark.parametrize(
    ("expect", "answer", "met"),
    [
        (Expect(contains="Paris"), "It is  PARIS.", True),
        (Expect(contains="New York"), "new\n york", True),
        (Expect(contains="Straße"), "STRASSE", True),
        (Expect(contains="Paris"), "It is Lyon.", False),
        (Expect(contains="Paris"), "", False),
        (Expect(regex=r"\b4[0-9]\b"), "it is 42.", True),
        (Expect(regex=r"\b4[0-9]\b"), "it is 142.", False),
        (Expect(regex=r"(?i)^yes"), "Yes, it is", True),
        (Expect(path="answer.city"), '{"answer": {"city": "Paris"}}', True),
        (Expect(path="answer.city"), '{"answer": {"city": null}}', False),
        (Expect(path="answer.city"), '{"answer": {}}', False),
        (Expect(path="answer.city"), '{"answer": "city"}', False),
        (Expect(path="answer.city"), "Paris", False),
        (Expect(path="items.0.name"), 'So: {"items": [{"name": "x"}]}', True),
        (Expect(path="items.1.name"), '{"items": [{"name": "x"}]}', False),
        (Expect(path="items.-1.name"), '{"items": [{"name": "x"}]}', False),
        (Expect(path="items.²"), '{"items": [1, 2, 3]}', False),
        (Expect(path="0.name"), '[{"name": "x"}]', True),
        (Expect(path="1"), "Yes: [3, 4]", True),
        (Expect(path="a", equals="Paris"), '{"a": " paris "}', True),
        (Expect(path="a", equals="Paris"), '{"a": "Lyon"}', False),
        (Expect(path="a", equals=42), '{"a": 42.0}', True),
        (Expect(path="a", equals=42), '{"a": "42"}', False),
        (Expect(path="a", equals=None), '{"a": null}', True),
        (Expect(path="a", equals=None), '{"b": 1}', False),
        (Expect(path="a", equals=[1, 2]), '{"a": [1, 2]}', True),
        (Expect(path="a", equals=[1, 2]), '{"a": [1, 2, 3]}', False),
        (Expect(path="a", equals={"b": 1}), '{"a": {"b": 1}}', True),
        (Expect(path="a", equals={"b": 1}), '{"a": {"b": 1, "c": 2}}', False),
        (Expect(contains="ok", path="a", equals=1), 'ok {"a": 1}', True),
        (Expect(contains="ok", path="a", equals=1), '{"a": 1}', False),
        (Expect(contains="ok", regex="^ok", path="a", equals=1), 'ok {"a": 2}', False),
    ],
)
def test_every_condition_of_a_custom_prompt_must_hold(
    expect: Expect, answer: str, met: bool
) -> None:
    assert expect.met(answer) is met
    assert Canary("ab12", CanaryKind.CUSTOM, text="?", expect=expect).right(answer) is met


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(a|aa)+$", r"^(\w+\s?)*$", r"(.*a){25}x"])
def test_a_catastrophic_pattern_ends_in_bounded_time_and_is_not_met(pattern: str) -> None:
    began = time.process_time()
    assert not Expect(regex=pattern).met("a" * 2_000 + "!")
    assert time.process_time() - began < 20 * REGEX_S


POLITE = [
    "{}",
    "Sure! {}",
    "Of course. Here it is:\n\n{}\n\nAnything else?",
    "```\n{}\n```",
    "The answer you asked for: {}.",
    "> {}",
]


def answers(kind: CanaryKind, canary: Canary) -> str:
    match kind:
        case CanaryKind.ECHO:
            return canary.nonce
        case CanaryKind.ARITHMETIC:
            return str(canary.a + canary.b)
        case _:
            return json.dumps({"word": canary.nonce, "sum": canary.a + canary.b})


@pytest.mark.parametrize("kind", [CanaryKind.ECHO, CanaryKind.ARITHMETIC, CanaryKind.JSON])
@STEADY
@given(seed=st.integers(), other=st.integers(), wrapper=st.sampled_from(POLITE), up=st.booleans())
def test_a_right_answer_passes_for_every_seed_and_another_canary_s_never_does(
    kind: CanaryKind, seed: int, other: int, wrapper: str, up: bool
) -> None:
    canary = Asking(kind=kind).canary(Random(seed))
    foreign = Asking(kind=kind).canary(Random(other))
    right, wrong = answers(kind, canary), answers(kind, foreign)
    assert canary.right(wrapper.format(right.upper() if up and kind is CanaryKind.ECHO else right))
    assert canary.right(wrapper.format(wrong)) is (right == wrong)
    assert not canary.right(wrapper.format(""))
    assert not canary.right(canary.prompt.partition("\n")[2])


@pytest.mark.parametrize("kind", list(CanaryKind))
def test_the_nonce_comes_first_and_is_new_each_time(kind: CanaryKind) -> None:
    asking = Asking(kind, text="Name a city.", expect=Expect(contains="Paris"))
    chance = Random(1)
    canaries = [asking.canary(chance) for _ in range(100)]
    assert len({canary.nonce for canary in canaries}) == 100
    for canary in canaries:
        first, _, task = canary.prompt.partition("\n")
        assert (first, len(first)) == (canary.nonce, 8)
        assert canary.nonce not in task
        assert 11 <= canary.a <= 99
        assert canary.a + canary.b not in (canary.a, canary.b)


@pytest.mark.parametrize("kind", list(CanaryKind))
def test_the_reserved_tokens_are_enough_for_the_prompt_and_the_answer(kind: CanaryKind) -> None:
    """Counted as a token a character, which no tokenizer exceeds on such text."""
    asking = Asking(kind, text="x" * 5_000)
    canary = asking.canary(Random(1))
    shown = canary.prompt if kind is CanaryKind.CUSTOM else canary.prompt.split()
    assert len(shown) <= asking.prompt_tokens
    plan = Plan("a", "openai", Endpoint("http://h", "m"), asking=asking)
    assert plan.worst_cost_usd == 0
    assert TOKENS[kind] >= 16


def test_missing_is_not_none() -> None:
    found: Any = Expect().equals
    assert found is MISSING
