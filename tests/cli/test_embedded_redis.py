"""The Redis that came along: its password, its end, and that of a whole installation."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from typer.testing import CliRunner, Result

from prober.cli.app import app
from prober.daemon import embedded_redis, recovery
from prober.failover import identity
from prober.history.store import queries, schema
from prober.history.store.schema import open_engine, upgrade
from prober.history.store.writer import Store
from switch.connect import connect
from switch.flag import Keys
from tests.switch.redis_nodes import free_port

CONFIG = """
[daemon]
state_dir = "{folder}"

[redis]
port = {port}

[database]
url = "sqlite:///{sqlite}"

[[provider]]
name = "a"
api = "anthropic"
model = "m"
base_url = "http://127.0.0.1:9"

[[route]]
name = "chat"
candidates = ["a"]
"""
KEYS = Keys("chat")
# A kill between the server's start and all that comes after it.
KILLED = """
import os, signal, subprocess, sys
from pathlib import Path
from prober.daemon import embedded_redis
run = subprocess.run
def die(*args, **more):
    run(*args, **more)
    os.kill(os.getpid(), signal.SIGKILL)
embedded_redis.subprocess.run = die
embedded_redis.ensure(Path(sys.argv[1]), int(sys.argv[2]))
"""


@pytest.fixture
def config(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "state"
    path = tmp_path / "prober.toml"
    path.write_text(CONFIG.format(folder=folder, port=free_port(), sqlite=tmp_path / "x.db"))
    yield path
    if server := embedded_redis.find(folder / "redis"):
        embedded_redis.stop(server)


def started(config: Path) -> embedded_redis.Embedded:
    port = int(config.read_text().partition("port = ")[2].split()[0])
    return embedded_redis.ensure(config.parent / "state" / "redis", port)


def prober(config: Path, *words: str) -> Result:
    return CliRunner().invoke(app, [*words, "--config", str(config)])


def test_a_kill_right_after_the_server_started_leaves_none_that_nobody_can_use(
    config: Path,
) -> None:
    folder, port = config.parent / "state" / "redis", free_port()
    killed = subprocess.run([sys.executable, "-c", KILLED, str(folder), str(port)], check=False)
    assert killed.returncode == -signal.SIGKILL
    again = embedded_redis.ensure(folder, port)
    assert embedded_redis.answers(again)
    with connect(again.url) as client:
        assert client.info("server")["tcp_port"] == port
    secret = folder / embedded_redis.STATE
    assert secret.stat().st_mode & 0o777 == 0o600
    assert again.password in secret.read_text()


def test_the_password_is_printed_by_one_command_alone(config: Path) -> None:
    none = prober(config, "redis-url")
    assert (none.exit_code, "run: prober run" in none.output) == (1, True)
    server = started(config)
    said = prober(config, "redis-url")
    assert said.output == f"redis://:{server.password}@127.0.0.1:{server.port}/0\n"
    with connect(said.output.strip()) as client:
        assert client.ping()
    assert server.password not in server.masked_url
    (config.parent / "state/redis" / embedded_redis.STATE).write_text("{torn")
    torn = prober(config, "redis-url")
    assert (torn.exit_code, "cannot be read as JSON" in torn.output) == (1, True)


def test_the_embedded_server_is_ended_by_a_command_but_not_under_a_daemon(config: Path) -> None:
    server = started(config)
    held = recovery.lock(config.parent / "state")
    refused = prober(config, "embedded", "stop")
    assert (refused.exit_code, "systemctl stop prober" in refused.output) == (1, True)
    assert embedded_redis.answers(server)
    held.close()
    done = prober(config, "embedded", "stop")
    assert done.exit_code == 0, done.output
    assert not embedded_redis.answers(server)
    assert "does not run" in prober(config, "embedded", "stop").output


def test_an_installation_is_removed_whole_and_others_stay(config: Path) -> None:
    folder, server = config.parent / "state", started(config)
    ours, theirs = "1" * 32, "2" * 32
    identity.keep(folder, ours, "the embedded Redis")
    engine = open_engine(f"sqlite:///{config.parent}/x.db")
    upgrade(engine)
    for id in (ours, theirs):
        store = Store(engine, folder / "spool", id)
        store.start()
        assert store.wait_written(20)
        store.close()
    with connect(server.url) as client:
        client.set(KEYS.installation, theirs)
        refused = prober(config, "uninstall", "--yes")
        assert (refused.exit_code, "nothing was removed" in refused.output) == (1, True)
        client.set(KEYS.installation, ours)
        client.set(KEYS.primary, "a")
    done = prober(config, "uninstall", "--yes")
    assert done.exit_code == 0, done.output
    assert not embedded_redis.answers(server)
    assert not folder.exists()
    with engine.connect() as connection:
        left = connection.exec_driver_sql("SELECT id FROM installation").scalars().all()
    engine.dispose()
    assert left == [theirs]


def test_a_question_that_is_not_answered_changes_nothing(config: Path) -> None:
    server = started(config)
    said = CliRunner().invoke(app, ["adopt", "new", "--config", str(config)], input="n\n")
    assert said.exit_code == 1
    assert "nothing was changed" in said.output
    with connect(server.url) as client:
        assert client.get(KEYS.installation) is None
    done = prober(config, "adopt", "new", "--yes")
    assert done.exit_code == 0, done.output
    with connect(server.url) as client:
        assert client.get(KEYS.installation) == identity.read(config.parent / "state", ()).id
    wrong = prober(config, "adopt", "history")
    assert (wrong.exit_code, "history ID" in wrong.output) == (2, True)


def test_old_history_is_given_to_the_installation_that_upgrades_it(config: Path) -> None:
    """Which is named first, in Redis too: its daemons find their own history."""
    folder, engine = config.parent / "state", open_engine(f"sqlite:///{config.parent}/x.db")
    command.upgrade(schema._alembic(engine), "0005")
    flip = "INSERT INTO refusal VALUES ('d', 'chat', 1.0, 'expired', 'a', 'late')"
    with engine.begin() as connection:
        connection.exec_driver_sql(flip)
    never = prober(config, "db", "upgrade")
    assert (never.exit_code, "never started" in never.output) == (1, True)
    server = started(config)
    done = prober(config, "db", "upgrade")
    assert done.exit_code == 0, done.output
    ours = identity.read(folder, ()).id
    with connect(server.url) as client:
        assert client.get(KEYS.installation) == ours
    assert queries.installations(engine) == [ours]
    assert "chat: refused (expired): a" in prober(config, "history").output
    with connect(server.url) as client:
        client.set(KEYS.installation, "2" * 32)
    (folder / identity.FILE).unlink()
    assert "Nothing has happened yet" in prober(config, "history").output
    taken = prober(config, "adopt", "history", ours[:8], "--yes")
    assert taken.exit_code == 0, taken.output
    assert "chat: refused (expired): a" in prober(config, "history").output
    engine.dispose()
