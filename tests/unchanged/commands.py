"""What the commands print: to the letter over a history that is made up, in its shape beside a
running daemon, whose times and ids nobody knows."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from typer.testing import CliRunner

from prober.cli.app import app
from prober.cli.console import out
from prober.emulator import Emulator, started
from prober.history.store.schema import open_engine
from tests.support.histories import AT, canaries, configuration, keep
from tests.support.servers import Valkey, start_valkey
from tests.support.stage import hook, running, write_config

HOURS = 5
NOW = AT + HOURS * 3600
# What an object has a key for each outcome, hash or name of: the keys say nothing.
NAMED_BY_ITSELF = (".outcomes", ".groups")

Found = dict[str, Any]


def commands() -> Found:
    return {**over_history(), **beside_a_daemon()}


@contextmanager
def place(**environment: str) -> Iterator[Path]:
    """A folder with a prober.toml to be, and an environment of its own."""
    folder = Path(tempfile.mkdtemp(prefix="pu"))
    own = {
        "PROBER_CONFIG": str(folder / "prober.toml"),
        "COLUMNS": "160",
        "NO_PROXY": "127.0.0.1,localhost",
        "KEY_A": "secret-key-of-a",
        "KEY_B": "secret-key-of-b",
    }
    with patch.dict(os.environ, {**own, **environment}), patch.object(out, "_width", 160):
        yield folder
    shutil.rmtree(folder, ignore_errors=True)


def said(folder: Path, *words: str) -> Any:
    """The exit code, and what both streams say: parsed, where it is JSON as it is always set."""
    done = CliRunner().invoke(app, list(words))
    text, errors = (said.replace(str(folder), "<folder>") for said in (done.stdout, done.stderr))
    told = [f"leaves with {done.exit_code}", *map(str.rstrip, errors.splitlines())]
    try:
        plain = json.loads(text)
    except ValueError:
        return [*told, *map(str.rstrip, text.splitlines())]
    assert text == json.dumps(plain, indent=2) + "\n", f"prober {' '.join(words)}: set otherwise"
    return {"": told, **plain} if isinstance(plain, dict) else [told, *plain]


# -- a history that is made up -------------------------------------------------------------------

ROWS = {
    "flip": [
        ("d1", "chat", "seed", 1, "", "", "a", "first flag", "prober@local", AT + 60, "{}",
         "seed", "i"),
        ("d2", "chat", "auto", 2, "d1", "a", "b", "a breached availability", "prober@local",
         AT + 7_300, '{"kind": "failover", "incident": 1}', "automatic", "i"),
        ("d3", "chat", "manual", 3, "d2", "b", "a", "enough", "ann@desk", AT + 14_000, "{}",
         "operator", "i"),
    ],
    "incident": [
        ("i1", 1, "chat", "a", AT + 7_230, AT + 7_290, AT + 11_000, "availability",
         "9 of 24 canaries failed in 61 s (overloaded)", "i"),
        ("i2", 2, "chat", "b", AT + 17_000, AT + 17_050, None, "ttft", "slow", "i"),
    ],
    "incident_event": [
        ("e1", "i1", AT + 7_230, "suspect", "first bad canary of a", "i"),
        ("e2", "i1", AT + 7_290, "breached", "a breached availability", "i"),
        ("e3", "i1", AT + 7_300, "failed_over", "chat failed over: a → b", "i"),
        ("e4", "i1", AT + 11_000, "recovered", "a has recovered", "i"),
        ("e5", "i2", AT + 17_050, "drill", "b served chat for a drill", "i"),
    ],
    "refusal": [("d9", "chat", AT + 14_500, "conflict", "b", "why not", "i")],
}  # fmt: skip
SMALL = ("--years", "0.1", "--trials", "10", "--at-most", "100", "--json")
ASKED = {
    "check": ("check",),
    "check --json": ("check", "--json"),
    "check --effective": ("check", "--effective"),
    "contract": ("contract",),
    "contract --json": ("contract", "--json"),
    "cost": ("cost",),
    "cost --json": ("cost", "--json"),
    "history": ("history",),
    "history --json": ("history", "--json"),
    "history --provider": ("history", "--provider", "a", "-n", "3"),
    "history --samples --json": ("history", "--samples", "-n", "2", "--json"),
    "incident list": ("incident", "list"),
    "incident list --json": ("incident", "list", "--json"),
    "incident show": ("incident", "show", "1"),
    "incident show --json": ("incident", "show", "1", "--json"),
    "incident show, no such": ("incident", "show", "9"),
    "backtest": ("backtest", "--since", "6h"),
    "backtest --json": ("backtest", "--since", "6h", "--json", "--detector", "for-5m"),
    "tune, too little": ("tune", "--since", "6h", *SMALL),
    "vantages --json": ("vantages", "--json"),
    "status, nobody": ("status",),
    "no such route": ("why", "chatt"),
    "failover, no such": ("failover", "nobody"),
    "bad duration": ("pin", "a", "--for", "soon"),
}


def partial(name: str, at_s: float, chance: float) -> bool:
    return chance < (0.4 if name == "a" and 7_200 <= at_s < 10_800 else 0.003)


def over_history() -> Found:
    """A made-up history, and a moment that is always the same."""
    with place() as folder, patch("time.time", lambda: NOW):
        database = folder / "prober.db"
        price = '\n[redis]\nurl = "redis://127.0.0.1:9/0"\n'
        text = configuration(folder, f"sqlite:///{database}", price)
        text = text.replace('failure_domains = ["a"]', "price = { input = 1.0, output = 5.0 }")
        (folder / "prober.toml").write_text(text, "utf-8")
        found = {"history, none": said(folder, "history", "--json")}
        found["db upgrade --json"] = said(folder, "db", "upgrade", "--json")
        fill(database)
        return found | {name: said(folder, *words) for name, words in ASKED.items()}


def fill(database: Path) -> None:
    engine = open_engine(f"sqlite:///{database}")
    keep(engine, [replace(sample, cost_usd=0.001) for sample in canaries(HOURS * 3600, partial)])
    engine.dispose()
    with sqlite3.connect(database) as connection:
        for table, rows in ROWS.items():
            marks = ", ".join("?" for _ in rows[0])
            connection.executemany(f"insert into {table} values ({marks})", rows)
        connection.execute("insert into installation values ('i', 1, 1)")
        connection.execute("update sample set installation_id = 'i'")
    connection.close()


# -- beside a running daemon ---------------------------------------------------------------------


def beside_a_daemon() -> Found:
    with (
        valkey() as redis,
        hook() as taken,
        started() as emulator,
        place(HOOK=taken.url) as folder,
    ):
        emulator.set_faults(ttft_s=0.001)
        path = folder / "prober.toml"
        write_config(path, emulator=emulator.url, redis=redis.url, failback="manual")
        price = "price = { input = 1.0, output = 5.0 }\nfailure_domains"
        path.write_text(path.read_text("utf-8").replace("failure_domains", price), "utf-8")
        return asyncio.run(_beside(path, emulator))


@contextmanager
def valkey() -> Iterator[Valkey]:
    """A server of nobody else's."""
    folder = Path(tempfile.mkdtemp(prefix="pv"))
    made = Valkey(folder, start_valkey(folder))
    try:
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def ask(*words: str) -> Any:
    done = await asyncio.to_thread(CliRunner().invoke, app, [*words, "--json"])
    try:
        return json.loads(done.stdout)
    except ValueError:
        raise AssertionError(f"prober {' '.join(words)}: {done.output}") from done.exception


