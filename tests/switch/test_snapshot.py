"""The snapshot file: an aid for a start without Redis, and never an authority."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from switch import AsyncReader, Reader, Source
from switch.snapshot import MAX_BYTES, RememberedRoute, Snapshot, SnapshotError, decode, encode
from tests.switch.reader_stage import NOWHERE, candidate

KNOWN = {"chat": RememberedRoute("b", 42, "a was bad", (candidate("b"), candidate("a", order=1)))}


def kept(path: Path, *routes: str) -> Snapshot:
    return Snapshot(path, "prober", routes or ("chat",))


def written(path: Path, **change: object) -> None:
    path.write_text(json.dumps(json.loads(encode("prober", KNOWN)) | change))
    path.chmod(0o600)


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    kept(tmp_path / "f").save(KNOWN)
    assert kept(tmp_path / "f").load() == KNOWN


def test_a_missing_file_is_nothing_to_speak_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert kept(tmp_path / "f").load() == {}
    assert caplog.records == []


def test_only_its_owner_may_read_the_file_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        kept(tmp_path / "f").save(KNOWN)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o600


def test_the_file_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "f"
    snapshot = kept(path)
    snapshot.save(KNOWN)
    with path.open() as old:
        snapshot.save({"chat": RememberedRoute("a", 43)})
        assert decode(old.read(), "prober") == KNOWN  # a reader of the old one reads it to its end
    assert kept(path).load() == {"chat": RememberedRoute("a", 43)}
    assert os.listdir(tmp_path) == ["f"]


def test_nothing_new_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "f"
    kept(path).save(KNOWN)
    snapshot = kept(path)
    snapshot.load()
    path.unlink()
    snapshot.save(KNOWN)
    snapshot.save({})
    assert not path.exists()


def test_other_routes_in_the_file_are_left_out(tmp_path: Path) -> None:
    kept(tmp_path / "f").save(KNOWN)
    assert kept(tmp_path / "f", "mail").load() == {}


@pytest.mark.parametrize(
    "text",
    ["", "{", "null", "[]", "42", "{}", "[" * 100_000, '{"version": 1, "namespace": "prober"}']
    + ['{"version":1,"namespace":"prober","routes":' + said + "}"
       for said in ("[]", '{"chat":1}', '{"chat":{}}', '{"chat":{"provider":"B!","epoch":1,'
                    '"reason":"","candidates":{}}}', '{"chat":{"provider":7,"epoch":1,"reason":"",'
                    '"candidates":{}}}', '{"chat":{"provider":"b","epoch":"x","reason":"",'
                    '"candidates":{}}}', '{"chat":{"provider":"b","epoch":1,"reason":"",'
                    '"candidates":[]}}')],
)  # fmt: skip
def test_a_broken_file_is_ignored_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    path = tmp_path / "f"
    path.write_text(text)
    path.chmod(0o600)
    with Reader(NOWHERE, {"chat": "a"}, snapshot=path) as reader:
        assert (reader.primary("chat"), reader.flag("chat").source) == ("a", Source.DEFAULT)
    told = [record.getMessage() for record in caplog.records]
    assert sum(line.startswith(f"the snapshot {path} ") for line in told) == 1


def test_bytes_that_are_no_text_are_ignored_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "f").write_bytes(b"\xff\xfe")
    (tmp_path / "f").chmod(0o600)
    assert kept(tmp_path / "f").load() == {}
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("change", "why"),
    [({"version": 2}, "version 2"), ({"namespace": "team"}, "namespace 'team', not 'prober'")],
)
def test_a_snapshot_of_another_kind_says_of_which(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, change: dict[str, object], why: str
) -> None:
    written(tmp_path / "f", **change)
    assert kept(tmp_path / "f").load() == {}
    assert why in caplog.text


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_is_not_believed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int
) -> None:
    written(tmp_path / "f")
    (tmp_path / "f").chmod(mode)
    assert kept(tmp_path / "f").load() == {}
    assert f"chmod 600 {tmp_path / 'f'}" in caplog.text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_not_believed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    written(tmp_path / "f")
    os.chown(tmp_path / "f", 12345, -1)
    assert kept(tmp_path / "f").load() == {}
    assert "belongs to user 12345" in caplog.text


def test_a_pipe_a_folder_or_a_huge_file_holds_nobody_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "huge").touch(0o600)
    os.truncate(tmp_path / "huge", MAX_BYTES + 1)
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "huge"):
        assert kept(path).load() == {}
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        "it is not a regular file",
        "it is not a regular file",
        "it has 1000001 bytes, more than 1000000",
    ]


def test_a_place_that_cannot_be_written_is_told_once_and_breaks_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    snapshot = kept(tmp_path / "missing" / "f")
    snapshot.save(KNOWN)
    snapshot.save({"chat": RememberedRoute("a", 43)})
    assert len(caplog.records) == 1
    assert "cannot be written" in caplog.text


def test_decode_says_what_is_wrong() -> None:
    with pytest.raises(SnapshotError, match="it is not a snapshot"):
        decode("{", "prober")


def test_the_order_is_memory_then_snapshot_then_default(tmp_path: Path) -> None:
    written(tmp_path / "f")
    said = {"chat": "default", "mail": "default"}
    with Reader(NOWHERE, said, snapshot=tmp_path / "f") as reader:
        assert (reader.primary("chat"), reader.primary("mail")) == ("b", "default")
        reading = reader.flag("chat")
        assert (reading.source, reading.epoch, reading.reason) == (
            Source.SNAPSHOT,
            42,
            "a was bad",
        )
        assert (reading.read_age_s, reading.checked_age_s, reading.stale) == (None, None, True)
        assert reader.fallbacks("chat") == ("a",)
        assert not reader.wait_ready(0)


async def test_an_async_reader_may_be_made_in_the_loop(tmp_path: Path) -> None:
    written(tmp_path / "f")
    assert AsyncReader(NOWHERE, {"chat": "default"}, snapshot=tmp_path / "f").primary("chat") == "b"


def test_a_snapshot_naming_what_this_build_cannot_call_is_not_served_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    written(tmp_path / "f")
    supported = {"chat": ["a"]}
    with Reader(NOWHERE, {"chat": "a"}, supported=supported, snapshot=tmp_path / "f") as reader:
        assert (reader.primary("chat"), reader.flag("chat").source) == ("a", Source.DEFAULT)
    assert f"the snapshot {tmp_path / 'f'} is ignored for route chat: it names b" in caplog.text
