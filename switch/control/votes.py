"""What several vantages see, and what follows from it. Pure.

The invariant, which the tests try to break: nothing counts that fewer than a majority of the
fresh votes say, and no majority counts unless the fresh votes are themselves a quorum of the
configured vantages, made by the same routing configuration. A vantage that is blind has no vote,
a vote lives for seconds by Redis TIME, and one vantage has one vote, however often it speaks.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from switch.control.target import ProviderView, listed
from switch.flag import NAME, Health

WHY_LENGTH = 200
_KEY = re.compile(r"[a-z0-9_.]{1,64}\Z")
BAD = (Health.BREACHED, Health.INELIGIBLE)


VantageSettings = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Sight:
    """What one vantage sees of one provider.

    Attributes:
        breached: objectives in breach and kinds of account trouble.
        suspicious: it is looked at more often there.
    """

    health: Health
    breached: frozenset[str] = frozenset()
    why: str = ""
    suspicious: bool = False


@dataclass(frozen=True, slots=True)
class Vote:
    """One vantage's look at one route.

    Attributes:
        at_ms: Redis TIME of the look, not of the writing: what was held up in between is old.
        routing: hash of the configuration it goes by; votes of different ones are not added up.
        blind: why it does not know; empty when it does.
        claim: `claim_of` the nonce it holds, or would hold, the lease with.
        settings: what `routing` is made of: candidate -> key -> short hash of its value; the
            route's own stand under "". Keys at their default are left out. Empty: not told.
    """

    vantage: str
    at_ms: int
    routing: str
    sights: Mapping[str, Sight] = field(default_factory=dict)
    blind: str = ""
    claim: str = ""
    settings: VantageSettings = field(default_factory=dict)

    def fresh(self, now_ms: int, life_ms: int) -> bool:
        """A time in the future is another server's: as little worth as an old one."""
        return abs(now_ms - self.at_ms) <= life_ms

    def is_suspicious(self, provider: str) -> bool:
        sight = self.sights.get(provider)
        return sight is not None and sight.suspicious


def claim_of(nonce: str | None) -> str:
    """What may be shown of a lease's nonce: whoever knows the nonce itself could write."""
    return hashlib.sha256(nonce.encode()).hexdigest()[:16] if nonce else ""


def encode_vote(vote: Vote) -> str:
    sights = {
        name: {
            "health": sight.health.value,
            "breached": sorted(sight.breached),
            "why": sight.why[:WHY_LENGTH],
            "suspicious": sight.suspicious,
        }
        for name, sight in vote.sights.items()
    }
    fields = {
        "at_ms": vote.at_ms,
        "routing": vote.routing,
        "blind": vote.blind[:WHY_LENGTH],
        "claim": vote.claim,
        "sees": sights,
        "settings": vote.settings,
    }
    return json.dumps(fields, separators=(",", ":"))


def decode_vote(vantage: str, text: str) -> Vote | None:
    """One field of the `votes` hash; None when it cannot be read."""
    if not NAME.match(vantage):
        return None
    try:
        decoded = json.loads(text)
        return Vote(
            vantage=vantage,
            at_ms=int(decoded["at_ms"]),
            routing=str(decoded["routing"]),
            sights={str(name): _sight(seen) for name, seen in decoded["sees"].items()},
            blind=str(decoded["blind"]),
            claim=str(decoded["claim"]),
            settings=_settings(decoded.get("settings", {})),
        )
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError):
        return None


def _sight(seen: Mapping[str, Any]) -> Sight:
    return Sight(
        health=Health(seen["health"]),
        breached=frozenset(str(kind) for kind in seen["breached"]),
        why=str(seen["why"])[:WHY_LENGTH],
        suspicious=bool(seen["suspicious"]),
    )


def _settings(tables: Mapping[str, Mapping[str, Any]]) -> VantageSettings:
    """A vantage of before they were told has none; a name that is none is left out."""
    return {
        name: {key: str(value)[:16] for key, value in keys.items() if _KEY.match(key)}
        for name, keys in tables.items()
        if not name or NAME.match(name)
    }


