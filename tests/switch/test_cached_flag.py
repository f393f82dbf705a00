"""What one process believes: only `state` moves the epoch, a message is a hint for two seconds."""

from __future__ import annotations

import pytest

from switch.cached_flag import ANNOUNCED, CONFIRM_WITHIN_S, CachedFlag, Source
from switch.flag import Candidate, Flag


def state(provider: str, epoch: int, decision_id: str = "d", checked_at: int = 0) -> Flag:
    return Flag("chat", provider, epoch, decision_id, reason="why", checked_at=checked_at)


def believing(provider: str = "a", epoch: int = 10, **said: object) -> CachedFlag:
    belief = CachedFlag("chat", "default", **said)  # type: ignore[arg-type]
    belief.saw_candidates([Candidate(name, "openai", "v", "m", "u") for name in "abc"])
    belief.saw_state(state(provider, epoch), 0.0)
    return belief


def test_nothing_is_served_before_anything_is_known() -> None:
    assert CachedFlag("chat").served(0.0) == ""


def test_the_default_is_served_before_anything_is_known() -> None:
    belief = CachedFlag("chat", "default")
    assert belief.served(0.0) == "default"
    reading = belief.reading(0.0, 5.0)
    assert (reading.provider, reading.epoch, reading.reason) == ("default", 0, "")
    assert reading.source is Source.DEFAULT
    assert (reading.read_age_s, reading.checked_age_s, reading.stale) == (None, None, True)


def test_a_state_is_served() -> None:
    belief = believing("a")
    assert belief.served(0.0) == "a"
    reading = belief.reading(0.0, 5.0)
    assert (reading.provider, reading.epoch, reading.reason) == ("a", 10, "why")
    assert (reading.source, reading.stale) == (Source.LIVE, False)


@pytest.mark.parametrize(
    ("epoch", "served"), [(9, "a"), (10, "b"), (11, "b"), (1_700_000_000_000, "b")]
)
def test_a_lower_epoch_is_refused_and_an_equal_one_replaces(epoch: int, served: str) -> None:
    belief = believing("a", 10)
    belief.saw_state(state("b", epoch, "other"), 1.0)
    assert belief.served(1.0) == served
    assert belief.reading(1.0, 5.0).epoch == max(epoch, 10)


def test_an_empty_state_keeps_what_is_known() -> None:
    belief = believing("a")
    belief.saw_state(None, 1.0)
    assert belief.served(1.0) == "a"
    assert belief.reading(1.0, 5.0).read_age_s == 0.0


def test_an_empty_state_keeps_the_default() -> None:
    belief = CachedFlag("chat", "default")
    belief.saw_state(None, 1.0)
    assert belief.served(1.0) == "default"
    assert belief.reading(1.0, 5.0).source is Source.DEFAULT


# -- messages ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "epoch", "served", "read_back"),
    [
        ("b", 11, "b", True),
        ("b", 10, "a", True),
        ("b", 9, "a", False),
        ("stranger", 11, "a", True),
        ("stranger", 9, "a", False),
    ],
)
def test_a_message_serves_a_known_provider_with_a_higher_epoch(
    provider: str, epoch: int, served: str, read_back: bool
) -> None:
    belief = believing("a", 10)
    assert belief.heard(provider, epoch, "other", 1.0) is read_back
    assert belief.served(1.0) == served


def test_a_message_never_moves_the_epoch() -> None:
    belief = believing("a", 10)
    belief.heard("b", 10**15, "forged", 1.0)
    reading = belief.reading(1.0, 5.0)
    assert (reading.provider, reading.epoch, reading.reason) == ("b", 10, ANNOUNCED)
    belief.saw_state(state("c", 11), 1.5)
    assert belief.reading(1.5, 5.0).epoch == 11


@pytest.mark.parametrize(
    ("after_s", "served"), [(0.0, "b"), (CONFIRM_WITHIN_S - 0.01, "b"), (CONFIRM_WITHIN_S, "a")]
)
def test_an_unconfirmed_message_is_taken_back_after_two_seconds(
    after_s: float, served: str
) -> None:
    belief = believing("a", 10)
    belief.heard("b", 99, "forged", 1.0)
    assert belief.served(1.0 + after_s) == served


@pytest.mark.parametrize("confirmed", [11, 12])
def test_a_state_of_that_epoch_or_a_higher_one_ends_the_hint(confirmed: int) -> None:
    belief = believing("a", 10)
    belief.heard("b", 11, "d2", 1.0)
    belief.saw_state(state("c", confirmed, "d3"), 1.1)
    assert belief.served(1.1) == "c"


def test_a_confirmed_message_stays() -> None:
    belief = believing("a", 10)
    belief.heard("b", 11, "d2", 1.0)
    belief.saw_state(state("b", 11, "d2"), 1.1)
    assert belief.served(100.0) == "b"


def test_an_old_state_does_not_end_the_hint_but_time_does() -> None:
    belief = believing("a", 10)
    belief.heard("b", 12, "d3", 1.0)
    belief.saw_state(state("a", 10), 1.1)
    belief.saw_state(state("c", 11), 1.2)
    assert belief.served(1.2) == "b"
    assert belief.served(3.0) == "c"


