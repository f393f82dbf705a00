"""An application that reads the flag pays for redis and for nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import switch

# redis-py needs these on some versions of Python.
MAY_NEED = ("async_timeout", "typing_extensions", "jwt")

PROGRAM = """
import json, sys
sys.path.insert(0, sys.argv[1])
import switch, switch.flag, switch.control.decide, switch.cached_flag
from switch import AsyncFlagReader, Candidate, FlagReader, FlagView, Reading, Source
early = "redis" in sys.modules
from switch import AsyncReader, NotReadyError, Reader, UnknownRouteError
with Reader("unix:///nowhere/at/all", {"chat": "a"}, poll_s=0.01) as reader:
    served = reader.primary("chat")
from switch.testing import FakeReader
from switch.control.writer import FlagWriter
from switch.control.lease import Lease
tops = sorted({name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names)
print(json.dumps([early, served, tops]))
"""


def test_a_reader_needs_redis_and_nothing_else(tmp_path: Path) -> None:
    for name in ("redis", "switch", *MAY_NEED):
        spec = find_spec(name)
        if spec is not None and spec.origin is not None:
            origin = Path(spec.origin)
            source = origin.parent if origin.name == "__init__.py" else origin
            (tmp_path / source.name).symlink_to(source)
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-W", "error", "-c", PROGRAM, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    early, served, tops = json.loads(done.stdout)
    assert served == "a"
    assert not early, "the pure parts must not load a Redis client"
    assert set(tops) - set(MAY_NEED) <= {"redis", "switch", "__main__"}
    assert "prober" not in tops


def test_every_public_name_is_there() -> None:
    assert all(getattr(switch, name) is not None for name in switch.__all__)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'switch' has no attribute 'Writer'"):
        _ = switch.Writer