def decode_votes(texts: Mapping[str, str]) -> tuple[Vote, ...]:
    """The `votes` hash by name, without what cannot be read."""
    read = (decode_vote(name, text) for name, text in sorted(texts.items()))
    return tuple(vote for vote in read if vote)


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting that not all vantages share.

    Attributes:
        provider: whose; empty: the route's own.
        camps: who has the same value, the largest first.
    """

    provider: str
    key: str
    camps: tuple[tuple[str, ...], ...]

    @property
    def setting(self) -> str:
        """ "`base_url` of openai"."""
        return f"`{self.key}` of {self.provider or 'the route'}"

    @property
    def sentence(self) -> str:
        """ "us-1 has another `base_url` of openai than ap-1 and eu-1"."""
        most, *others = self.camps
        odd = [name for camp in others for name in camp]
        if len(most) == 1:
            return f"{_and([*most, *odd])} each have another {self.setting}"
        verb = "has" if len(odd) == 1 else "have"
        return f"{_and(odd)} {verb} another {self.setting} than {_and(most)}"


def _and(names: Sequence[str]) -> str:
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


def differences(settings: Mapping[str, VantageSettings]) -> tuple[Difference, ...]:
    """In what vantages differ, of those that tell their settings.

    A candidate that only some of them have is a difference of the route's `candidates`.
    """
    given = {name: tables for name, tables in sorted(settings.items()) if tables}
    places = {(provider, key) for tables in given.values() for provider in tables
              for key in tables[provider]}  # fmt: skip
    differing = []
    for provider, key in sorted(places):
        camps: dict[str, tuple[str, ...]] = {}
        for name, tables in given.items():
            if provider in tables:
                value = tables[provider].get(key, "")
                camps[value] = (*camps.get(value, ()), name)
        if len(camps) > 1:
            ordered = sorted(camps.values(), key=lambda camp: (-len(camp), camp))
            differing.append(Difference(provider, key, tuple(ordered)))
    return tuple(differing)


@dataclass(frozen=True, slots=True)
class VoteTally:
    """The fresh votes of the configured vantages, as one of them counts them.

    Attributes:
        own: who counts.
        vantages: all that are configured.
        needed: how many votes are a quorum.
        votes: the fresh ones, the counter's own among them.
    """

    own: str
    vantages: tuple[str, ...]
    needed: int
    votes: Mapping[str, Vote]

    @property
    def routing(self) -> str:
        return self.votes[self.own].routing

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """routing hash -> who goes by it and sees."""
        groups: dict[str, tuple[str, ...]] = {}
        for name, vote in sorted(self.votes.items()):
            if not vote.blind:
                groups[vote.routing] = (*groups.get(vote.routing, ()), name)
        return groups

    @property
    def voters(self) -> tuple[str, ...]:
        """Whose votes count here: those that see, by the counter's own configuration."""
        return self.groups.get(self.routing, ())

    @property
    def quorum(self) -> bool:
        return len(self.voters) >= self.needed

    @property
    def majority(self) -> int:
        return len(self.voters) // 2 + 1

    @property
    def outvoted_by(self) -> tuple[str, ...]:
        """The vantages that make a quorum by another configuration than the counter's."""
        others = (names for routing, names in self.groups.items() if routing != self.routing)
        return next((names for names in others if len(names) >= self.needed), ())

    @property
    def counted(self) -> str:
        """ "1 of 3 vantages votes, 2 needed; silent: us-1; blind: ap-1"."""
        votes = "votes" if len(self.voters) == 1 else "vote"
        text = f"{len(self.voters)} of {len(self.vantages)} vantages {votes}, {self.needed} needed"
        silent = [name for name in self.vantages if name not in self.votes]
        blind = [name for name, vote in self.votes.items() if vote.blind]
        other = [
            name
            for name, vote in self.votes.items()
            if not vote.blind and vote.routing != self.routing
        ]
        for word, names in (("silent", silent), ("blind", blind), ("other settings", other)):
            text += f"; {word}: {listed(names)}" if names else ""
        return text

    @property
    def differences(self) -> tuple[Difference, ...]:
        """In what those that see differ, where they do."""
        if len(self.groups) < 2:
            return ()
        return differences({name: v.settings for name, v in self.votes.items() if not v.blind})

    def seeing(self, provider: str, kinds: Collection[str] | None = None) -> tuple[str, ...]:
        """The voters that see a provider breached, in one of `kinds` if those are given."""
        return tuple(name for name in self.voters if self._kinds(name, provider, kinds))

    def _kinds(self, name: str, provider: str, kinds: Collection[str] | None) -> frozenset[str]:
        sight = self.votes[name].sights.get(provider)
        if sight is None or sight.health not in BAD:
            return frozenset()
        return sight.breached if kinds is None else sight.breached.intersection(kinds)

    def agreed(self, provider: str, kinds: Collection[str]) -> frozenset[str]:
        """In which of `kinds` a majority sees a provider breached.

        Where a majority sees a breach but no kind of it has one, each voter's kinds count.
        """
        seen = [self._kinds(name, provider, kinds) for name in self.voters]
        if sum(map(bool, seen)) < self.majority:
            return frozenset()
        every = frozenset().union(*seen)
        shared = {kind for kind in every if sum(kind in one for one in seen) >= self.majority}
        return frozenset(shared) or every

    def suspected_elsewhere(self, provider: str) -> bool:
        """Another voter has its doubts: all look at it more often then."""
        others = (name for name in self.voters if name != self.own)
        return any(self.votes[name].is_suspicious(provider) for name in others)

    def share(self, provider: str) -> tuple[int, int]:
        """(how many share the base-rate canaries, our place among them).

        One and none unless there is a quorum, the counter sees, and nobody has doubts.
        """
        voters = self.voters
        doubts = any(self.votes[name].is_suspicious(provider) for name in voters)
        if doubts or not self.quorum or self.own not in voters:
            return 1, 0
        return len(voters), voters.index(self.own)


