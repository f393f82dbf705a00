"""The flag and what stands beside it in Redis: values, key names, encoding. Pure.

Every time is milliseconds since the epoch by Redis TIME, which all parties share.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

NAME = re.compile(r"[a-z0-9_-]{1,64}\Z")
_DIGITS = re.compile(r"[0-9]{1,16}\Z")
DEFAULT_NAMESPACE = "prober"


class Health(StrEnum):
    """A provider's state in a route."""

    OK = "ok"
    SUSPECT = "suspect"
    BREACHED = "breached"
    RECOVERING = "recovering"
    UNKNOWN = "unknown"
    INELIGIBLE = "ineligible"


class Mode(StrEnum):
    OBSERVE = "observe"
    PROPOSE = "propose"
    AUTO = "auto"


class Op(StrEnum):
    """What one call of the flip script is. Seeds and repairs are no flips."""

    AUTO = "auto"
    MANUAL = "manual"
    SEED = "seed"
    REPAIR = "repair"


class Origin(StrEnum):
    """Where a change of the flag came from; `actor` is only the name it is signed with."""

    AUTOMATIC = "automatic"
    OPERATOR = "operator"
    BREAK_GLASS = "break-glass"
    DRILL = "drill"
    REPAIR = "repair"
    SEED = "seed"

    @property
    def by_daemon(self) -> bool:
        """No person asked for it."""
        return self in (Origin.AUTOMATIC, Origin.REPAIR, Origin.SEED)


ORIGIN_OF_OP = {Op.AUTO: Origin.AUTOMATIC, Op.SEED: Origin.SEED, Op.REPAIR: Origin.REPAIR}


def decode_origin(written: str | None, actor: str, op: Op | None = None) -> Origin:
    """The origin as it was written; `op` None: a `state` hash, which has none.

    Records from before the field are told apart by op and signature here, and nowhere else.
    """
    with suppress(ValueError):
        return Origin(written or "")
    if op in ORIGIN_OF_OP:
        return ORIGIN_OF_OP[op]
    if actor == "break-glass":
        return Origin.BREAK_GLASS
    if actor.startswith("drill of "):
        return Origin.DRILL
    if op is None and actor.startswith("prober@"):
        return Origin.AUTOMATIC
    return Origin.OPERATOR


class MalformedFlagError(ValueError):
    """Redis holds something under a flag's key that this contract does not know."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The Redis keys of one route. The literal braces keep them in one Cluster slot."""

    route: str
    namespace: str = DEFAULT_NAMESPACE

    def __post_init__(self) -> None:
        for what, name in (("route", self.route), ("namespace", self.namespace)):
            if not NAME.match(name):
                raise ValueError(f"{what} {name!r}: use a-z, 0-9, - and _ only, at most 64")

    def _key(self, last: str) -> str:
        return f"{self.namespace}:{{{self.route}}}:{last}"

    @property
    def primary(self) -> str:
        return self._key("primary")

    @property
    def state(self) -> str:
        return self._key("state")

    @property
    def pin(self) -> str:
        return self._key("pin")

    @property
    def candidates(self) -> str:
        return self._key("candidates")

    @property
    def events(self) -> str:
        return self._key("events")

    @property
    def changed(self) -> str:
        return self._key("changed")

    @property
    def lease(self) -> str:
        return self._key("lease")

    @property
    def votes(self) -> str:
        return self._key("votes")

    @property
    def reports(self) -> str:
        return self._key("reports")

    @property
    def installation(self) -> str:
        return installation_key(self.namespace)


def installation_key(namespace: str) -> str:
    """Whose flags these are: one key for all routes of a namespace."""
    return f"{namespace}:installation"


@dataclass(frozen=True, slots=True)
class Flag:
    """The route's current primary: the `state` hash, decoded.

    Attributes:
        parent: decision_id of the flag before this one; empty for the first.
        previous: the provider before; empty for the first.
        origin: where the last change came from; unless it says so, people: their flag stays.
        frozen_until: no failback and no latency flip before that time; 0: not frozen.
    """

    route: str
    provider: str
    epoch: int
    decision_id: str
    parent: str = ""
    previous: str = ""
    reason: str = ""
    actor: str = ""
    changed_at: int = 0
    checked_at: int = 0
    mode: Mode = Mode.AUTO
    frozen_until: int = 0
    origin: Origin = Origin.OPERATOR


@dataclass(frozen=True, slots=True)
class Pin:
    """An operator's hold on a flag. Its end is judged by Redis TIME."""

    provider: str
    owner: str
    reason: str
    until_ms: int
    epoch: int = 0

    def live(self, now_ms: int) -> bool:
        return now_ms < self.until_ms


@dataclass(frozen=True, slots=True)
class Flip:
    """One change of the flag, as the stream `events` keeps it."""

    route: str
    op: Op
    epoch: int
    decision_id: str
    parent: str
    from_provider: str
    to_provider: str
    reason: str
    actor: str
    at_ms: int
    evidence: Mapping[str, Any] = field(default_factory=dict)
    pin: Pin | None = None
    pin_cleared: bool = False
    origin: Origin = field(kw_only=True)

    @property
    def moved(self) -> bool:
        """True when the provider changed: a pin on the present primary moves nothing."""
        return self.from_provider != self.to_provider

    @property
    def automatic(self) -> bool:
        return self.op is Op.AUTO and self.moved

    @property
    def kind(self) -> str:
        """Of a decision's flips: "failover", "last_resort", "failback", "planned" or "pin"."""
        return str(self.evidence.get("kind") or "")


