"""How commands talk to people: options, exit codes, one clear line."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import socket
import sys
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer
from rich.console import Console

if TYPE_CHECKING:
    from prober.config.schema import Config

T = TypeVar("T")

OK, BAD_STATE, BAD_USAGE = 0, 1, 2

# A pipe has no width of its own: lines for scripts are not broken at 80.
PIPE_WIDTH = 160

out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else PIPE_WIDTH)
err = Console(stderr=True, highlight=False, soft_wrap=True)

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", envvar="PROBER_CONFIG", help="The configuration file.",
        show_default="./prober.toml, else /etc/prober/prober.toml",
    ),
]  # fmt: skip
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead.")]
RouteOption = Annotated[str | None, typer.Option("--route", "-r", help="The route.")]

# How a provider's health is painted.
COLOURS = {
    "ok": "green", "suspect": "yellow", "breached": "red", "recovering": "cyan",
    "unknown": "magenta", "ineligible": "dim",
}  # fmt: skip


def fail(message: str, code: int = BAD_STATE) -> NoReturn:
    """One clear line, and out."""
    err.print(f"prober: {message}", markup=False)
    raise typer.Exit(code)


def cut(text: str, chars: int = 160) -> str:
    """As much as belongs on a screen of what a stranger said at any length."""
    return text if len(text) <= chars else f"{text[: chars - 1]}…"


def say_retried(retried: int | None) -> str:
    """ "after 2 retries inside the gateway"; empty for none."""
    if not retried:
        return ""
    return f"after {retried} {'retry' if retried == 1 else 'retries'} inside the gateway"


def print_json(value: Any) -> None:
    out.print(json.dumps(value, indent=2, default=str), markup=False)


def run_async(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(coroutine)


def operator() -> str:
    """Who is at the keyboard, as records name them."""
    try:
        name = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        name = "somebody"
    return f"{name}@{socket.gethostname()}"


def say_time(config: Config, at: float) -> str:
    """2026-03-12 03:12:41, on the clock of the configured time zone."""
    return (
        datetime.fromtimestamp(min(at, 253_370_000_000.0), UTC)
        .astimezone(config.daemon.zone)
        .strftime("%F %T")
    )
