"""Writes down what must stay: `python -m tests.unchanged.record [PART …]`, all parts without one.

Each part is a JSON file beside this one: case -> what it gives. Run it only where a difference is
meant, and read the difference before it is committed.
"""

from __future__ import annotations

import ast
import asyncio
import hashlib
import json
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import astuple, replace
from itertools import product
from pathlib import Path
from typing import Any, cast
from unittest.mock import Mock

import redis.asyncio
import typer
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable
from typer.testing import CliRunner

from prober.canary import Canary
from prober.cli.app import app
from prober.config.schema import Config
from prober.history.store import tables
from prober.history.store.schema import migrations_folder, open_engine, upgrade
from prober.providers import ADAPTERS
from prober.sample import FAULT, Outcome
from prober.simulation.simulate.scenario import Scenario
from prober.web.control_socket import app as control
from switch.connect import connect_async
from switch.control.lease import Ballot, Lease
from switch.control.votes import Sight, Vote, claim_of, decode_vote, encode_vote
from switch.control.writer import FlagWriter, FlipRequest, PinChange
from switch.flag import (
    Candidate,
    Health,
    Keys,
    Mode,
    Op,
    Origin,
    Pin,
    decode_candidates,
    decode_changed,
    decode_flag,
    decode_flip,
    decode_pin,
    encode_candidate,
    say_duration,
)
from switch.reports import Count, Report, decode_report, encode_report
from switch.snapshot import RememberedRoute, encode
from tests.faults import test_crashes
from tests.golden.reading import read
from tests.golden.refusals import REFUSALS, UNKNOWN_REFUSALS
from tests.golden.replies import KINDS
from tests.golden.streams import GOLDEN
from tests.unchanged import TESTS
from tests.unchanged.alerts import alerts
from tests.unchanged.commands import commands, valkey

HERE = Path(__file__).parent
ROOT = TESTS.parent
SCENARIOS = sorted(path.stem for path in (HERE / "scenarios").glob("*.json"))
CANARY = Canary("ab12")
STATUSES = range(300, 600)

Found = dict[str, Any]


# -- flips ---------------------------------------------------------------------------------------


def flips(name: str) -> Found:
    """What `prober simulate` says of one scenario."""
    said = CliRunner().invoke(app, ["simulate", str(HERE / f"scenarios/{name}.json"), "--json"])
    assert said.exit_code == 0, said.output
    plain = json.loads(said.stdout)
    rows = {f"{name}, {key}": plain.pop(key) for key in ("flips", "incidents")}
    return {**rows, f"{name}, sums": plain}


def all_flips() -> Found:
    return {case: value for name in SCENARIOS for case, value in flips(name).items()}


# -- what answers mean ---------------------------------------------------------------------------


def streams() -> Found:
    """api, case -> how the answer was read, and the outcome."""
    found: Found = {}
    for api, golden in GOLDEN.items():
        for case, body in golden.streams.items():
            found[f"{api}: {case}"] = _read(api, body)
        said = golden.refused
        found[f"{api}: refused"] = _refused(api, said.status, said.body, said.headers)
    for kind, one in KINDS.items():
        for name, reply in one.replies.items():
            found[f"{kind}: {name}"] = _read(reply.api, reply.body[:10_000])
    for number, row in enumerate([*REFUSALS, *UNKNOWN_REFUSALS]):
        name = f"refusal {number}: {row.api} {row.vendor} {row.status}"
        found[name] = _refused(row.api, row.status, row.sent, row.headers)
    for api, adapter in ADAPTERS.items():
        for body in (b"", b"<html>", b"{}", b'{"error": "busy"}'):
            by_status = {status: adapter.classify(status, body).outcome for status in STATUSES}
            name = f"{api}: each status with {body.decode() or 'nothing'}"
            found[name] = [
                f"{outcome} {_runs(by_status, outcome)}"
                for outcome in Outcome
                if outcome in by_status.values()
            ]
    found["faults"] = {outcome.value: FAULT[outcome].value for outcome in Outcome}
    return found


