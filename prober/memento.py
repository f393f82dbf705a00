"""What detectors know, across a restart: believed whole only on the same boot and soon after."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from prober.route import RouteState

MAX_GAP_S = 45.0
VERSION = 1


def boot_id() -> str:
    """Of this boot of the machine; monotonic times mean nothing on another one."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def dump(states: Iterable[RouteState], now_s: float) -> str:
    return json.dumps(
        {
            "version": VERSION,
            "boot": boot_id(),
            "now_s": now_s,
            "routes": {
                state.name: {name: tracker.dump() for name, tracker in state.trackers.items()}
                for state in states
            },
        }
    )


def save(path: Path, text: str) -> None:
    """Raises OSError."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text, "utf-8")
    fresh.replace(path)


def load(path: Path, states: Iterable[RouteState], now_s: float) -> bool:
    """Gives the trackers back what they knew; True when it was fresh enough to be evidence."""
    try:
        said: dict[str, Any] = json.loads(path.read_text("utf-8"))
        fresh = (
            said["version"] == VERSION
            and bool(said["boot"])
            and said["boot"] == boot_id()
            and 0 <= now_s - said["now_s"] <= MAX_GAP_S
        )
        for state in states:
            for name, tracker in state.trackers.items():
                saved = said["routes"].get(state.name, {}).get(name)
                if saved is not None:
                    tracker.load(saved, fresh=fresh)
    except (OSError, ValueError, KeyError, TypeError):
        return False  # a clean start is always safe
    return fresh
