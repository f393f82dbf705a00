"""All commands, in the order people meet them."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from prober import __version__
from prober.cli import (
    alert,
    backtest,
    check,
    cost,
    db,
    drill,
    embedded_redis,
    flag,
    incident,
    installation,
    probe,
    run,
    simulate,
    status,
    tune,
    vantages,
)
from prober.cli.demo import command

app = typer.Typer(
    name="prober",
    help="Watches LLM providers with canary prompts and keeps the primary-provider flag.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"prober {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which.")
    ] = False,
) -> None:
    # httpx logs whole URLs, and a URL may hold a secret.
    logging.getLogger("httpx").setLevel(logging.WARNING)


RUN, LOOK, ACT, TRY = "Run it", "Look", "Act", "Try"

app.command(rich_help_panel=TRY)(command.demo)
app.command(rich_help_panel=TRY)(command.emulate)
app.command(rich_help_panel=TRY)(simulate.simulate)
app.command("backtest", rich_help_panel=TRY)(backtest.replay)
app.command(rich_help_panel=TRY)(tune.tune)
app.command(rich_help_panel=RUN)(check.check)
app.command(rich_help_panel=RUN)(run.run)
app.add_typer(db.app, name="db", rich_help_panel=RUN)
app.command(rich_help_panel=RUN)(installation.adopt)
app.command(rich_help_panel=RUN)(installation.uninstall)
app.add_typer(embedded_redis.app, name="embedded", rich_help_panel=RUN)
app.add_typer(alert.app, name="alert", rich_help_panel=RUN)
app.command(rich_help_panel=LOOK)(status.status)
app.command(rich_help_panel=LOOK)(status.why)
app.command(rich_help_panel=LOOK)(status.history)
app.command(rich_help_panel=LOOK)(vantages.vantages)
app.command(rich_help_panel=LOOK)(cost.cost)
app.add_typer(incident.app, name="incident", rich_help_panel=LOOK)
app.command(rich_help_panel=LOOK)(status.contract)
app.command("redis-url", rich_help_panel=LOOK)(embedded_redis.redis_url)
app.command(rich_help_panel=LOOK)(probe.probe)
app.command(rich_help_panel=ACT)(flag.pin)
app.command(rich_help_panel=ACT)(flag.unpin)
app.command(rich_help_panel=ACT)(flag.failover)
app.command(rich_help_panel=ACT)(flag.failback)
app.command(rich_help_panel=ACT)(drill.drill)
app.command(rich_help_panel=ACT)(flag.pause)
app.command(rich_help_panel=ACT)(flag.resume)
app.command(rich_help_panel=ACT)(flag.ack)
