"""Local stand-ins for the LLM providers, with faults on demand.

One port serves every API on its true paths, and again below `/{api}` (for two APIs that share a
path). Independent of `prober.providers` on purpose: each side checks the other.
"""

from __future__ import annotations

from prober.emulator.faults import Fault, Faults, FaultsError
from prober.emulator.server import Emulator, base_url, run, running, started
from prober.emulator.traffic import Summary, Traffic

__all__ = [
    "Emulator",
    "Fault",
    "Faults",
    "FaultsError",
    "Summary",
    "Traffic",
    "base_url",
    "run",
    "running",
    "started",
]
