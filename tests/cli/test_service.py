"""`prober run` as systemd sees it: notifications, signals, exit codes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from prober.daemon.systemd import Systemd
from prober.emulator import Emulator
from tests.support.servers import Valkey
from tests.support.stage import Hook, hear, notified, write_config


def start(path: Path, address: str = "") -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "prober", "run", "--config", str(path)],
        env={**os.environ, "NOTIFY_SOCKET": address},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def finish(daemon: subprocess.Popen[bytes]) -> str:
    _, said = daemon.communicate(timeout=20)
    return said.decode()


def test_systemd_hears_ready_status_watchdog_reload_and_stopping(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    path = write_config(tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url)
    with notified() as (address, sock):
        daemon = start(path, address)
        try:
            hear(sock, "READY=1")
            hear(sock, "STATUS=chat: a")
            hear(sock, "WATCHDOG=1")
            path.write_text(path.read_text() + "\n[nonsense]\n")
            daemon.send_signal(signal.SIGHUP)
            hear(sock, "RELOADING=1")
            assert "refused" in hear(sock, "READY=1")
            path.write_text(path.read_text().replace("[nonsense]", ""))
            daemon.send_signal(signal.SIGHUP)
            assert "reloaded" in hear(sock, "READY=1")
            began = time.monotonic()
            daemon.send_signal(signal.SIGTERM)
            hear(sock, "STOPPING=1")
            said = finish(daemon)
        finally:
            daemon.kill()
            daemon.wait()
        assert daemon.returncode == 0, said
        assert time.monotonic() - began < 5, "the unit's promise, not a measurement"
        assert "unknown table; did you mean" in said or "[nonsense]: unknown table" in said
    assert any("new configuration is refused" in title for title in oncall.titles)


def test_a_refused_configuration_leaves_with_2_and_every_reason(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    path = write_config(
        tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url, more="\n[canry]\nx=1\n"
    )
    daemon = start(path)
    said = finish(daemon)
    assert daemon.returncode == 2
    assert "[canry]: unknown table; did you mean 'canary'?" in said
    assert "Traceback" not in said


def test_a_missing_secret_leaves_with_2_and_its_place(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    path = write_config(tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url)
    os.environ.pop("KEY_B")
    daemon = start(path)
    said = finish(daemon)
    assert daemon.returncode == 2
    assert '[[provider]] "b": key: environment variable KEY_B is empty or not there' in said


def test_a_systemd_that_reads_nothing_holds_up_nobody() -> None:
    with notified() as (address, sock):
        notifier = Systemd(address)
        began = time.monotonic()
        for _ in range(1000):
            notifier.status("x" * 1000)
        assert time.monotonic() - began < 10, "without the mend it waits for ever"
        assert hear(sock, "STATUS=x")
