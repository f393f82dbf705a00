"""The clients of other languages, by their own test runners, against one contract."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.servers import Valkey

CLIENTS = Path(__file__).parent.parent.parent / "clients"


def run(valkey: Valkey, folder: str, command: Sequence[str], **env: str) -> str:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    said = subprocess.run(
        command,
        cwd=CLIENTS / folder,
        env=os.environ | {"PROBER_TEST_SOCKET": str(valkey.socket)} | env,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert said.returncode == 0, said.stdout + said.stderr
    return said.stdout


def test_the_node_client_keeps_the_contract(valkey: Valkey) -> None:
    said = run(valkey, "node", ["node", "--test", "--test-reporter=tap"])
    assert "ok" in said
    assert "# fail 0" in said
    assert "a flag is read and heard on a real server # SKIP" not in said


def test_the_go_client_keeps_the_contract(valkey: Valkey, tmp_path: Path) -> None:
    # Its standard library is all it needs: no module is fetched.
    said = run(
        valkey, "go", ["go", "test", "-count=1", "-v", "./..."], GOFLAGS="-mod=mod", GOPROXY="off"
    )
    assert "--- PASS: TestAFlagIsReadAndHeardOnARealServer" in said
    assert "--- FAIL" not in said
    assert run(valkey, "go", ["go", "vet", "./..."], GOFLAGS="-mod=mod", GOPROXY="off") == ""
    assert run(valkey, "go", ["gofmt", "-l", "."]) == ""
