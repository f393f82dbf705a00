"""Delivery through apprise: every kind of channel it knows, by its URL."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import apprise

from prober.alerts.event import Letter, Severity
from prober.alerts.outbox import Send

TIMEOUT_S = 20
THREADS = 8

_TYPES = {
    Severity.PAGE: apprise.NotifyType.FAILURE,
    Severity.WARNING: apprise.NotifyType.WARNING,
    Severity.INFO: apprise.NotifyType.INFO,
}


def valid(url: str) -> bool:
    """Whether apprise knows what to do with such a URL. Nothing is sent."""
    return bool(apprise.Apprise().add(url))


def apprise_sender(urls: Mapping[str, str]) -> Send:
    """Sends each letter by its channel's URL, in a thread: some plugins block."""
    # Its own log lines may show a URL, which holds the channel's secret.
    logging.getLogger("apprise").setLevel(logging.CRITICAL)

    # A pool of its own: hanging channels must not hold up anybody else's threads.
    threads = ThreadPoolExecutor(THREADS, thread_name_prefix="prober-alerts")

    async def send(item: Letter) -> str:
        url = urls.get(item.channel)
        if url is None:
            return f"no [[alert]] is named {item.channel!r}"
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(threads, _notify, url, item)

    return send


def _notify(url: str, item: Letter) -> str:
    notifier = apprise.Apprise()
    if not notifier.add(url):
        return "apprise does not know this kind of URL"
    # The result is an object: only its truth says that the message was taken.
    taken = notifier.notify(
        title=item.event.headline,
        body=item.event.body,
        notify_type=_TYPES[item.event.severity],
        body_format=apprise.NotifyFormat.MARKDOWN,
        timeout=TIMEOUT_S,
    )
    return "" if taken else f"not taken ({taken.status.name.lower()})"
