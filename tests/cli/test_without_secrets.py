"""Commands at a shell that has none of the unit's secrets: `sudo -u prober prober …`."""

from __future__ import annotations

import getpass
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from prober.emulator import Emulator
from tests.support.servers import Valkey
from tests.support.stage import SHELL, Hook, hear, notified, write_config

SECRETS = ("secret-key-of-a", "secret-key-of-b", "secret-word-of-redis")


class Host:
    """A host whose unit hands the daemon all its secrets, and a shell that has none."""

    def __init__(self, folder: Path, valkey: Valkey, emulator: Emulator, oncall: Hook) -> None:
        self.folder = folder
        text = write_config(folder / "prober.toml", emulator=emulator.url, redis="-").read_text()
        text = text.replace('url = "-"', 'url = { env = "REDIS_URL" }')
        text = text.replace('"sqlite:///prober.db"', '{ env = "DATABASE_URL" }')
        text = text.replace('key = { env = "KEY_B" }', 'key = { credential = "key-b" }')
        (folder / "prober.toml").write_text(text)
        self.given = {
            "REDIS_URL": valkey.url,
            "DATABASE_URL": f"sqlite:///{folder}/history.db",
            "KEY_A": SECRETS[0],
            "HOOK": oncall.url,
            "PROBER_VANTAGE": "eu-1",
        }
        (folder / "credentials").mkdir()
        (folder / "credentials/key-b").write_text(SECRETS[1])

    @contextmanager
    def daemon(self) -> Iterator[None]:
        with notified() as (address, sock):
            running = subprocess.Popen(
                [sys.executable, "-m", "prober", "run", "-c", str(self.folder / "prober.toml")],
                env={**self._bare, **self.given, "NOTIFY_SOCKET": address,
                     "CREDENTIALS_DIRECTORY": str(self.folder / "credentials")},
                stderr=subprocess.DEVNULL,
            )  # fmt: skip
            try:
                hear(sock, "STATUS=chat: a")
                yield
            finally:
                running.send_signal(signal.SIGTERM)
                assert running.wait(20) == 0

    def unit(self, *closed: str) -> str:
        """A unit's file that hands over the same; what it names as closed cannot be read."""
        lines = (f"{name}='{value}'" for name, value in self.given.items())
        environment = self.folder / "environment"
        if "environment" in closed:
            environment.mkdir()
        else:
            environment.write_text("\n".join(lines))
        credential = self.folder / ("nobody-reads" if "key-b" in closed else "credentials/key-b")
        file = self.folder / "prober.service"
        file.write_text(
            f"[Service]\nUser=prober\nEnvironmentFile=-{environment}\n"
            f"LoadCredential=key-b:{credential}\n"
            f"ExecStart=/opt/prober/bin/prober run --config {self.folder}/prober.toml\n"
        )
        return str(file)

    @property
    def _bare(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
                "COLUMNS": "200"}  # fmt: skip

    def types(
        self, *commands: str, file: str = "prober.toml", **given: str
    ) -> list[tuple[int, str]]:
        """(exit code, what it said) of each command, in a process with no secret but `given`."""
        words = [[*c.split(), "--config", str(self.folder / file)] for c in commands]
        shell = subprocess.run(
            [sys.executable, "-c", SHELL, json.dumps(words)],
            env={**self._bare, **given},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        assert shell.returncode == 0, shell.stderr
        for secret in SECRETS:
            assert secret not in shell.stdout
        return [(code, said) for code, said in map(json.loads, shell.stdout.splitlines())]


@pytest.fixture
def host(tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook) -> Host:
    return Host(tmp_path, valkey, emulator, oncall)


BOTH = (
    "check", "history", "history --provider a", "incident list", "cost", "vantages", "contract",
    "pin b --for 1h", "unpin", "failover a --force", "failback --force", "db upgrade",
    "alert test", "probe a", "probe b", "probe",
)  # fmt: skip
ALIVE = ("status", "why chat", "failover b", "failback chat", "pause", "resume", "ack chat")


def test_beside_a_living_daemon_every_command_works_without_a_secret(
    host: Host, oncall: Hook
) -> None:
    commands = (*ALIVE, *BOTH, "drill --dry-run")
    with host.daemon():
        said = host.types(*commands)
    assert {c: s for c, s in zip(commands, said, strict=True) if s[0] != 0} == {}
    assert "vantage eu-1" in said[0][1]
    assert "🟢 A test alert from Prober" in oncall.titles


def test_beside_a_dead_daemon_every_command_finds_what_the_unit_hands_over(
    host: Host, oncall: Hook
) -> None:
    with host.daemon():
        pass
    said = host.types("status", *BOTH, PROBER_UNIT=host.unit())
    assert said[0][0] == 1
    assert "chat: a" in said[0][1]
    assert {c: s for c, s in zip(BOTH, said[1:], strict=True) if s[0] != 0} == {}
    assert "🟢 A test alert from Prober" in oncall.titles


def test_what_nobody_here_may_read_is_asked_for_by_the_very_line_that_gives_it(
    host: Host,
) -> None:
    file = host.unit("environment", "key-b")
    ((code, said), (other_code, other)) = host.types("history", "probe b", PROBER_UNIT=file)
    assert (code, other_code) == (2, 2)
    run = (
        "run: sudo systemd-run --quiet --pipe --wait --collect --uid=prober "
        f"-p EnvironmentFile=-{host.folder}/environment "
        f"-p LoadCredential=key-b:{host.folder}/nobody-reads "
    )
    assert "[database]: url: environment variable DATABASE_URL is empty or not there" in said
    assert f"prober.service hands it over, but {getpass.getuser()} may not read it; {run}" in said
    assert "systemd credential key-b" in other
    assert run in other


def test_with_nothing_at_all_each_command_says_what_it_needs_itself_and_how_to_give_it(
    host: Host,
) -> None:
    needs = {
        "history": "DATABASE_URL", "incident list": "DATABASE_URL", "cost": "DATABASE_URL",
        "db upgrade": "DATABASE_URL", "pin a": "REDIS_URL", "unpin": "REDIS_URL",
        "failover a --force": "REDIS_URL", "failback --force": "REDIS_URL",
        "status": "REDIS_URL", "alert test": "HOOK", "probe a": "KEY_A", "check": "KEY_A",
    }  # fmt: skip
    for (command, name), (code, said) in zip(
        needs.items(), host.types(*needs, DATABASE_URL="", REDIS_URL=""), strict=True
    ):
        assert code == 2, (command, said)
        assert f"environment variable {name} is empty or not there" in said, command
        assert f"run: {name}=… " in said, command


def test_a_missing_key_of_a_provider_refuses_only_what_needs_that_key(host: Host) -> None:
    with host.daemon():
        pass
    free = ("history", "cost", "pin a", "unpin", "alert test", "db upgrade", "incident list")
    given = {name: host.given[name] for name in ("REDIS_URL", "DATABASE_URL", "HOOK")}
    said = host.types(*free, "probe b", **given)
    assert [code for code, _ in said] == [0] * len(free) + [2]
    assert "CREDENTIALS_DIRECTORY=FOLDER" in said[-1][1]


def test_a_daemon_of_another_file_hands_nothing_over(host: Host) -> None:
    with host.daemon():
        other = host.folder / "other.toml"
        other.write_text((host.folder / "prober.toml").read_text())
        ((code, said),) = host.types("history", file="other.toml")
    assert code == 2
    assert f"no unit that runs the daemon on {other} was found" in said


STRANGER = """
import os, sys
from pathlib import Path
import typer
from prober.cli import setup
from prober.web.control_socket import NotRunningError, ask
setup.err.print("warmed up: nothing is imported as somebody else")
folder = Path(sys.argv[1])
os.chdir(folder)
os.chmod(folder, 0)
if os.geteuid() == 0:
    os.seteuid(65534)
try:
    setup.config_path(None)
except typer.Exit as left:
    print(left.exit_code)
try:
    ask(folder, "GET", "/status")
except NotRunningError as error:
    print(error)
"""


def test_a_stranger_in_a_closed_folder_gets_sentences() -> None:
    """`cd /root; sudo -u prober prober status`, and a user who may not ask the daemon."""
    with tempfile.TemporaryDirectory(prefix="pc") as closed:  # strangers see where it stands
        said = subprocess.run(
            [sys.executable, "-c", STRANGER, closed], capture_output=True, text=True, check=False
        )
        Path(closed).chmod(0o700)
    assert said.returncode == 0, said.stderr
    code, sentence = said.stdout.splitlines()
    assert code == "2"
    assert "no prober.toml here nor in /etc/prober" in said.stderr
    owner = getpass.getuser()
    assert sentence == f"{closed} is {owner}'s alone; run it as: sudo -u {owner} prober …"
