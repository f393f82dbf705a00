"""What people are told of: one Event, whatever channel carries it. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

_NAMESPACE = uuid.UUID("5c0f4b0e-5f0a-4f0e-9b64-70726f626572")


class Severity(StrEnum):
    """How loud: `page` wants somebody now, `warning` soon, `info` never."""

    PAGE = "page"
    WARNING = "warning"
    INFO = "info"


MARKS = {Severity.PAGE: "🔴", Severity.WARNING: "🟠", Severity.INFO: "🟢"}


@dataclass(frozen=True, slots=True)
class AlertEvent:
    """One thing that happened.

    Attributes:
        key: the same for the same happening (a decision_id, an incident): sent once.
        kind: a name that [[alert]].events can list.
        title, body: Markdown; secrets never get this far.
        incident: the number of the incident it belongs to, if any.
    """

    key: str
    kind: str
    route: str
    severity: Severity
    title: str
    body: str
    at: float
    incident: int | None = None

    @property
    def headline(self) -> str:
        return f"{MARKS[self.severity]} {self.title}"


@dataclass(frozen=True, slots=True)
class Letter:
    """One event for one channel: what the outbox holds."""

    id: str
    channel: str
    event: AlertEvent


def letter(event: AlertEvent, channel: str) -> Letter:
    """The id is the same whenever and wherever the same event meets the same channel."""
    return Letter(
        str(uuid.uuid5(_NAMESPACE, f"{event.kind}/{event.key}/{channel}")), channel, event
    )


def to_record(item: Letter) -> dict[str, Any]:
    event = item.event
    return {
        "id": item.id,
        "channel": item.channel,
        "event": event.kind,
        "key": event.key,
        "route": event.route,
        "severity": event.severity.value,
        "title": event.title,
        "body": event.body,
        "created_at": event.at,
        "incident": event.incident,
    }


def from_record(record: Mapping[str, Any]) -> Letter:
    """Raises KeyError or ValueError for what is no letter."""
    event = AlertEvent(
        key=record.get("key", record["id"]),
        kind=record["event"],
        route=record["route"],
        severity=Severity(record["severity"]),
        title=record["title"],
        body=record["body"],
        at=record["created_at"],
        incident=record.get("incident"),
    )
    return Letter(record["id"], record["channel"], event)
