"""The health paths of servers and gateways: fine, whatever faults are in force.

That is what they are here for: a stuck server answers them while it answers nobody's question.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

# vLLM and llama.cpp's server; LocalAI; LiteLLM. Ollama's is a lookup of its own.
PATHS: dict[str, object] = {
    "/health": {"status": "ok"},
    "/readyz": "OK",
    "/health/liveliness": "I'm alive!",
}


def routes(prefixes: Iterable[str]) -> list[Route]:
    return [
        Route(prefix + path, partial(_fine, body), methods=["GET"])
        for prefix in prefixes
        for path, body in PATHS.items()
    ]


async def _fine(body: object, request: Request) -> Response:
    return JSONResponse(body)
