"""The demo's application: it knows nothing of Prober but its Reader."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

from switch import AsyncReader

REQUESTS_A_SECOND = 20


@dataclass
class Application:
    """Calls whichever provider the reader names, and counts what its users get.

    Attributes:
        changes: (wall-clock seconds, provider) each time the reader's answer changed.
        calls: (wall-clock seconds, provider, whether it worked).
    """

    redis_url: str
    provider_url: str
    changes: list[tuple[float, str]] = field(default_factory=list)
    calls: list[tuple[float, str, bool]] = field(default_factory=list)
    primary: str = ""

    async def run(self, stop: asyncio.Event) -> None:
        pending: set[asyncio.Task[None]] = set()
        async with (
            AsyncReader(self.redis_url, {"chat": "anthropic"}, on_change=self._changed) as reader,
            httpx.AsyncClient(timeout=5, trust_env=False) as client,
        ):
            while not stop.is_set():
                self.primary = reader.primary("chat")
                task = asyncio.create_task(self._call(client, self.primary))
                pending.add(task)
                task.add_done_callback(pending.discard)
                await asyncio.sleep(1 / REQUESTS_A_SECOND)
            await asyncio.gather(*pending, return_exceptions=True)

    def _changed(self, route: str, before: str, after: str) -> None:
        self.changes.append((time.time(), after))

    async def _call(self, client: httpx.AsyncClient, provider: str) -> None:
        began = time.time()
        url, headers, body = _request(self.provider_url, provider)
        try:
            answer = await client.post(url, headers=headers, json=body)
            worked = answer.is_success
        except httpx.HTTPError:
            worked = False
        self.calls.append((began, provider, worked))

    def count(self, since: float, until: float) -> tuple[int, int]:
        """(requests, failures) of a period."""
        calls = [worked for at, _, worked in self.calls if since <= at < until]
        return len(calls), calls.count(False)


def _request(url: str, provider: str) -> tuple[str, dict[str, str], dict[str, Any]]:
    messages = [{"role": "user", "content": "hello from a user"}]
    if provider == "anthropic":
        headers = {"x-api-key": "demo-key-app", "anthropic-version": "2023-06-01"}
        body = {"model": "claude-demo", "max_tokens": 16, "messages": messages}
        return f"{url}/v1/messages", headers, body
    headers = {"authorization": "Bearer demo-key-app"}
    return f"{url}/v1/chat/completions", headers, {"model": "gpt-demo", "messages": messages}
