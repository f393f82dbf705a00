"""The demo, as a person runs it: the real daemon, and nothing scripted but the faults."""

from __future__ import annotations

import json
import subprocess
import sys


def test_the_demo_flips_tells_and_fails_back() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "prober", "demo", "--json"],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert said.returncode == 0, said.stderr[-3000:]
    figures = json.loads(said.stdout)
    assert figures["failed_back"] is True
    assert figures["alerts_delivered"] >= 3
    assert figures["app_failed_before_flip"] > 0
    assert figures["app_failed_after_flip"] == 0
    assert 0 < figures["detected_s"] <= figures["flipped_s"]
    assert figures["reader_ms"] is not None
    assert figures["app_requests"] > 100
