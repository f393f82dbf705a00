"""Local stand-ins for the LLM providers, with faults on demand.

One port serves every API on its true paths, and again below `/{api}` (for two APIs that share a
path). Independent of `prober.providers` on purpose: each side checks the other.
"""

from __future__ import annotations

from prober.emulator.faults import Faults, FaultsError, InjectedFault
from prober.emulator.server import Emulator, base_url, run, running, started
from prober.emulator.traffic import RequestCounts, Summary

__all__ = [
    "Emulator",
    "Faults",
    "FaultsError",
    "InjectedFault",
    "RequestCounts",
    "Summary",
    "base_url",
    "run",
    "running",
    "started",
]
