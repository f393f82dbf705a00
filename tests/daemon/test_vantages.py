"""Three daemons on one Redis: a majority moves the flag, a minority says so, nobody acts twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from prober.daemon.daemon import Daemon
from prober.emulator import Emulator
from prober.failover.route_state import RouteState
from prober.probing.pacing import RateShare
from prober.probing.plans import Plan
from prober.sample import Outcome, Sample
from switch.control.decide import Action
from switch.control.votes import Vote, decode_votes
from tests.support.servers import Valkey
from tests.support.stage import Hook, running, until, write_config

NAMES = ("eu-1", "us-1", "ap-1")
PRIMARY, STATE = "prober:{chat}:primary", "prober:{chat}:state"
LEASE, VOTES = "prober:{chat}:lease", "prober:{chat}:votes"


@dataclass
class Place:
    """One vantage, and what it is made to see: providers named in `broken` fail from here."""

    daemon: Daemon
    broken: set[str]

    @property
    def state(self) -> RouteState:
        return self.daemon.judge.states["chat"]

    @property
    def leads(self) -> bool:
        return self.state.leased

    @property
    def reason(self) -> str:
        return self.state.decision.reason

    def breaks(self, provider: str = "a") -> None:
        self.broken.add(provider)


def _place(daemon: Daemon) -> Place:
    place = Place(daemon, set())
    probe = daemon.schedule._probe

    async def seen_from_here(plan: Plan, id: str, base_rate: bool) -> Sample:
        sample = await probe(plan, id, base_rate)
        failed = sample.provider in place.broken
        return replace(sample, outcome=Outcome.OVERLOADED, detail="") if failed else sample

    daemon.schedule._probe = seen_from_here
    return place


def config(
    folder: Path, name: str, emulator: Emulator, valkey: Valkey, *, more: str = "", wait: str = ""
) -> Path:
    (folder / name).mkdir()
    names = json.dumps(list(NAMES))
    path = write_config(
        folder / name / "prober.toml",
        emulator=emulator.url,
        redis=valkey.url,
        daemon=f'vantage = "{name}"\nvantages = {names}',
        failback="manual",
        more=more,
    )
    if wait:
        text = path.read_text("utf-8").replace('min_span = "1s"', f'min_span = "{wait}"')
        path.write_text(text, "utf-8")
    return path


@asynccontextmanager
async def places(
    folder: Path, emulator: Emulator, valkey: Valkey, names: tuple[str, ...] = NAMES
) -> AsyncIterator[dict[str, Place]]:
    async with AsyncExitStack() as stack:
        found = {}
        for name in names:
            path = config(folder, name, emulator, valkey)
            found[name] = _place(await stack.enter_async_context(running(path)))
        yield found


async def seeded(found: dict[str, Place], valkey: Valkey) -> None:
    """All have voted, one leads, the flag stands."""
    await until(lambda: get(valkey) == "a", "the first flag")
    await until(lambda: all(_votes(place) == len(found) for place in found.values()), "all vote")


def _votes(place: Place) -> int:
    return len(place.state.tally.voters) if place.state.tally else 0


def get(valkey: Valkey, key: str = PRIMARY) -> str | None:
    with valkey.client() as client:
        found: str | None = client.get(key)
        return found


def votes(valkey: Valkey) -> dict[str, Vote]:
    with valkey.client() as client:
        return {vote.vantage: vote for vote in decode_votes(client.hgetall(VOTES))}


def leader(found: dict[str, Place]) -> Place:
    (leads,) = [place for place in found.values() if place.leads]
    return leads


def followers(found: dict[str, Place]) -> list[Place]:
    return [place for place in found.values() if not place.leads]


def told(oncall: Hook, words: str) -> int:
    return sum(words in title for title in oncall.titles)


async def test_a_breach_that_two_of_three_see_flips_and_is_told_once(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    """The leader itself sees nothing wrong: it goes by the majority all the same."""
    async with places(tmp_path, emulator, valkey) as found:
        await seeded(found, valkey)
        for place in followers(found):
            place.breaks()
        await until(lambda: get(valkey) == "b", "the majority's flip")
        names = sorted(place.daemon.config.daemon.vantage for place in followers(found))
        with valkey.client() as client:
            reason = client.hget(STATE, "reason")
        assert f"as 2 of 3 vantages see ({', '.join(names)})" in reason
        await until(lambda: told(oncall, "chat failed over: a → b") > 0)
        followed = [place.state for place in followers(found)]
        await until(lambda: all(state.primary == "b" for state in followed), "the others follow")
    # What one of them only followed is not told when it starts again.
    async with running(tmp_path / names[0] / "prober.toml") as again:
        await until(lambda: again.judge.states["chat"].primary == "b")
        await until(lambda: not again.outbox.unsent)
    assert told(oncall, "chat failed over") == 1


async def test_a_breach_that_one_of_three_sees_is_regional_and_moves_nothing(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    """Even the leader's own."""
    async with places(tmp_path, emulator, valkey) as found:
        await seeded(found, valkey)
        leads = leader(found)
        before = epoch(valkey)
        leads.breaks()
        await until(lambda: told(oncall, "is failing for some vantages only") > 0, "it is told")
        name = leads.daemon.config.daemon.vantage
        assert f"breached for {name} only, of 3 vantages that vote" in leads.reason
        assert leads.state.decision.action is Action.HOLD
        assert (get(valkey), epoch(valkey)) == ("a", before)
        # A second one makes it a majority.
        followers(found)[0].breaks()
        await until(lambda: get(valkey) == "b", "now it moves")
    assert told(oncall, "is failing for some vantages only") == 1
    assert told(oncall, "chat failed over") == 1