def _runs(said: Mapping[int, Outcome], outcome: Outcome) -> str:
    """ "300-399 500": the statuses that have an outcome."""
    runs: list[list[int]] = []
    for status in (status for status, one in said.items() if one is outcome):
        if runs and runs[-1][-1] == status - 1:
            runs[-1].append(status)
        else:
            runs.append([status])
    return " ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)


def _read(api: str, body: bytes) -> list[Any]:
    said = read(api, body)
    outcome, detail = said.conclude(CANARY)
    stopped = said.stopped.word if said.stopped else None
    seen = [said.terminal, said.closed, said.first_reasoning_s is not None]
    return [outcome, detail, said.text[:80], stopped, *seen, astuple(said.tokens), digest(body)]


def _refused(api: str, status: int, body: bytes, headers: Any) -> list[Any]:
    said = ADAPTERS[api].classify(status, body, headers)
    return [said.outcome, said.cause, said.detail, digest(body)]


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:12]


# -- the contract with applications --------------------------------------------------------------

KEYS = Keys("chat")
CANDIDATES = (
    Candidate("a", "anthropic", "anthropic", "claude-x", "https://a.example", ("eu",)),
    Candidate("b", "openai", "", "gpt-x", "https://b.example/v1", (), False, "residency", 1),
)
VOTES = (
    Vote("eu-1", 1_768_443_161_000, "0a1b"),
    Vote(
        "us-1",
        1_768_443_161_000,
        "0a1b",
        {
            "a": Sight(Health.BREACHED, frozenset({"ttft", "availability"}), "9 of 24", True),
            "b": Sight(Health.OK),
        },
        "no [network]",
        claim_of("nonce-1"),
        {"a": {"base_url": "12ab"}, "": {"candidates": "34cd"}},
    ),
)
COUNT = Count(7, 2, 3, 4200, 3100, (0, 1, 0, 1, 1, 0, 0, 0))
REPORTS = (
    Report("p1", 1, 1_768_443_160_000, 1000),
    Report("p1", 2, 1_768_443_161_000, 1004, 5, {"a": COUNT, "b": Count(ok=1)}),
)
EVIDENCE = {"kind": "failover", "proof": "4 of 4", "since": 1.5, "incident": None, "why": "ü"}


class Scripts:
    """A client that is only given scripts to keep."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def register_script(self, text: str) -> None:
        self.texts.append(text)


def contract() -> Found:
    client = Scripts()
    FlagWriter(cast(Any, client))
    Lease(cast(Any, client), KEYS, 15)
    Ballot(cast(Any, client))
    names = ("heartbeat", "publish", "claim", "renew", "release", "cast")
    scripts = dict(zip(names, client.texts, strict=True))
    for path in sorted((ROOT / "switch").rglob("*.lua")):
        scripts[path.stem] = path.read_text("utf-8")
    page = (TESTS / "switch/CONTRACT.md").read_text("utf-8")
    return {
        "rules": re.findall(r"^\| (?!rule )(.+?) \| ", page, re.MULTILINE),
        "scripts": {
            name: hashlib.sha256(text.encode()).hexdigest() for name, text in scripts.items()
        },
        "keys": [KEYS.primary, KEYS.state, KEYS.pin, KEYS.candidates, KEYS.events, KEYS.changed,
                 KEYS.lease, KEYS.votes, KEYS.reports, KEYS.installation,
                 Keys("mail", "other").state],
        "candidates": [encode_candidate(one) for one in CANDIDATES],
        "candidates read": [
            astuple(one)
            for one in decode_candidates({c.name: encode_candidate(c) for c in CANDIDATES})
        ],
        "votes": [encode_vote(vote) for vote in VOTES],
        "votes read": [decode_vote(vote.vantage, encode_vote(vote)) == vote for vote in VOTES],
        "reports": [encode_report(report) for report in REPORTS],
        "reports read": [decode_report(encode_report(report)) == report for report in REPORTS],
        "snapshot": encode("prober", {"chat": RememberedRoute("a", 7, "because", CANDIDATES)}),
        "messages": [
            decode_changed(text)
            for text in (
                '{"provider":"a","epoch":5,"decision_id":"d"}',
                '{"provider":"A!","epoch":5,"decision_id":"d"}',
                '{"provider":"a","epoch":"5","decision_id":"d"}',
                "[]",
            )
        ],
        "durations": {str(s): say_duration(s) for s in (0, 0.02, 0.94, 61, 600, 9000, 1e6)},
        "words": {word.value: [*map(str, kind)] for word, kind in (
            (Op.AUTO, Op), (Origin.DRILL, Origin), (Mode.AUTO, Mode), (Health.OK, Health),
        )},
        **written(),
    }  # fmt: skip


def written() -> Found:
    """What a real server holds, and tells, after each call of the writer's."""
    with valkey() as server:
        return asyncio.run(_watched(server.url))


