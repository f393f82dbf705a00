"""What httpx and httpcore do not promise is known in one file, and still there."""

from __future__ import annotations

import ast
import asyncio
from pathlib import Path

import httpcore
import httpx
import pytest
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, StreamReset

from prober.probing.httpx_seam import DISCONNECTED, closed_before_answer, over, refused_untouched
from tests.support.raw_server import answering

PROBER = Path(__file__).parents[2] / "prober"
SEAM = PROBER / "probing" / "httpx_seam.py"
GONE = "httpx {} or httpcore {} has no {} any more: see prober/probing/httpx_seam.py"


class Backend(httpcore.AsyncNetworkBackend):
    """Counts what is opened, and opens nothing."""

    def __init__(self) -> None:
        self.opened: list[tuple[str, int]] = []

    async def connect_tcp(self, host: str, port: int, *args: object, **more: object) -> None:  # type: ignore[override]
        self.opened.append((host, port))
        raise httpcore.ConnectError("not here")


def gone(what: str) -> str:
    return GONE.format(httpx.__version__, httpcore.__version__, what)


async def test_the_private_attributes_are_where_they_were() -> None:
    async with httpx.AsyncHTTPTransport() as transport:
        pool = getattr(transport, "_pool", None)
        assert pool is not None, gone("AsyncHTTPTransport._pool")
        assert isinstance(pool, httpcore.AsyncConnectionPool), gone("pool of httpcore")
        assert hasattr(pool, "_network_backend"), gone("AsyncConnectionPool._network_backend")


@pytest.mark.parametrize("proxy", [None, "http://127.0.0.1:9"])
async def test_connections_are_opened_by_the_backend_that_was_given(proxy: str | None) -> None:
    backend = Backend()
    transport = over(httpx.AsyncHTTPTransport(proxy=proxy), backend)
    async with httpx.AsyncClient(transport=transport) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get("http://nowhere.invalid:81/")
    there = [("127.0.0.1", 9)] if proxy else [("nowhere.invalid", 81)]
    assert backend.opened == there, gone("pool that asks its backend")


async def test_a_kept_connection_that_ended_is_known_by_its_message() -> None:
    async def leave(writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with answering(leave) as server, httpx.AsyncClient() as client:
        with pytest.raises(httpx.RemoteProtocolError) as raised:
            await client.get(server.url)
    assert str(raised.value).startswith(DISCONNECTED), gone(f"message {DISCONNECTED!r}")
    assert closed_before_answer(raised.value)


@pytest.mark.parametrize(
    ("event", "closed", "untouched"),
    [
        (ConnectionTerminated(), True, False),
        (StreamReset(stream_id=1, error_code=ErrorCodes.REFUSED_STREAM), False, True),
        (StreamReset(stream_id=1, error_code=ErrorCodes.INTERNAL_ERROR), False, False),
    ],
)
def test_what_h2_saw_is_read_from_the_cause(event: object, closed: bool, untouched: bool) -> None:
    error = httpx.RemoteProtocolError("")
    error.__cause__ = httpcore.RemoteProtocolError(event)
    assert (closed_before_answer(error), refused_untouched(error)) == (closed, untouched)


def test_httpcore_raises_with_what_h2_saw() -> None:
    source = Path(httpcore.__file__).parent / "_async" / "http2.py"
    assert "RemoteProtocolError(event)" in source.read_text("utf-8"), gone("h2 event in its errors")


def test_no_other_file_touches_what_httpx_does_not_promise() -> None:
    """Nor an attribute of that kind of anything but itself: `self._x` and `cls._x` are its own."""
    for path in PROBER.rglob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        modules = {
            alias.name.partition(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
        }
        if path == SEAM or not modules & {"httpx", "httpcore"}:
            continue
        own = _names_defined(tree)
        foreign = {
            f"{path.name}:{node.lineno} {node.attr}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
            and node.attr.startswith("_")
            and not node.attr.startswith("__")
            and node.attr not in own
        }
        assert not foreign, f"{min(foreign)} is private to somebody else; move it to {SEAM.name}"


def _names_defined(tree: ast.Module) -> set[str]:
    """Private names that the file itself assigns or defines."""
    assigned = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }
    defined = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    fields = {
        node.target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    return (assigned | defined | fields) - {"_pool", "_network_backend"}
