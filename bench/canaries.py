"""What the measurements send: `probe()`, and the bare httpx call it is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from prober.canary import Canary
from prober.emulator import base_url
from prober.probing.plans import Plan
from prober.probing.probe import probe
from prober.providers import ADAPTERS
from prober.providers.events import Endpoint, HttpRequest

if TYPE_CHECKING:
    from prober.clock import Clock
    from prober.probing.network import Network
    from prober.sample import Sample


def plan(api: str, emulator_url: str) -> Plan:
    url = base_url(emulator_url, api)
    target = Endpoint(url, "bench", key="bench", project="p", location="l", region="r")
    return Plan(api, api, target)


def request(what: Plan) -> HttpRequest:
    return ADAPTERS[what.api].build(what.target, Canary("beefcafe").prompt, what.max_tokens)


async def canary(what: Plan, network: Network, clock: Clock) -> Sample:
    """One canary that has to succeed: a failure would be measured as speed."""
    sample = await probe(what, network, clock, id="bench")
    if not sample.ok:
        raise RuntimeError(f"a canary failed: {sample.outcome}, {sample.detail}")
    return sample


async def bare(asked: HttpRequest, client: httpx.AsyncClient) -> None:
    """The same exchange by httpx alone: every byte is received, none is looked at."""
    async with client.stream(
        asked.method, asked.url, headers=asked.headers, content=asked.body
    ) as response:
        async for _ in response.aiter_bytes():
            pass
