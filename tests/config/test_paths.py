"""Files of an installation: whole or not there, and for their owner alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from prober.config.paths import write_whole


def test_a_file_is_replaced_whole_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "budget.json"
    write_whole(path, "old")
    write_whole(path, "néw")
    assert path.read_text("utf-8") == "néw"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["budget.json"]


def test_until_the_new_one_is_on_disk_the_old_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal"
    write_whole(path, b"old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"


def test_file_then_name_then_folder_reach_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, synced = tmp_path / "lease", list[tuple[str, bool]]()
    real = os.fsync

    def sync(handle: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file"
        synced.append((kind, path.exists()))
        real(handle)

    monkeypatch.setattr(os, "fsync", sync)
    write_whole(path, "x")
    assert synced == [("file", False), ("folder", True)]
