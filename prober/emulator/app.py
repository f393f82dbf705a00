"""The ASGI application: every API on its paths, each request with the fault drawn for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import chain, repeat
from secrets import token_hex
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from prober.emulator import control, health
from prober.emulator.answer import COMMENT, answer, first_text_s, halves, pause_s, script, whole_s
from prober.emulator.apis import APIS, NAMES
from prober.emulator.faults import Faults, InjectedFault
from prober.emulator.play import Hang, Play, Reset
from prober.emulator.traffic import MAX_NAME, Log, Summary
from prober.emulator.wire import (
    ApiCall,
    BadRequestError,
    EmulatedApi,
    Json,
    Model,
    RateHeaders,
    RefusalKind,
    RefusedRequest,
    Stamp,
    compact,
    object_in,
)

if TYPE_CHECKING:
    from prober.emulator.rules import FaultRule, FaultRules

RequestHandler = Callable[[Request], Awaitable[ASGIApp]]
GARBAGE_BYTES = 512
EVENTS = "text/event-stream"
FINE = Faults()
# The faults that are an error answer, and its kind.
REFUSED = {
    InjectedFault.ERROR: RefusalKind.STATUS,
    InjectedFault.AUTH: RefusalKind.AUTH,
    InjectedFault.QUOTA: RefusalKind.QUOTA,
    InjectedFault.MODEL_NOT_FOUND: RefusalKind.MODEL_NOT_FOUND,
}


def build(rules: FaultRules, log: Log) -> Starlette:
    """The application; what `rules` says holds from the next request on."""
    handlers: dict[tuple[str, str], list[tuple[EmulatedApi, RequestHandler]]] = defaultdict(list)
    for api in APIS:
        for prefix in ("", f"/{api.name}"):
            for path in api.paths:
                generate = partial(_generate, api, rules, log)
                handlers["POST", prefix + path].append((api, generate))
            for path, answer_of in api.lookups.items():
                look_up = partial(_look_up, api, answer_of, rules, log)
                handlers["GET", prefix + path].append((api, look_up))
            for path, about in api.details.items():
                tell = partial(_tell, api, about, rules)
                handlers["GET", prefix + path].append((api, tell))
    routes = [
        Route(path, PathRoute(tuple(choices)), methods=[method])
        for (method, path), choices in handlers.items()
    ]
    prefixes = ("", *(f"/{name}" for name in NAMES))
    return Starlette(routes=[*routes, *health.routes(prefixes), *control.routes(rules, log)])


@dataclass(frozen=True, slots=True)
class PathRoute:
    """One path; the first API whose request it is answers, or else the last."""

    choices: tuple[tuple[EmulatedApi, RequestHandler], ...]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        mine = (handler for api, handler in self.choices if api.mine(request.headers))
        handler = next(mine, self.choices[-1][1])
        try:
            respond = await handler(request)
        except ClientDisconnect:
            return
        await respond(scope, receive, send)


async def _generate(api: EmulatedApi, rules: FaultRules, log: Log, request: Request) -> ASGIApp:
    stamp = Stamp(token_hex(12), datetime.now(UTC))
    data = await request.body()

    def noted(
        respond: ASGIApp, status: int | None, fault: InjectedFault, model: str = ""
    ) -> ASGIApp:
        path = request.url.path[:MAX_NAME]
        log.note(Summary(api.name, path, model[:MAX_NAME], status, fault))
        return respond

    def refused(
        problem: RefusedRequest, fault: InjectedFault = InjectedFault.NONE, faults: Faults = FINE
    ) -> ASGIApp:
        refusal = api.refuse(problem)
        headers = {**_headers(api, stamp, faults), **refusal.headers}
        response = JSONResponse(refusal.body, refusal.status, headers)
        return noted(response, refusal.status, fault, problem.model)

    if not api.has_key(request.headers):
        return refused(RefusedRequest(RefusalKind.NO_KEY, stamp))
    try:
        if (body := object_in(data)) is None:
            raise BadRequestError("The request body is not a JSON object")
        call = api.read({**request.query_params, **request.path_params}, body)
    except BadRequestError as error:
        return refused(RefusedRequest(RefusalKind.BAD_REQUEST, stamp, message=str(error)))

    rule = rules.find(api.name, call.model)
    if elsewhere := rule.faults.redirect_to:
        return noted(
            Response(None, 307, {"location": elsewhere}), 307, InjectedFault.NONE, call.model
        )
    fault = rule.draw()
    status = rule.faults.status or api.overloaded
    kind = REFUSED.get(fault)
    if fault is InjectedFault.IN_STREAM_ERROR and not call.stream:
        kind = RefusalKind.STATUS
    if kind:
        return refused(RefusedRequest(kind, stamp, call.model, status), fault, rule.faults)
    if fault is InjectedFault.HANG:
        return noted(Hang(), None, fault, call.model)
    if fault is InjectedFault.RESET:
        return noted(Reset(), None, fault, call.model)
    return noted(_play(api, call, stamp, rule, fault), 200, fault, call.model)


def _play(
    api: EmulatedApi, call: ApiCall, stamp: Stamp, rule: FaultRule, fault: InjectedFault
) -> Play:
    """An answer that begins as a 200, whatever becomes of it."""
    faults = rule.faults
    media_type = api.media_type if call.stream else "application/json"
    headers = {"content-type": media_type, **_headers(api, stamp, faults)}
    if fault is InjectedFault.TRUNCATE:
        headers["connection"] = "close"
    reply = answer(call, stamp, fault, faults)
    wait_s = 0.0
    if fault is InjectedFault.GARBAGE:
        steps = iter([(first_text_s(faults), rule.chance.randbytes(GARBAGE_BYTES))])
    elif call.stream:
        problem = RefusedRequest(
            RefusalKind.STATUS, stamp, call.model, faults.status or api.overloaded
        )
        error = api.error_event(api.refuse(problem), reply)
        steps = script(api.stream(reply), fault, first_text_s(faults), pause_s(faults), error)
        if api.media_type.startswith(EVENTS):
            steps = chain(repeat((0.0, COMMENT), faults.comments), steps)
    else:
        steps = script(halves(compact(api.whole(reply)).encode()), fault)
        wait_s = whole_s(reply, faults)
    byte_s = faults.slow_byte_s * faults.latency_factor
    return Play(steps, headers, wait_s, byte_s, stall=fault is InjectedFault.STALL)


def _headers(api: EmulatedApi, stamp: Stamp, faults: Faults) -> dict[str, str]:
    limits = RateHeaders(faults.limit_requests, faults.limit_tokens, faults.remaining_share)
    return {**api.headers(stamp, limits), **gateway_headers(faults)}


async def _look_up(
    api: EmulatedApi,
    answer_of: Callable[[list[Model], Stamp], Json],
    rules: FaultRules,
    log: Log,
    request: Request,
) -> Response:
    """No fault strikes here: a provider whose status looks fine while it answers nobody.

    Listed are the models that were asked for or set so far, unless they are never found.
    """
    # One catalogue may serve two APIs, as OpenAI's does.
    names = {one.name for one in APIS if one.lookups == api.lookups}
    listed = {
        model: known
        for name in sorted(names, key=NAMES.index)
        for model in (api.model, *log.models(name), *rules.models(name))
        if (known := _found(name, model, rules))
    }
    return _catalogue(api, request, lambda stamp: answer_of(list(listed.values()), stamp))


async def _tell(
    api: EmulatedApi, about: Callable[[Model, Stamp], Json], rules: FaultRules, request: Request
) -> Response:
    """One model of the catalogue: every one is there, unless it is never found."""
    name = request.path_params["model"]
    known = _found(api.name, name, rules)
    return _catalogue(api, request, lambda stamp: about(known, stamp) if known else None, name)


def _found(api: str, model: str, rules: FaultRules) -> Model | None:
    faults = rules.find(api, model).faults
    return Model(model, faults.retires) if faults.model_not_found_share < 1 else None


def _catalogue(
    api: EmulatedApi, request: Request, answer_of: Callable[[Stamp], Json | None], model: str = ""
) -> Response:
    stamp = Stamp(token_hex(12), datetime.now(UTC))
    headers = api.headers(stamp, RateHeaders())
    body, problem = None, RefusedRequest(RefusalKind.NO_KEY, stamp)
    if api.has_key(request.headers):
        body, problem = answer_of(stamp), RefusedRequest(RefusalKind.MODEL_NOT_FOUND, stamp, model)
    if body is not None:
        return JSONResponse(body, headers=headers)
    refusal = api.refuse(problem)
    return JSONResponse(refusal.body, refusal.status, {**headers, **refusal.headers})


def gateway_headers(faults: Faults) -> dict[str, str]:
    """Portkey's and Helicone's, all of them, if one has something to tell; else none.

    Source: portkey.ai/docs/api-reference/response-schema, docs.helicone.ai/features/advanced-usage.
    """
    if not (faults.cached or faults.fell_back or faults.retried):
        return {}
    status = "HIT" if faults.cached else "MISS"
    return {
        "x-portkey-cache-status": status,
        "x-portkey-last-used-option-index": f"config.targets[{int(faults.fell_back)}]",
        "x-portkey-retry-attempt-count": str(faults.retried + int(faults.fell_back)),
        "helicone-cache": status,
    }
