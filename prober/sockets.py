"""Where a Unix socket of a folder stands: their paths are short by law."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

LONGEST = 100


def socket_path(folder: Path, name: str) -> Path:
    """In the folder itself, or, for a deep one, under a short name in the runtime directory."""
    path = folder / name
    if len(str(path)) < LONGEST:
        return path
    runtime = os.environ.get("XDG_RUNTIME_DIR") or "/tmp"  # noqa: S108 -- the socket is 0600
    digest = hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:16]
    return Path(runtime) / f"prober-{digest}-{name}"
