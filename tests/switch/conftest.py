"""What the tests of switch/ share."""

from __future__ import annotations

import sys
from pathlib import Path

# The helper modules beside this file; pytest's importlib mode does not add their folder.
sys.path.append(str(Path(__file__).parent))
