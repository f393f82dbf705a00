"""The emulator's own paths: set the faults, show them, show what was asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from prober.emulator.faults import FaultsError, faults_of
from prober.emulator.rules import ANY, FaultRules
from prober.emulator.wire import object_in

if TYPE_CHECKING:
    from prober.emulator.traffic import Log

FAULTS = "/_emulator/faults"
REQUESTS = "/_emulator/requests"


def set_faults(rules: FaultRules, settings: Mapping[str, object]) -> None:
    """Sets the rule that `settings` describes: `api` ("*": all), `model` (None: all), the faults.

    Raises FaultsError with one line that names the field.
    """
    fields = dict(settings)
    api, model = fields.pop("api", ANY), fields.pop("model", None)
    if not isinstance(api, str):
        raise FaultsError(f"api is {api!r}; it must be a name, or {ANY!r} for all")
    if model is not None and not isinstance(model, str):
        raise FaultsError(f"model is {model!r}; it must be a name, or left out for all")
    rules.set(api, model, faults_of(fields))


def routes(rules: FaultRules, log: Log) -> list[Route]:
    return [
        Route(FAULTS, partial(_put, rules), methods=["PUT"]),
        Route(FAULTS, partial(_show, rules), methods=["GET"]),
        Route(FAULTS, partial(_reset, rules, log), methods=["DELETE"]),
        Route(REQUESTS, partial(_requests, log), methods=["GET"]),
    ]


async def _put(rules: FaultRules, request: Request) -> Response:
    settings = object_in(await request.body())
    try:
        if settings is None:
            raise FaultsError('the body is not a JSON object, as in {"error_share": 0.5}')
        set_faults(rules, settings)
    except FaultsError as error:
        return JSONResponse({"error": str(error)}, 422)
    return JSONResponse({"rules": rules.show()})


async def _show(rules: FaultRules, request: Request) -> Response:
    return JSONResponse({"rules": rules.show()})


async def _reset(rules: FaultRules, log: Log, request: Request) -> Response:
    rules.reset()
    log.reset()
    return JSONResponse({"rules": []})


async def _requests(log: Log, request: Request) -> Response:
    return JSONResponse(asdict(log.traffic()))
