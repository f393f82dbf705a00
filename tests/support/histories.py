"""Recorded canaries, made up: a daemon's paces over providers whose failures are known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from sqlalchemy import Engine, insert

from prober.history.store import tables
from prober.sample import Outcome, Phases, Sample, Tokens

# A Thursday, on a boundary of five minutes.
AT = 1_767_225_600.0
BASE_S, FAST_S, FAST_FOR_S = 30.0, 3.0, 90.0

Fails = Callable[[str, float, float], bool]
"""(provider, seconds since AT, chance from 0 to 1) -> whether that canary fails."""

CONFIG = """
[daemon]
state_dir = "{folder}"

[database]
url = "{url}"

[[provider]]
name = "a"
api = "anthropic"
model = "m"
failure_domains = ["a"]

[[provider]]
name = "b"
api = "openai"
model = "m"
failure_domains = ["b"]

[[route]]
name = "chat"
candidates = ["a", "b"]
"""


def canaries(
    length_s: float,
    fails: Fails,
    *,
    providers: str = "ab",
    seed: int = 1,
    vantage: str = "local",
    outcome: Outcome = Outcome.OVERLOADED,
    fast: bool = True,
) -> list[Sample]:
    """Every 30 s each; every 3 s for a while after a failure; in the order of their starts."""
    return sorted(
        (s for name in providers for s in _of(name, length_s, fails, seed, vantage, outcome, fast)),
        key=lambda sample: sample.started_at,
    )


def _of(
    name: str, length_s: float, fails: Fails, seed: int, vantage: str, outcome: Outcome, fast: bool
) -> Iterator[Sample]:
    chance = Random(f"{seed} {name}")
    at_s, base_s, fast_until_s = 1.0 + "abc".index(name), -BASE_S, 0.0
    while at_s < length_s:
        bad = fails(name, at_s, chance.random())
        base_rate = at_s - base_s >= BASE_S
        base_s = at_s if base_rate else base_s
        text_s = 0.5 + 0.2 * chance.random()
        yield Sample(
            id=f"{vantage}-{name}-{at_s:.0f}",
            provider=name,
            vantage=vantage,
            model="m",
            started_at=AT + at_s,
            started_s=at_s,
            outcome=outcome if bad else Outcome.OK,
            phases=Phases(
                first_byte_s=0.2, first_text_s=None if bad else text_s, total_s=text_s + 0.3
            ),
            tokens=Tokens(input=30, output=8),
            base_rate=base_rate,
            detail="HTTP 529" if bad else "",
        )
        if bad and fast:
            fast_until_s = at_s + FAST_FOR_S
        at_s += FAST_S if at_s < fast_until_s else BASE_S


def keep(engine: Engine, samples: list[Sample]) -> None:
    with engine.begin() as connection:
        for start in range(0, len(samples), 5_000):
            part = samples[start : start + 5_000]
            connection.execute(insert(tables.sample), [tables.sample_row(s) for s in part])


def configuration(folder: Path, url: str, more: str = "") -> str:
    return CONFIG.format(folder=folder, url=url) + more
