"""Where an installation's files stand on this host."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prober.config.schema import Config

# Where deploy/prober.service keeps its state.
SERVICE_STATE = Path("/var/lib/prober")
# Of a path to a Unix socket; the kernel takes no longer one.
LONGEST = 100


def state_dir(config: Config, environment: Mapping[str, str] = os.environ) -> Path:
    """Where this host's records stand: systemd's STATE_DIRECTORY, the configuration, or XDG."""
    if config.daemon.state_dir:
        return Path(config.daemon.state_dir).expanduser().absolute()
    if systemd := environment.get("STATE_DIRECTORY"):
        return Path(systemd.split(":")[0])
    if os.access(SERVICE_STATE, os.W_OK):
        return SERVICE_STATE  # the service's own user, or root, at a shell
    base = environment.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "prober"


def socket_path(folder: Path, name: str) -> Path:
    """In the folder itself, or, for a deep one, under a short name in the runtime directory."""
    path = folder / name
    if len(str(path)) < LONGEST:
        return path
    runtime = os.environ.get("XDG_RUNTIME_DIR") or "/tmp"  # noqa: S108 -- the socket is 0600
    digest = hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:16]
    return Path(runtime) / f"prober-{digest}-{name}"


def write_whole(path: Path, content: str | bytes) -> None:
    """Replaces a file in one step, for its owner's eyes, on disk when it returns.

    Whoever reads it, after a crash too, finds the old content or the new one. Blocks.
    Raises OSError.
    """
    fresh = path.with_name(f"{path.name}.new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    # A new name is on disk only once its folder is.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
