"""What every table of prober.toml is made of: closed tables, durations, names, shares, zones."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from switch.flag import NAME

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)\Z")


def parse_duration(value: Any) -> timedelta:
    """ "30s", "1.5m", "200ms". Raises ValueError for anything else, a bare number included."""
    if isinstance(value, timedelta):
        return value
    match = _DURATION.match(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError('write a duration with its unit, like "30s", "10m", "1h" or "200ms"')
    try:
        return timedelta(seconds=float(match[1]) * _UNITS[match[2]])
    except OverflowError:
        raise ValueError("is longer than anybody can wait") from None


def did_you_mean(word: str, known: Collection[str], otherwise: str = "") -> str:
    """ "; did you mean 'chat'?" for a slip of the pen, else `otherwise`."""
    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else otherwise


def longer_than_nothing(value: timedelta) -> timedelta:
    """For what must not run without a pause. Raises ValueError."""
    if value <= timedelta(0):
        raise ValueError("must be longer than nothing")
    return value


def format_duration(value: timedelta) -> str:
    """The shortest whole form: timedelta(minutes=10) -> "10m"."""
    ms = round(value.total_seconds() * 1000)
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if ms and ms % size == 0:
            return f"{ms // size}{unit}"
    return f"{ms}ms"


def _name(value: Any) -> Any:
    if isinstance(value, str) and not NAME.match(value):
        raise ValueError("use a-z, 0-9, - and _ only, at most 64 characters")
    return value


Duration = Annotated[timedelta, BeforeValidator(parse_duration), PlainSerializer(format_duration)]
Name = Annotated[str, BeforeValidator(_name)]
Share = Annotated[float, Field(gt=0, lt=1)]


class Table(BaseModel):
    """A table of the file: closed and frozen."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False
    )


M = TypeVar("M", bound=Table)


def unsaid(table: M, **values: Any) -> M:
    """A copy with values that do not count as said: `model_fields_set` stays as it is."""
    made = table.model_copy(update=values)
    made.__pydantic_fields_set__.difference_update(values.keys() - table.model_fields_set)
    return made


def check_port(url: str) -> None:
    """Raises ValueError for a port that nobody can have."""
    try:
        known = urlsplit(url).port != 0
    except ValueError:
        known = False
    if not known:
        raise ValueError("its port must be a number from 1 to 65535")


def _zone(value: Any) -> Any:
    try:
        ZoneInfo(value or "UTC")
    except (LookupError, ValueError, OSError, TypeError):
        raise ValueError('no such time zone; write it like "Europe/Berlin"') from None
    return value


Zone = Annotated[str, BeforeValidator(_zone)]


class DetectorKind(StrEnum):
    FRESH = "fresh"
    NORMAL = "normal"
    CALM = "calm"
    EAGER = "eager"
    CONSECUTIVE = "consecutive"
    K_OF_N = "k_of_n"
    SHARE = "share"
    QUANTILE = "quantile"
    # Of other tools, for backtest and simulate alone.
    CONSECUTIVE_3 = "consecutive-3"
    FOR_5M = "for-5m"
    HALF_OF_MINUTE = "half-of-minute"
    BURN = "burn-14.4"


OTHER_TOOLS = frozenset(
    {
        DetectorKind.CONSECUTIVE_3,
        DetectorKind.FOR_5M,
        DetectorKind.HALF_OF_MINUTE,
        DetectorKind.BURN,
    }
)
