"""How much room a provider's rate limits leave, in a few words."""

from __future__ import annotations

import pytest

from prober.sample import Limits, Room
from prober.web.status import room_words


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (
            Limits(Room(10_000, 9_990, 6.0), Room(4_000_000, 3_950_000, 1.0)),
            "requests 9,990 of 10,000, tokens 98 % left, resets in 1 s",
        ),
        (Limits(Room(50, 0, 12.0), Room(1000, 1000, 3.0)),
         "requests 0 of 50, tokens 100 % left, resets in 12 s"),
        (Limits(requests=Room(50, 49)), "requests 49 of 50"),
        (Limits(requests=Room(None, 49, 90.0)), "requests 49 left, resets in 90 s"),
        (Limits(tokens=Room(None, 1_234_567)), "tokens 1,234,567 left"),
        (Limits(requests=Room(60), tokens=Room(9000)),
         "requests at most 60, tokens at most 9,000"),
        (Limits(tokens=Room(1000, 1)), "tokens 0 % left"),
        (Limits(tokens=Room(1000, 5000)), "tokens 100 % left"),
        (Limits(requests=Room(0, 0, 2.0)), "requests 0 of 0, resets in 2 s"),
        (Limits(retry_after_s=20.0), "asks to wait 20 s"),
        (Limits(), ""),
    ],
)  # fmt: skip
def test_room_is_told_in_a_few_words(limits: Limits, words: str) -> None:
    assert room_words(limits, 0.0) == words


def test_the_reset_counts_down_and_is_not_told_once_it_has_passed() -> None:
    limits = Limits(requests=Room(10, 2, 6.0), retry_after_s=4.0)
    assert room_words(limits, 3.0) == "requests 2 of 10, resets in 3 s, asks to wait 1 s"
    assert room_words(limits, 7.0) == "requests 2 of 10"
