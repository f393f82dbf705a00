"""The sentences of every alert: what happened, why, what is so now, what you can do. Pure.

Facts from outside (a provider's error text) pass through `plain` first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from prober.alerts.event import Event, Severity
from switch.flag import Flip, Pin, say_duration
from switch.target import Weighed

_UNSAFE = re.compile(r"[\x00-\x1f\x7f<>\[\]`*_|@\\]+")


# Year 9999.
FAR_AWAY = 253_370_000_000.0


def plain(text: str, limit: int = 200) -> str:
    """Foreign text without markup, control characters or length."""
    clean = " ".join(_UNSAFE.sub(" ", text).split())
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes events. `zone` is whose clock people read; `runbooks` is by route."""

    zone: ZoneInfo
    runbooks: dict[str, str]

    def _local(self, at: float, zone: tzinfo) -> datetime:
        # A pin may end further away than a calendar reaches.
        return datetime.fromtimestamp(min(at, FAR_AWAY), zone)

    def clock(self, at: float) -> str:
        """03:12:41"""
        return self._local(at, self.zone).strftime("%H:%M:%S")

    def when(self, at: float) -> str:
        """03:12:41 Berlin (02:12:41 UTC)"""
        city = self.zone.key.rpartition("/")[2].replace("_", " ")
        if city == "UTC":
            return f"{self.clock(at)} UTC"
        return f"{self.clock(at)} {city} ({self._local(at, UTC):%H:%M:%S} UTC)"

    def _foot(self, route: str, incident: int | None) -> str:
        parts = [f"Incident {incident}" if incident else "", self.runbooks.get(route, "")]
        return " · ".join(part for part in parts if part)

    def _event(
        self,
        kind: str,
        key: str,
        route: str,
        severity: Severity,
        at: float,
        title: str,
        lines: list[str],
        incident: int | None = None,
    ) -> Event:
        body = "\n".join(line for line in [*lines, self._foot(route, incident)] if line)
        return Event(key, kind, route, severity, title, body, at, incident)

    # -- the flag moved --------------------------------------------------------------------

    def failed_over(
        self,
        flip: Flip,
        *,
        why: str,
        since: float | None,
        proof: str,
        told: int,
        failback: str,
        incident: int | None,
        planned: bool = False,
    ) -> Event:
        at = flip.at_ms / 1000
        stays = (
            "I fail back by myself when it has been healthy long enough."
            if failback == "auto"
            else f"Stays here until you fail back; I'll say when {flip.from_provider} is ready."
        )
        begun = f", since {self.clock(since)}" if since is not None else ""
        force = (
            f'`prober pin {flip.from_provider} --route {flip.route} --for 1h --reason "…"`'
            if flip.from_provider
            else ""
        )
        return self._event(
            "failed_over",
            flip.decision_id,
            flip.route,
            Severity.WARNING,
            at,
            f"{flip.route} failed over: {flip.from_provider} → {flip.to_provider}, {self.when(at)}",
            [
                f"Why: {_canaries_of(flip.from_provider, plain(why, 400))}{begun}.",
                f"Now: {flip.to_provider} {proof}. {_readers(told)} told.",
                f"**Nothing to do.** {stays}",
                "" if planned or not force else f"Force back (still failing): {force}",
            ],
            incident,
        )

    def failed_back(self, flip: Flip, *, proof: str, told: int, incident: int | None) -> Event:
        at = flip.at_ms / 1000
        return self._event(
            "failed_back",
            flip.decision_id,
            flip.route,
            Severity.INFO,
            at,
            f"{flip.route} failed back: {flip.from_provider} → {flip.to_provider}, {self.when(at)}",
            [
                f"Why: {plain(flip.reason, 400)}.",
                f"Now: {flip.to_provider} {proof}. {_readers(told)} told.",
                "**Nothing to do.**",
            ],
            incident,
        )

    def by_hand(self, flip: Flip) -> Event:
        """An operator's pin, unpin, failover or failback."""
        at = flip.at_ms / 1000
        who = plain(flip.actor or "an operator", 60)
        if flip.pin is not None:
            verb = f"{flip.route} pinned to {flip.to_provider} by {who}"
            end = f"Ends {self.when(flip.pin.until_ms / 1000)}."
            lever = f"End it now: `prober unpin {flip.route}`"
        elif flip.pin_cleared and not flip.moved:
            verb = f"{flip.route} unpinned by {who}"
            end, lever = "Automation decides again.", ""
        else:
            verb = f"{flip.route} moved by {who}: {flip.from_provider} → {flip.to_provider}"
            end, lever = "", ""
        return self._event(
            "pin",
            flip.decision_id,
            flip.route,
            Severity.INFO,
            at,
            verb,
            [self.when(at), f"Why: {plain(flip.reason)}." if flip.reason else "", end, lever],
        )

    def break_glass(self, route: str, key: str, at: float, named: str, outcome: str) -> Event:
        return self._event(
            "break_glass",
            key,
            route,
            Severity.WARNING,
            at,
            f"{route}: somebody set the flag by hand to {plain(named, 64)}",
            [
                self.when(at),
                f"{outcome}",
                f"**You:** next time use `prober pin {plain(named, 64)} --route {route}`, "
                "which says who and why.",
            ],
        )

    # -- the flag should move, and does not ---------------------------------------------------

    def no_candidate(
        self,
        route: str,
        key: str,
        at: float,
        *,
        primary: str,
        why: str,
        since: float | None,
        weighed: tuple[Weighed, ...],
        incident: int | None,
    ) -> Event:
        begun = f"{primary} bad since {self.clock(since)}" if since else f"{primary} must be left"
        ack = f" `prober ack {incident}` stops reminders for 1 h." if incident else ""
        return self._event(
            "no_candidate",
            key,
            route,
            Severity.PAGE,
            at,
            f"{route} FAILING, NO FAILOVER: {begun}",
            [
                f"Flag unchanged. {plain(why, 400)}.",
                " ".join(f"{w.name}: {plain(w.why)}." for w in weighed),
                "I keep probing and fail over by myself once one passes.",
                f"**You:** degrade or queue {route}; tell support.{ack}",
            ],
            incident,
        )

    def would_fail_over(
        self, route: str, key: str, at: float, *, target: str, why: str, incident: int | None
    ) -> Event:
        return self._event(
            "propose",
            key,
            route,
            Severity.PAGE,
            at,
            f"{route}: I would fail over to {target}",
            [
                self.when(at),
                f"Why: {plain(why, 400)}.",
                "The route is in mode propose, so this is yours to do.",
                f"**You:** `prober failover {target} --route {route}`",
            ],
            incident,
        )

    def frozen(self, route: str, key: str, at: float, *, why: str, incident: int | None) -> Event:
        return self._event(
            "frozen",
            key,
            route,
            Severity.PAGE,
            at,
            f"{route} is bad, and frozen after too many flips",
            [
                self.when(at),
                f"Why: {plain(why, 400)}.",
                "A way out of an outage onto a long-healthy provider stays open.",
                f"**You:** let it move again with `prober ack {route}`.",
            ],
            incident,
        )

    def pinned_while_bad(
        self, route: str, key: str, at: float, *, pin: Pin, why: str, incident: int | None = None
    ) -> Event:
        return self._event(
            "pin",
            key,
            route,
            Severity.PAGE,
            at,
            f"{route} is pinned to {pin.provider}, which is failing",
            [
                self.when(at),
                f"{plain(why, 400)}.",
                f"The pin of {plain(pin.owner or 'an operator', 60)} ends "
                f"{self.when(pin.until_ms / 1000)}.",
                f"**You:** `prober unpin {route}` lets me fail over.",
            ],
            incident,
        )

    def stays(
        self,
        route: str,
        key: str,
        at: float,
        *,
        primary: str,
        why: str,
        paused: bool,
        incident: int | None,
    ) -> Event:
        """The primary is bad, and by the operators' own wish nothing moves."""
        lever = (
            "`prober resume` lets me act."
            if paused
            else f"move it by hand (`prober failover PROVIDER --route {route}`), or name this "
            "objective in [route.failover].flip_on."
        )
        return self._event(
            "breach",
            key,
            route,
            Severity.PAGE,
            at,
            f"{primary}, which serves {route}, is failing, and nothing moves",
            [self.when(at), f"{plain(why, 400)}.", f"**You:** {lever}"],
            incident,
        )

    def refused(self, route: str, key: str, at: float, *, why: str) -> Event:
        return self._event(
            "flag",
            key,
            route,
            Severity.PAGE,
            at,
            f"{route}: Redis refuses to change the flag",
            [
                self.when(at),
                f"It says: {plain(why)}.",
                "I keep trying, less and less often. Applications keep the last provider.",
                "**You:** look at Redis: memory, disk, replication, and the rights of its user.",
            ],
        )

    def regional(self, route: str, key: str, at: float, *, primary: str, why: str) -> Event:
        """Some vantages see the primary failing, most do not."""
        return self._event(
            "regional",
            key,
            route,
            Severity.WARNING,
            at,
            f"{primary}, which serves {route}, is failing for some vantages only",
            [
                self.when(at),
                f"{plain(why, 400)}.",
                "The flag stays; I fail over by myself once a majority sees it.",
                "**You:** look where those vantages are; `prober vantages` shows what each sees. "
                f"To move all the same: `prober failover PROVIDER --route {route}`",
            ],
        )

    def no_quorum(self, route: str, key: str, at: float, *, why: str) -> Event:
        return self._event(
            "no_quorum",
            key,
            route,
            Severity.PAGE,
            at,
            f"{route}: too few vantages vote, so no flag moves",
            [
                self.when(at),
                f"{plain(why, 400)}.",
                "Applications keep the last provider. Pins and `prober failover` still work.",
                "**You:** start the vantages that are silent; `prober vantages` shows them.",
            ],
        )

    def failback_ready(
        self,
        route: str,
        key: str,
        at: float,
        *,
        home: str,
        why: str,
        extra_usd: float,
        incident: int | None = None,
    ) -> Event:
        cost = (
            f"Staying costs {extra_usd:g} USD more per million tokens in and out."
            if extra_usd > 0
            else ""
        )
        return self._event(
            "failback_ready",
            key,
            route,
            Severity.INFO,
            at,
            f"{route}: {home} is ready again",
            [
                self.when(at),
                f"{plain(why, 400)}.",
                cost,
                f"**You, when it suits:** `prober failback {route}`",
            ],
            incident,
        )

    # -- providers -------------------------------------------------------------------------

    def breach(
        self,
        route: str,
        key: str,
        at: float,
        *,
        provider: str,
        why: str,
        since: float | None,
        incident: int | None,
    ) -> Event:
        begun = f" since {self.clock(since)}" if since is not None else ""
        return self._event(
            "breach",
            key,
            route,
            Severity.WARNING,
            at,
            f"{provider} is failing; {route} cannot fail over to it",
            [f"{plain(why, 400)}{begun}.", f"{route} is served by another provider and goes on."],
            incident,
        )

    def recovery(
        self,
        route: str,
        key: str,
        at: float,
        *,
        provider: str,
        lasted_s: float,
        incident: int | None,
    ) -> Event:
        return self._event(
            "recovery",
            key,
            route,
            Severity.INFO,
            at,
            f"{provider} has recovered for {route}",
            [self.when(at), f"It was bad for {say_duration(lasted_s)}."],
            incident,
        )

    def account(
        self, route: str, key: str, at: float, *, provider: str, outcome: str, detail: str
    ) -> Event:
        fix = {
            "quota_exhausted": "add credit, or raise the spend limit of the account",
            "auth": "put a valid key where [[provider]].key points, then `systemctl reload prober`",
            "model_not_found": "name a model the account can use in [[provider]].model",
        }.get(outcome, "look at the provider's account page")
        return self._event(
            "account",
            key,
            route,
            Severity.PAGE,
            at,
            f"{provider}: {outcome.replace('_', ' ')}",
            [
                f"It says: {plain(detail)}." if detail else "",
                "This is the account's trouble, not an outage of the provider.",
                f"**You:** {fix}.",
            ],
        )

    def model(
        self,
        key: str,
        at: float,
        *,
        provider: str,
        sentence: str,
        days: int | None,
        serves: Sequence[str],
        stands_by: Sequence[str],
    ) -> Event:
        """What a provider's list says of our model. `days`: until it stops, where that is known."""
        roles = [
            f"It serves {', '.join(serves)} now." if serves else "",
            f"It stands by for {', '.join(stands_by)}." if stands_by else "",
        ]
        return self._event(
            "model",
            key,
            "",
            Severity.WARNING,
            at,
            f"{provider}: {plain(sentence)}",
            [
                self.when(at),
                _in_days(days),
                " ".join(role for role in roles if role),
                "Nothing moves for this alone: canaries find out when it stops answering.",
                "**You:** put its successor into [[provider]].model, here and in the application, "
                f"then `systemctl reload prober` and `prober probe {provider}`.",
            ],
        )

    def account_well(self, route: str, key: str, at: float, provider: str) -> Event:
        return self._event(
            "account",
            key,
            route,
            Severity.INFO,
            at,
            f"{provider}: the account is well again",
            [self.when(at), "Its canaries are answered.", "**Nothing to do.**"],
        )

    def canary(self, route: str, key: str, at: float, *, provider: str, detail: str) -> Event:
        return self._event(
            "canary",
            key,
            route,
            Severity.WARNING,
            at,
            f"The canary for {provider} is misconfigured",
            [
                f"It says: {plain(detail)}.",
                "Until that is mended I know nothing about this provider.",
                "**You:** check model, base_url and canary.max_tokens (reasoning models need 512), "
                f"then try `prober probe {provider}`.",
            ],
        )

    def budget(
        self,
        key: str,
        at: float,
        *,
        provider: str,
        spent_usd: float,
        limit_usd: float,
        out: bool,
        page: bool = False,
    ) -> Event:
        state = "is spent" if out else "is nearly spent"
        effect = (
            "It is not probed until midnight UTC: as a primary unknown, as a candidate refused."
            if out
            else "Canaries slow down, so that it lasts until midnight UTC; proofs never wait."
        )
        return self._event(
            "budget",
            key,
            "",
            Severity.PAGE if page else Severity.WARNING,
            at,
            f"The canary budget of {provider} {state}",
            [
                f"{spent_usd:.4f} of {limit_usd:g} USD today. {effect}",
                "**You:** raise canary.daily_budget_usd, or lengthen canary.interval.",
            ],
        )

    # -- ourselves -------------------------------------------------------------------------

    def blind(self, key: str, at: float, *, vantage: str, why: str) -> Event:
        return self._event(
            "blind",
            key,
            "",
            Severity.PAGE,
            at,
            f"{vantage} is blind: its own network seems to be gone",
            [
                self.when(at),
                f"{plain(why, 400)}.",
                "No flag is changed on what I see from here.",
                f"**You:** check the network of {vantage}.",
            ],
        )

    def flag(self, route: str, key: str, at: float, *, title: str, why: str) -> Event:
        """Seeds, repairs, Redis lost and found: the flag's own story."""
        return self._event(
            "flag",
            key,
            route,
            Severity.INFO if "again" in title or "first" in title else Severity.WARNING,
            at,
            title,
            [self.when(at), f"{plain(why, 400)}."],
        )

    def daemon(self, key: str, at: float, *, title: str, lines: list[str]) -> Event:
        return self._event("daemon", key, "", Severity.WARNING, at, title, [self.when(at), *lines])


def _in_days(days: int | None) -> str:
    match days:
        case None:
            return ""
        case 0 | 1:
            return "That is tomorrow." if days else "That is today."
        case _:
            return f"That is in {days} days." if days > 0 else f"That was {-days} days ago."


def _canaries_of(provider: str, why: str) -> str:
    """ "9 of 24 anthropic canaries failed": one sentence, and nobody asks whose."""
    return why.replace(" canaries ", f" {provider} canaries ")


def _readers(told: int) -> str:
    return "1 reader" if told == 1 else f"{told} readers"
