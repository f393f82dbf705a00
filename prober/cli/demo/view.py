"""What a person sees of the demo: who serves, how everybody is, what happened."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from prober.cli.console import COLOURS

if TYPE_CHECKING:
    from prober.cli.demo.application import Application
    from prober.cli.demo.play import Figures, Scene

BAR = 30


class DemoView:
    """Renders the scene; rich asks for it a few times a second."""

    def __init__(self, scene: Scene, app: Application) -> None:
        self._scene = scene
        self._app = app

    def __rich__(self) -> RenderableType:
        scene = self._scene
        elapsed = time.monotonic() - scene.began_s
        return Panel(
            Group(
                Text(scene.act, style="bold"),
                Text(),
                self._application(),
                Text(),
                self._providers(),
                Text("  bars: evidence towards a breach (red), the way back (blue)", style="dim"),
                Text(),
                self._log(),
            ),
            title="prober demo",
            subtitle=f"{elapsed:.0f} s",
            padding=(1, 2),
            width=100,
        )

    def _application(self) -> Text:
        app = self._app
        now = time.time()
        asked, failed = app.count(now - 2, now + 1)
        text = Text("application → flag says ")
        text.append(app.primary or "…", style="bold")
        text.append(f" → last 2 s: {asked} requests, ")
        text.append(f"{failed} failed", style="bold red" if failed else "green")
        return text

    def _providers(self) -> RenderableType:
        table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=False)
        table.add_column(width=12)
        table.add_column(width=11)
        table.add_column(width=BAR)
        table.add_column()
        routes = self._scene.status.get("routes", [])
        for provider in routes[0]["providers"] if routes else []:
            primary = provider["name"] == routes[0]["primary"]
            colour = COLOURS[provider["health"]]
            name = Text(("▶ " if primary else "  ") + provider["name"], "bold" if primary else "")
            table.add_row(
                name,
                Text(provider["health"], colour),
                self._bar(provider["level"], provider["score"]),
                Text(provider["why"], overflow="ellipsis", no_wrap=True),
            )
        return table

    @staticmethod
    def _bar(level: float, score: int | None) -> Text:
        if score is not None:
            share, colour = min(1.0, score / 65), "cyan"
        else:
            share, colour = level, "red"
        full = round(share * BAR)
        return Text("█" * full, colour) + Text("░" * (BAR - full), "dim")

    def _log(self) -> Text:
        text = Text()
        for at, line in self._scene.log[-8:]:
            text.append(f"{at:5.1f} s  ", style="dim")
            text.append(line + "\n")
        return text


def summary(figures: Figures, titles: list[str]) -> RenderableType:
    """The end of the demo, in figures and in the words people were sent."""
    table = Table(box=None, show_header=False, padding=(0, 2), pad_edge=False)
    table.add_column(justify="right", style="bold")
    table.add_column()

    def row(value: object, unit: str, meaning: str) -> None:
        table.add_row("–" if value is None else f"{value} {unit}".strip(), meaning)

    row(figures.detected_s, "s", "until the half failure was certain")
    row(figures.flipped_s, "s", "until the flag in Redis named the other provider")
    row(figures.reader_ms, "ms", "more until the application knew")
    row(figures.app_failed_before_flip, "", "application requests lost before the flip")
    row(figures.app_failed_after_flip, "", "lost after it")
    row(figures.app_requests, "", "application requests in all")
    row(figures.failed_back_s, "s", "from healed to failed back")
    row(figures.alerts_delivered, "", "alerts delivered:")
    events = Text("\n".join(f"    {title}" for title in titles))
    verdict = (
        Text("The provider failed and healed; nobody had to do anything.", "bold green")
        if figures.good
        else Text("Not everything happened in time; see above.", "bold red")
    )
    return Panel(Group(table, events, Text(), verdict), title="what happened", width=100,
                 padding=(1, 2))  # fmt: skip
