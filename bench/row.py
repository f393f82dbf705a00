"""One line of the table, and the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table


class SkippedError(Exception):
    """A measurement that cannot be made here; the message is one line that says why."""


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured beside its baseline, in the same unit and the same run.

    Attributes:
        against: what the baseline is.
        limit: the highest ratio that reaches the target; None: no target, for orientation.
    """

    name: str
    against: str
    unit: str
    ours: float
    baseline: float
    limit: float | None = None

    @property
    def ratio(self) -> float:
        return self.ours / self.baseline

    @property
    def verdict(self) -> str:
        if self.limit is None:
            return ""
        return "reached" if self.ratio <= self.limit else "missed"

    def plain(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "against": self.against,
            "unit": self.unit,
            "ours": self.ours,
            "baseline": self.baseline,
            "ratio": self.ratio,
            "target": self.limit,
            "verdict": self.verdict or None,
        }


def table(rows: Sequence[Row]) -> Table:
    made = Table(box=None, pad_edge=False)
    for heading in ("measured", "against"):
        made.add_column(heading)
    for heading in ("ours", "baseline", "ratio", "target"):
        made.add_column(heading, justify="right", no_wrap=True)
    made.add_column("verdict")
    for row in rows:
        colour = "green" if row.verdict == "reached" else "red"
        made.add_row(
            row.name,
            row.against,
            f"{_figure(row.ours)} {row.unit}",
            f"{_figure(row.baseline)} {row.unit}",
            _ratio(row.ratio),
            "" if row.limit is None else f"≤ {_ratio(row.limit)}",
            f"[{colour}]{row.verdict}[/]" if row.verdict else "",
        )
    return made


def _figure(value: float) -> str:
    """Three digits that count: 0.834, 1.31, 50.9, 85400."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:#.3g}"


def _ratio(value: float) -> str:
    return f"{value:.4g}" if value >= 0.1 else f"1/{1 / value:.0f}"
