"""The daemon's own interface: a JSON API on a Unix socket in the state directory.

Only the user who runs the daemon can open the socket. The `prober` command is its client.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import socket
import stat
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from prober.config.paths import socket_path

SOCKET = "prober.sock"

Ask = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class NotRunningError(Exception):
    """No daemon answers on this machine."""


class RefusedError(Exception):
    """The daemon will not; the message says why."""


@dataclass(frozen=True)
class Controls:
    """What can be asked of a running daemon; each takes and gives plain JSON."""

    status: Ask
    why: Ask
    prove: Ask
    pause: Ask
    acknowledge: Ask
    drill: Ask
    handed: Ask


def app(controls: Controls) -> Starlette:
    def endpoint(ask: Ask) -> Callable[[Request], Awaitable[JSONResponse]]:
        async def answer(request: Request) -> JSONResponse:
            asked = dict(request.query_params)
            try:
                return JSONResponse(await ask(asked))
            except RefusedError as error:
                return JSONResponse({"error": str(error)}, status_code=409)

        return answer

    return Starlette(
        routes=[
            Route("/status", endpoint(controls.status), methods=["GET"]),
            Route("/why", endpoint(controls.why), methods=["GET"]),
            Route("/prove", endpoint(controls.prove), methods=["POST"]),
            Route("/pause", endpoint(controls.pause), methods=["POST"]),
            Route("/ack", endpoint(controls.acknowledge), methods=["POST"]),
            Route("/drill", endpoint(controls.drill), methods=["POST"]),
            Route("/handed", endpoint(controls.handed), methods=["GET"]),
        ]
    )


class _SocketServer(uvicorn.Server):
    def capture_signals(self) -> contextlib.AbstractContextManager[None]:  # type: ignore[override]
        return contextlib.nullcontext()  # signals are the daemon's own


class ControlServer:
    """Serves `controls` on a Unix socket that only its owner can open."""

    def __init__(self, controls: Controls, folder: Path) -> None:
        self._path = socket_path(folder, SOCKET)
        config = uvicorn.Config(
            app(controls), log_config=None, access_log=False, lifespan="off", ws="none"
        )
        self._server = _SocketServer(config)
        self._task: asyncio.Task[None] | None = None
        self._socket: socket.socket | None = None

    async def start(self) -> None:
        self._socket = await asyncio.to_thread(_private_socket, self._path)
        self._task = asyncio.create_task(self._server.serve([self._socket]), name="control")

    async def close(self) -> None:
        self._server.should_exit = True
        if self._task is not None:
            self._server.force_exit = True
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await asyncio.to_thread(self._path.unlink, missing_ok=True)


def _private_socket(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    return listener


def closed_to_us(path: Path) -> str:
    """Whose the daemon is, where another user may not ask it; else empty."""
    try:
        stands = path.stat()
        needed = os.W_OK | (os.X_OK if stat.S_ISDIR(stands.st_mode) else 0)
        may = os.access(path, needed, effective_ids=os.access in os.supports_effective_ids)
        owner = pwd.getpwuid(stands.st_uid).pw_name
    except (OSError, KeyError):
        return ""
    return "" if may else f"{path} is {owner}'s alone; run it as: sudo -u {owner} prober …"


def ask(
    folder: Path,
    method: str,
    path: str,
    asked: Mapping[str, str] | None = None,
    seconds: float = 5.0,
) -> Any:
    """Asks the daemon of this machine. Raises NotRunningError or RefusedError."""
    door = socket_path(folder, SOCKET)
    nobody = (
        f"no daemon answers on this machine ({door}); start it (`systemctl start prober`, or "
        "`prober run`)"
    )
    if not os.path.exists(door):
        raise NotRunningError(closed_to_us(folder) or nobody)
    transport = httpx.HTTPTransport(uds=str(door))
    try:
        with httpx.Client(transport=transport, timeout=seconds, base_url="http://prober") as client:
            answer = client.request(method, path, params=dict(asked or {}))
    except (httpx.TransportError, OSError) as error:
        raise NotRunningError(closed_to_us(door) or nobody) from error
    parsed = answer.json()
    if answer.status_code == 409:
        raise RefusedError(parsed["error"])
    answer.raise_for_status()
    return parsed
