"""What the log says of failing canaries."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from prober.sample import Outcome, Sample
from prober.samplelog import EVERY_S, SampleLog


def failed(at_s: float, outcome: Outcome = Outcome.AUTH, **more: Any) -> Sample:
    return Sample("x", "a", "v", "m", 0.0, at_s, outcome, detail="key wrong", **more)


def test_the_same_failure_is_said_once_and_then_counted() -> None:
    told = SampleLog()
    lines = [told.line(failed(at_s)) for at_s in range(0, 1201, 3)]
    assert [line for line in lines if line] == [
        "a: auth: key wrong",
        "a: auth: key wrong (200 times in 10 min)",
        "a: auth: key wrong (200 times in 10 min)",
    ]
    assert EVERY_S == 600


def test_another_failure_is_said_at_once_and_two_that_alternate_fill_no_log() -> None:
    told = SampleLog()
    lines = []
    for at_s in range(0, 599, 2):
        lines.append(told.line(failed(at_s)))
        lines.append(told.line(failed(at_s + 1, Outcome.OVERLOADED, http_status=503)))
    assert [line for line in lines if line] == ["a: auth: key wrong", "a: overloaded: key wrong"]


def test_a_failure_that_comes_back_after_a_while_is_said_in_full() -> None:
    told = SampleLog()
    assert told.line(failed(0.0))
    assert told.line(failed(5000.0)) == "a: auth: key wrong"


def test_what_nobody_foresaw_is_logged_once_with_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = SampleLog()
    for error in (TypeError("odd"), TypeError("odder"), KeyError("k")):
        told.startled("a", error)
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == [
        "odd", "'k'"
    ]  # fmt: skip


def test_good_canaries_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        SampleLog().tell(failed(0.0, Outcome.OK))
    assert not caplog.records