def tally(
    own: Vote,
    stored: Sequence[Vote],
    *,
    vantages: Sequence[str],
    needed: int,
    now_ms: int,
    life_ms: int,
) -> VoteTally:
    """Counts the stored votes that are fresh at `now_ms`, with the counter's own as it is now."""
    votes = {
        vote.vantage: vote
        for vote in stored
        if vote.vantage in vantages and vote.fresh(now_ms, life_ms)
    }
    return VoteTally(own.vantage, tuple(vantages), needed, {**votes, own.vantage: own})


def agree(
    view: ProviderView, tally: VoteTally, flip_on: Collection[str], *, primary: bool
) -> ProviderView:
    """One provider as a majority sees it, beginning with how the counter sees it.

    The primary is breached when a majority says so, the counter among them or not; seen by fewer,
    it is `regional`. Any other is what the counter sees, unless no majority finds it free of
    breach: then it is no target.
    """
    if not tally.quorum:
        return view
    seeing = tally.seeing(view.name, flip_on if primary else None)
    if not primary:
        if view.health in BAD or len(tally.voters) - len(seeing) >= tally.majority:
            return view
        return replace(view, health=Health.BREACHED, why=_as_seen(view, tally, seeing))
    if kinds := tally.agreed(view.name, flip_on):
        health = view.health if view.health in BAD else Health.BREACHED
        why = _as_seen(view, tally, seeing)
        return replace(view, health=health, breached=kinds, why=why)
    if not seeing:
        return view
    only = f"breached for {listed(seeing)} only, of {len(tally.voters)} vantages that vote"
    why = tally.votes[seeing[0]].sights[view.name].why
    regional = f"{only} ({why})" if why else only
    return replace(
        view, health=Health.SUSPECT, why=regional, breached=frozenset(), regional=regional
    )


def _as_seen(view: ProviderView, tally: VoteTally, seeing: Sequence[str]) -> str:
    whose = tally.own if tally.own in seeing else seeing[0]
    why = tally.votes[whose].sights[view.name].why or "breached"
    return f"{why}, as {len(seeing)} of {len(tally.voters)} vantages see ({listed(seeing)})"
