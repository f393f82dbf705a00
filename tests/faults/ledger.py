"""An append-only log of every write and every read, and what must hold of it in the end.

Several processes append to one file; each line is one write, so that none is torn by a kill.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Line = dict[str, Any]


class Ledger:
    """Appends lines as `who`.

    Kinds: `ask` a call of the flip script, `answer` what it said, `done` a flip in a journal,
    `state` what Redis showed, `event` each entry of its stream, once for each `run` (its
    replication id: an empty or older Redis is another one), `read` what a reader served, `final`
    what the stream holds in the end.
    """

    def __init__(self, path: Path, who: str) -> None:
        self._who = who
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC)
        self._last: dict[str, Line] = {}

    def note(self, kind: str, **fields: Any) -> None:
        line = {"who": self._who, "kind": kind, **fields}
        os.write(self._file, json.dumps(line).encode() + b"\n")

    def note_new(self, kind: str, **fields: Any) -> None:
        """The same, once for as long as nothing changes."""
        if self._last.get(kind) != fields:
            self._last[kind] = fields
            self.note(kind, **fields)

    def close(self) -> None:
        os.close(self._file)


def load(path: Path) -> list[Line]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def faults(lines: Iterable[Line], in_sql: Iterable[Line]) -> list[str]:
    """What is wrong with a log, a sentence each; `in_sql`: the rows of flips in the end. Pure."""
    lines, in_sql = list(lines), list(in_sql)
    return [
        *_one_flag_an_epoch(lines),
        *_one_epoch_a_decision(lines),
        *_rising(lines),
        *_served_what_was_written(lines),
        *_nothing_late(lines),
        *_in_one_line(lines),
        *_in_sql_once(lines, in_sql),
    ]


def _written(lines: list[Line]) -> list[Line]:
    """Every sign of a flag that Redis held: what the script said, and what was seen."""
    return [
        line
        for line in lines
        if line["kind"] in ("state", "event", "done")
        or (line["kind"] == "answer" and line["status"] == "committed")
    ]


def _one_flag_an_epoch(lines: list[Line]) -> list[str]:
    flags = defaultdict(set)
    for line in _written(lines):
        flags[line["epoch"]].add((line["provider"], line["decision"]))
    return [
        f"epoch {epoch} names {sorted(names)}" for epoch, names in flags.items() if len(names) > 1
    ]


def _one_epoch_a_decision(lines: list[Line]) -> list[str]:
    epochs = defaultdict(set)
    for line in _written(lines):
        epochs[line["decision"]].add(line["epoch"])
    return [
        f"decision {decision} was carried out at {sorted(at)}"
        for decision, at in epochs.items()
        if len(at) > 1
    ]


def _rising(lines: list[Line]) -> list[str]:
    found, highest = [], defaultdict(int)
    for line in lines:
        if line["kind"] == "read":
            if line["epoch"] < highest[line["who"]]:
                found.append(
                    f"{line['who']} went back from {highest[line['who']]} to {line['epoch']}"
                )
            highest[line["who"]] = max(highest[line["who"]], line["epoch"])
    return found


def _served_what_was_written(lines: list[Line]) -> list[str]:
    """A confirmed read names the provider that was written at its epoch.

    Whoever wrote it may have been killed before it could say so; its call is in the log.
    """
    written = {(line["epoch"], line["provider"]) for line in _written(lines)}
    answered = {line["decision"] for line in _written(lines)}
    untold = {
        line["provider"]
        for line in lines
        if line["kind"] == "ask" and line["decision"] not in answered
    }
    epochs = {epoch for epoch, _ in written}
    return [
        f"{line['who']} served {line['provider']} at epoch {line['epoch']}, which nobody wrote"
        for line in lines
        if line["kind"] == "read"
        and line["confirmed"]
        and (line["epoch"], line["provider"]) not in written
        and (line["epoch"] in epochs or line["provider"] not in untold)
    ]


def _nothing_late(lines: list[Line]) -> list[str]:
    """No call lands after its deadline, by the time of Redis."""
    deadlines = {line["decision"]: line["deadline_ms"] for line in lines if line["kind"] == "ask"}
    return [
        f"decision {line['decision']} landed {line['at_ms'] - deadlines[line['decision']]} ms late"
        for line in lines
        if line["kind"] == "event"
        and line["at_ms"] > deadlines.get(line["decision"], line["at_ms"])
    ]


def _in_one_line(lines: list[Line]) -> list[str]:
    """No two decisions have one parent, as long as Redis forgets nothing."""
    children = defaultdict(set)
    for line in lines:
        if line["kind"] == "event" and line["parent"]:
            children[line["run"], line["parent"]].add(line["decision"])
    return [
        f"{sorted(who)} both follow {parent}"
        for (_, parent), who in children.items()
        if len(who) > 1
    ]


def _in_sql_once(lines: list[Line], in_sql: list[Line]) -> list[str]:
    """A flip that a journal has, or that Redis still shows in the end, is in SQL, and once."""
    rows = [row["decision_id"] for row in in_sql]
    doubled = sorted({one for one in rows if rows.count(one) > 1})
    kept = {line["decision"] for line in lines if line["kind"] in ("done", "final")}
    found = [f"decision {one} is in SQL more than once" for one in doubled]
    return found + [f"decision {one} is not in SQL" for one in sorted(kept - set(rows))]
