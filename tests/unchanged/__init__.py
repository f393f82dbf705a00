"""What must stay, byte by byte, whatever the code inside is called.

`python -m tests.unchanged.record` writes it down anew: only where a difference is meant.
"""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).parents[1]
