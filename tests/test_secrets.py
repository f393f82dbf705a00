"""A secret never leaves: known keys are planted everywhere, and every output is searched."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
import redis
from typer.testing import CliRunner

from prober.cli.app import app
from prober.cli.run import _Scrubbed
from prober.clock import Clock
from prober.config import loader
from prober.config.redact import Scrubber
from prober.daemon.embedded_redis import Embedded
from prober.emulator import started
from prober.probing.capture import Capture
from prober.probing.network import Network
from prober.probing.plans import resolve
from prober.probing.probe import probe
from prober.providers import ADAPTERS
from tests.support.planted import CONFIG, PARROT, PARROTS, core, leaks, parrot
from tests.support.servers import Valkey
from tests.support.stage import Hook, hook


@pytest.fixture
def oncall() -> Iterator[Hook]:
    with hook() as taken:
        yield taken


@pytest.fixture
def configs(
    tmp_path: Path, own_valkey: Valkey, oncall: Hook, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], Path]]:
    """Writes the configuration with one of the databases; every key is in the environment."""
    with own_valkey.client() as client:
        client.config_set("requirepass", core("redis"))
    password = quote(core("redis"), safe="")
    with parrot() as url, started() as emulator:
        emulator.set_faults(ttft_s=0.001)
        environment = {
            **{f"KEY_{name.upper()}": f"sk-proj-{core(name)}" for name in (*PARROTS, "healthy")},
            "GATEWAY": f"Bearer {core('gateway')}",
            "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
            "AWS_SECRET_ACCESS_KEY": core("aws-secret"),
            "AWS_SESSION_TOKEN": core("aws-token"),
            "HOOK": f"{oncall.url}{quote(core('hook'), safe='')}",
            "DEAD_HOOK": f"json://u:{quote(core('dead-hook'), safe='')}@127.0.0.1:1/",
            "REDIS_URL": f"unix://{own_valkey.socket}?password={password}",
            "DATABASE_URL": "postgresql+psycopg://prober:"
            f"{quote(core('database'), safe='')}@127.0.0.1:1/prober",
            "HEARTBEAT": f"http://u:{core('heartbeat').replace('/', '%2F')}@127.0.0.1:1/ping",
            "HTTPS_PROXY": f"http://u:{quote(core('proxy'), safe='')}@127.0.0.1:1",
            "COLUMNS": "80",
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)

        def write(database: str) -> Path:
            path = tmp_path / "prober.toml"
            parrots = "".join(
                PARROT.format(name=name, upper=name.upper(), parrot=url) for name in PARROTS
            )
            text = CONFIG.format(
                folder=tmp_path, parrot=url, parrots=parrots, emulator=emulator.url,
                database=database,
            )  # fmt: skip
            path.write_text(text, "utf-8")
            monkeypatch.setenv("PROBER_CONFIG", str(path))
            return path

        yield write


@contextmanager
def daemon(path: Path) -> Iterator[None]:
    """`prober run --verbose` as a process of its own; what it says goes to a file."""
    with (path.parent / "log").open("ab") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "prober", "run", "--verbose"], stdout=said, stderr=said
        )
        try:
            yield
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()
            process.wait()


def until(happened: Callable[[], object], what: str) -> None:
    end = time.monotonic() + 40
    while not happened():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def say(*words: str) -> str:
    """All that a command says, its traceback included if it dies."""
    result = CliRunner().invoke(app, list(words))
    crash = "".join(traceback.format_exception(result.exception)) if result.exception else ""
    assert result.exception is None or isinstance(result.exception, SystemExit), crash
    return result.output + crash


def everything_on_disk(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): file.read_bytes().decode("latin-1")
        for file in folder.rglob("*")
        if file.is_file()
    }


def everything_in_redis(valkey: Valkey) -> str:
    with redis.Redis(
        unix_socket_path=str(valkey.socket), password=core("redis"), decode_responses=True
    ) as client:
        read: dict[str, Callable[[str], object]] = {
            "string": client.get,
            "hash": client.hgetall,
            "stream": client.xrange,
            "list": lambda key: client.lrange(key, 0, -1),
            "set": client.smembers,
            "zset": lambda key: client.zrange(key, 0, -1),
        }
        keys = list(client.scan_iter("*"))
        assert keys
        return "\n".join(f"{key}: {read[str(client.type(key))](key)}" for key in keys)


def sampled(folder: Path) -> set[str]:
    try:
        with closing(sqlite3.connect(f"file:{folder}/prober.db?mode=ro", uri=True)) as connection:
            rows = connection.execute("select distinct provider from sample").fetchall()
    except sqlite3.Error:
        return set()
    return {name for (name,) in rows}


COMMANDS = (
    ("status",), ("status", "--json"), ("why", "chat"), ("why", "chat", "--json"), ("history",),
    ("history", "--samples", "-n", "1000"), ("history", "--json"), ("contract", "chat"),
    ("check",), ("check", "--json"), ("check", "--effective"), ("db", "upgrade"),
    ("alert", "test"), ("pin", "healthy", "--for", "1m", "--reason", "a test"), ("unpin",),
    ("failover", "refuse"), ("probe",), ("probe", "--json"),
    *(("probe", name) for name in ("healthy", "aws", *PARROTS)),
)  # fmt: skip


def test_no_output_holds_a_secret_whoever_repeats_it(
    configs: Callable[[str], Path], tmp_path: Path, own_valkey: Valkey, oncall: Hook
) -> None:
    """Providers repeat their keys in bodies, headers, redirects and streams; nobody else does."""
    path = configs('"sqlite:///prober.db"')
    said: dict[str, str] = {}
    with daemon(path):
        everybody = {"healthy", "aws", *PARROTS}
        until(lambda: sampled(tmp_path / "state") == everybody, "canaries of all in SQL")
        until(lambda: any("refuse" in str(letter) for letter in oncall.letters), "an alert")
        for words in COMMANDS:
            said[" ".join(words)] = say(*words)
        said["probe --save"] = say("probe", "--all", "--save", str(tmp_path / "tape.txt"))
        said["redis"] = everything_in_redis(own_valkey)
    said["alerts"] = json.dumps(oncall.letters)
    said |= everything_on_disk(tmp_path)
    assert {name: found for name, text in said.items() if (found := leaks(text))} == {}

    # What was searched is what there is.
    assert "Incorrect API key provided: Bearer ***" in said["probe refuse"]
    assert "The key is ***" in said["tape.answer.txt"]
    assert "location: http://h.example/" in said["tape.moved.txt"]
    assert "***" in said["history --samples -n 1000"]
    assert {"prober.toml", "log", "state/prober.db", "state/journal"} <= said.keys()


def waiting_rows() -> int:
    said = CliRunner().invoke(app, ["status", "--json"]).stdout
    return int(json.loads(said).get("rows_waiting", 0))


def test_the_spool_and_the_log_hold_no_secret_while_sql_is_away(
    configs: Callable[[str], Path], tmp_path: Path, oncall: Hook
) -> None:
    path = configs('{ env = "DATABASE_URL" }')
    with daemon(path):
        until(lambda: waiting_rows() > 50, "rows that wait for SQL")
        said = {" ".join(words): say(*words) for words in (("status",), ("history",))}
    said |= everything_on_disk(tmp_path)
    assert "history cannot be written" in said["log"] or "SQL cannot be reached" in said["log"]
    assert "refuse" in said["state/spool"]
    assert {name: found for name, text in said.items() if (found := leaks(text))} == {}


async def test_no_repr_holds_a_secret(configs: Callable[[str], Path]) -> None:
    """What a debugger or an error report would show."""
    path = configs('{ env = "DATABASE_URL" }')
    config = await asyncio.to_thread(loader.load, path)
    resolved = await asyncio.to_thread(resolve, config)
    assert resolved.problems == []
    shown = [repr(config), repr(resolved), str(resolved), loader.effective(config)]
    async with Network() as network:
        for plan in resolved.plans.values():
            request = ADAPTERS[plan.api].build(plan.target, "x", 1)
            if plan.authorize is not None:
                request = await plan.authorize(request)
                assert core("aws-token") in str(request.headers)
            shown += [repr(plan), repr(plan.target), repr(request), repr(plan.authorize)]
            heard = {"via": plan.target.key}
            shown.append(repr(Capture(request, "HTTP/1.1 200 OK", heard, [(0.0, request.body)])))
        shown.append(repr(network))
    shown.append(repr(Embedded(6399, core("redis"), Path("redis.sock"))))
    assert leaks("\n".join(shown)) == []
    assert leaks(resolved.scrub(" ".join(os.environ.values()))) == []


def test_what_is_logged_is_scrubbed_tracebacks_too(configs: Callable[[str], Path]) -> None:
    class Half:
        resolved = resolve(loader.load(configs('{ env = "DATABASE_URL" }')))

    formatter = _Scrubbed(Half(), journal=False)  # type: ignore[arg-type]
    try:
        raise ValueError(f"cannot read {os.environ['HEARTBEAT']} with {core('redis')}")
    except ValueError:
        record = logging.LogRecord("x", 50, "x", 1, "%s", (core("gateway"),), sys.exc_info())
    text = formatter.format(record)
    assert "ValueError: cannot read ***" in text
    assert leaks(text) == []


def refused(path: Path, line: str) -> str:
    """What `check` says of the configuration with `line` for the key of its first provider."""
    text = path.read_text("utf-8").replace('key = { env = "KEY_HEALTHY" }', line)
    text = text.replace("headers = { x-gateway-token", "# headers", 1)
    path.write_text(text, "utf-8")
    said = say("check")
    assert "is fine" not in said
    return said


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('key = "{key}"', "secrets are given by reference"),
        ('key = {{ env = "{key}" }}', "the name of an environment variable, not its value"),
        ('key = {{ env = "abcdefabcdefabcdef0123456789" }}', "not its value"),
        ('headers = {{ X-API-Key = "{key}" }}', 'headers = { X-API-Key = { env = "NAME" } }'),
        ('headers = {{ x-other = "Bearer {key}" }}', "x-other looks like a credential"),
        ('headers = {{ x-portkey-config = """{{"api_key":"{key}"}}""" }}', "looks like a"),
        ('extra_body = {{ user = {{ api_key = "{key}" }} }}', "user.api_key looks like a"),
    ],
)
def test_a_literal_credential_is_refused_by_check_and_not_repeated(
    configs: Callable[[str], Path], line: str, words: str
) -> None:
    said = refused(configs('"sqlite:///prober.db"'), line.format(key=f"sk-x-{core('healthy')}"))
    assert words in said
    assert leaks(said) == []


@pytest.mark.parametrize(
    "line",
    [
        'headers = { anthropic-version = "2023-06-01", x-max-tokens = "5", x-region = "eu" }',
        'extra_body = { max_tokens = 5, prompt_cache_key = "canary", user = "prober" }',
    ],
)
def test_what_is_no_credential_may_stand_in_the_file(
    configs: Callable[[str], Path], line: str
) -> None:
    path = configs('"sqlite:///prober.db"')
    path.write_text(path.read_text("utf-8").replace("[[route]]", f"{line}\n[[route]]"), "utf-8")
    # The last provider has headers of its own already.
    text = path.read_text("utf-8")
    at = text.rindex("headers = { x-gateway-token")
    path.write_text(text[:at] + text[text.index("\n", at) :], "utf-8")
    assert "is fine" in say("check")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("REDIS_URL", "redis://:{}@h:6379/0", "[redis]: url cannot be read"),
        ("HEARTBEAT", "https://u:{}@h/ping", "[daemon]: heartbeat is no URL"),
    ],
)
def test_a_password_that_breaks_its_url_is_not_quoted(
    configs: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
    words: str,
) -> None:
    """A slash ends the host, and the words of the library would quote what is before it."""
    configs('"sqlite:///prober.db"')
    monkeypatch.setenv(name, value.format(core("redis")))
    said = say("check")
    assert words in said
    assert leaks(said) == []
    if name == "REDIS_URL":
        for command in (("status",), ("pin", "healthy", "--for", "1m", "--reason", "x")):
            said = say(*command)
            assert words in said
            assert leaks(said) == []


async def test_a_key_fetched_while_running_is_scrubbed(configs: Callable[[str], Path]) -> None:
    """Amazon's secret and token are known from the first signature on."""
    config = await asyncio.to_thread(loader.load, configs('"sqlite:///prober.db"'))
    resolved = await asyncio.to_thread(resolve, config)
    assert resolved.scrub(core("aws-token")) == core("aws-token")
    async with Network() as network:
        plan = resolved.plans["aws"]
        sample = await probe(plan, network, Clock(), id="x", scrub=resolved.scrub)
    assert sample.detail.count("***") >= 2
    assert leaks(repr(sample)) == []


