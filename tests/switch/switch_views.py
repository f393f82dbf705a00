"""Views to decide on: "a" serves, "b" and "c" could take over."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from switch.control.target import Policy, ProviderView, View
from switch.flag import Flag, Flip, Health, Mode, Op, Pin, decode_origin

NOW = 1_700_000_000_000
HOUR = 3_600_000
MINUTE = 60_000

POLICY = Policy(
    flip_on=frozenset({"availability", "ttft", "quota_exhausted", "auth", "model_not_found"})
)
FAILED = "9 of 24 canaries failed in 61 s (overloaded)"
PROOF = "4 of 4, slowest first text 0.9 s"


def provider(name: str, health: Health = Health.OK, **said: Any) -> ProviderView:
    return ProviderView(name, health, **said)


def proven(name: str, **said: Any) -> ProviderView:
    return provider(name, **({"proven": True, "proof": PROOF, "good_in_a_row": 4} | said))


def bad(name: str, *kinds: str, **said: Any) -> ProviderView:
    kinds = kinds or ("availability",)
    return provider(name, Health.BREACHED, why=FAILED, breached=frozenset(kinds), **said)


def flag(name: str = "a", **said: Any) -> Flag:
    return replace(Flag("chat", name, 100, "d1", actor="prober", changed_at=NOW - HOUR), **said)


def pin(name: str, **said: Any) -> Pin:
    return replace(Pin(name, "ada", "maintenance", NOW + 10 * MINUTE), **said)


def view(*providers: ProviderView, primary: str | None = "a", **said: Any) -> View:
    known = flag(primary) if primary else None
    return View(**({"route": "chat", "now_ms": NOW, "mode": Mode.AUTO, "providers": providers,
                    "flag": known} | said))  # fmt: skip


def flipped(at_ms: int, left: str = "a", to: str = "b", op: Op = Op.AUTO) -> Flip:
    return Flip("chat", op, at_ms, f"d{at_ms}", "", left, to, "", "prober", at_ms,
                origin=decode_origin(None, "", op))  # fmt: skip
