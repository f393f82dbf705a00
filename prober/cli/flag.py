"""What an operator does to a flag: pin, unpin, failover, failback, pause, resume, ack.

Flags are moved by the same script that the daemon uses, straight in Redis, so that these work
while the daemon is dead; it takes the change over from the stream of events.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

import typer
from redis.exceptions import RedisError

from prober.cli.console import (
    BAD_STATE,
    BAD_USAGE,
    ConfigOption,
    JsonOption,
    RouteOption,
    fail,
    operator,
    out,
    print_json,
    run_async,
)
from prober.cli.setup import Setup, load_setup_in_force
from prober.config.checks import by_choice
from prober.config.schema import Route, parse_duration
from prober.web.control_socket import NotRunningError, RefusedError, ask
from switch.connect import connect_async
from switch.control.writer import (
    DEADLINE_MS,
    Answer,
    FlagWriter,
    FlipRequest,
    FlipUnknownError,
    Observed,
    PinChange,
    Status,
)
from switch.flag import Keys, MalformedFlagError, Mode, Op, Origin, Pin

PROVE_S = 90.0
LONGEST_PIN = timedelta(days=366)

Reason = Annotated[str, typer.Option("--reason", help="Why; people will read it.")]
Force = Annotated[bool, typer.Option("--force", help="Skip the proof, and what residency allows.")]
For = Annotated[str, typer.Option("--for", help='How long, like "1h" or "30m".')]


@dataclass(frozen=True)
class _Move:
    """What to make of the flag, given what it is. `pin`: (owner, reason, milliseconds)."""

    provider: str
    reason: str
    pin_for_ms: int | None = None
    unpin: bool = False


async def _write(setup: Setup, route: Route, move: _Move) -> tuple[Observed, Answer | None]:
    """Runs the script on what Redis shows now; once more when somebody was faster.

    No answer: the flag is as wished already, and nothing was written.
    """
    keys = Keys(route.name, setup.config.redis.namespace)
    client = connect_async(setup.redis_url, timeout_s=2.0)
    try:
        writer = FlagWriter(client)
        for _ in range(2):
            seen = await writer.observe(keys)
            if seen.flag is None:
                fail(f"{route.name} has no flag yet; the daemon sets it once a provider is proven")
            if _idle(seen, move):
                return seen, None
            answer = await writer.flip(keys, _request(seen, move), replicas=seen.replicas)
            if answer.status is not Status.CONFLICT:
                return seen, answer
        fail(f"{route.name}: the flag is moving; look with `prober status` and try again")
    except (FlipUnknownError, RedisError, OSError) as error:
        fail(f"Redis did not answer ({error}); look with `prober status` what became of it")
    except MalformedFlagError as error:
        fail(str(error))
    finally:
        await client.aclose()


def _idle(seen: Observed, move: _Move) -> bool:
    assert seen.flag is not None
    if move.unpin:
        return seen.live_pin is None
    return move.pin_for_ms is None and move.provider == seen.flag.provider


def _request(seen: Observed, move: _Move) -> FlipRequest:
    assert seen.flag is not None
    provider = move.provider or seen.flag.provider
    change = None
    if move.unpin:
        change = PinChange(None)
    elif move.pin_for_ms is not None:
        until_ms = seen.time_ms + move.pin_for_ms
        change = PinChange(Pin(provider, operator(), move.reason, until_ms))
    return FlipRequest(
        op=Op.MANUAL,
        decision_id=uuid.uuid4().hex,
        provider=provider,
        reason=move.reason,
        actor=operator(),
        origin=Origin.OPERATOR,
        deadline_ms=seen.time_ms + DEADLINE_MS,
        expected_epoch=seen.flag.epoch,
        expected_decision_id=seen.flag.decision_id,
        pin=change,
    )


def _done(setup: Setup, route: Route, move: _Move, sentence: str, as_json: bool) -> None:
    seen, answer = run_async(_write(setup, route, move))
    assert seen.flag is not None
    if answer is None:
        if as_json:
            print_json({"route": route.name, "unchanged": True, "primary": seen.flag.provider})
        else:
            pinned = "has no pin" if move.unpin else f"is on {seen.flag.provider} already"
            out.print(f"{route.name} {pinned}; nothing to do.", markup=False)
        return
    if answer.status is Status.PINNED:
        pin = seen.pin
        who = f" by {pin.owner}" if pin else ""
        fail(f"{route.name} is pinned{who}; `prober unpin {route.name}` first, or pin it yourself")
    if answer.status is not Status.COMMITTED:
        fail(f"{route.name}: refused ({answer.status}); try again")
    if as_json:
        print_json(
            {
                "route": route.name,
                "from": seen.flag.provider,
                "to": answer.provider,
                "epoch": answer.epoch,
                "decision_id": answer.decision_id,
                "readers_told": answer.told,
            }
        )
        return
    text = "1 reader" if answer.told == 1 else f"{answer.told} readers"
    out.print(f"{sentence} {text} told.", markup=False)


def _open(config: Any, name: str | None) -> tuple[Setup, Route]:
    setup = load_setup_in_force(config)
    route = setup.route(name)
    if route.mode is Mode.OBSERVE:
        fail(f"route {route.name} is in mode observe, which never writes; set mode propose or auto",
             BAD_USAGE)  # fmt: skip
    return setup, route


def _check_target(setup: Setup, route: Route, provider: str, force: bool) -> None:
    if provider not in route.candidates:
        known = ", ".join(route.candidates)
        fail(f"{provider!r} is no candidate of {route.name}; there are: {known}", BAD_USAGE)
    target = setup.config.find_provider(provider)
    allowed, has = set(route.residency), set(target.residency if target else ())
    if allowed and not (has and has <= allowed) and not force:
        where = ", ".join(sorted(has)) or "not declared"
        fail(
            f"{provider} is not allowed for {route.name}: its residency is {where}, allowed is "
            f"{', '.join(sorted(allowed))} (--force overrides)"
        )


async def _serving(setup: Setup, route: Route) -> str:
    """Who serves; empty when Redis does not say: the move itself will tell why."""
    client = connect_async(setup.redis_url, timeout_s=2.0)
    try:
        seen = await FlagWriter(client).observe(Keys(route.name, setup.config.redis.namespace))
    except (RedisError, OSError, MalformedFlagError):
        return ""
    finally:
        await client.aclose()
    return seen.flag.provider if seen.flag else ""


def _move_to(
    setup: Setup, route: Route, provider: str, because: str, sentence: str, force: bool, json: bool
) -> None:
    """Has the target proven, if it does not serve already, and moves the flag there."""
    _check_target(setup, route, provider, force)
    if not force and run_async(_serving(setup, route)) != provider:
        because = f"{because}; {_prove(setup, route, provider)}"
    _done(setup, route, _Move(provider, because), sentence, json)


def _prove(setup: Setup, route: Route, provider: str) -> str:
    """Has the daemon prove a target; leaves with its reason when it cannot."""
    try:
        reply = ask(
            setup.folder, "POST", "/prove", {"route": route.name, "provider": provider}, PROVE_S
        )
    except NotRunningError as error:
        fail(f"{provider} cannot be proven: {error}; --force skips the proof")
    except RefusedError as error:
        fail(str(error), BAD_USAGE)
    if not reply["proven"]:
        fail(f"{provider} is not proven: {reply['proof']}; --force skips the proof")
    return str(reply["proof"])


def _ms(text: str) -> int:
    try:
        duration = parse_duration(text)
    except ValueError as error:
        fail(f"--for {text!r}: {error}", BAD_USAGE)
    if not timedelta(0) < duration <= LONGEST_PIN:
        fail(f"--for {text!r}: a pin lasts longer than nothing and at most 366d", BAD_USAGE)
    return round(duration.total_seconds() * 1000)


def pin(
    provider: Annotated[str, typer.Argument(help="The provider to hold the flag on.")],
    route: RouteOption = None,
    duration: For = "1h",
    reason: Reason = "",
    force: Annotated[
        bool, typer.Option("--force", help="Even where residency does not allow it.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hold a route on a provider; automation obeys until the pin ends."""
    setup, chosen = _open(config, route)
    _check_target(setup, chosen, provider, force)
    for_ms = _ms(duration)
    move = _Move(provider, reason or f"pinned for {duration}", pin_for_ms=for_ms)
    sentence = f"{chosen.name} is pinned to {provider} for {duration}."
    _done(setup, chosen, move, sentence, as_json)


