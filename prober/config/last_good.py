"""The configuration in force, as the daemon keeps it beside its records.

A slip of the pen in prober.toml must not take the commands of an emergency away while the
daemon, which refused that file, runs on with the one before.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

from prober.config.loader import ConfigError, effective, load
from prober.config.paths import state_dir, write_whole
from prober.config.schema import Config, DaemonSettings

FILE = "in-force.toml"


def keep(folder: Path, config: Config) -> None:
    """Writes it for `kept`: references only, no secret. Raises OSError; the older one is gone then.

    It is whole or not there: a reader never finds half of it.
    """
    file = folder / FILE
    try:
        write_whole(file, effective(config))
    except OSError:
        file.unlink(missing_ok=True)  # none is better than one that is not in force
        raise


def kept(folder: Path, environment: Mapping[str, str] = os.environ) -> Config | None:
    """What the daemon of this state directory took last; None when it never ran, or was newer."""
    try:
        return load(folder / FILE, environment)
    except ConfigError:
        return None


def folder_of(path: Path, environment: Mapping[str, str] = os.environ) -> Path:
    """The state directory that a refused file means, as far as it can be read."""
    try:
        text = path.read_text("utf-8", "replace")
    except OSError:
        text = ""
    named = ""
    for line in text.splitlines():
        try:
            named = named or str(tomllib.loads(line).get("state_dir", ""))
        except tomllib.TOMLDecodeError:
            continue  # one line of several, or the very one the file is refused for
    try:
        return state_dir(Config(daemon=DaemonSettings(state_dir=named)), environment)
    except (RuntimeError, ValueError):
        return state_dir(Config(), environment)  # "~somebody" who is not there
