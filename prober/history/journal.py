"""The local append-only record: what was meant, what was done, what must still be told.

One JSON object a line, each with its checksum, forced to disk. A kill can tear only the last
line, and that line was never acknowledged.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from prober.config.paths import write_whole

log = logging.getLogger(__name__)

FSYNC_WAIT_S = 0.2
COMPACT_BYTES = 1_000_000

Record = dict[str, Any]


class Journal:
    """Appends records. A slow or full disk is counted; it never stops a flip.

    Attributes:
        late: appends that were not on disk within 200 ms.
        failed: appends that the disk refused.
        heard: told of every record once it is on disk, or late; must be quick.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.late = 0
        self.failed = 0
        self.heard: Callable[[Record], None] | None = None
        self._file: int | None = None
        self._torn = False
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="prober-journal")

    def load(self) -> list[Record]:
        """Every whole record, oldest first. A torn end is cut off; raises OSError."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            data = b""
        records, good = decode(data)
        if good < len(data):
            log.warning("%s: dropped %d torn bytes at its end", self.path, len(data) - good)
            os.truncate(self.path, good)
        return records

    async def append(self, kind: str, **fields: Any) -> None:
        """Puts one record on disk, or goes on after 200 ms with the write still under way."""
        record: Record = {"kind": kind, **fields}
        line = encode(record)
        loop = asyncio.get_running_loop()
        written = loop.run_in_executor(self._disk, self._write, line)
        try:
            async with asyncio.timeout(FSYNC_WAIT_S):
                await asyncio.shield(written)
        except TimeoutError:
            self.late += 1
            log.warning("the disk took over %g ms for a journal record", FSYNC_WAIT_S * 1000)
        if self.heard is not None:
            self.heard(record)

    def append_now(self, kind: str, **fields: Any) -> None:
        """The same without an event loop."""
        self._write(encode({"kind": kind, **fields}))

    def _write(self, line: bytes) -> None:
        try:
            if self._file is None:
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
                self._file = os.open(self.path, flags, 0o600)
            # After a failed write half a line may stand there; a new line leaves it behind.
            left = b"\n" + line if self._torn else line
            while left:
                left = left[os.write(self._file, left) :]
            os.fsync(self._file)
            self._torn = False
        except OSError as error:
            self.failed += 1
            self._torn = True
            log.error("%s: a record could not be written: %s", self.path, error)

    def compact(self, records: Iterable[Record]) -> None:
        """Replaces the file by `records`, in one step. Raises OSError."""
        whole = b"".join(encode(record) for record in records)
        self._shut()
        write_whole(self.path, whole)

    @property
    def size(self) -> int:
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def _shut(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def close(self) -> None:
        self._disk.shutdown(wait=True)
        self._shut()


def encode(record: Record) -> bytes:
    text = json.dumps(record, separators=(",", ":"), ensure_ascii=False)
    # A lone surrogate cannot be written down; it must not stop a flip either.
    data = text.encode("utf-8", "replace")
    return b"%08x %s\n" % (zlib.crc32(data), data)


def decode(data: bytes) -> tuple[list[Record], int]:
    """(records, bytes up to the last whole line); a line that fails its checksum is left out."""
    records: list[Record] = []
    good = data.rfind(b"\n") + 1
    for line in data[:good].splitlines():
        checksum, _, text = line.partition(b" ")
        try:
            if int(checksum, 16) == zlib.crc32(text):
                records.append(json.loads(text))
        except ValueError:
            continue
    return records, good