def unpin(
    route: Annotated[str | None, typer.Argument(help="The route.")] = None,
    reason: Reason = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a pin: automation decides again."""
    setup, chosen = _open(config, route)
    move = _Move("", reason or "unpinned", unpin=True)
    _done(setup, chosen, move, f"{chosen.name} is free again.", as_json)


def failover(
    provider: Annotated[str, typer.Argument(help="Where to.")],
    route: RouteOption = None,
    reason: Reason = "",
    force: Force = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Move a route to a provider now, after it has proven itself."""
    setup, chosen = _open(config, route)
    sentence = f"{chosen.name} is on {provider} now."
    _move_to(setup, chosen, provider, reason or "moved by hand", sentence, force, as_json)


def failback(
    route: Annotated[str | None, typer.Argument(help="The route.")] = None,
    reason: Reason = "",
    force: Force = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Move a route back to its first candidate (or cheapest, by `prefer`), once that is proven."""
    setup, chosen = _open(config, route)
    known = (setup.config.find_provider(name) for name in chosen.candidates)
    homes = by_choice(filter(None, known), chosen.failover.prefer)
    if not homes:
        fail(f"{chosen.name} has no candidate that is enabled", BAD_USAGE)
    home = homes[0].name
    sentence = f"{chosen.name} is back on {home}."
    _move_to(setup, chosen, home, reason or "failed back by hand", sentence, force, as_json)


def _tell(config: Any, path: str, **body: str) -> Any:
    setup = load_setup_in_force(config)
    try:
        return ask(setup.folder, "POST", path, asked={"actor": operator(), **body})
    except NotRunningError as error:
        fail(str(error), BAD_STATE)
    except RefusedError as error:
        fail(str(error), BAD_USAGE)


def pause(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Stop moving flags; probing and alerts go on."""
    reply = _tell(config, "/pause", paused="true")
    _print(reply, "Paused: no flag is moved until `prober resume`.", as_json)


def resume(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Keep the flags again."""
    reply = _tell(config, "/pause", paused="false")
    _print(reply, "Flags are kept again.", as_json)


def ack(
    about: Annotated[str, typer.Argument(help="An incident's number, or a route to unfreeze.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stop reminders for an hour; a route's name also ends its freeze."""
    reply = _tell(config, "/ack", about=about)
    more = f" {reply['route']} may move again." if reply["unfrozen"] else ""
    _print(reply, f"No reminders about {reply['route']} for 1 h.{more}", as_json)


def _print(reply: Any, sentence: str, as_json: bool) -> None:
    if as_json:
        print_json(reply)
    else:
        out.print(sentence, markup=False)
