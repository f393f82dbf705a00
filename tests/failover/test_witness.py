"""Whether a failure on the path is theirs or ours: controls, other providers, and blindness."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import redis.asyncio

from prober.config.loader import parse
from prober.daemon.housekeeping import Housekeeping
from prober.daemon.parts import Parts
from prober.daemon.systemd import Systemd
from prober.failover.route_state import vouched_by
from prober.failover.self_check import BLIND_AFTER_S
from prober.probing.network import Network
from prober.sample import Outcome
from switch.control.lease import Ballot
from switch.control.votes import decode_votes
from tests.support.judge_stage import CONFIG, Bench, bench
from tests.support.network_servers import proxying
from tests.support.raw_server import answering, plain

OK = plain(status="204 No Content", headers="")
REMOTE = CONFIG.replace("127.0.0.1:9", "provider.test")


@pytest.fixture
async def on(tmp_path: Path, redis_client: redis.asyncio.Redis) -> AsyncIterator[Bench]:
    """Providers of other machines."""
    async with bench(tmp_path, redis_client, text=REMOTE) as made:
        yield made


async def look(on: Bench, *controls: str) -> None:
    """One look at the controls, as upkeep takes it."""
    async with Network() as network:
        daemon = SimpleNamespace(
            config=SimpleNamespace(network=SimpleNamespace(controls=controls)),
            judge=on.judge,
            clock=on.clock,
            network=network,
        )
        housekeeping = Housekeeping(cast(Parts, daemon), cast(Systemd, None))
        await housekeeping._controls()


def fails(on: Bench, *providers: str) -> None:
    for name in providers:
        on.found(name, Outcome.CONNECT)


# -- controls --------------------------------------------------------------------------------------


async def test_a_control_that_answers_makes_a_path_failure_the_provider_s(on: Bench) -> None:
    fails(on, "a")
    assert on.state.trackers["a"].path_pending
    async with answering(OK) as control:
        await look(on, "http://127.0.0.1:1/", control.url)
    assert on.state.trackers["a"].breached == {"availability"}
    assert on.judge.blindness.controls_fail is False


@pytest.mark.parametrize("status", ["502 Bad Gateway", "504 Gateway Timeout",
                                    "407 Proxy Authentication Required"])  # fmt: skip
async def test_what_only_our_own_proxy_may_have_said_is_no_answer(on: Bench, status: str) -> None:
    fails(on, "a")
    async with answering(plain(status=status, headers="content-length: 0\r\n")) as control:
        await look(on, control.url)
    assert on.state.trackers["a"].path_pending
    assert on.judge.blindness.controls_fail is True


async def test_without_an_answer_nothing_is_judged(on: Bench) -> None:
    fails(on, "a")
    await look(on, "http://127.0.0.1:1/")
    assert on.state.trackers["a"].path_pending
    assert on.judge.blindness.controls_fail is True


async def test_controls_are_asked_only_when_somebody_needs_a_witness(on: Bench) -> None:
    on.found("a")
    async with answering(OK) as control:
        await look(on, control.url)
        assert control.requests == []
        fails(on, "a")
        await look(on, control.url)
        assert len(control.requests) == 1


async def test_controls_are_reached_by_the_same_proxy_as_providers(
    on: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    fails(on, "a")
    async with proxying() as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        await look(on, "http://control.test/")
    assert [head.split(b" ")[1] for head in proxy.requests] == [b"http://control.test/"]


def test_there_are_no_controls_unless_configured() -> None:
    assert parse(CONFIG).network.controls == ()


# -- providers as witnesses ------------------------------------------------------------------------

SHARED = """
[[provider]]
name = "a"
api = "openai"
model = "m"
base_url = "https://one.test/v1"
key = { env = "ONE" }

[[provider]]
name = "same-key"
api = "openai"
model = "m"
base_url = "https://two.test/v1"
key = { env = "ONE" }

[[provider]]
name = "same-domain"
api = "openai"
model = "m"
base_url = "https://three.test/v1"
key = { env = "THREE" }
failure_domains = ["us-east"]

[[provider]]
name = "apart"
api = "openai"
model = "m"
base_url = "https://four.test/v1"
key = { env = "FOUR" }
failure_domains = ["us-east", "other"]

[[provider]]
name = "here"
api = "ollama"
model = "m"
base_url = "http://127.0.0.1:11434"
"""


@pytest.mark.parametrize(
    ("witness", "vouches"),
    [
        ("a", ("same-domain", "apart", "here")),
        ("same-key", ("same-domain", "apart", "here")),
        ("same-domain", ("a", "same-key", "here")),
        ("here", ()),
        ("nobody", ()),
    ],
)
def test_a_witness_is_remote_and_of_another_failure_domain(
    witness: str, vouches: tuple[str, ...]
) -> None:
    """A provider on this very machine proves nothing about the way out."""
    text = SHARED.replace('model = "m"', 'model = "m"\nprice = { input = 0.1, output = 0.1 }')
    assert vouched_by(parse(text), witness) == vouches


async def test_another_provider_that_answers_later_makes_it_the_provider_s(on: Bench) -> None:
    fails(on, "a")
    on.clock.at_s += 5
    on.found("b")
    assert on.state.trackers["a"].breached == {"availability"}


# -- blind -----------------------------------------------------------------------------------------


async def test_with_every_provider_out_of_reach_it_is_blind_and_says_so(on: Bench) -> None:
    fails(on, "a", "b", "far")
    await on.judge.tick()
    assert on.judge.blindness.since_s is None
    on.clock.at_s += BLIND_AFTER_S
    on.judge.gap._pulse_s = on.clock.at_s  # it ran all the while
    await on.judge.tick()
    assert on.judge.blindness.since_s is not None
    assert not on.state.leased
    assert await on.client.get("prober:{chat}:lease") is None
    assert await on.told("is blind")
    assert on.state.decision.reason == "blind: our own network seems to be gone"


async def test_one_that_still_answers_is_sight_enough(on: Bench) -> None:
    fails(on, "a", "b")
    on.found("far")
    on.clock.at_s += BLIND_AFTER_S
    on.judge.gap._pulse_s = on.clock.at_s
    await on.judge.tick()
    assert on.judge.blindness.since_s is None


async def test_a_blind_vantage_votes_blind(
    tmp_path: Path, redis_client: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PROBER_VANTAGE", raising=False)
    several = '[daemon]\nvantage = "eu-1"\nvantages = ["eu-1", "us-1", "ap-1"]\n' + REMOTE
    async with bench(tmp_path, redis_client, text=several, ballot=Ballot(redis_client)) as on:
        await on.judge.tick()
        (vote,) = decode_votes((await on.seen()).votes)
        assert (vote.vantage, vote.blind) == ("eu-1", "")
        fails(on, "a", "b", "far")
        on.clock.at_s += BLIND_AFTER_S
        on.judge.gap._pulse_s = on.clock.at_s
        await on.judge.tick()
        (vote,) = decode_votes((await on.seen()).votes)
        assert vote.blind == "its own network seems to be gone"
