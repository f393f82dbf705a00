"""A reader that cannot use its Redis says so: once, in a line that says what to look at."""

from __future__ import annotations

import pytest
from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

from switch.flag import Keys
from switch.log_once import UNREAD, LogOnce, place
from tests.support.servers import Valkey
from tests.switch.reader_stage import SOON_S, Make
from tests.switch.switch_redis import Desk, eventually

URL = "redis://ann:s3cret@redis.example:6379/2"
AWAY = RedisConnectionError("Connection refused.")
WRONG = AuthenticationError("WRONGPASS")
KEYS = Keys("chat")


def complaints() -> LogOnce:
    return LogOnce(UNREAD, URL, 15.0)


def test_a_redis_that_was_never_reached_is_told_at_once_and_once() -> None:
    told = complaints()
    assert told.failed(AWAY, 100.0) == (
        "the flag cannot be read from redis.example:6379/2: Connection refused; "
        "what is known stays in force"
    )
    assert [told.failed(AWAY, at_s) for at_s in (101.0, 200.0)] == ["", ""]


def test_a_short_outage_is_not_told_and_a_long_one_ends_with_a_line() -> None:
    told = complaints()
    assert told.worked() == ""
    assert told.failed(AWAY, 100.0) == ""
    assert told.worked() == ""
    assert [bool(told.failed(AWAY, at_s)) for at_s in (110.0, 124.0, 125.0, 126.0)] == [
        False, False, True, False,
    ]  # fmt: skip
    assert told.worked() == "redis.example:6379/2 can be used again"
    assert told.worked() == ""


@pytest.mark.parametrize("error", [WRONG, NoPermissionError("NOPERM")])
def test_a_refusal_is_told_at_once_after_an_outage_too(error: Exception) -> None:
    told = complaints()
    told.worked()
    assert str(error) in told.failed(error, 100.0)
    assert told.failed(error, 101.0) == ""
    told = complaints()
    told.failed(AWAY, 100.0)
    assert str(error) in told.failed(error, 101.0)


def test_a_passing_answer_of_a_server_is_no_refusal() -> None:
    told = complaints()
    told.worked()
    assert told.failed(ResponseError("MASTERDOWN"), 100.0) == ""


def test_a_route_without_a_flag_is_told_once_after_the_time_a_first_flag_may_take() -> None:
    told = complaints()
    assert [bool(told.empty(KEYS, at_s)) for at_s in (0.0, 14.0, 15.0, 99.0)] == [
        False, False, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("url", "where"),
    [
        (URL, "redis.example:6379/2"),
        ("unix://ann:s3cret@/run/redis.sock", "/run/redis.sock"),
        ("redis+sentinel://:s3cret@a:1,b:2/flags", "a:1,b:2/flags"),
    ],
)
def test_where_it_is_says_nothing_of_the_login(url: str, where: str) -> None:
    assert place(url) == where


# -- by either reader, on a real server ------------------------------------------------------------


async def test_a_wrong_password_is_told(
    make: Make, own_desk: Desk, own_valkey: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    """Else the application would serve its default for ever, in silence."""
    await own_desk.client.acl_setuser(
        "ann", enabled=True, passwords=["+right"], keys=["*"], commands=["+@all"]
    )
    make(f"unix://ann:s3cret@{own_valkey.socket}", {"chat": "a"})
    await eventually(lambda: "the flag cannot be read from" in caplog.text)
    assert "s3cret" not in caplog.text


async def test_a_user_that_may_not_listen_is_told_and_polls(
    make: Make, own_desk: Desk, own_valkey: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    await own_desk.client.acl_setuser(
        "ann", enabled=True, passwords=["+right"], keys=["*"], commands=["+hgetall"]
    )
    await own_desk.seed("b")
    reader = make(f"unix://ann:right@{own_valkey.socket}", {"chat": "a"}, poll_s=SOON_S)
    await reader.serves("b")
    await eventually(lambda: "changes of the flag cannot be heard" in caplog.text)
    assert caplog.text.count("cannot be") == 1


async def test_reports_that_are_refused_are_told(
    make: Make, own_desk: Desk, own_valkey: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    await own_desk.client.acl_setuser(
        "ann", enabled=True, passwords=["+right"], keys=["*"], commands=["+hgetall"]
    )
    url = f"unix://ann:right@{own_valkey.socket}"
    reader = make(own_valkey.url, {"chat": "a"}, report_url=url)
    reader.report("a", ok=True)
    await eventually(lambda: "reports cannot be sent" in caplog.text)


async def test_a_database_without_the_flag_is_told(
    make: Make, desk: Desk, valkey: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    """A wrong database, namespace or route reads well, and finds nothing."""
    await desk.seed("b")
    make(valkey.url, {"chta": "a"}, poll_s=SOON_S)
    await eventually(lambda: "has no flag for route 'chta'" in caplog.text)
