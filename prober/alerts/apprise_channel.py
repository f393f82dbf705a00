"""Delivery through apprise: every kind of channel it knows, by its URL."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apprise

from prober.alerts.event import Letter, Severity

if TYPE_CHECKING:
    from prober.alerts.outbox import Send

log = logging.getLogger(__name__)

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


class _MailTls:
    """The `ssl` of apprise's mail plugin, which trusts ca_file besides the usual certificates."""

    def __init__(self, ca_file: str) -> None:
        self._ca_file = str(Path(ca_file).expanduser())

    def __getattr__(self, name: str) -> Any:
        return getattr(ssl, name)

    def create_default_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.load_verify_locations(cafile=self._ca_file)
        return context


def apprise_sender(urls: Mapping[str, str], ca_file: str = "") -> Send:
    """Sends each letter by its channel's URL, in a thread: some plugins block.

    Plugins go by the proxies of `probing.proxy`, and trust `ca_file` besides the usual
    certificates.
    """
    # Its own log lines may show a URL, which holds the channel's secret.
    logging.getLogger("apprise").setLevel(logging.CRITICAL)

    # A pool of its own: hanging channels must not hold up anybody else's threads.
    threads = ThreadPoolExecutor(THREADS, thread_name_prefix="prober-alerts")

    async def send(item: Letter) -> str:
        url = urls.get(item.channel)
        if url is None:
            return f"no [[alert]] is named {item.channel!r}"
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(threads, _notify, url, item, ca_file)

    return send


def complain(urls: Mapping[str, str]) -> None:
    """Tells of each channel that cannot be, before an alert is lost in it. Blocks for seconds."""
    for name, url in urls.items():
        if url and not valid(url):
            log.error(
                '[[alert]] "%s": apprise can do nothing with its url, so nobody is told through '
                "it; `prober check` says what to write",
                name,
            )


def _notify(url: str, item: Letter, ca_file: str) -> str:
    _go_as_canaries_go(ca_file)
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


def _go_as_canaries_go(ca_file: str) -> None:
    # Here, in a thread: these imports take seconds.
    from apprise.plugins.email import smtp

    from prober.probing import requests_session

    requests_session.install(ca_file)
    setattr(smtp, "ssl", _MailTls(ca_file) if ca_file else ssl)  # noqa: B010 -- not exported
