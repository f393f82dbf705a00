"""`python -m bench`: all measurements, or those named; `--json` for a program to read."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable

from rich.console import Console

from bench import (
    adapters,
    blackbox,
    fan_out,
    first_text,
    flag_read,
    gateway,
    probe_cpu,
    report_cost,
    report_intake,
)
from bench.row import Row, SkippedError, table

MEASUREMENTS: dict[str, Callable[[], list[Row]]] = {
    "probe_cpu": probe_cpu.measure,
    "adapters": adapters.measure,
    "blackbox": blackbox.measure,
    "first_text": first_text.measure,
    "flag_read": flag_read.measure,
    "gateway": gateway.measure,
    "report_cost": report_cost.measure,
    "report_intake": report_intake.measure,
    "fan_out": fan_out.measure,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("name", nargs="*", help=f"which: {', '.join(MEASUREMENTS)}; else all")
    parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON")
    asked = parser.parse_args()
    if unknown := [name for name in asked.name if name not in MEASUREMENTS]:
        parser.error(f"no measurement {unknown[0]!r}; there are: {', '.join(MEASUREMENTS)}")
    # Everything is on loopback; a proxy would be measured instead.
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"

    rows: list[Row] = []
    skipped: dict[str, str] = {}
    with Console(stderr=True).status("") as status:
        for name in asked.name or MEASUREMENTS:
            status.update(f"measuring {name}")
            try:
                rows += MEASUREMENTS[name]()
            except SkippedError as skip:
                skipped[name] = str(skip)
    if asked.as_json:
        print(json.dumps({"rows": [row.plain() for row in rows], "skipped": skipped}, indent=2))
        return
    out = Console()
    # A pipe has no width; do not fold the table for it.
    out.width = max(out.width, 100)
    out.print(table(rows))
    for name, reason in skipped.items():
        out.print(f"{name} skipped: {reason}", markup=False)


if __name__ == "__main__":
    main()
