"""Every alert's words, for fixed happenings."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast
from zoneinfo import ZoneInfo

from prober.alerts.event import AlertEvent, letter, to_record
from prober.alerts.messages import alarms, drills, flips, outside, providers
from prober.alerts.text import Wording
from prober.clock import Clock
from prober.config.loader import parse
from prober.detection.episode import Trouble
from prober.failover.drill import Drill
from prober.failover.memory import Memory
from prober.failover.notifier import Notifier
from prober.failover.reconcile import Repair
from prober.failover.route_state import RouteState
from prober.history.incidents import Incidents
from prober.history.installation import Act, InstallationVerdict
from prober.probing.certificates import Validity
from prober.sample import Cause, Outcome
from switch.control.target import Bar, Weighed
from switch.control.votes import Difference
from switch.flag import Flip, Op, Origin, Pin

AT = datetime(2026, 1, 15, 2, 12, 41, tzinfo=UTC).timestamp()
AT_MS = round(AT * 1000)
SINCE = AT - 61
BERLIN = Wording(ZoneInfo("Europe/Berlin"), {"chat": "https://wiki.example/chat"})
PLAIN = Wording(ZoneInfo("UTC"), {})
HERE = (BERLIN, "chat", "k", AT)
WHY = "9 of 24 canaries failed in 61 s (overloaded)"

CONFIG = """
[daemon]
vantage = "eu-1"
timezone = "Europe/Berlin"
[[provider]]
name = "a"
api = "anthropic"
model = "m"
[[provider]]
name = "b"
api = "openai"
model = "m"
[[route]]
name = "chat"
candidates = ["a", "b"]
runbook = "https://wiki.example/chat"
"""


def flip(op: Op, origin: Origin, **changes: Any) -> Flip:
    made = Flip("chat", op, 2, "d2", "d1", "a", "b", "a breached", "prober@eu-1", AT_MS,
                origin=origin)  # fmt: skip
    return replace(made, **changes)


OVER = flip(Op.AUTO, Origin.AUTOMATIC)
BACK = replace(OVER, from_provider="b", to_provider="a", reason="a is healthy again, and cheaper")
HAND = flip(Op.MANUAL, Origin.OPERATOR, actor="ann@desk", reason="a is dear today")
DRILLED = flip(
    Op.MANUAL,
    Origin.DRILL,
    actor="drill of ann",
    evidence={"drill": "x", "phase": "out", "by": "ann", "for_s": 120.0, "proof": "4 of 4"},
)
PIN = Pin("b", "ann", "maintenance", AT_MS + 3_600_000)
DRILL = Drill("x", "a", "b", "ann", 120_000, AT_MS)
HOSTILE = (
    "<b>@everyone</b> [click](https://evil.example) **bold** `rm -rf /` \x1b[2J line\r\nbreak "
    "| _under_ model_not_found . " + "x" * 600
)
WEIGHED = (
    *(
        Weighed(f"c{number}", bar is None, f"why {number}", bar, free_ms, proven)
        for number, (bar, free_ms, proven) in enumerate(
            (bar, free_ms, proven)
            for bar in (None, *Bar)
            for free_ms, proven in ((0, False), (AT_MS + 960_000, True))
        )
    ),
)
DIFFERS = tuple(
    Difference(provider, key, (("eu-1", "ap-1"), ("us-1",)))
    for provider, key in (
        ("a", "base_url"),
        ("a", "model"),
        ("b", "residency"),
        ("b", "price"),
        ("", "candidates"),
        ("", "detector.kind"),
    )
)


def failed_over(**changes: Any) -> AlertEvent:
    said: dict[str, Any] = {
        "why": WHY,
        "since": SINCE,
        "proof": "4 of 4, slowest first text 0.9 s",
        "notified": 41,
        "failback": "manual",
        "incident": 142,
    }
    return flips.failed_over(BERLIN, changes.pop("flip", OVER), **{**said, **changes})


def no_candidate(**changes: Any) -> AlertEvent:
    said: dict[str, Any] = {"primary": "a", "why": WHY, "since": SINCE, "incident": 142}
    said |= {"weighed": (), **changes}
    return alarms.no_candidate(*HERE, **said)


def stays(**changes: Any) -> AlertEvent:
    said: dict[str, Any] = {"primary": "a", "why": WHY, "incident": 3, "paused": False}
    said |= {"weighed": WEIGHED[:3], **changes}
    return alarms.stays(*HERE, **said)


def breach(**changes: Any) -> AlertEvent:
    said: dict[str, Any] = {"provider": "b", "why": WHY, "since": SINCE, "incident": 4}
    return providers.breach(*HERE, **{**said, **changes})


def trouble(outcome: Outcome, cause: Cause = Cause.NONE, detail: str = "HTTP 401 x") -> Trouble:
    return Trouble(outcome, cause, detail, SINCE)


def model(days: int | None) -> AlertEvent:
    sentence = "claude-x is deprecated and retires on 2026-01-22"
    return providers.model(
        BERLIN, "k", AT, provider="a", sentence=sentence, days=days,
        serves=["chat"] if days else [], stands_by=["mail", "search"],
    )  # fmt: skip


def certificate(days: float) -> AlertEvent:
    validity = Validity(AT - 80 * 86_400, AT + days * 86_400)
    whose = ["provider a", "the heartbeat"]
    return outside.certificate(BERLIN, AT, host="h.example", validity=validity, whose=whose)


def budget(**how: bool) -> AlertEvent:
    return providers.budget(PLAIN, "k", AT, provider="a", spent_usd=0.9, limit_usd=1, **how)


def over(result: str) -> AlertEvent:
    evidence = {"drill": "x", "phase": "back", "result": result}
    home = {"from_provider": "b", "to_provider": "a", "reason": f"drill over: {result}"}
    return drills.moved(BERLIN, replace(DRILLED, evidence=evidence, **home), 2)


SAID: dict[str, Callable[[], AlertEvent]] = {
    "failed over": failed_over,
    "failed over, for good": lambda: failed_over(home=True),
    "failed over, by itself back": lambda: failed_over(failback="auto", notified=1),
    "failed over, planned": lambda: failed_over(planned=True, since=None, incident=None),
    "failed over, account": lambda: failed_over(account=True),
    "failed over, last resort": lambda: failed_over(last_resort=True),
    "failed over, from nowhere": lambda: failed_over(flip=replace(OVER, from_provider="")),
    "failed over, hostile": lambda: failed_over(why=HOSTILE),
    "failed back": lambda: flips.failed_back(
        BERLIN, BACK, proof="4 of 4", notified=1, incident=142
    ),
    "pinned": lambda: flips.by_hand(BERLIN, replace(HAND, pin=PIN)),
    "unpinned": lambda: flips.by_hand(BERLIN, replace(HAND, pin_cleared=True, from_provider="b")),
    "moved by hand": lambda: flips.by_hand(PLAIN, HAND),
    "moved by nobody": lambda: flips.by_hand(PLAIN, replace(HAND, actor="", reason="")),
    "break glass": lambda: flips.break_glass(*HERE, "b", "I took it over."),
    "no candidate": lambda: no_candidate(weighed=WEIGHED),
    "no candidate, none other": lambda: no_candidate(since=None, incident=None),
    "no candidate, planned": lambda: no_candidate(planned=True, since=None),
    "no candidate, planned and bad": lambda: no_candidate(planned=True),
    "candidate ready": lambda: alarms.candidate_ready(
        *HERE, primary="a", ready=WEIGHED[5], incident=7
    ),
    "would fail over": lambda: alarms.would_fail_over(*HERE, target="b", why=WHY, incident=3),
    "freeze": lambda: alarms.freeze(*HERE, until=AT + 7200, flips=2, within_s=3600.0),
    "frozen": lambda: alarms.frozen(*HERE, why=WHY, until=AT + 60, incident=None),
    "pinned while bad": lambda: alarms.pinned_while_bad(*HERE, pin=PIN, why=WHY),
    "pinned for ever": lambda: alarms.pinned_while_bad(
        *HERE, pin=Pin("b", "", "", 10**18), why=WHY, incident=5
    ),
    "stays": stays,
    "stays, nobody free": lambda: stays(weighed=()),
    "stays, paused": lambda: stays(paused=True),
    "stays, wrong": lambda: stays(answered='"xy"', advice="compare its answers"),
    "refused by Redis": lambda: alarms.refused(*HERE, why="OOM command not allowed"),
    "regional": lambda: alarms.regional(*HERE, primary="a", why="breached for eu-1 only, of 3"),
    "no quorum": lambda: alarms.no_quorum(*HERE, why="1 of 3 vantages votes, 2 needed"),
    "no quorum, settings differ": lambda: alarms.no_quorum(*HERE, why="x", differs=DIFFERS),
    "failback ready": lambda: alarms.failback_ready(*HERE, home="a", why="well", extra_usd=1.5),
    "failback ready, no dearer": lambda: alarms.failback_ready(
        *HERE, home="a", why="well", extra_usd=0, incident=9
    ),
    "blind": lambda: alarms.blind(BERLIN, "k", AT, vantage="eu-1", why="no connection"),
    "drill begins": lambda: drills.moved(BERLIN, DRILLED, 2),
    "drill over": lambda: over("carried"),
    "drill failed": lambda: over("failed"),
    "drill stuck": lambda: drills.stuck(
        BERLIN, "chat", DRILL.id, DRILL.home, DRILL.away, "drill over; no proof yet", AT
    ),
    "heartbeat": lambda: outside.heartbeat(BERLIN, AT, host="hc.example", why="HTTP 404"),
    "heartbeat taken": lambda: outside.heartbeat_taken(BERLIN, AT, host="hc.example"),
    **{f"certificate, {days} days": lambda days=days: certificate(days) for days in (8, 0.5, -2)},
    "breach": lambda: breach(serves="a"),
    "breach, both": lambda: breach(serves="a", too=True),
    "breach, no flag": lambda: breach(since=None),
    "breach, wrong": lambda: breach(serves="a", answered='"xy"', advice="compare its answers"),
    "recovery": lambda: providers.recovery(*HERE, provider="b", lasted_s=600, incident=4),
    **{
        f"account, {outcome.value} {cause.value}".rstrip(): lambda outcome=outcome, cause=cause: (
            providers.account(*HERE, provider="a", trouble=trouble(outcome, cause))
        )
        for outcome in (Outcome.AUTH, Outcome.QUOTA_EXHAUSTED, Outcome.MODEL_NOT_FOUND)
        for cause in Cause
    },
    "account well": lambda: providers.account_well(*HERE, "a"),
    **{f"model, {days} days": lambda days=days: model(days) for days in (None, 12, 1, 0, -3)},
    **{
        f"canary, {outcome.value}": lambda outcome=outcome: providers.canary(
            *HERE, provider="a", trouble=trouble(outcome, detail="")
        )
        for outcome in (Outcome.BUDGET_TOO_SMALL, Outcome.BAD_REQUEST)
    },
    "canary well": lambda: providers.canary_well(
        *HERE, provider="a", trouble=trouble(Outcome.BAD_REQUEST)
    ),
    "budget low": lambda: budget(out=False),
    "budget out": lambda: budget(out=True),
    "budget out, page": lambda: budget(out=True, page=True),
}  # fmt: skip


class Still(Clock):
    def mono(self) -> float:
        return AT - SINCE

    def now(self) -> float:
        return AT


class Kept:
    """An outbox that keeps what it is given."""

    def __init__(self) -> None:
        self.events: list[AlertEvent] = []

    async def post(self, event: AlertEvent) -> None:
        self.events.append(event)


TOLD: dict[str, Callable[[Notifier, RouteState], Awaitable[None]]] = {
    **{
        name: lambda notifier, state, of=of: notifier.notify(state, of, 2)
        for name, of in {
            "flip, automatic": replace(OVER, evidence={"kind": "failover", "proof": "4 of 4",
                                                       "since": SINCE, "incident": 142}),
            "flip, last resort": replace(OVER, evidence={"kind": "last_resort"}),
            "flip, planned": replace(OVER, evidence={"kind": "planned", "why": "maintenance"}),
            "flip, back": replace(BACK, evidence={"kind": "failback", "proof": "4 of 4"}),
            "flip, by hand": HAND,
            "flip, drill": DRILLED,
            "flip, break glass": replace(HAND, origin=Origin.BREAK_GLASS),
            "flip, seed": flip(Op.SEED, Origin.SEED, from_provider=""),
            "flip, seed again": flip(Op.SEED, Origin.SEED, evidence={"kind": Repair.SEED.value}),
            "flip, repair": flip(Op.REPAIR, Origin.REPAIR, evidence={"kind": Repair.REPAIR.value}),
            "flip, repair of nothing": flip(Op.REPAIR, Origin.REPAIR),
            "flip, put back": flip(
                Op.REPAIR, Origin.REPAIR, evidence={"kind": Repair.PUT_BACK.value, "named": "c"}
            ),
        }.items()
    },
    "fate unknown": lambda notifier, state: notifier.unresolved(OVER),
    "refused": lambda notifier, state: notifier.refused(state, "OOM"),
    "blind": lambda notifier, state: notifier.blind(["a", "b"]),
    "two installations": lambda notifier, state: notifier.other(
        InstallationVerdict(Act.HOLD, why="this Redis bears another id", you="run `prober adopt`")
    ),
    "daemon": lambda notifier, state: notifier.daemon(
        "lost", "History is lost", "One.", "**You:** two."
    ),
    "account": lambda notifier, state: notifier.account(state, "a", trouble(Outcome.AUTH)),
    "canary": lambda notifier, state: notifier.canary(state, "a", trouble(Outcome.BAD_REQUEST)),
    "budget": lambda notifier, state: notifier.budget("a", 0.9, 1.0, out=True, page=True),
    "heartbeat": lambda notifier, state: notifier.heartbeat("hc.example", "HTTP 404"),
}  # fmt: skip


def shown(event: AlertEvent) -> list[str]:
    """Its headline, its lines, and what decides whom it reaches, and that it does so once."""
    sent = to_record(letter(event, "oncall"))
    route, key, at = sent["route"], sent["key"], sent["created_at"]
    told = f"{sent['event']} {sent['severity']} {route or '-'} {key} {sent['id']} {at}"
    return [event.headline, *event.body.splitlines(), told]


def alerts() -> dict[str, list[str]]:
    return {name: shown(write()) for name, write in SAID.items()} | asyncio.run(_told())


async def _told() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    config = parse(CONFIG)
    for name, tell in TOLD.items():
        kept = Kept()
        incidents = Incidents(cast(Any, None), None)
        notifier = Notifier(config, cast(Any, kept), incidents, Still())
        state = RouteState(config, config.route[0], cast(Any, None), Memory())
        await tell(notifier, state)
        found[f"told: {name}"] = [line for event in kept.events for line in shown(event)]
    return found
