"""Rate-limit headers in one shape for all APIs. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

from prober.sample import Limits, Room

# Where each vendor keeps the two budgets; the first name that is there counts.
REQUESTS = ("requests", "req-minute", "")
TOKENS = ("tokens", "input-tokens", "tokens-minute")
WHAT = ("limit", "remaining", "reset")
Place = tuple[str, str]
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
MAX_RESET_S = 366 * 86400.0
# Characters of a value that are read: matching a long one takes quadratic time.
MAX_VALUE = 64
# A bare reset past this many is a moment and no span.
EPOCH_FROM = 1_000_000_000.0


def read(headers: Mapping[str, str], now: float) -> Limits | None:
    """What is left, from the headers of one answer (names in lower case); None: nothing is said.

    `now` is wall-clock seconds: some vendors give the moment of the reset, others the span to it.
    """
    values: dict[Place, str] = {}
    for name, value in headers.items():
        if "ratelimit" in name and (place := _place(name)) is not None:
            values[place] = value
    retry_after_s = _retry_after_s(headers, now)
    if not values and retry_after_s is None:
        return None
    requests, tokens = _room(values, REQUESTS, now), _room(values, TOKENS, now)
    if requests is None and tokens is None and retry_after_s is None:
        return None
    return Limits(requests or Room(), tokens or Room(), retry_after_s)


@lru_cache(maxsize=512)
def _place(name: str) -> Place | None:
    """anthropic-ratelimit-requests-limit, x-ratelimit-limit-requests, x-ratelimit-limit."""
    # The whole of what follows: "output-tokens" is not "tokens".
    rest = name.rpartition("ratelimit")[2].strip("-")
    for kind in (*REQUESTS, *TOKENS):
        for what in WHAT:
            if rest in ((f"{kind}-{what}", f"{what}-{kind}") if kind else (what,)):
                return kind, what
    return None


def _room(values: Mapping[Place, str], kinds: Iterable[str], now: float) -> Room | None:
    for kind in kinds:
        limit, remaining = values.get((kind, "limit")), values.get((kind, "remaining"))
        if limit is not None or remaining is not None:
            reset = values.get((kind, "reset"))
            reset_s = _reset_s(reset, now) if reset else None
            return Room(_count(limit), _count(remaining), reset_s)
    return None


def _count(value: str | None) -> int | None:
    digits = (value or "").strip()
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 16 else None


def _reset_s(value: str, now: float) -> float | None:
    """ "12ms", "1m30s", "59", an RFC 3339 moment, or a moment in seconds or milliseconds."""
    value = value.strip()
    if len(value) > MAX_VALUE:
        return None
    # A span ends in a letter, and a moment in one or in an offset: only the rest may be a number.
    number = _number(value) if value[-1:].isdigit() else None
    if number is not None:
        if number > EPOCH_FROM * 1000:
            number /= 1000
        return _bounded(number - now if number > EPOCH_FROM else number)
    parts = _SPAN.findall(value)
    if parts and "".join(f"{count}{unit}" for count, unit in parts) == value:
        return _bounded(sum(float(count) * _SECONDS[unit] for count, unit in parts))
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    return _bounded(_utc(at).timestamp() - now)


def _retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    if (ms := _number(headers.get("retry-after-ms", ""))) is not None:
        return _bounded(ms / 1000)
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    if (seconds := _number(value)) is not None:
        return _bounded(seconds)
    try:
        return _bounded(_utc(parsedate_to_datetime(value[:MAX_VALUE])).timestamp() - now)
    except (ValueError, TypeError, LookupError, OverflowError):
        return None


def _number(value: str) -> float | None:
    if not value:
        return None  # the common case, and an exception is dear
    try:
        return float(value[:MAX_VALUE])
    except ValueError:
        return None


def _utc(at: datetime) -> datetime:
    """A moment without a zone is one of UTC, as everywhere in HTTP."""
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _bounded(seconds: float) -> float | None:
    """Not a number, or further away than a year: nobody means that."""
    return round(max(0.0, seconds), 3) if seconds < MAX_RESET_S else None
