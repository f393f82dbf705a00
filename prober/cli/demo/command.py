"""`prober demo` and `prober emulate`: seeing it work, with no key and no network."""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.live import Live

from prober import emulator
from prober.cli.console import BAD_STATE, BAD_USAGE, OK, JsonOption, err, fail, out
from prober.cli.demo.play import Director, Figures, Scene
from prober.cli.demo.stage import Stage, stage
from prober.cli.demo.view import DemoView, summary


def demo(as_json: JsonOption = False) -> None:
    """Watch the real daemon find a half-failing provider and route around it."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(143))  # so that the stage is cleared
    with tempfile.TemporaryDirectory(prefix="prober-demo-") as folder:
        scene = Scene()
        try:
            with stage(Path(folder)) as set_up:
                figures = asyncio.run(_play(set_up, scene, live=not as_json))
                titles = set_up.webhook.titles()
                log = set_up.log.read_text("utf-8")
        except RuntimeError as error:
            fail(str(error))
    if as_json:
        sys.stdout.write(figures.to_json() + "\n")
    else:
        out.print(summary(figures, titles))
    if not figures.good:
        err.print(log[-3000:], markup=False)
    raise typer.Exit(OK if figures.good else BAD_STATE)


async def _play(set_up: Stage, scene: Scene, *, live: bool) -> Figures:
    director = Director(set_up, scene)
    if not live:
        return await director.run()
    with Live(DemoView(scene, director.app), console=out, refresh_per_second=8, transient=True):
        return await director.run()


def emulate(
    port: Annotated[int, typer.Option(min=0, max=65535, help="On loopback; 0: any.")] = 9900,
) -> None:
    """Stand in for the providers, with faults on demand (PUT /_emulator/faults)."""

    def announce(url: str) -> None:
        out.print(f"Anthropic, Gemini and Ollama: base_url = {url}", markup=False)
        out.print(f"OpenAI-compatible:            base_url = {url}/v1", markup=False)
        fault = '{"api": "anthropic", "error_share": 0.5, "status": 529}'
        out.print(f"Healthy again: curl -X DELETE {url}/_emulator/faults", markup=False)
        out.print(f"Faults: curl -X PUT {url}/_emulator/faults -d '{fault}'", markup=False)

    try:
        emulator.run(port, announce=announce)
    except OSError as error:
        fail(str(error), BAD_USAGE)