@dataclass(frozen=True, slots=True)
class Candidate:
    """What applications may know of a provider. Never a secret.

    Attributes:
        order: its place in the route's list, from 0; a Redis hash keeps none.
    """

    name: str
    api: str
    vendor: str
    model: str
    base_url: str
    residency: tuple[str, ...] = ()
    eligible: bool = True
    why_not: str = ""
    order: int = 0


def decode_flag(route: str, state: Mapping[str, str]) -> Flag | None:
    """The flag in a `state` hash; None for an empty one. Raises MalformedFlagError."""
    if not state.get("epoch"):
        return None
    try:
        flag = Flag(
            route=route,
            provider=state["provider"],
            epoch=_epoch(state["epoch"]),
            decision_id=state["decision_id"],
            parent=state.get("parent", ""),
            previous=state.get("previous", ""),
            reason=state.get("reason", ""),
            actor=state.get("actor", ""),
            changed_at=int(state.get("changed_at") or 0),
            checked_at=int(state.get("checked_at") or 0),
            mode=Mode(state.get("mode") or Mode.AUTO),
            frozen_until=int(state.get("frozen") or 0),
            origin=decode_origin(state.get("origin"), state.get("actor", "")),
        )
    except (KeyError, ValueError) as error:
        raise MalformedFlagError(f"state of route {route!r} cannot be read: {error}") from error
    if not NAME.match(flag.provider):
        raise MalformedFlagError(f"state of route {route!r} names provider {flag.provider!r}")
    return flag


def _epoch(text: str) -> int:
    """Digits and nothing else, as every client reads it: int() would take "+1" and "1_0" too."""
    if not _DIGITS.match(text):
        raise ValueError(f"epoch {text!r}")
    return int(text)


def decode_pin(pin: Mapping[str, str]) -> Pin | None:
    """The pin in a `pin` hash; None for an empty or unreadable one."""
    try:
        return Pin(
            provider=pin["provider"],
            owner=pin.get("owner", ""),
            reason=pin.get("reason", ""),
            until_ms=int(pin["until_ms"]),
            epoch=int(pin.get("epoch") or 0),
        )
    except (KeyError, ValueError):
        return None


def decode_flip(route: str, entry: Mapping[str, str]) -> Flip:
    """One entry of the stream `events`. Raises MalformedFlagError."""
    try:
        pin = None
        if entry.get("pin") == "set":
            pin = Pin(
                provider=entry["to"],
                owner=entry.get("pin_owner", ""),
                reason=entry.get("pin_reason", ""),
                until_ms=int(entry["pin_until_ms"]),
                epoch=int(entry["epoch"]),
            )
        op = Op(entry["op"])
        return Flip(
            route=route,
            op=op,
            epoch=int(entry["epoch"]),
            decision_id=entry["decision_id"],
            parent=entry.get("parent", ""),
            from_provider=entry.get("from", ""),
            to_provider=entry["to"],
            reason=entry.get("reason", ""),
            actor=entry.get("actor", ""),
            at_ms=int(entry["at_ms"]),
            evidence=_object(entry.get("evidence", "")),
            pin=pin,
            pin_cleared=entry.get("pin") == "clear",
            origin=decode_origin(entry.get("origin"), entry.get("actor", ""), op),
        )
    except (KeyError, ValueError) as error:
        raise MalformedFlagError(f"an event of route {route!r} cannot be read: {error}") from error


def encode_candidate(candidate: Candidate) -> str:
    return json.dumps(
        {
            "api": candidate.api,
            "vendor": candidate.vendor,
            "model": candidate.model,
            "base_url": candidate.base_url,
            "residency": list(candidate.residency),
            "eligible": candidate.eligible,
            "why_not": candidate.why_not,
            "order": candidate.order,
        },
        separators=(",", ":"),
    )


def decode_candidate(name: str, text: str) -> Candidate | None:
    """One field of the `candidates` hash; None when it cannot be read."""
    fields = _object(text)
    if not isinstance(fields.get("eligible"), bool):
        return None
    try:
        return Candidate(
            name=name,
            api=str(fields["api"]),
            vendor=str(fields["vendor"]),
            model=str(fields["model"]),
            base_url=str(fields["base_url"]),
            residency=tuple(str(place) for place in fields["residency"]),
            eligible=fields["eligible"],
            why_not=str(fields["why_not"]),
            order=int(fields.get("order", 0)),
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def decode_candidates(texts: Mapping[str, str]) -> tuple[Candidate, ...]:
    """The `candidates` hash in the route's order, without what cannot be read."""
    read = (decode_candidate(name, text) for name, text in texts.items() if NAME.match(name))
    return tuple(sorted((c for c in read if c), key=lambda c: (c.order, c.name)))


def decode_changed(message: str) -> tuple[str, int, str] | None:
    """(provider, epoch, decision_id) of a message on `changed`; None when forged or torn."""
    fields = _object(message)
    provider, epoch, decision_id = (fields.get(k) for k in ("provider", "epoch", "decision_id"))
    if not isinstance(provider, str) or not NAME.match(provider):
        return None
    if not isinstance(epoch, int) or isinstance(epoch, bool) or not isinstance(decision_id, str):
        return None
    return provider, epoch, decision_id


def _object(text: str) -> dict[str, Any]:
    try:
        decoded = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return decoded if isinstance(decoded, dict) else {}


def say_duration(seconds: float) -> str:
    """A duration for people: "25 ms", "0.9 s", "61 s", "10 min", "3 h", "2 d"."""
    if 0 < seconds < 0.095:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    if seconds < 172_800:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / 86_400:.0f} d"
