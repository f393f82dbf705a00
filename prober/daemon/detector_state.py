"""What detectors know, across a restart: believed whole only on the same boot and soon after."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prober.config.paths import write_whole

if TYPE_CHECKING:
    from prober.failover.route_state import RouteState

MAX_GAP_S = 45.0
VERSION = 1

Saved = dict[str, Any]


def boot_id() -> str:
    """Of this boot of the machine; monotonic times mean nothing on another one."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def dump(states: Iterable[RouteState], now_s: float) -> Saved:
    """What is worth keeping, as plain values."""
    return {
        "version": VERSION,
        "now_s": now_s,
        "routes": {
            state.name: {name: tracker.dump() for name, tracker in state.trackers.items()}
            for state in states
        },
    }


def save(path: Path, saved: Saved) -> None:
    """Blocks; raises OSError."""
    write_whole(path, json.dumps({**saved, "boot": boot_id()}))


def read(path: Path) -> Saved:
    """What `save` wrote; empty when there is nothing to believe. Blocks."""
    try:
        decoded = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    here = boot_id()
    whole = isinstance(decoded, dict) and decoded.get("version") == VERSION
    return {**decoded, "same_boot": bool(here) and decoded.get("boot") == here} if whole else {}


def load(saved: Saved, states: Iterable[RouteState], now_s: float) -> bool:
    """Gives the trackers back what they knew; True when it was fresh enough to be evidence."""
    states = list(states)
    clean = [(tracker, tracker.dump()) for state in states for tracker in state.trackers.values()]
    try:
        fresh = bool(saved["same_boot"]) and 0 <= now_s - saved["now_s"] <= MAX_GAP_S
        for state in states:
            for name, tracker in state.trackers.items():
                known = saved["routes"].get(state.name, {}).get(name)
                if known is not None:
                    tracker.load(known, fresh=fresh)
    except (ValueError, KeyError, TypeError, AttributeError):
        for tracker, nothing in clean:
            tracker.load(nothing, fresh=True)
        return False  # a clean start is always safe, half a one is not
    return fresh