async def _watched(url: str) -> Found:
    client = connect_async(url, timeout_s=5.0)
    told = client.pubsub()
    await told.subscribe(KEYS.changed)
    await told.get_message(timeout=5.0)  # that it listens
    found = {**await _written(client), "published": []}
    while message := await told.get_message(timeout=0.2):
        found["published"].append(_still(message["data"]))
    await told.aclose()
    await client.aclose()
    return found


async def _written(client: redis.asyncio.Redis) -> Found:
    writer, lease, ballot = FlagWriter(client), Lease(client, KEYS, 15, "nonce-1"), Ballot(client)
    far_ms = 9_000_000_000_000
    answers: list[Any] = []
    found: Found = {}

    async def flip(op: Op, to: str, origin: Origin, **more: Any) -> None:
        epoch, decision = await client.hmget(KEYS.state, "epoch", "decision_id")
        number = f"d{len(answers)}"
        said = {"expected_epoch": int(epoch or 0), "expected_decision_id": decision or "", **more}
        request = FlipRequest(
            op, number, to, f"because {number}", "prober@eu-1", far_ms, nonce="nonce-1",
            origin=origin,
        )  # fmt: skip
        request = replace(request, **said)
        answer = await writer.flip(KEYS, request)
        answers.append(_still(astuple(answer)))

    await writer.claim("prober", "0123abcd")
    found["held"] = [await lease.hold(), await Lease(client, KEYS, 15, "other").hold()]
    await flip(Op.AUTO, "a", Origin.AUTOMATIC)
    await flip(Op.SEED, "a", Origin.SEED, mode=Mode.PROPOSE)
    await writer.heartbeat(KEYS, "nonce-1", Mode.AUTO, 77)
    await writer.publish(KEYS, CANDIDATES)
    found["after a seed"] = await _all(client)
    await flip(Op.AUTO, "b", Origin.AUTOMATIC, evidence=EVIDENCE)
    await flip(Op.AUTO, "a", Origin.AUTOMATIC, expected_epoch=1)
    await flip(Op.SEED, "a", Origin.SEED)
    await flip(Op.AUTO, "a", Origin.AUTOMATIC, deadline_ms=1)
    pin = PinChange(Pin("a", "ann", "maintenance", far_ms))
    await flip(Op.MANUAL, "a", Origin.OPERATOR, pin=pin)
    await flip(Op.AUTO, "b", Origin.AUTOMATIC)
    found["after a pin"] = await _all(client)
    await flip(Op.MANUAL, "a", Origin.OPERATOR, pin=PinChange(None))
    await flip(Op.REPAIR, "b", Origin.REPAIR, floor=far_ms)
    for vote in VOTES:
        await ballot.cast(KEYS, vote, forget=["gone"])
    for report in REPORTS:
        await client.xadd(KEYS.reports, encode_report(report), id=f"{report.seq}-0")
    found["at the end"] = await _all(client)
    found["answers"] = answers
    found["read"] = await _as_read(client)
    await lease.release()
    found["lease given up"] = await client.get(KEYS.lease)
    return found