async def until(what: str, met: Callable[[Any], bool], *words: str) -> Any:
    """What a command prints as soon as it is so."""
    for _ in range(400):
        found = await ask(*words)
        if met(found):
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"{what}: {json.dumps(found)[:2000]}")


def served_by(name: str) -> Callable[[Any], bool]:
    """All candidates proven, and the flag there."""

    def met(status: Any) -> bool:
        route = status["routes"][0]
        return route["primary"] == name and all(p["proven"] for p in route["providers"])

    return met


async def _beside(path: Path, emulator: Emulator) -> Found:
    found: Found = {}

    async def shape(*words: str, name: str = "") -> None:
        found[f"daemon: {name or ' '.join(words)}"] = shape_of(await ask(*words))

    async with running(path):
        status = await until("all well", served_by("a"), "status")
        found["daemon: status"] = shape_of(status)
        for words in (("why",), ("vantages",), ("probe", "a"), ("probe",)):
            await shape(*words)
        for words in (("alert", "test"), ("alert", "send", "words")):
            await shape(*words)
        await shape("pin", "b", "--for", "30m", "--reason", "a is dear today")
        pinned = await until("pinned", lambda said: bool(said["routes"][0]["pin"]), "status")
        found["daemon: status, pinned"] = shape_of(pinned)
        await shape("unpin")
        await until("b", served_by("b"), "status")
        await shape("failback")
        await until("a", served_by("a"), "status")
        await shape("failover", "a", name="failover, unchanged")
        await shape("pause")
        await shape("resume")
        await shape("ack", "chat")
        await until("a again", served_by("a"), "status")
        await shape("drill", "--for", "1s")
        drilled = await until("drilled", lambda said: bool(said["routes"][0]["drilled"]), "status")
        found["daemon: status, drilled"] = shape_of(drilled)
        await until("home", served_by("a"), "status")
        emulator.set_faults(api="anthropic", error_share=1.0, status=529)
        await until("left", lambda said: said["routes"][0]["primary"] == "b", "status")
        rows = await until(
            "written", lambda said: [flip["op"] for flip in said["flips"]].count("auto") == 1,
            "history",
        )  # fmt: skip
        found["daemon: history"] = shape_of(rows)
        await until("told", lambda said: len(said) == 1, "incident", "list")
        await shape("incident", "list")
        story = ("incident", "show", "1")
        await until("its story", lambda said: len(said["events"]) >= 5, *story)
        await shape(*story)
        found["daemon: why, failed over"] = shape_of(await ask("why", "chat"))
        await shape("history", "--samples")
        await shape("cost")
    await shape("status", name="status, stopped")
    await shape("why", name="why, stopped")
    return found


def shape_of(value: Any) -> list[str]:
    """ "path type" of everything in it; what is in a list counts together."""
    found: dict[str, set[str]] = {}
    _shape(value, "", found)
    return [f"{path or '.'} {' or '.join(sorted(kinds))}" for path, kinds in sorted(found.items())]


def _shape(value: Any, path: str, found: dict[str, set[str]]) -> None:
    kinds = {dict: "object", list: "list", str: "text", bool: "bool", type(None): "null"}
    found.setdefault(path, set()).add(kinds.get(type(value), "number"))
    if isinstance(value, dict):
        named = path.endswith(NAMED_BY_ITSELF)
        for key, one in value.items():
            _shape(one, f"{path}.*" if named else f"{path}.{key}", found)
    elif isinstance(value, list):
        for one in value:
            _shape(one, f"{path}[]", found)
