"""The one writer of history: a thread that batches, and never makes anybody wait.

While SQL is away rows wait in a bounded queue, then in a spool file, and are replayed by id when
it is back. Only what neither can hold is lost, and that is counted and said.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, IntegrityError, OperationalError, StatementError

from prober.history.installation import short
from prober.history.store import tables
from prober.history.store.schema import Version, of_installation, upgrade, version
from prober.history.store.tables import metadata

log = logging.getLogger(__name__)

QUEUE = 20_000
BATCH = 500
SPOOL_BYTES = 200_000_000
RETRY_S = 2.0


@dataclass(frozen=True, slots=True)
class Row:
    """One row to write: inserted if its id is new, else only the `changes` are applied.

    Replaying a Row is harmless.
    """

    table: str
    values: dict[str, Any]
    changes: tuple[str, ...] = ()

    def encode(self) -> str:
        return json.dumps([self.table, self.values, self.changes], separators=(",", ":"))

    @staticmethod
    def decode(line: str) -> Row | None:
        try:
            table, values, changes = json.loads(line)
            known = table in metadata.tables and isinstance(values, dict)
        except (ValueError, TypeError):
            return None  # torn by a crash: the row was never acknowledged
        return Row(table, values, tuple(changes)) if known else None


class Store:
    """Takes rows and writes them. `put` never blocks; `up` says whether SQL is reachable.

    Args:
        engine: from `schema.open_engine`.
        spool: the file rows wait in when the queue is full or the process ends without SQL.
        installation: whose rows these are; None: not known yet, and rows wait.

    Attributes:
        held: why no history may be kept at all; what is put is dropped then.
    """

    def __init__(self, engine: Engine, spool: Path, installation: str | None = "") -> None:
        self.installation = installation
        self.held = ""
        self._engine = engine
        self.up = False
        self.why_down = "not tried yet"
        self.lost = 0
        self._spool = spool
        self._rows: deque[Row] = deque()
        self._wake = threading.Condition()
        self._stopping = False
        self._busy = False
        self._thread = threading.Thread(target=self._run, name="prober-store", daemon=True)

    @property
    def engine(self) -> Engine:
        """Shows the rows of this installation only, see `queries`."""
        return of_installation(self._engine, self.installation or "")

    def start(self) -> None:
        self._thread.start()

    def hold(self, why: str) -> None:
        """Keeps nothing, instead of `start`."""
        self.held = self.why_down = why

    def belongs_to(self, installation: str) -> None:
        """Rows may be written now."""
        with self._wake:
            self.installation = installation
            self._wake.notify_all()

    def put(self, *rows: Row) -> None:
        """Hands rows over; returns at once, whatever SQL does."""
        if self.held:
            return
        with self._wake:
            self._rows.extend(rows)
            self._wake.notify_all()

    def wait_written(self, seconds: float) -> bool:
        """Blocks until everything put so far is in SQL; False when that took too long."""
        with self._wake:
            return self._wake.wait_for(
                lambda: self.up and not self._rows and not self._busy, seconds
            )

    def close(self, seconds: float = 3.0) -> None:
        """Writes what is left, to SQL or else to the spool."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        if self._thread.is_alive():
            self._thread.join(seconds)
        with self._wake:
            left = list(self._rows)
            self._rows.clear()
        self._to_spool(left)
        self._engine.dispose()

    @property
    def waiting(self) -> int:
        return len(self._rows)

    # -- the writer's thread -----------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._stopping or self._rows or not self.up, RETRY_S)
                stopping = self._stopping
                batch = list(_first(self._rows, BATCH))
                self._busy = bool(batch)
            done = self._write(batch)
            with self._wake:
                self._busy = False
                if done:
                    for _ in batch:
                        self._rows.popleft()
                overflow = self._take_overflow() if not done else []
                idle = not self._rows
                self._wake.notify_all()
                if stopping and (idle or not done):
                    break
                if not done and not overflow:
                    self._wake.wait_for(lambda: self._stopping, RETRY_S)
            self._to_spool(overflow)

    def _write(self, batch: list[Row]) -> bool:
        if self.installation is None:
            self._down("Redis has not said yet which installation this is")
            return False
        try:
            if not self.up:
                stands = version(self._engine)
                if stands is Version.EMPTY:
                    upgrade(self._engine)
                elif stands is not Version.CURRENT:
                    self._down(f"its schema is {stands.value}; run: prober db upgrade")
                    return False
                self._enter(self.installation)
                self._replay()
            if batch:
                self._write_batch(batch)
            if not self.up:
                log.info("history is written to SQL")
            self.up, self.why_down = True, ""
        except Exception as error:
            # Whatever it was, this thread lives on and the rows stay.
            self._down(str(getattr(error, "orig", None) or error).splitlines()[0])
            return False
        return True

    def _enter(self, installation: str) -> None:
        """Puts us on the database's list of installations."""
        with self._engine.begin() as connection:
            others = set(connection.scalars(select(tables.installation.c.id))) - {installation}
            values = {"id": installation, "created_at": time.time(), "sure_since": 0.0}
            new = _new(connection, tables.installation, [values])
        if new and others:
            named = ", ".join(sorted(map(short, others)))
            log.warning(
                "the database holds the history of installation %s, and none of ours (%s) until "
                "now; if that is ours, run: prober adopt history %s",
                named, short(installation), min(others),
            )  # fmt: skip

    def _write_batch(self, batch: list[Row]) -> None:
        """One transaction; a row that the database will never take goes alone, and is counted."""
        assert self.installation is not None
        try:
            with self._engine.begin() as connection:
                write(connection, batch, self.installation)
        except (DataError, IntegrityError, StatementError) as error:
            if isinstance(error, OperationalError) or getattr(
                error, "connection_invalidated", False
            ):
                raise
            for row in batch:
                try:
                    with self._engine.begin() as connection:
                        write(connection, [row], self.installation)
                except (DataError, IntegrityError) as refused:
                    self.lost += 1
                    log.error("a row of %s cannot be kept: %s", row.table, refused)

    def _down(self, why: str) -> None:
        if self.up or why != self.why_down:
            log.warning("history cannot be written: %s; it waits here", why)
        self.up, self.why_down = False, why

    def _take_overflow(self) -> list[Row]:
        overflow: list[Row] = []
        while len(self._rows) > QUEUE:
            overflow.append(self._rows.popleft())
        return overflow

    def _to_spool(self, rows: list[Row]) -> None:
        if not rows:
            return
        try:
            self._spool.parent.mkdir(parents=True, exist_ok=True)
            with self._spool.open("a", encoding="utf-8") as file:
                if file.tell() > SPOOL_BYTES:
                    raise OSError("the spool is full")
                # A torn last line of an earlier process must not swallow our first.
                file.write("\n")
                file.writelines(row.encode() + "\n" for row in rows)
        except OSError as error:
            self.lost += len(rows)
            log.error("%d rows of history are lost: %s", len(rows), error)

    def _replay(self) -> None:
        """Writes the spool first, oldest first. Raises SQLAlchemyError, and keeps the file then."""
        assert self.installation is not None
        if not self._spool.exists():
            return
        taken = self._spool.with_suffix(".replaying")
        if not taken.exists():
            self._spool.replace(taken)
        for path in (taken, self._spool):
            if not path.exists():
                continue
            with path.open(encoding="utf-8", errors="replace") as file:
                rows = (row for line in file if (row := Row.decode(line)) is not None)
                while batch := list(_first(rows, BATCH)):
                    with self._engine.begin() as connection:
                        write(connection, batch, self.installation)
            path.unlink()


