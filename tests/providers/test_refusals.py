"""What vendors say when they refuse, each with its outcome: tests/golden/refusals.py."""

from __future__ import annotations

import pytest

from prober.providers import ADAPTERS
from prober.providers.events import Failure
from prober.sample import FAULT, Cause, Fault, Outcome
from tests.golden.refusals import CASES, REFUSALS, UNKNOWN_REFUSALS, Refused


def classified(said: Refused) -> Failure:
    return ADAPTERS[said.api].classify(said.status, said.sent, said.headers)


def label(said: Refused) -> str:
    return f"{said.vendor} {said.status} {said.sent[:60].decode(errors='replace')}"


@pytest.mark.parametrize("said", REFUSALS, ids=label)
def test_a_vendor_s_refusal_has_its_outcome(said: Refused) -> None:
    found = classified(said)
    assert (found.outcome, found.cause) == (said.outcome, said.cause), found.detail


@pytest.mark.parametrize("said", UNKNOWN_REFUSALS, ids=label)
def test_what_is_about_the_request_is_in_no_table(said: Refused) -> None:
    """Though it names models, tokens or limits."""
    found = classified(said)
    assert (found.outcome, found.cause) == (Outcome.BAD_REQUEST, Cause.UNKNOWN)


@pytest.mark.parametrize("name", CASES)
def test_no_case_of_a_real_user_is_the_canary_s_fault(name: str) -> None:
    assert FAULT[classified(CASES[name]).outcome] is not Fault.CANARY


def test_there_are_many_vendors_and_all_kinds() -> None:
    assert len({said.vendor for said in REFUSALS}) >= 30
    assert {said.outcome for said in REFUSALS} >= {
        Outcome.AUTH,
        Outcome.QUOTA_EXHAUSTED,
        Outcome.MODEL_NOT_FOUND,
        Outcome.RATE_LIMITED,
        Outcome.OVERLOADED,
        Outcome.SERVER_ERROR,
    }
