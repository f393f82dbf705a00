"""Reasoning inside the answer's text is taken out, wherever the text is split."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.providers.thinking import TAGS, Thinking
from tests.support.values import STEADY


def shown(*pieces: str) -> str:
    thinking, text = Thinking(), ""
    for piece in pieces:
        found = thinking.take(piece)
        text = found.text if found.undone else text + found.text
    return text + thinking.close()


@pytest.mark.parametrize(
    ("said", "seen"),
    [
        ("ab12", "ab12"),
        ("", ""),
        ("<think>x</think>ab12", "ab12"),
        (" \n<think>x</think> ab12", " \n ab12"),
        ("<think></think>ab12", "ab12"),
        ("<think>x</think><think>y</think>ab12", "ab12"),
        ("<think>x<think>y</think>ab12", "ab12"),
        ("<think>x</thinking>y</think>ab12", "ab12"),
        ("x</think>ab12", "ab12"),
        ("x</think>y</think>ab12", "ab12"),
        ("<think>x", ""),
        ("<think>x</thin", ""),
        ("<thin", "<thin"),
        ("<", "<"),
        ("a < b", "a < b"),
        ("ab12 </", "ab12 </"),
        ("ab12 <think> is a tag", "ab12 <think> is a tag"),
        ("[1]", "[1]"),
        ("<thimble>", "<thimble>"),
        ("\u0130<think>", "\u0130<think>"),
        *((f"{tag}x{end}ab12", "ab12") for tag, end in TAGS.items()),
    ],
)
def test_what_is_seen_of_a_text(said: str, seen: str) -> None:
    assert shown(said) == seen
    assert shown(*said) == seen


PIECES = st.lists(
    st.sampled_from(["<think>", "</think>", "<", "</", "th", "ink>", "[THINK]", "ab", " "]),
    max_size=12,
)


@STEADY
@given(PIECES, st.lists(st.integers(0, 60), max_size=6))
def test_it_is_the_same_wherever_the_text_is_split(pieces: list[str], cuts: list[int]) -> None:
    whole = "".join(pieces)
    places = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    assert shown(*(whole[a:b] for a, b in pairwise(places))) == shown(whole) == shown(*whole)


@pytest.mark.parametrize("text", ["<", "<think", "[", "</think", "x", "<think>" + "<" * 40])
def test_a_long_text_costs_no_more_a_piece_than_a_short_one(text: str) -> None:
    """Twenty times the text in at most sixty times the time: no piece looks at all before it."""

    def took_s(pieces: int) -> float:
        thinking, start = Thinking(), time.process_time()
        for _ in range(pieces):
            thinking.take(text)
        return time.process_time() - start

    short_s = min(took_s(500) for _ in range(3))
    assert took_s(10_000) <= 60 * short_s + 0.05