def _first(rows: Iterable[Row], count: int) -> Iterable[Row]:
    for number, row in enumerate(rows, 1):
        yield row
        if number == count:
            return


def write(connection: Connection, rows: list[Row], installation: str = "") -> None:
    """Writes rows in their order, those of one table together. Raises SQLAlchemyError."""
    start = 0
    for end in range(1, len(rows) + 1):
        same = end < len(rows) and _alike(rows[end], rows[start])
        if same and not rows[start].changes:
            continue
        _insert(connection, rows[start:end], installation)
        start = end


def _alike(one: Row, other: Row) -> bool:
    """One statement writes both. Rows spooled by an older version have fewer columns."""
    return (one.table, one.changes, one.values.keys()) == (
        other.table,
        other.changes,
        other.values.keys(),
    )


def _insert(connection: Connection, rows: list[Row], installation: str) -> None:
    table = metadata.tables[rows[0].table]
    all_values = [{**row.values, "installation_id": installation} for row in rows]
    _new(connection, table, all_values)
    for row, values in zip(rows, all_values, strict=True):
        if row.changes:
            keys = {column.name for column in table.primary_key.columns} | {"installation_id"}
            same = [table.c[name] == values[name] for name in sorted(keys)]
            changes = {name: values[name] for name in row.changes}
            connection.execute(update(table).where(*same).values(changes))


def _new(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> bool:
    """Inserts those that are new; whether any was."""
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    return connection.execute(insert(table).on_conflict_do_nothing(), rows).rowcount > 0
