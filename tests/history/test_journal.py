"""The journal on a real disk: torn, corrupt, full and slow."""

from __future__ import annotations

import logging
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.history import journal as module
from prober.history.journal import Journal, decode, encode
from tests.support.values import STEADY, written


def again(journal: Journal) -> list[dict[str, Any]]:
    other = Journal(journal.path)
    try:
        return other.load()
    finally:
        other.close()


async def test_what_was_appended_is_there_after_a_restart(journal: Journal) -> None:
    await journal.append("intent", decision_id="d1", reason="é “quoted”\nline")
    await journal.append("done", n=2)
    assert written(journal) == [
        {"kind": "intent", "decision_id": "d1", "reason": "é “quoted”\nline"},
        {"kind": "done", "n": 2},
    ]
    assert (journal.late, journal.failed) == (0, 0)
    assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600


async def test_whoever_listens_hears_every_record_in_its_order(journal: Journal) -> None:
    heard: list[dict[str, Any]] = []
    journal.heard = heard.append
    await journal.append("intent", decision_id="d1")
    await journal.append("done", n=2)
    assert heard == [{"kind": "intent", "decision_id": "d1"}, {"kind": "done", "n": 2}]
    assert written(journal) == heard


def test_a_new_journal_is_empty_and_makes_its_folder(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "deep" / "er" / "journal")
    assert (journal.load(), journal.size) == ([], 0)
    journal.append_now("x")
    assert journal.size > 0
    journal.close()


@pytest.mark.parametrize("keep", range(1, 30))
def test_a_line_torn_anywhere_is_dropped_and_cut_off(journal: Journal, keep: int) -> None:
    journal.append_now("one")
    whole = journal.size
    with journal.path.open("ab") as file:
        file.write(encode({"kind": "two", "more": "text"})[:keep])
    assert again(journal) == [{"kind": "one"}]
    assert journal.size == whole
    journal.append_now("three")
    assert [record["kind"] for record in again(journal)] == ["one", "three"]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"zzzzzzzz {}",
        b"00000000 {}",
        b"\xff\xfe\x00",
        encode({"kind": "x"}).replace(b"x", b"y").rstrip(),
        b"e51b7b3c not json",
    ],
)
def test_a_corrupt_line_in_the_middle_is_left_out(journal: Journal, line: bytes) -> None:
    journal.append_now("one")
    with journal.path.open("ab") as file:
        file.write(line + b"\n")
    journal.append_now("two")
    assert [record["kind"] for record in again(journal)] == ["one", "two"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a full device")
def test_a_full_disk_is_counted_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    journal = Journal(Path("/dev/full"))
    with caplog.at_level(logging.ERROR):
        journal.append_now("one")
        journal.append_now("two")
    assert journal.failed == 2
    assert "a record could not be written: [Errno 28] No space left on device" in caplog.text
    journal.close()


def test_a_record_after_a_half_written_one_can_be_read(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append_now("one")
    real = os.write

    def half(file: int, data: bytes) -> int:
        real(file, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half)
        journal.append_now("lost")
    journal.append_now("two")
    journal.append_now("three")
    assert journal.failed == 1
    assert [record["kind"] for record in again(journal)] == ["one", "two", "three"]


def test_a_short_write_is_carried_on(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, data: real(file, data[:7]))
    journal.append_now("one", text="x" * 100)
    assert again(journal) == [{"kind": "one", "text": "x" * 100}]


def test_a_folder_that_went_away_is_counted(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "not-there" / "journal")
    journal.append_now("one")
    assert (journal.failed, journal.size) == (1, 0)
    journal.close()


async def test_a_slow_disk_is_counted_and_waited_for_only_a_moment(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()
    real = os.fsync

    def slow(file: int) -> None:
        released.wait(10)
        real(file)

    monkeypatch.setattr(os, "fsync", slow)
    monkeypatch.setattr(module, "FSYNC_WAIT_S", 0.01)
    await journal.append("one")
    await journal.append("two")
    assert journal.late == 2
    released.set()
    monkeypatch.setattr(module, "FSYNC_WAIT_S", 10)
    await journal.append("three")
    assert (journal.late, journal.failed) == (2, 0)
    assert [record["kind"] for record in written(journal)] == ["one", "two", "three"]


def test_the_wait_is_a_fifth_of_a_second() -> None:
    assert module.FSYNC_WAIT_S == 0.2


def test_compacting_leaves_what_was_asked_for_and_goes_on(journal: Journal) -> None:
    for number in range(50):
        journal.append_now("x", number=number)
    before = journal.size
    journal.compact([{"kind": "kept"}])
    assert journal.size < before
    journal.append_now("later")
    assert [record["kind"] for record in again(journal)] == ["kept", "later"]


def test_compacting_that_fails_leaves_the_journal_as_it_was(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append_now("one")

    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            journal.compact([])
    journal.append_now("two")
    assert [record["kind"] for record in again(journal)] == ["one", "two"]


def test_text_that_cannot_be_written_down_stops_nothing(journal: Journal) -> None:
    journal.append_now("one", reason="lone \ud800 surrogate")
    assert again(journal) == [{"kind": "one", "reason": "lone ? surrogate"}]


RECORDS = st.lists(
    st.dictionaries(st.text(max_size=5), st.text(max_size=20) | st.integers(), max_size=3),
    max_size=8,
)


@STEADY
@given(records=RECORDS, cut=st.integers(0, 400))
def test_a_kill_at_any_byte_loses_only_the_last_record(
    records: list[dict[str, Any]], cut: int
) -> None:
    data = b"".join(encode(record) for record in records)
    assert decode(data)[0] == records
    torn = data[: max(0, len(data) - cut)]
    found, good = decode(torn)
    assert found == records[: torn.count(b"\n")]
    assert torn[:good].count(b"\n") == len(found)
    assert good == 0 or torn[good - 1 : good] == b"\n"
