"""A daily look at each provider's list of models: is ours still there, and until when?

It looks ahead and never judges: a model that is gone already is the canaries' to find. A list
that cannot be read is silence, and no alarm.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prober.config.paths import write_whole
from prober.probing.credentials import CredentialsError
from prober.probing.network import Network, received
from prober.probing.transport_errors import TROUBLE
from prober.providers import ADAPTERS
from prober.providers.model_list import UNREADABLE, Listing

if TYPE_CHECKING:
    from prober.clock import Clock
    from prober.probing.plans import Plan

log = logging.getLogger(__name__)

# The first looks come after the first canaries, and apart from each other.
FIRST_S = 180.0
APART_S = 20.0
EVERY_S = 86_400.0
# A list that could not be read.
AGAIN_S = 3600.0
TIMEOUT_S = 20.0
MAX_BYTES = 8_000_000
# People are reminded this many days before a model stops.
REMIND_DAYS = (7, 1)


@dataclass(frozen=True, slots=True)
class Look:
    """What a provider's list said of our model when it was last read.

    Attributes:
        looked_at: seconds since the epoch.
        since: the day on which it began to say so.
        told: what people were last told; see `telling`.
    """

    model: str
    listing: Listing
    looked_at: float
    since: date
    told: str = ""

    @property
    def sentence(self) -> str:
        return self.listing.sentence(self.model)


def telling(look: Look, today: date) -> str:
    """What there is to tell; another text is another alert. Empty: nothing. Pure."""
    if look.listing.well or not look.sentence:
        return ""
    days = days_left(look.listing, today)
    near = [limit for limit in REMIND_DAYS if days is not None and days <= limit]
    return f"{look.sentence}/{look.since}/{min(near, default='')}"


def days_left(listing: Listing, today: date) -> int | None:
    return None if listing.retires is None else (listing.retires - today).days


Tell = Callable[[str, Look, str, int | None], Awaitable[None]]
"""(provider, look, key, days left): warns people. The key is the same for the same telling."""


class ModelWatch:
    """Asks each provider once a day, and remembers over restarts what was said and told.

    Args:
        plans: provider -> whom to ask; those whose API has no list are left out.
        path: where the answers are kept.
        scrub: takes secrets out of what is logged.
    """

    def __init__(
        self,
        plans: Mapping[str, Plan],
        network: Network,
        clock: Clock,
        path: Path,
        tell: Tell,
        scrub: Callable[[str], str] = str,
    ) -> None:
        self._network = network
        self._clock = clock
        self._path = path
        self._tell = tell
        self._due_s: dict[str, float] = {}
        self._plans: dict[str, Plan] = {}
        self._looks = _load(path)
        self.configure(plans, scrub)

    def configure(self, plans: Mapping[str, Plan], scrub: Callable[[str], str] = str) -> None:
        """Takes the (new) plans; what is known of a model that stays is kept."""
        self._scrub = scrub
        asked = {
            name: plan for name, plan in plans.items() if ADAPTERS[plan.api].catalogue is not None
        }
        now_s, now = self._clock.mono(), self._clock.now()
        for place, (name, plan) in enumerate(asked.items()):
            before, look = self._plans.get(name), self._looks.get(name)
            if before is not None and before.target == plan.target:
                continue
            if look is not None and look.model != plan.target.model:
                del self._looks[name]
                look = None
            first_s = FIRST_S + APART_S * place
            # A look of the time to come was made by a clock gone wrong.
            known = look is not None and look.looked_at <= now
            rest_s = look.looked_at + EVERY_S - now if look and known else 0.0
            self._due_s[name] = now_s + max(first_s, rest_s)
        self._plans = asked

    def found(self, provider: str) -> dict[str, Any] | None:
        """What the list says of a provider's model, as plain JSON; None before the first look."""
        look = self._looks.get(provider)
        if look is None or provider not in self._plans:
            return None
        return {
            "name": look.model,
            "warning": look.sentence,
            "found": look.listing.found,
            "deprecated": look.listing.deprecated,
            "retires": look.listing.retires.isoformat() if look.listing.retires else None,
            "looked_at": look.looked_at,
        }

    async def run_due(self) -> None:
        """Looks where a look is due, and warns where there is something new to say."""
        for name, plan in list(self._plans.items()):
            if self._clock.mono() >= self._due_s[name]:
                await self._look(name, plan)
            await self._warn(name)

    async def _look(self, name: str, plan: Plan) -> None:
        listing = await read(plan, self._network, self._scrub)
        if self._plans.get(name) is not plan:
            return  # a reload meanwhile; the answer is of another model
        readable = listing.found is not None
        self._due_s[name] = self._clock.mono() + (EVERY_S if readable else AGAIN_S)
        if not readable:
            return
        now, before = self._clock.now(), self._looks.get(name)
        if before is not None and before.listing == listing:
            look = replace(before, looked_at=now)
        else:
            look = Look(plan.target.model, listing, now, _day(now))
        if look.sentence and (before is None or before.listing != listing):
            log.warning("%s: %s", name, look.sentence)
        self._looks[name] = look
        await self._save()

    async def _warn(self, name: str) -> None:
        look = self._looks.get(name)
        if look is None:
            return
        today = _day(self._clock.now())
        text = telling(look, today)
        if text and text != look.told:
            await self._tell(name, look, f"model/{name}/{text}", days_left(look.listing, today))
            self._looks[name] = replace(look, told=text)
            await self._save()

    async def _save(self) -> None:
        rows = {name: _row(look) for name, look in self._looks.items()}
        try:
            await asyncio.to_thread(write_whole, self._path, json.dumps(rows))
        except OSError as error:
            # The outbox knows what was told; only the looks come sooner after a restart.
            log.warning("%s: cannot be written: %s", self._path, error.strerror or error)


