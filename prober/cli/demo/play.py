"""The demo's three acts. Nothing in it is scripted but the faults."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from prober.cli.demo.application import Application
from prober.history.journal import decode
from prober.web.control_socket import NotRunningError, ask
from switch.connect import connect_async
from switch.control.writer import FlagWriter
from switch.flag import Keys

if TYPE_CHECKING:
    from prober.cli.demo.stage import Stage

FAILS = 0.5


@dataclass
class Scene:
    """What the view shows: the present act, the daemon's own status, what people were told."""

    act: str = "Starting the daemon…"
    began_s: float = field(default_factory=time.monotonic)
    status: dict[str, Any] = field(default_factory=dict)
    log: list[tuple[float, str]] = field(default_factory=list)

    def say(self, line: str) -> None:
        self.log.append((time.monotonic() - self.began_s, line))


@dataclass
class Figures:
    """The summary; seconds are from the moment the fault began."""

    detected_s: float | None = None
    flipped_s: float | None = None
    reader_ms: float | None = None
    alerts_delivered: int = 0
    app_requests: int = 0
    app_failed_before_flip: int = 0
    app_failed_after_flip: int = 0
    failed_back: bool = False
    failed_back_s: float | None = None

    @property
    def good(self) -> bool:
        return (
            self.flipped_s is not None
            and self.reader_ms is not None
            and self.alerts_delivered > 0
            and self.failed_back
        )

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2)


class Director:
    """Runs the acts and measures."""

    def __init__(self, stage: Stage, scene: Scene) -> None:
        self.stage = stage
        self.scene = scene
        self.app = Application(stage.redis_url, stage.emulator.url)
        self.figures = Figures()
        self._keys = Keys("chat")
        self._redis = connect_async(stage.redis_url, timeout_s=2.0)

    async def run(self) -> Figures:
        """Within about 45 seconds; whatever does not happen in time stays None."""
        stop = asyncio.Event()
        watching = asyncio.create_task(self._watch())
        try:
            if not await self._until(lambda: self._primary() == "anthropic", 20):
                return self.figures
            running = asyncio.create_task(self.app.run(stop))
            await self._acts()
            stop.set()
            await running
            self.figures.app_requests = len(self.app.calls)
            titles = self.stage.webhook.titles()
            self.figures.alerts_delivered = len(titles)
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
            await self._redis.aclose()
        return self.figures

    async def _acts(self) -> None:
        scene, figures = self.scene, self.figures
        scene.act = "Act 1: all is well. An application calls the provider the flag names."
        await self._until(lambda: len(self.app.calls) > 60, 6)

        scene.act = "Act 2: half of anthropic's requests fail (HTTP 529). Nobody touches anything."
        scene.say("anthropic begins to fail: about half of all requests answer 529 overloaded")
        fault_at = time.time()
        self.stage.emulator.set_faults(
            api="anthropic", error_share=FAILS, status=529, seed=int(fault_at)
        )
        if not await self._until(lambda: self._primary() == "openai", 25):
            return
        seen = await FlagWriter(self._redis).observe(self._keys)
        assert seen.flag is not None
        flipped_at = seen.flag.changed_at / 1000
        figures.flipped_s = round(flipped_at - fault_at, 2)
        detected_at = await asyncio.to_thread(self._detected_at, fault_at)
        figures.detected_s = None if detected_at is None else round(detected_at - fault_at, 2)
        await self._until(lambda: any(p == "openai" for _, p in self.app.changes), 3)
        changed = next((at for at, p in self.app.changes if p == "openai"), None)
        if changed is not None:
            # Redis TIME has whole milliseconds here; a message cannot be older than its flip.
            figures.reader_ms = round(max(0.0, changed - flipped_at) * 1000, 1)
        scene.say(f"the flag moved after {figures.flipped_s} s: {seen.flag.reason}")
        await self._until(lambda: any("failed over" in t for t in self.stage.webhook.titles()), 5)
        scene.say("the alert arrived at the on-call webhook")
        await asyncio.sleep(2)
        healed_at = time.time()
        figures.app_failed_before_flip = self.app.count(fault_at, flipped_at)[1]

        scene.act = "Act 3: anthropic heals. Prober makes sure, then fails back."
        scene.say("anthropic answers again")
        self.stage.emulator.reset()
        figures.failed_back = await self._until(lambda: self._primary() == "anthropic", 30)
        if figures.failed_back:
            figures.failed_back_s = round(time.time() - healed_at, 2)
            scene.say(f"failed back after {figures.failed_back_s} s of good canaries")
        await self._until(lambda: any("failed back" in t for t in self.stage.webhook.titles()), 5)
        await asyncio.sleep(0.5)
        # The moment of the switch itself is neither before nor after.
        settled = flipped_at + (figures.reader_ms or 0) / 1000 + 0.06
        figures.app_failed_after_flip = self.app.count(settled, time.time())[1]

    def _detected_at(self, after: float) -> float | None:
        records, _ = decode((self.stage.folder / "journal").read_bytes())
        times = [r["breached_at"] for r in records if r["kind"] == "incident"]
        return next((at for at in times if at >= after), None)

    def _primary(self) -> str | None:
        routes = self.scene.status.get("routes", [])
        return routes[0]["primary"] if routes else None

    async def _watch(self) -> None:
        """Keeps the daemon's own account of itself up to date."""
        while True:
            with contextlib.suppress(NotRunningError):
                self.scene.status = await asyncio.to_thread(
                    ask, self.stage.folder, "GET", "/status"
                )
            await asyncio.sleep(0.1)

    async def _until(self, happened: Callable[[], bool], seconds: float) -> bool:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if happened():
                return True
            await asyncio.sleep(0.05)
        return happened()