@pytest.mark.parametrize(
    "written",
    ["ab+/c=de&fg", "ab%2B%2Fc%3Dde%26fg", "ab%2b/c%3dde&fg", r"ab+\/c=de&fg", "ab+/c=de&amp;fg",
     r"ab\u002B/c=de\u0026fg", r"ab\u002b\/c=de\u0026fg",
     "ab&#x2B;&#47;c=de&amp;fg", "ab%252B/c=de&fg"],
)  # fmt: skip
def test_a_secret_goes_however_it_is_written(written: str) -> None:
    assert Scrubber(["ab+/c=de&fg"])(f"<{written}>") == "<***>"


def test_a_secret_goes_without_the_word_before_it_and_without_its_encoding() -> None:
    assert Scrubber(["Bearer gateway"])("key gateway, Bearer token") == "key ***, Bearer token"
    assert Scrubber(["p%40ssword"])("login p@ssword") == "login ***"


def test_of_several_keys_that_begin_alike_the_one_that_was_cut_goes_whole() -> None:
    scrub = Scrubber(["sk-proj-aaaaaaaaaaaa", "sk-proj-abbbbbbbbbbb", "short-secret"])
    assert scrub("cut: sk-proj-abbbb") == "cut: ***"
    assert scrub("cut: sk-proj-aaaaaaa, sk-proj-abb, other") == "cut: ***, ***, other"
    assert scrub("cut: short-secre") == "cut: short-secre", "too short to tell from a word"
