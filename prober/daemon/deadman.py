"""The dead man's switch: somebody else's address, pinged while all is well.

Its silence is the alarm, so one that does not take our pings would cry while nothing is wrong, or
not notice when we die: that is told.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx

from prober.probing.transport_errors import TROUBLE, translate

if TYPE_CHECKING:
    from prober.probing.network import Network

TIMEOUT_S = 5.0
# One that fails alone is a blip.
TELL_AFTER = 2


async def ping(network: Network, url: str) -> str:
    """Asks for the address; "" when it was taken, else why not. A redirect is followed."""
    try:
        async with (
            asyncio.timeout(TIMEOUT_S),
            network.kept.stream("GET", url, follow_redirects=True) as response,
        ):
            return (
                ""
                if response.is_success
                else f"HTTP {response.status_code} {response.reason_phrase}".strip()
            )
    except TimeoutError:
        return f"no answer in {TIMEOUT_S:g} s"
    except httpx.TooManyRedirects:
        return "it redirects without end"
    except TROUBLE as error:
        return translate(error, answered=False)[1]


class Deadman:
    """Which pings are worth telling of. Attributes: told: people know that it fails."""

    def __init__(self) -> None:
        self._failed = 0
        self.told = False

    def changed(self, failure: str) -> bool:
        """Takes a ping; whether `told` has changed with it: an episode began, or has ended."""
        self._failed = self._failed + 1 if failure else 0
        before, self.told = self.told, self._failed >= TELL_AFTER
        return self.told != before
