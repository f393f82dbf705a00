"""A provider's list of models: is ours still there, and until when? Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from prober.providers.events import Endpoint, HttpRequest, object_of, parse_json, text_of


@dataclass(frozen=True, slots=True)
class Listing:
    """What the catalogue says of one model.

    Attributes:
        found: it is there; None: the answer could not be read.
        deprecated: on its way out, whether or not a date is known.
        retires: the day on which it stops answering.
    """

    found: bool | None
    deprecated: bool = False
    retires: date | None = None

    @property
    def well(self) -> bool:
        return self.found is not False and not self.deprecated and self.retires is None

    def sentence(self, model: str) -> str:
        """ "claude-x is deprecated and retires on 2027-01-31"; empty when all is well."""
        if self.found is False:
            return f"{model} is not in the provider's list of models"
        if self.retires is not None:
            word = "is deprecated and retires" if self.deprecated else "retires"
            return f"{model} {word} on {self.retires.isoformat()}"
        return f"{model} is deprecated; no date of retirement is given" if self.deprecated else ""


UNREADABLE = Listing(None)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """How an API is asked for its models.

    Attributes:
        build: the HTTP request.
        read: (the body of a 200 answer, the model) -> what it says.
        single: the request names the model, so that a 404 means it is gone.
    """

    build: Callable[[Endpoint], HttpRequest]
    read: Callable[[bytes, str], Listing]
    single: bool = False

    def listing(self, status: int, body: bytes, model: str) -> Listing:
        if status == 404 and self.single:
            return Listing(False)
        return self.read(body, model) if status == 200 else UNREADABLE


def find(
    body: bytes, key: str, model: str, names: Iterable[str] = ("id",)
) -> dict[str, Any] | None:
    """The row of `model` in the list under `key`; {} when it is missing, None without a list.

    Any of `names` may hold it, alone or in a list.
    """
    rows = object_of(parse_json(body)).get(key)
    if not isinstance(rows, list):
        return None
    wanted = list(names)
    for row in rows:
        row = object_of(row)
        values = [row.get(name) for name in wanted]
        if any(model in value if isinstance(value, list) else value == model for value in values):
            return row
    return {}


def day_of(value: Any) -> date | None:
    """The day in an RFC 3339 date or time, or in seconds since the epoch; else None."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC).date()
        return date.fromisoformat(text_of(value)[:10])
    except (ValueError, OverflowError, OSError):
        return None
