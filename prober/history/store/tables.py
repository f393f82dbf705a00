"""The tables, as migrations/ makes them. Times are seconds since the epoch, UTC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

from prober.sample import Limits, Sample

if TYPE_CHECKING:
    from switch.flag import Flip

metadata = MetaData()

# Daemons that keep one set of flags, and so one history. What it knows from before `sure_since`
# may be of others too: it was written before installations had ids.
installation = Table(
    "installation",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("created_at", Double, nullable=False),
    Column("sure_since", Double, nullable=False),
)


def _whose(**more: Any) -> Column[str]:
    return Column("installation_id", String(32), nullable=False, server_default="", **more)


sample = Table(
    "sample",
    metadata,
    _whose(),
    Column("id", String(32), primary_key=True),
    Column("provider", String(64), nullable=False),
    Column("vantage", String(64), nullable=False),
    Column("model", Text, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("outcome", String(32), nullable=False),
    Column("http_status", Integer),
    Column("dns_s", Double),
    Column("connect_s", Double),
    Column("tls_s", Double),
    Column("first_byte_s", Double),
    Column("first_event_s", Double),
    Column("first_reasoning_s", Double),
    Column("first_text_s", Double),
    Column("total_s", Double, nullable=False),
    Column("input_tokens", Integer),
    Column("output_tokens", Integer),
    Column("reasoning_tokens", Integer),
    Column("cached_tokens", Integer),
    Column("cost_usd", Double, nullable=False),
    Column("request_id", Text),
    Column("detail", Text, nullable=False),
    Column("base_rate", Boolean, nullable=False),
    Column("new_connection", Boolean, nullable=False),
    Column("limit_requests", BigInteger),
    Column("remaining_requests", BigInteger),
    Column("limit_tokens", BigInteger),
    Column("remaining_tokens", BigInteger),
    Column("retry_after_s", Double),
    Column("retried", Integer),
    Index("sample_by_provider", "provider", "started_at"),
    Index("sample_by_time", "started_at"),
)

# Everything that moved a flag's epoch. Seeds and repairs stand here too, by their `op`.
flip = Table(
    "flip",
    metadata,
    _whose(),
    Column("decision_id", String(64), primary_key=True),
    Column("route", String(64), nullable=False),
    Column("op", String(16), nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("parent", String(64), nullable=False),
    Column("from_provider", String(64), nullable=False),
    Column("to_provider", String(64), nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("evidence", JSON, nullable=False),
    # NULL from a vantage that does not know the column yet; read by `decode_origin`.
    Column("origin", String(16)),
    Index("flip_by_route", "route", "epoch"),
)

incident = Table(
    "incident",
    metadata,
    _whose(),
    Column("id", String(32), primary_key=True),
    Column("number", Integer, nullable=False),
    Column("route", String(64), nullable=False),
    Column("provider", String(64), nullable=False),
    Column("opened_at", Double, nullable=False),
    Column("breached_at", Double, nullable=False),
    Column("closed_at", Double),
    Column("objectives", Text, nullable=False),
    Column("summary", Text, nullable=False),
    Index("incident_by_time", "opened_at"),
)

# What happened in an incident, line by line; see prober.history.timeline.
incident_event = Table(
    "incident_event",
    metadata,
    _whose(),
    Column("id", String(32), primary_key=True),
    Column("incident_id", String(32), nullable=False),
    Column("at", Double, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("sentence", Text, nullable=False),
    Index("incident_event_by_incident", "incident_id", "at"),
)

pin = Table(
    "pin",
    metadata,
    _whose(),
    Column("decision_id", String(64), primary_key=True),
    Column("route", String(64), nullable=False),
    Column("provider", String(64), nullable=False),
    Column("owner", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("set_at", Double, nullable=False),
    Column("until", Double, nullable=False),
)

refusal = Table(
    "refusal",
    metadata,
    _whose(),
    Column("decision_id", String(64), primary_key=True),
    Column("route", String(64), nullable=False),
    Column("at", Double, nullable=False),
    Column("status", String(32), nullable=False),
    Column("wanted", String(64), nullable=False),
    Column("reason", Text, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    _whose(primary_key=True),
    Column("id", String(36), primary_key=True),
    Column("channel", String(64), nullable=False),
    Column("event", String(32), nullable=False),
    Column("route", String(64), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("severity", String(16), nullable=False),
    Column("title", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("vantage", String(64), nullable=False),
    Column("sent_at", Double),
    Index("outbox_unsent", "sent_at"),
)


def sample_row(sample: Sample) -> dict[str, Any]:
    phases, tokens, limits = sample.phases, sample.tokens, sample.limits or Limits()
    return {
        "id": sample.id,
        "provider": sample.provider,
        "vantage": sample.vantage,
        "model": sample.model,
        "started_at": sample.started_at,
        "outcome": sample.outcome.value,
        "http_status": sample.http_status,
        "dns_s": phases.dns_s,
        "connect_s": phases.connect_s,
        "tls_s": phases.tls_s,
        "first_byte_s": phases.first_byte_s,
        "first_event_s": phases.first_event_s,
        "first_reasoning_s": phases.first_reasoning_s,
        "first_text_s": phases.first_text_s,
        "total_s": phases.total_s,
        "input_tokens": tokens.input,
        "output_tokens": tokens.output,
        "reasoning_tokens": tokens.reasoning,
        "cached_tokens": tokens.cached,
        "cost_usd": sample.cost_usd,
        "request_id": sample.request_id,
        "detail": sample.detail,
        "base_rate": sample.base_rate,
        "new_connection": sample.new_connection,
        "limit_requests": limits.requests.limit,
        "remaining_requests": limits.requests.remaining,
        "limit_tokens": limits.tokens.limit,
        "remaining_tokens": limits.tokens.remaining,
        "retry_after_s": limits.retry_after_s,
        "retried": sample.retried,
    }


def flip_row(flip: Flip) -> dict[str, Any]:
    return {
        "decision_id": flip.decision_id,
        "route": flip.route,
        "op": flip.op.value,
        "epoch": flip.epoch,
        "parent": flip.parent,
        "from_provider": flip.from_provider,
        "to_provider": flip.to_provider,
        "reason": flip.reason,
        "actor": flip.actor,
        "origin": flip.origin.value,
        "at": flip.at_ms / 1000,
        "evidence": {**flip.evidence, "pin_cleared": True}
        if flip.pin_cleared
        else {**flip.evidence},
    }


def pin_row(flip: Flip) -> dict[str, Any]:
    """The pin that a flip set."""
    assert flip.pin is not None
    return {
        "decision_id": flip.decision_id,
        "route": flip.route,
        "provider": flip.pin.provider,
        "owner": flip.pin.owner,
        "reason": flip.pin.reason,
        "set_at": flip.at_ms / 1000,
        "until": flip.pin.until_ms / 1000,
    }