async def _all(client: redis.asyncio.Redis) -> Found:
    """Every key with its value; times are all alike."""
    found: Found = {}
    for key in sorted(await client.keys("*")):
        kind = await client.type(key)
        if kind == "string":
            value: Any = await client.get(key)
        elif kind == "hash":
            value = await client.hgetall(key)
        else:
            value = [[id, entry] for id, entry in await client.xrange(key)]
        found[key] = [_still(value), "expires" if await client.ttl(key) > 0 else "stays"]
    return found


async def _as_read(client: redis.asyncio.Redis) -> Found:
    """The same through the decoders: values in the order of their fields."""
    flag = decode_flag("chat", await client.hgetall(KEYS.state))
    pin = decode_pin({"provider": "a", "owner": "ann", "until_ms": "5", "epoch": "7"})
    entries = await client.xrange(KEYS.events)
    assert flag is not None
    assert pin is not None
    made = [astuple(decode_flip("chat", entry)) for _, entry in entries]
    return {
        "flag": _still(astuple(flag)),
        "pin": astuple(pin),
        **{f"flip {number}": _still(row) for number, row in enumerate(made)},
    }


def _still(value: Any) -> Any:
    """Moments of this run become "<ms>"; those that were given stay."""
    match value:
        case str():
            return re.sub(r"1(?!768443)[78]\d{11}(?!\d)", "<ms>", value)
        case bool() | float() | None:
            return value
        case int():
            said = _still(str(value))
            return value if said == str(value) else said
        case Mapping():
            return {key: _still(one) for key, one in value.items()}
        case _:
            return [_still(one) for one in value]


# -- crashes -------------------------------------------------------------------------------------


def crashes() -> Found:
    """Test -> what it is for, and every case it runs with."""
    source = ast.parse(Path(test_crashes.__file__).read_text("utf-8"))
    docs = {
        item.name: ast.get_docstring(item) or ""
        for item in source.body
        if isinstance(item, ast.AsyncFunctionDef)
    }
    found: Found = {"": ast.get_docstring(source)}
    for name in sorted(name for name in docs if name.startswith("test_")):
        marks = getattr(getattr(test_crashes, name), "pytestmark", [])
        values = [mark.args[1] for mark in marks if mark.name == "parametrize"]
        cases = [", ".join(map(str, case)) for case in product(*values)] if values else []
        found[name] = [docs[name], *cases]
    return found


# -- what is stored, configured and asked --------------------------------------------------------


def formats() -> Found:
    """SQL's tables, the configuration's and scenarios' keys, the control socket's paths."""
    with tempfile.TemporaryDirectory() as folder:
        engine = open_engine(f"sqlite:///{folder}/p.db")
        done = upgrade(engine)
        with engine.connect() as connection:
            rows = connection.exec_driver_sql(
                "select name, sql from sqlite_master where sql is not null order by name"
            ).all()
        engine.dispose()
    dialect = postgresql.dialect()
    made = [
        str(what.compile(dialect=dialect)).strip()
        for table in tables.metadata.sorted_tables
        for what in (CreateTable(table), *map(CreateIndex, sorted(table.indexes, key=str)))
    ]
    paths = {
        getattr(route, "path", ""): sorted(getattr(route, "methods", ()))
        for route in control(cast(Any, Mock())).routes
    }
    return {
        "sql, revision": done.after,
        "sql, migrations": sorted(path.stem for path in migrations_folder().glob("versions/0*.py")),
        **{f"sql, {name}": sql.splitlines() for name, sql in rows},
        "sql of postgresql": [line for one in made for line in one.splitlines() if line.strip()],
        "control": paths,
        "configuration": keys_of(Config.model_json_schema()),
        "scenario": keys_of(Scenario.model_json_schema()),
    }


def keys_of(schema: Found) -> list[str]:
    """A line for each key: where it is, what it takes and its default; no class is named."""
    return sorted(_keys(schema, schema.get("$defs", {}), ""))