def test_of_two_messages_the_higher_epoch_wins_whatever_their_order() -> None:
    belief = believing("a", 10)
    belief.heard("c", 12, "d3", 1.0)
    assert belief.heard("b", 11, "d2", 1.1) is False
    assert belief.served(1.1) == "c"
    belief.heard("b", 13, "d4", 1.2)
    assert belief.served(1.2) == "b"


def test_an_expired_forgery_does_not_shut_out_a_true_message() -> None:
    belief = believing("a", 10)
    belief.heard("b", 10**15, "forged", 1.0)
    assert belief.heard("c", 11, "d2", 3.0)
    assert belief.served(3.0) == "c"


def test_the_default_and_what_is_supported_are_known_from_the_start() -> None:
    belief = CachedFlag("chat", "a", ["a", "b"])
    belief.heard("b", 1, "d", 0.0)
    assert belief.served(0.0) == "b"


def test_a_provider_once_seen_in_state_is_known() -> None:
    belief = CachedFlag("chat")
    belief.saw_state(state("x", 1), 0.0)
    belief.saw_state(state("y", 2), 0.0)
    belief.heard("x", 3, "d", 0.0)
    assert belief.served(0.0) == "x"


def test_the_empty_name_is_never_known() -> None:
    assert "" not in CachedFlag("chat").known


# -- fallbacks -------------------------------------------------------------------------------


def test_fallbacks_go_by_the_applications_order_until_the_daemons_is_known() -> None:
    belief = CachedFlag("chat", "a", ["a", "b", "c"], order=["c", "stranger", "a", "b", "c"])
    assert belief.fallbacks("a") == ("c", "b")
    belief.saw_candidates([Candidate(name, "openai", "v", "m", "u") for name in "bc"])
    assert belief.fallbacks("a") == ("b", "c")


def test_of_candidates_that_are_all_unfit_none_is_a_fallback_whatever_the_application_says() -> (
    None
):
    belief = CachedFlag("chat", "a", order=["b"])
    belief.saw_candidates([Candidate("b", "openai", "v", "m", "u", eligible=False)])
    assert belief.fallbacks("a") == ()


def test_a_fallback_of_the_applications_is_known_from_the_start() -> None:
    belief = CachedFlag("chat", "a", order=["b"])
    belief.heard("b", 1, "d", 0.0)
    assert belief.served(0.0) == "b"


# -- supported ---------------------------------------------------------------------------------


def test_a_name_this_build_does_not_support_is_not_served() -> None:
    belief = believing("a", 10, supported=["a", "b"])
    assert belief.reading(0.0, 5.0).unsupported == ""
    belief.saw_state(state("c", 11), 1.0)
    assert (belief.served(1.0), belief.reading(1.0, 5.0).unsupported) == ("a", "c")
    belief.saw_state(state("b", 12), 2.0)
    assert (belief.served(2.0), belief.reading(2.0, 5.0).unsupported) == ("b", "")


def test_an_unsupported_first_state_keeps_the_default() -> None:
    belief = believing("c", supported=["a"])
    assert (belief.served(0.0), belief.unsupported) == ("default", "c")


def test_a_message_naming_an_unsupported_provider_is_only_read_back() -> None:
    belief = believing("a", 10, supported=["a", "b"])
    assert belief.heard("c", 11, "d2", 1.0)
    assert belief.served(1.0) == "a"


# -- ages --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now_s", "source", "stale"), [(15.0, Source.LIVE, False), (15.1, Source.CACHED, True)]
)
def test_a_reading_is_stale_after_three_polls(now_s: float, source: Source, stale: bool) -> None:
    reading = believing().reading(now_s, 5.0)
    assert (reading.source, reading.stale, reading.read_age_s) == (source, stale, now_s)


def test_a_route_without_a_flag_is_stale_however_often_it_is_read() -> None:
    belief = CachedFlag("chat", "a")
    belief.saw_state(None, 10.0)
    reading = belief.reading(10.0, 5.0)
    assert (reading.stale, reading.read_age_s, reading.source) == (True, 0.0, Source.DEFAULT)


@pytest.mark.parametrize("seen", [None, state("b", 9)])
def test_a_flag_that_redis_no_longer_confirms_is_stale_after_three_polls(seen: Flag | None) -> None:
    belief = believing("a", 10)
    belief.saw_state(seen, 15.0)
    assert not belief.reading(15.0, 5.0).stale
    belief.saw_state(seen, 15.1)
    reading = belief.reading(15.1, 5.0)
    assert (reading.stale, reading.source, reading.provider) == (True, Source.CACHED, "a")
    assert reading.read_age_s == 0.0


def test_the_age_of_the_last_check_grows_until_it_is_seen_to_change() -> None:
    belief = believing()
    assert belief.reading(9.0, 5.0).checked_age_s is None
    belief.saw_state(state("a", 10, checked_at=100), 10.0)
    belief.saw_state(state("a", 10, checked_at=100), 15.0)
    assert belief.reading(20.0, 5.0).checked_age_s == 10.0
    belief.saw_state(state("a", 10, checked_at=101), 20.0)
    reading = belief.reading(21.0, 5.0)
    assert (reading.checked_age_s, reading.read_age_s) == (1.0, 1.0)
