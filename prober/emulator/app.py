"""The ASGI application: every API on its paths, each request with the fault drawn for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from secrets import token_hex

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from prober.emulator import control
from prober.emulator.answer import answer, first_text_s, halves, pause_s, script, whole_s
from prober.emulator.apis import APIS
from prober.emulator.faults import Fault
from prober.emulator.play import Hang, Play, Reset
from prober.emulator.rules import Rule, Rules
from prober.emulator.traffic import MAX_NAME, Log, Summary
from prober.emulator.wire import (
    Api,
    BadRequestError,
    Call,
    Json,
    Kind,
    Problem,
    Stamp,
    compact,
    object_in,
)

Handler = Callable[[Request], Awaitable[ASGIApp]]
GARBAGE_BYTES = 512
# The faults that are an error answer, and its kind.
REFUSED = {
    Fault.ERROR: Kind.STATUS,
    Fault.AUTH: Kind.AUTH,
    Fault.QUOTA: Kind.QUOTA,
    Fault.MODEL_NOT_FOUND: Kind.MODEL_NOT_FOUND,
}


def build(rules: Rules, log: Log) -> Starlette:
    """The application; what `rules` says holds from the next request on."""
    handlers: dict[tuple[str, str], list[tuple[Api, Handler]]] = defaultdict(list)
    for api in APIS.values():
        for prefix in ("", f"/{api.name}"):
            for path in api.paths:
                generate = partial(_generate, api, rules, log)
                handlers["POST", prefix + path].append((api, generate))
            for path, answer_of in api.lookups.items():
                look_up = partial(_look_up, api, answer_of, rules, log)
                handlers["GET", prefix + path].append((api, look_up))
    routes = [
        Route(path, Endpoint(tuple(choices)), methods=[method])
        for (method, path), choices in handlers.items()
    ]
    return Starlette(routes=[*routes, *control.routes(rules, log)])


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One path; the first API whose request it is answers, or else the last."""

    choices: tuple[tuple[Api, Handler], ...]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        mine = (handler for api, handler in self.choices if api.mine(request.headers))
        handler = next(mine, self.choices[-1][1])
        try:
            respond = await handler(request)
        except ClientDisconnect:
            return
        await respond(scope, receive, send)


async def _generate(api: Api, rules: Rules, log: Log, request: Request) -> ASGIApp:
    stamp = Stamp(token_hex(12), datetime.now(UTC))
    data = await request.body()

    def noted(respond: ASGIApp, status: int | None, fault: Fault, model: str = "") -> ASGIApp:
        path = request.url.path[:MAX_NAME]
        log.note(Summary(api.name, path, model[:MAX_NAME], status, fault))
        return respond

    def refused(problem: Problem, fault: Fault = Fault.NONE) -> ASGIApp:
        refusal = api.refuse(problem)
        headers = {**api.headers(stamp), **refusal.headers}
        response = JSONResponse(refusal.body, refusal.status, headers)
        return noted(response, refusal.status, fault, problem.model)

    if not api.has_key(request.headers):
        return refused(Problem(Kind.NO_KEY, stamp))
    try:
        if (body := object_in(data)) is None:
            raise BadRequestError("The request body is not a JSON object")
        call = api.read(request.path_params, body)
    except BadRequestError as error:
        return refused(Problem(Kind.BAD_REQUEST, stamp, message=str(error)))

    rule = rules.find(api.name, call.model)
    fault = rule.draw()
    status = rule.faults.status or api.overloaded
    kind = REFUSED.get(fault)
    if fault is Fault.IN_STREAM_ERROR and not call.stream:
        kind = Kind.STATUS
    if kind:
        return refused(Problem(kind, stamp, call.model, status), fault)
    if fault is Fault.HANG:
        return noted(Hang(), None, fault, call.model)
    if fault is Fault.RESET:
        return noted(Reset(), None, fault, call.model)
    return noted(_play(api, call, stamp, rule, fault), 200, fault, call.model)


def _play(api: Api, call: Call, stamp: Stamp, rule: Rule, fault: Fault) -> Play:
    """An answer that begins as a 200, whatever becomes of it."""
    faults = rule.faults
    media_type = api.media_type if call.stream else "application/json"
    headers = {"content-type": media_type, **api.headers(stamp)}
    if fault is Fault.TRUNCATE:
        headers["connection"] = "close"
    said = answer(call, stamp, fault, faults)
    wait_s = 0.0
    if fault is Fault.GARBAGE:
        steps = iter([(first_text_s(faults), rule.chance.randbytes(GARBAGE_BYTES))])
    elif call.stream:
        problem = Problem(Kind.STATUS, stamp, call.model, faults.status or api.overloaded)
        error = api.error_event(api.refuse(problem).body)
        steps = script(api.stream(said), fault, first_text_s(faults), pause_s(faults), error)
    else:
        steps = script(halves(compact(api.whole(said)).encode()), fault)
        wait_s = whole_s(said, faults)
    byte_s = faults.slow_byte_s * faults.latency_factor
    return Play(steps, headers, wait_s, byte_s, stall=fault is Fault.STALL)


async def _look_up(
    api: Api,
    answer_of: Callable[[list[str], Stamp], Json],
    rules: Rules,
    log: Log,
    request: Request,
) -> Response:
    """No fault strikes here: a provider whose status looks fine while it answers nobody.

    Listed are the models asked for so far, unless they are never found.
    """
    stamp = Stamp(token_hex(12), datetime.now(UTC))
    if not api.has_key(request.headers):
        refusal = api.refuse(Problem(Kind.NO_KEY, stamp))
        return JSONResponse(refusal.body, refusal.status, api.headers(stamp))
    names = [
        name
        for name in dict.fromkeys([api.model, *log.models(api.name)])
        if rules.find(api.name, name).faults.model_not_found_share < 1
    ]
    return JSONResponse(answer_of(names, stamp), headers=api.headers(stamp))
