"""What the emulator is told to do wrong, as one checked value. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import date
from difflib import get_close_matches
from enum import StrEnum
from fractions import Fraction


class FaultsError(ValueError):
    """A fault that cannot be set; the message is one line for people."""


class InjectedFault(StrEnum):
    """What goes wrong with one request; `Faults` has a share for each but `NONE`."""

    NONE = "none"
    ERROR = "error"
    IN_STREAM_ERROR = "in_stream_error"
    TRUNCATE = "truncate"
    RESET = "reset"
    HANG = "hang"
    STALL = "stall"
    GARBAGE = "garbage"
    WRONG_ANSWER = "wrong_answer"
    EMPTY = "empty"
    REFUSAL = "refusal"
    LENGTH = "length"
    AUTH = "auth"
    QUOTA = "quota"
    MODEL_NOT_FOUND = "model_not_found"
    HALF = "half"


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """How one API or model behaves; the defaults are a healthy provider.

    A share is the part of all requests, 0 to 1; one request has one fault at most, so the shares
    add up to 1 at most. Raises FaultsError for a value out of bounds.

    Attributes:
        error_share: answered with the HTTP status `status`.
        in_stream_error_share: a 200 stream that ends in the error of `status`; as an HTTP error
            where no stream was asked for.
        truncate_share: the body ends early, without terminal marker, the connection in order.
        reset_share: a TCP reset before any byte of the answer.
        hang_share: not one byte until the client goes away, 120 s at most.
        stall_share: headers and the first event, then nothing, 120 s at most.
        garbage_share: a 200 with random bytes.
        wrong_answer_share: a well-formed answer without the word that was asked for.
        empty_share: a well-formed answer without text.
        refusal_share: the API's own way to decline.
        length_share: stopped by length, without text.
        auth_share: the API's refusal of a wrong key.
        quota_share: the API's own error for an account that ran dry.
        model_not_found_share: the API's 404.
        half_share: half of the answer, and an end as if it were whole; what a gateway makes of an
            upstream that was cut.
        status: of errors, 400 to 599; None: what the API says when overloaded.
        slow_byte_s: pause after each single byte of an answer; 0: whole events.
        huge_bytes: visible text of a healthy answer, in bytes; 0: the answer itself.
        ttft_s: time to the first text.
        tokens_pause_s: pause between two texts.
        latency_factor: multiplies `ttft_s`, `tokens_pause_s` and `slow_byte_s`.
        reasoning_pieces: deltas of reasoning before the text, spread over `ttft_s`.
        thinks_aloud: reasoning stands in the text too, in <think> tags.
        comments: comment lines before the first event, where events are server-sent ones.
        says: the text of every healthy answer; empty: what was asked for.
        limit_requests: a minute, as the rate-limit headers say; None: the API's own number.
        limit_tokens: a minute, likewise.
        remaining_share: the part of both limits that is left, as the headers say.
        retires: the date, like "2027-01-31", that catalogues tell, if theirs is such an API; empty:
            no end in sight.
        cached: the headers of a gateway say that its cache answered.
        fell_back: they say that a second try reached another provider than the first.
        retried: they say that so many tries failed before this answer.
        redirect_to: every request for an answer gets a 307 to this URL; empty: none does.
        even: spread the shares evenly and exactly (0.5: every second request) and not by chance.
        seed: of the chance; None: a new one each time.
    """

    error_share: float = 0.0
    in_stream_error_share: float = 0.0
    truncate_share: float = 0.0
    reset_share: float = 0.0
    hang_share: float = 0.0
    stall_share: float = 0.0
    garbage_share: float = 0.0
    wrong_answer_share: float = 0.0
    empty_share: float = 0.0
    refusal_share: float = 0.0
    length_share: float = 0.0
    auth_share: float = 0.0
    quota_share: float = 0.0
    model_not_found_share: float = 0.0
    half_share: float = 0.0
    status: int | None = None
    slow_byte_s: float = 0.0
    huge_bytes: int = 0
    ttft_s: float = 0.02
    tokens_pause_s: float = 0.0
    latency_factor: float = 1.0
    reasoning_pieces: int = 0
    thinks_aloud: bool = False
    comments: int = 0
    says: str = ""
    limit_requests: int | None = None
    limit_tokens: int | None = None
    remaining_share: float = 1.0
    retires: str = ""
    cached: bool = False
    fell_back: bool = False
    retried: int = 0
    redirect_to: str = ""
    even: bool = False
    seed: int | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            must, holds = CHECKS.get(field.name, SHARE)
            if not holds(value):
                raise FaultsError(f"{field.name} is {value!r}; it must be {must}")
        if (healthy := self.shares()[InjectedFault.NONE]) < 0:
            raise FaultsError(f"the shares add up to {float(1 - healthy):g}; they must not pass 1")

    def shares(self) -> dict[InjectedFault, Fraction]:
        """The share of every fault, exact, `NONE` first; they add up to 1."""
        shares: dict[InjectedFault, Fraction] = {
            fault: Fraction(str(getattr(self, f"{fault}_share")))
            for fault in InjectedFault
            if fault is not InjectedFault.NONE
        }
        return {InjectedFault.NONE: 1 - sum(shares.values(), Fraction()), **shares}


def faults_of(settings: Mapping[str, object]) -> Faults:
    """The faults that `settings` names. Raises FaultsError for an unknown name or a bad value."""
    names = [field.name for field in fields(Faults)]
    for name in settings:
        if name not in names:
            near = get_close_matches(name, names, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"the fields are {', '.join(names)}"
            raise FaultsError(f"{name} is not a field; {hint}")
    return Faults(**settings)  # type: ignore[arg-type]  # the values are checked on construction


def _number(low: float, high: float) -> Callable[[object], bool]:
    # JSON brings NaN, infinities and true, which Python takes for numbers.
    return lambda value: (
        isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
    )


def _integer(low: int, high: int) -> Callable[[object], bool]:
    within = _number(low, high)
    return lambda value: isinstance(value, int) and within(value)


def _or_none(holds: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or holds(value)


def _flag(value: object) -> bool:
    return isinstance(value, bool)


def _text(value: object) -> bool:
    # A lone surrogate is a text in Python, but nothing that an answer could carry.
    return (
        isinstance(value, str)
        and len(value) <= MAX_TEXT
        and not any("\ud800" <= character <= "\udfff" for character in value)
    )


def _date(value: object) -> bool:
    try:
        # Other ways to write a date in ISO 8601 are none here.
        return value == "" or value == date.fromisoformat(str(value)).isoformat()
    except ValueError:
        return False


def _url(value: object) -> bool:
    return isinstance(value, str) and bool(URL.fullmatch(value))


MAX_TEXT = 100_000
URL = re.compile(r"(https?://[!-~]{1,2000})?")

Check = tuple[str, Callable[[object], bool]]
SHARE: Check = ("a number from 0 to 1", _number(0, 1))
SECONDS: Check = ("a number of seconds from 0 to 3600", _number(0, 3600))
COUNT: Check = ("a whole number from 0 to 1000", _integer(0, 1000))
LIMIT: Check = ("a whole number from 0 to 1000000000, or null", _or_none(_integer(0, 10**9)))
FLAG: Check = ("true or false", _flag)
# What is not listed is a share.
CHECKS: dict[str, Check] = {
    "status": ("an HTTP status from 400 to 599, or null", _or_none(_integer(400, 599))),
    "slow_byte_s": SECONDS,
    "ttft_s": SECONDS,
    "tokens_pause_s": SECONDS,
    "huge_bytes": ("a number of bytes from 0 to 1073741824", _integer(0, 2**30)),
    "latency_factor": ("a number from 0 to 1000", _number(0, 1000)),
    "reasoning_pieces": COUNT,
    "comments": COUNT,
    "says": (f"a text of at most {MAX_TEXT} characters", _text),
    "limit_requests": LIMIT,
    "limit_tokens": LIMIT,
    "retires": ('a date like "2027-01-31", or empty', _date),
    "thinks_aloud": FLAG,
    "cached": FLAG,
    "fell_back": FLAG,
    "retried": COUNT,
    "redirect_to": ("an http or https URL, or empty", _url),
    "even": FLAG,
    "seed": ("a whole number or null", _or_none(_integer(-(2**63), 2**63))),
}
