"""Flips as records: the journal's and SQL's form of what the flag went through. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prober.history.store.tables import flip_row, pin_row
from prober.history.store.writer import Row
from switch.flag import Flip, Op, Pin, decode_origin


def to_record(flip: Flip) -> dict[str, Any]:
    pin = flip.pin
    return {
        "route": flip.route,
        "op": flip.op.value,
        "epoch": flip.epoch,
        "decision_id": flip.decision_id,
        "parent": flip.parent,
        "from": flip.from_provider,
        "to": flip.to_provider,
        "reason": flip.reason,
        "actor": flip.actor,
        "at_ms": flip.at_ms,
        "evidence": dict(flip.evidence),
        "pin": [pin.provider, pin.owner, pin.reason, pin.until_ms] if pin else None,
        "pin_cleared": flip.pin_cleared,
        "origin": flip.origin.value,
    }


def from_record(record: Mapping[str, Any]) -> Flip:
    pin, op = record["pin"], Op(record["op"])
    return Flip(
        route=record["route"],
        op=op,
        epoch=record["epoch"],
        decision_id=record["decision_id"],
        parent=record["parent"],
        from_provider=record["from"],
        to_provider=record["to"],
        reason=record["reason"],
        actor=record["actor"],
        at_ms=record["at_ms"],
        evidence=record["evidence"],
        pin=Pin(pin[0], pin[1], pin[2], pin[3], record["epoch"]) if pin else None,
        pin_cleared=record["pin_cleared"],
        origin=decode_origin(record.get("origin"), record["actor"], op),
    )


def rows(flip: Flip) -> list[Row]:
    """What SQL keeps of it; writing it twice is harmless."""
    kept = [Row("flip", flip_row(flip))]
    if flip.pin is not None:
        kept.append(Row("pin", pin_row(flip)))
    return kept
