"""What must stay, byte by byte, whatever the code inside is called.

`python -m tests.unchanged.record` writes it down anew: only where a difference is meant.
"""

from __future__ import annotations

import sys
from pathlib import Path

# The helper modules of other tests; pytest's importlib mode does not add their folders.
TESTS = Path(__file__).parents[1]
sys.path += [str(TESTS), str(TESTS / "prober"), str(TESTS / "faults")]