async def test_a_target_that_a_majority_sees_breached_is_none(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    async with places(tmp_path, emulator, valkey) as found:
        await seeded(found, valkey)
        leads = leader(found)
        for place in followers(found):
            place.breaks("b")
        await until(
            lambda: leads.state.tally and len(leads.state.tally.seeing("b")) == 2, "b is bad"
        )
        for place in found.values():
            place.breaks("a")
        await until(lambda: "no candidate is fit" in leads.reason, "the leader holds")
        await until(lambda: told(oncall, "FAILING, NO FAILOVER") > 0, "and pages")
        assert get(valkey) == "a"
        (weighed,) = leads.state.decision.weighed
        assert "as 2 of 3 vantages see" in weighed.why


async def test_a_leader_that_froze_past_its_lease_is_refused_and_another_leads(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    """Frozen between its decision and its write, which is the worst moment there is."""
    async with places(tmp_path, emulator, valkey) as found:
        await seeded(found, valkey)
        frozen = leader(found)
        others = followers(found)
        decided, wakes = asyncio.Event(), asyncio.Event()
        write = frozen.daemon.judge._executor.flip

        async def late(*args: object, **said: object) -> object:
            decided.set()
            await wakes.wait()
            frozen.daemon.judge._executor.flip = write
            return await write(*args, **said)

        frozen.daemon.judge._executor.flip = late
        for place in found.values():
            place.breaks()
        await asyncio.wait_for(decided.wait(), 20)
        with valkey.client() as client:
            assert client.delete(LEASE)  # as its time to live would
        await until(lambda: any(place.leads for place in others), "another leads")
        await until(lambda: get(valkey) == "b", "and acts")
        before = epoch(valkey)
        wakes.set()
        journal = frozen.daemon.folder / "journal"
        await until(lambda: not frozen.leads, "the woken one notices")
        lines = (await asyncio.to_thread(journal.read_text, "utf-8")).splitlines()
        records = [json.loads(line.partition(" ")[2]) for line in lines]
        (refused,) = [record for record in records if record["kind"] == "refusal"]
        assert refused["status"] in ("not_leader", "expired")
        assert (get(valkey), epoch(valkey)) == ("b", before)
        assert sum(place.leads for place in found.values()) == 1
    assert told(oncall, "chat failed over") == 1


def epoch(valkey: Valkey) -> int:
    with valkey.client() as client:
        return int(client.hget(STATE, "epoch") or 0)


async def test_one_of_three_alone_holds_and_pages(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    """It seeds the first flag, after one vote life, but moves none."""
    async with places(tmp_path, emulator, valkey, ("eu-1",)) as found:
        alone = found["eu-1"]
        await until(lambda: "waiting for the other vantages" in alone.reason, "it waits first")
        await until(lambda: get(valkey) == "a", "a flag is better than none")
        alone.breaks()
        await until(lambda: told(oncall, "too few vantages vote") > 0, "it pages")
        await until(lambda: bool(alone.state.trackers["a"].breach.latched), "it sees the breach")
        assert "1 of 3 vantages votes, 2 needed; silent: ap-1, us-1" in alone.reason
        assert get(valkey) == "a"
        path = await asyncio.to_thread(config, tmp_path, "us-1", emulator, valkey)
        async with running(path) as second:
            _place(second).breaks()
            await until(lambda: get(valkey) == "b", "with a second one there is a majority")


async def test_a_vantage_with_other_routes_stands_back_and_says_so(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    """Though it came first and led."""
    odd = await asyncio.to_thread(config, tmp_path, "ap-1", emulator, valkey, wait="2s")
    async with running(odd) as daemon:
        state = daemon.judge.states["chat"]
        await until(lambda: state.leased, "it leads while it is alone")
        async with places(tmp_path, emulator, valkey, ("eu-1", "us-1")) as found:
            await until(lambda: any(place.leads for place in found.values()), "others lead")
            await until(lambda: not state.leased)
            await until(lambda: "go by other settings than ap-1" in state.decision.reason)
            said = "ap-1 goes by other settings of chat than eu-1 and us-1"
            await until(lambda: told(oncall, said) > 0)
            named = "ap-1 has another `detector.min_span` of the route than eu-1 and us-1"
            assert any(named in letter for letter in oncall.bodies)
            for place in found.values():
                place.breaks()
            await until(lambda: get(valkey) == "b", "the majority's hash decides")
    assert told(oncall, "goes by other settings") == 1


def elsewhere(path: Path, url: str) -> Path:
    """Gives "b" another address there."""
    head, found, rest = path.read_text("utf-8").rpartition("base_url = ")
    _, _, rest = rest.partition("\n")
    path.write_text(f'{head}{found}"{url}"\n{rest}', "utf-8")
    return path


async def test_three_with_three_addresses_of_one_provider_are_told_so(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    async with AsyncExitStack() as stack:
        for number, name in enumerate(NAMES, start=1):
            url = f"http://127.0.0.1:{number}"
            path = await asyncio.to_thread(config, tmp_path, name, emulator, valkey)
            path = await asyncio.to_thread(elsewhere, path, url)
            await stack.enter_async_context(running(path))
        title = "chat: the vantages' settings differ, so no flag moves"
        await until(lambda: told(oncall, title) > 0)
    named = "ap-1, eu-1 and us-1 each have another `base_url` of b."
    (body,) = [body for body in oncall.bodies if named in body]
    assert "`regional_endpoint = true`" in body


async def test_a_blind_vantage_votes_blind_and_gives_up_the_lease(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    """So does one whose time jumped."""
    async with places(tmp_path, emulator, valkey) as found:
        await seeded(found, valkey)
        jumped, others = leader(found), followers(found)
        name = jumped.daemon.config.daemon.vantage
        judge = jumped.daemon.judge
        judge.gap.hold_until_s = jumped.daemon.clock.mono() + 1000
        await until(lambda: any(place.leads for place in others), "another leads")
        assert not jumped.leads
        await until(lambda: "time jumped" in votes(valkey)[name].blind, "its vote says why")
        for place in found.values():
            place.breaks()
        await until(lambda: get(valkey) == "b", "the two that see go on")


async def test_what_a_dead_leader_may_not_have_told_its_successor_tells(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    """But nothing from longer ago than a takeover takes."""
    async with places(tmp_path, emulator, valkey) as found:
        await seeded(found, valkey)
        heir, *others = followers(found)
        said: list[str] = []

        def tell(words: str) -> Callable[[], Awaitable[None]]:
            async def say() -> None:
                said.append(words)

            return say

        heir.state.untold.append((heir.daemon.clock.mono() - 31, tell("old")))
        await heir.daemon.notifier.by_leader(heir.state, tell("new"))
        assert said == []
        for place in (leader(found), *others):
            place.daemon.judge.gap.hold_until_s = place.daemon.clock.mono() + 1000
        await until(lambda: heir.leads, "it takes over")
        await until(lambda: bool(said))
        assert said == ["new"]
        await heir.daemon.notifier.by_leader(heir.state, tell("its own"))
        assert said == ["new", "its own"]


async def test_an_observing_route_neither_votes_nor_asks(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    path = await asyncio.to_thread(config, tmp_path, "eu-1", emulator, valkey)
    text = await asyncio.to_thread(path.read_text, "utf-8")
    observing = text.replace('mode = "auto"', 'mode = "observe"')
    await asyncio.to_thread(path.write_text, observing, "utf-8")
    async with running(path) as daemon:
        state = daemon.judge.states["chat"]
        await until(lambda: state.primary == "a")
        emulator.set_faults(api="anthropic", error_share=1.0, status=529)
        await until(lambda: state.primary == "b", "it decides by itself")
        with valkey.client() as client:
            assert client.keys("*") == []


async def test_canaries_are_shared_out_until_somebody_has_doubts(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    async with places(tmp_path, emulator, valkey) as found:
        await seeded(found, valkey)
        ordered = [found[name] for name in sorted(found)]

        def paces(provider: str) -> list[str]:
            return [place.daemon.schedule.describe(provider) for place in ordered]

        await until(lambda: set(paces("b")) == {"every 0.3 s (base)"}, "three share")
        shares = [place.daemon.judge.share("b") for place in ordered]
        assert shares == [RateShare(3, 0), RateShare(3, 1), RateShare(3, 2)]
        ordered[0].breaks("b")
        await until(
            lambda: all(place.daemon.judge.share("b") == RateShare() for place in ordered[1:]),
            "the others look too",
        )
        await until(lambda: "every 0.025 s (suspicion)" in paces("b")[1:], "at the fast pace")
        assert all(place.state.trackers["b"].level == 0 for place in ordered[1:])
