"""A restart goes on with its own lease; nobody else ever has the same nonce."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from prober.daemon import detector_state
from prober.daemon.recovery import lease_nonce


def test_a_restart_on_the_same_boot_keeps_its_nonce(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detector_state, "boot_id", lambda: "boot-1")
    assert lease_nonce(tmp_path) == lease_nonce(tmp_path)


@pytest.mark.parametrize("boot", ["boot-2", ""])
def test_another_boot_or_an_unknown_one_has_a_nonce_of_its_own(
    boot: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detector_state, "boot_id", lambda: "boot-1" if boot else "")
    before = lease_nonce(tmp_path)
    monkeypatch.setattr(detector_state, "boot_id", lambda: boot)
    assert lease_nonce(tmp_path) != before


def test_two_folders_have_two_nonces(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    assert lease_nonce(tmp_path / "one") != lease_nonce(tmp_path / "two")


def test_a_copy_of_the_folder_on_the_same_machine_has_a_nonce_of_its_own(tmp_path: Path) -> None:
    """A second vantage, made by copying the first: both would lead at once."""
    (tmp_path / "one").mkdir()
    first = lease_nonce(tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    assert lease_nonce(tmp_path / "two") != first
    assert lease_nonce(tmp_path / "one") == first


@pytest.mark.parametrize("junk", [b"", b"\xff\xfe", b"boot-1", b"boot-1 "])
def test_a_torn_file_gives_a_new_nonce(
    junk: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detector_state, "boot_id", lambda: "boot-1")
    (tmp_path / "lease").write_bytes(junk)
    assert len(lease_nonce(tmp_path)) == 32


def test_a_folder_that_takes_no_file_costs_only_the_wait(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert len(lease_nonce(tmp_path / "not-there")) == 32
    assert "a restart will wait for its lease" in caplog.text
