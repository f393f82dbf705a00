"""Nothing that people, applications, Redis or SQL can see has changed.

A difference that is meant is written down anew: `python -m tests.unchanged.record`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from itertools import takewhile

import pytest

from tests.unchanged.record import PARTS, SCENARIOS, Found, flips, kept, lines_of, plain

SHOWN, WIDTH = 12, 200


def same(part: str, was: Found, found: Found) -> None:
    """Fails with every case that differs, and how it does."""
    now = plain(found)
    told: list[str] = []
    for case in {**was, **now}:
        before, after = (lines_of(side[case]) if case in side else [] for side in (was, now))
        if before != after:
            change = list(changes(before, after))
            told += [f"{part}.json: {case!r} is not what it was:", *change[:SHOWN]]
            told += [f"… and {len(change) - SHOWN} lines more"] if len(change) > SHOWN else []
    if told:
        pytest.fail("\n".join(told), pytrace=False)


def changes(before: list[str], after: list[str]) -> Iterator[str]:
    """Lines that are gone and lines that are new; of long ones from a little before they differ."""
    for tag, a, b, c, d in difflib.SequenceMatcher(a=before, b=after).get_opcodes():
        if tag != "equal":
            gone, new = before[a:b], after[c:d]
            start = max(0, alike([*gone, *new]) - WIDTH // 4) if gone and new else 0
            for mark, lines in (("-", gone), ("+", new)):
                yield from (f"{mark}{'…' if start else ''}{x[start:][:WIDTH]}" for x in lines)


def alike(lines: list[str]) -> int:
    """In how many characters all begin alike."""
    return sum(1 for _ in takewhile(lambda chars: len({*chars}) == 1, zip(*lines, strict=False)))


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_has_the_flips_it_had(name: str) -> None:
    was = {case: value for case, value in kept("flips").items() if case.startswith(f"{name}, ")}
    same("flips", was, flips(name))


def test_no_scenario_is_left_out() -> None:
    assert len(SCENARIOS) == 20
    assert {case.partition(",")[0] for case in kept("flips")} == {*SCENARIOS}


@pytest.mark.parametrize("part", [part for part in PARTS if part != "flips"])
def test_what_must_stay_is_as_it_was(part: str) -> None:
    same(part, kept(part), PARTS[part]())