async def read(plan: Plan, network: Network, scrub: Callable[[str], str] = str) -> Listing:
    """One look, on a connection of its own. Never raises for what a provider does."""
    catalogue = ADAPTERS[plan.api].catalogue
    assert catalogue is not None
    try:
        async with asyncio.timeout(TIMEOUT_S), network.client() as client:
            request = await plan.signed(catalogue.build(plan.target))
            async with client.stream(
                request.method, request.url, headers=request.headers, content=request.body
            ) as response:
                body = bytearray()
                async for data in received(response):
                    body += data
                    if len(body) > MAX_BYTES:
                        raise OSError(f"a list of more than {MAX_BYTES} bytes")
            # Megabytes of JSON: not in the event loop.
            listing = await asyncio.to_thread(
                catalogue.listing, response.status_code, bytes(body), plan.target.model
            )
        why = "" if listing.found is not None else f"HTTP {response.status_code}"
    except (*TROUBLE, CredentialsError, TimeoutError) as error:
        listing, why = UNREADABLE, str(error) or type(error).__name__
    if why:
        log.info("%s: its list of models cannot be read: %s", plan.provider, scrub(why)[:300])
    return listing


def _day(now: float) -> date:
    return datetime.fromtimestamp(now, UTC).date()


# -- on disk -----------------------------------------------------------------------------------


def _row(look: Look) -> dict[str, Any]:
    retires = look.listing.retires
    return {
        **asdict(look),
        "since": look.since.isoformat(),
        "listing": {
            **asdict(look.listing),
            "retires": retires.isoformat() if retires else None,
        },
    }


def _load(path: Path) -> dict[str, Look]:
    """What was written; nothing of what cannot be believed. Blocks."""
    try:
        rows = json.loads(path.read_text("utf-8"))
        return {name: _look_of(row) for name, row in rows.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("%s: cannot be read (%s); looking afresh", path, error)
        return {}


def _look_of(row: dict[str, Any]) -> Look:
    listing = row["listing"]
    retires = date.fromisoformat(listing["retires"]) if listing["retires"] else None
    return Look(
        model=str(row["model"]),
        listing=Listing(bool(listing["found"]), bool(listing["deprecated"]), retires),
        looked_at=float(row["looked_at"]),
        since=date.fromisoformat(row["since"]),
        told=str(row["told"]),
    )