def _keys(part: Found, named: Found, path: str) -> Iterator[str]:
    if "$ref" in part:
        target = named[part["$ref"].rpartition("/")[2]]
        part = {**target, **{key: value for key, value in part.items() if key != "$ref"}}
    below = ("properties", "items", "anyOf", "oneOf", "additionalProperties", "prefixItems")
    silent = {"title", "description", "$defs", "required", *below}
    said = {key: value for key, value in part.items() if key not in silent}
    if isinstance(part.get("additionalProperties"), bool):
        said["open"] = part["additionalProperties"]
    yield " ".join([path or ".", *(f"{key}={value}" for key, value in sorted(said.items()))])
    needed = part.get("required", ())
    for key, value in part.get("properties", {}).items():
        yield from _keys(value, named, f"{path}.{key}{'!' if key in needed else ''}")
    if isinstance(part.get("items"), dict):
        yield from _keys(part["items"], named, f"{path}[]")
    if isinstance(part.get("additionalProperties"), dict):
        yield from _keys(part["additionalProperties"], named, f"{path}.*")
    for kind in ("anyOf", "oneOf", "prefixItems"):
        for number, choice in enumerate(part.get(kind, ())):
            yield from _keys(choice, named, f"{path}|{number}")


def helps() -> Found:
    """The words of `prober … --help`, command by command."""
    whole = typer.main.get_command(app)
    return {
        " ".join(["prober", *words]): _help(words) for words in sorted(_words(cast(Any, whole)))
    }


def _words(command: Any, *before: str) -> Iterator[tuple[str, ...]]:
    yield before
    for name, below in getattr(command, "commands", {}).items():
        yield from _words(below, *before, name)


def _help(words: tuple[str, ...]) -> list[str]:
    wide = {"COLUMNS": "300", "TERMINAL_WIDTH": "300", "NO_COLOR": "1", "TERM": "dumb"}
    said = CliRunner().invoke(app, [*words, "--help"], env=wide)
    assert said.exit_code == 0, said.output
    lines = (" ".join(re.sub(r"[─│╭╮╰╯]+", " ", line).split()) for line in said.stdout.splitlines())
    return [line for line in lines if line]


# -- the files -----------------------------------------------------------------------------------

PARTS: dict[str, Callable[[], Found]] = {
    "flips": all_flips,
    "streams": streams,
    "contract": contract,
    "crashes": crashes,
    "alerts": alerts,
    "formats": formats,
    "help": helps,
    "commands": commands,
}


def kept(part: str) -> Found:
    found: Found = json.loads((HERE / f"{part}.json").read_text("utf-8"))
    return found


def plain(found: Found) -> Found:
    """As it comes back from JSON."""
    back: Found = json.loads(json.dumps(found, ensure_ascii=False))
    return back


def lines_of(value: Any) -> list[str]:
    """A case's value: on one line if that is short, else a line for each thing in it."""
    if len(_short(value)) <= 240:
        return [_short(value)]
    if isinstance(value, list) and value:
        return ["[", *_commas(_short(one) for one in value), "]"]
    if isinstance(value, dict) and value:
        return ["{", *_commas(f"{_short(k)}: {_short(v)}" for k, v in value.items()), "}"]
    return [_short(value)]


def _short(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _commas(parts: Iterator[str]) -> list[str]:
    rows = [f"  {part}" for part in parts]
    return [f"{row}," for row in rows[:-1]] + rows[-1:]


def written_down(found: Found) -> str:
    cases = (f" {_short(case)}: " + "\n".join(lines_of(value)) for case, value in found.items())
    return "{\n" + ",\n".join(cases) + "\n}\n"


def main() -> None:
    for part in sys.argv[1:] or PARTS:
        text = written_down(plain(PARTS[part]()))
        (HERE / f"{part}.json").write_text(text, "utf-8")
        sys.stdout.write(f"{part}: {len(text)} bytes\n")


if __name__ == "__main__":
    main()
