"""`prober alert test`: does an alert arrive?"""

from __future__ import annotations

import asyncio
import time
import uuid
from pathlib import Path
from typing import Annotated

import typer

from prober.alerts.apprise_channel import apprise_sender
from prober.alerts.event import AlertEvent, Severity, letter
from prober.cli.console import (
    BAD_STATE,
    BAD_USAGE,
    OK,
    ConfigOption,
    JsonOption,
    fail,
    operator,
    out,
    print_json,
)
from prober.cli.setup import load_setup_in_force

app = typer.Typer(help="The people's side.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass


@app.command()
def test(
    channel: Annotated[str | None, typer.Argument(help="One channel; else all.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send a test alert through each channel, and say which took it."""
    title = "A test alert from Prober"
    body = f"Sent by {operator()}. If you can read this, failovers will reach you too."
    _send(channel, config, as_json, title, body, Severity.INFO)


@app.command()
def send(
    title: Annotated[str, typer.Argument(help="The headline.")],
    body: Annotated[str, typer.Argument(help="The rest.")] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send words of your own through each channel; a failed service uses it."""
    _send(None, config, as_json, title, body or title, Severity.PAGE)


def _send(
    channel: str | None,
    config: Path | None,
    as_json: bool,
    title: str,
    body: str,
    severity: Severity,
) -> None:
    setup = load_setup_in_force(config)
    names = [alert.name for alert in setup.config.alert]
    if channel is not None and channel not in names:
        fail(f"no [[alert]] {channel!r}; there are: {', '.join(names) or 'none'}", BAD_USAGE)
    if not names:
        fail("no [[alert]] is configured; nobody would be told of a failover", BAD_USAGE)
    wanted = [name for name in names if channel in (None, name)]
    setup.need(*(f'[[alert]] "{name}": ' for name in wanted))
    event = AlertEvent(uuid.uuid4().hex, "test", "", severity, title, body, time.time())
    sender = apprise_sender(setup.resolved.alert_urls, setup.config.network.ca_file)

    async def send_all() -> dict[str, str]:
        delivered = await asyncio.gather(*(sender(letter(event, name)) for name in wanted))
        return dict(zip(wanted, delivered, strict=True))

    results = asyncio.run(send_all())
    if as_json:
        print_json({name: failure or "taken" for name, failure in results.items()})
    else:
        for name, failure in results.items():
            out.print(f"{name}: {'taken' if not failure else 'NOT taken: ' + failure}")
    raise typer.Exit(BAD_STATE if any(results.values()) else OK)
