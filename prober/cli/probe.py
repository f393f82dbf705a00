"""`prober probe`: one canary now, and all it found."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.table import Table

from prober.cli.common import (
    BAD_STATE,
    BAD_USAGE,
    OK,
    ConfigOption,
    JsonOption,
    fail,
    out,
    print_json,
    setup,
)
from prober.clock import Clock
from prober.network import Network
from prober.probe import Plan
from prober.probe import probe as send
from prober.sample import Sample
from prober.secret import Scrubber
from switch.flag import say_duration


def probe(
    provider: Annotated[str | None, typer.Argument(help="One provider; else all.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send one canary to each provider now, and show what it found."""
    found = setup(config)
    names = [p.name for p in found.config.provider]
    if provider is not None and provider not in names:
        fail(f"no provider {provider!r}; there are: {', '.join(names)}", BAD_USAGE)
    if provider is not None and provider in found.resolved.shut:
        fail(f"{provider} cannot be probed: {found.resolved.shut[provider]}")
    if found.resolved.problems:
        fail(found.resolved.problems[0], BAD_USAGE)
    plans = [p for name, p in found.resolved.plans.items() if provider in (None, name)]
    if not plans:
        fail("no provider can be probed; see `prober check`")
    vantage = found.config.daemon.vantage
    samples = asyncio.run(_all(plans, found.resolved.scrub, vantage))
    if as_json:
        print_json([_plain(sample) for sample in samples])
    else:
        out.print(_table(samples))
        for sample in samples:
            if sample.detail:
                out.print(f"{sample.provider}: {sample.detail}", markup=False)
    raise typer.Exit(OK if all(sample.ok for sample in samples) else BAD_STATE)


async def _all(plans: list[Plan], scrub: Scrubber, vantage: str) -> list[Sample]:
    clock = Clock()
    async with Network() as network:
        return await asyncio.gather(
            *(
                send(
                    plan,
                    network,
                    clock,
                    id=uuid.uuid4().hex,
                    vantage=vantage,
                    scrub=scrub,
                )
                for plan in plans
            )
        )


def _plain(sample: Sample) -> dict[str, Any]:
    return {**asdict(sample), "outcome": sample.outcome.value, "tokens_per_s": sample.tokens_per_s}


def _say(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else say_duration(seconds)


def _table(samples: list[Sample]) -> Table:
    table = Table(box=None, pad_edge=False)
    headings = ("provider", "outcome", "connect", "TLS", "first byte", "first text", "total",
                "tokens in/out", "USD")  # fmt: skip
    for heading in headings:
        table.add_column(heading, justify="left" if heading in ("provider", "outcome") else "right")
    for sample in samples:
        phases, tokens = sample.phases, sample.tokens
        colour = "green" if sample.ok else "red"
        table.add_row(
            sample.provider,
            f"[{colour}]{sample.outcome.value}[/]",
            *(
                _say(value)
                for value in (phases.connect_s, phases.tls_s, phases.first_byte_s,
                              phases.first_text_s, phases.total_s)
            ),
            f"{'–' if tokens.input is None else tokens.input}/"
            f"{'–' if tokens.output is None else tokens.output}",
            f"{sample.cost_usd:.6f}",
        )  # fmt: skip
    return table
