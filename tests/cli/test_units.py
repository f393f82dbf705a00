"""deploy/: the units that systemd runs, and the daemon under what they forbid."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command

from prober.daemon.systemd import prioritized
from prober.emulator import Emulator
from prober.history.store import schema
from prober.history.store.schema import open_engine
from tests.support.stage import SHELL, Hook, hear, notified, write_config

ROOT = Path(__file__).parents[2]
UNITS = ("prober.service", "prober-failed@.service")
MOST_EXPOSED = 1.5

systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine"
)


@systemd
@pytest.mark.parametrize("name", UNITS)
def test_a_unit_is_hardly_exposed(name: str) -> None:
    said = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", ROOT / "deploy" / name],
        capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    found = re.search(r"Overall exposure level for .*: ([0-9.]+)", said)
    assert found is not None, said
    assert float(found[1]) <= MOST_EXPOSED, said


@systemd
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    for name in UNITS:  # where nothing is installed, its command is not there
        text = (ROOT / "deploy" / name).read_text().replace("/opt/prober/bin/prober", "/bin/true")
        (tmp_path / name).write_text(text)
    said = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(tmp_path / name for name in UNITS)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (said.returncode, said.stdout + said.stderr) == (0, "")


def test_both_units_are_hardened_alike() -> None:
    def hard(name: str) -> list[str]:
        lines = (ROOT / "deploy" / name).read_text().splitlines()
        return [line for line in lines[lines.index("UMask=0077") :] if line and line[0] != "["]

    main, failed = map(hard, UNITS)
    assert set(failed) == set(main) - {"WantedBy=multi-user.target"}


# -- the log as journald reads it -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "priority"),
    [
        (logging.CRITICAL, 2),
        (logging.ERROR, 3),
        (logging.WARNING, 4),
        (logging.INFO, 6),
        (logging.DEBUG, 7),
    ],
)
def test_each_line_of_a_record_bears_its_priority(level: int, priority: int) -> None:
    assert prioritized("one\ntwo", level) == f"<{priority}>one\n<{priority}>two"
    assert prioritized("", level) == f"<{priority}>"


def run_into_a_pipe(path: Path, stream: str) -> str:
    """What a daemon that refuses its configuration says; `stream`: a $JOURNAL_STREAM of {}."""
    reading, writing = os.pipe()
    stands = os.fstat(writing)
    with open(reading, encoding="utf-8") as pipe:
        subprocess.run(
            [sys.executable, "-m", "prober", "run", "-c", str(path)],
            env={**os.environ, "JOURNAL_STREAM": stream.format(f"{stands.st_dev}:{stands.st_ino}")},
            stderr=writing,
            check=False,
        )
        os.close(writing)
        return pipe.read()


def test_under_journald_a_refusal_is_an_error_and_elsewhere_a_plain_line(tmp_path: Path) -> None:
    path = tmp_path / "prober.toml"
    path.write_text("[canry]\nx = 1\n")
    refused = f"prober: {path}: [canry]: unknown table; did you mean 'canary'?"
    assert refused in run_into_a_pipe(path, "8:99").splitlines(), "somebody else's stream"
    lines = run_into_a_pipe(path, "{}").splitlines()
    assert f"<3>{refused}" in lines
    assert all(re.match(r"<[0-7]>(?!\d{4}-)", line) for line in lines)


# -- under the restrictions -----------------------------------------------------------------------

ESCAPES = """
import json, mmap, os, resource, socket, sys
def refused(what):
    try:
        what()
    except OSError:
        return True
    return False
print(json.dumps({
    "no core": resource.getrlimit(resource.RLIMIT_CORE)[1] == 0,
    "read-only but the state": refused(lambda: open(sys.argv[2], "w")),
    "no capability": refused(lambda: os.chown(sys.argv[1], 1, 1)),
    "system calls and address families filtered":
        refused(lambda: socket.socket(16, socket.SOCK_RAW)) and refused(lambda: os.nice(1)),
    "no memory written and run":
        refused(lambda: mmap.mmap(-1, 4096, prot=7)),
}))
open(sys.argv[1] + "/may", "w")
"""


def confined(state: Path, *line: str) -> list[str]:
    return [
        sys.executable,
        str(ROOT / "tests/support/confined.py"),
        str(state),
        sys.executable,
        *line,
    ]


def test_the_restrictions_that_a_test_can_set_do_restrict(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    done = subprocess.run(
        confined(state, "-c", ESCAPES, str(state), str(tmp_path / "elsewhere")),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    applied = done.stderr.removeprefix("confined: ").strip().split(", ")
    holds = json.loads(done.stdout)
    assert "no core" in applied
    assert [name for name in applied if not holds.get(name, True)] == []


def test_what_the_unit_forbids_is_not_needed(
    tmp_path: Path, emulator: Emulator, oncall: Hook
) -> None:
    """Embedded Redis, control socket, credentials, canaries, alerts, history, backup."""
    state, credentials = tmp_path / "state", tmp_path / "credentials"
    for folder in (state, credentials):
        folder.mkdir()
    (credentials / "key-a").write_text("secret-key-of-a")
    path = write_config(tmp_path / "prober.toml", emulator=emulator.url, redis="embedded")
    text = path.read_text().replace(f'"{tmp_path}"', f'"{state}"')
    text = text.replace('{ env = "KEY_A" }', '{ credential = "key-a" }')
    path.write_text(text.replace('url = "embedded"', f'url = "embedded"\nport = {a_port()}'))
    environment = {**os.environ, "CREDENTIALS_DIRECTORY": str(credentials)}

    @contextlib.contextmanager
    def running() -> Iterator[None]:
        with notified() as (address, sock):
            daemon = subprocess.Popen(
                confined(state, "-m", "prober", "run", "--config", str(path)),
                env={**environment, "NOTIFY_SOCKET": address},
                stderr=subprocess.PIPE,
                text=True,
            )
            try:
                hear(sock, "STATUS=chat: a")
                yield
            finally:
                daemon.send_signal(signal.SIGTERM)
                _, said = daemon.communicate(timeout=20)
            assert daemon.returncode == 0, said
            assert "confined: " in said
            assert "ERROR" not in said
            assert "Traceback" not in said

    def types(*commands: str) -> list[str]:
        lines = json.dumps([[*c.split(), "--config", str(path)] for c in commands])
        done = subprocess.run(
            confined(state, "-c", SHELL, lines),
            env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        said = [json.loads(line) for line in done.stdout.splitlines()]
        assert [code for code, _ in said] == [0] * len(commands), said
        return [text for _, text in said]

    try:
        with running():
            types("failover b", "failback", "alert test")
        with running():  # attached to the embedded server that lived on
            pass
        engine = open_engine(f"sqlite:///{state}/prober.db")
        command.downgrade(schema._alembic(engine), "0001")
        engine.dispose()
        upgraded, history = types("db upgrade", "history")
        assert "in place of the database file" in upgraded
        assert "failed back by hand" in history
    finally:
        with contextlib.suppress(OSError, ValueError):
            os.kill(int((state / "redis/redis.pid").read_text()), signal.SIGTERM)
    assert "🟢 A test alert from Prober" in oncall.titles


def a_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
