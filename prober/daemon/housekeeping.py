"""The daemon's housekeeping: paces, detectors, witnesses, heartbeat, watchdog, models, Redis."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from prober.daemon import detector_state, embedded_redis
from prober.daemon.deadman import Deadman, ping
from prober.daemon.redis_durability import LOOK_AGAIN_S, LOOK_EVERY_S

if TYPE_CHECKING:
    from prober.daemon.parts import Parts
    from prober.daemon.systemd import Systemd

log = logging.getLogger(__name__)

EVERY_S = 0.25
SAVE_EVERY_S = 5.0
CONTROL_EVERY_S = 3.0
CONTROL_TIMEOUT_S = 5.0
RESTART_REDIS_AFTER_S = 2.0
# How often it is asked whether a look at a list of models is due.
MODELS_EVERY_S = 15.0
CERTIFICATES_EVERY_S = 60.0
# The watchdog is fed only while the judge keeps judging.
JUDGE_MAY_REST_S = 10.0


class Housekeeping:
    """Small jobs that repeat. None of them may raise into the loop, and none blocks it."""

    def __init__(self, daemon: Parts, systemd: Systemd) -> None:
        self._daemon = daemon
        self._systemd = systemd
        self._due: dict[str, float] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._lost = 0
        self._journal_failed = 0
        self._status = ""
        self._deadman = Deadman()
        self._warned: dict[str, str] = {}
        self._stopping = False

    def stop(self) -> None:
        self._stopping = True

    async def run(self) -> None:
        daemon = self._daemon
        while not self._stopping:
            now_s = daemon.clock.mono()
            daemon.judge.pulse()
            daemon.judge.sql_up = daemon.store.up
            await daemon.schedule.adjust()
            judged_s = daemon.judge.ticked_s
            if judged_s is not None and now_s - judged_s < JUDGE_MAY_REST_S:
                self._systemd.alive()
            self._say_status()
            self._start("save", SAVE_EVERY_S, now_s)
            self._start("controls", CONTROL_EVERY_S, now_s)
            self._start("redis", RESTART_REDIS_AFTER_S, now_s)
            self._start("keeping", LOOK_EVERY_S, now_s)
            self._start("losses", SAVE_EVERY_S, now_s)
            self._start("models", MODELS_EVERY_S, now_s)
            self._start("certificates", CERTIFICATES_EVERY_S, now_s)
            beat_s = daemon.config.daemon.heartbeat_interval.total_seconds()
            self._start("heartbeat", beat_s, now_s)
            await asyncio.sleep(EVERY_S)

    def _start(self, name: str, every_s: float, now_s: float) -> None:
        """Starts a job when it is due and its last run has ended."""
        running = self._tasks.get(name)
        if now_s < self._due.get(name, 0.0) or (running is not None and not running.done()):
            return
        self._due[name] = now_s + every_s
        self._tasks[name] = asyncio.create_task(self._guard(name), name=f"upkeep-{name}")

    async def _guard(self, name: str) -> None:
        jobs = {
            "save": self.save_detectors,
            "controls": self._controls,
            "redis": self._redis,
            "keeping": self._keeping,
            "losses": self._losses,
            "models": self._daemon.catalogues.run_due,
            "certificates": self._certificates,
            "heartbeat": self._heartbeat,
        }
        try:
            await jobs[name]()
        except Exception:
            log.exception("upkeep: %s failed", name)

    async def save_detectors(self) -> None:
        daemon = self._daemon
        if daemon.identity.held and not daemon.identity.id:
            return  # those there are another installation's
        saved = detector_state.dump(daemon.judge.states.values(), daemon.clock.mono())
        saved["precedents"] = daemon.precedents.dump(daemon.clock.now())
        try:
            await asyncio.to_thread(detector_state.save, daemon.folder / "detectors.json", saved)
        except OSError as error:
            log.warning("detectors are not saved: %s", error)

    async def _controls(self) -> None:
        """Asks neutral addresses whether our own network works, when somebody needs to know."""
        daemon = self._daemon
        addresses = daemon.config.network.controls
        if not addresses or not daemon.judge.wants_witness:
            daemon.judge.blindness.controls_fail = None
            return
        began_s = daemon.clock.mono()
        answers = await asyncio.gather(*(self._answers(url) for url in addresses))
        daemon.judge.blindness.controls_fail = not any(answers)
        if any(answers):
            daemon.judge.control_answered(began_s)

    async def _answers(self, url: str) -> bool:
        try:
            async with asyncio.timeout(CONTROL_TIMEOUT_S):
                response = await self._daemon.network.kept.head(url)
        except (httpx.HTTPError, OSError, TimeoutError):
            return False
        # On plain http our own proxy says these itself while the way behind it is cut.
        return response.status_code < 500 and response.status_code != 407

    async def _redis(self) -> None:
        """Starts the embedded server again when it has died."""
        daemon = self._daemon
        if not daemon.config.redis.embedded:
            return
        if any(state.seen is None for state in daemon.judge.states.values()):
            folder, port = daemon.folder / "redis", daemon.config.redis.port
            try:
                await asyncio.to_thread(embedded_redis.ensure, folder, port)
            except (embedded_redis.EmbeddedRedisError, OSError) as error:
                log.error("%s", error)

    async def _keeping(self) -> None:
        if not await self._daemon.keeping.look():
            self._due["keeping"] = self._daemon.clock.mono() + LOOK_AGAIN_S

    async def _losses(self) -> None:
        """History that could not be kept is said aloud."""
        daemon = self._daemon
        if daemon.store.lost > self._lost:
            self._lost = daemon.store.lost
            await daemon.notifier.daemon(
                "lost",
                f"{self._lost} rows of history are lost",
                "SQL is away, and the spool is full or cannot be written. Flips go on.",
                f"**You:** make room on the disk of {daemon.config.daemon.vantage}.",
            )
        if daemon.journal.failed > self._journal_failed:
            self._journal_failed = daemon.journal.failed
            await daemon.notifier.daemon(
                "journal",
                "The journal cannot be written",
                f"{self._journal_failed} records are not on disk. Flips and alerts go on, "
                "but a restart would not know of them.",
                f"**You:** make room on the disk of {daemon.config.daemon.vantage}.",
            )

    async def _heartbeat(self) -> None:
        """Pinged while all is well; its silence is the alarm."""
        daemon = self._daemon
        url = daemon.resolved.heartbeat_url
        well = all(state.reads for state in daemon.judge.states.values())
        if not url or not well or daemon.judge.blindness.since_s is not None:
            return
        failure = daemon.resolved.scrub(await ping(daemon.network, url))
        if failure:
            log.warning("the heartbeat was not taken: %s", failure)
        if self._deadman.changed(failure):
            await daemon.notifier.heartbeat(urlsplit(url).hostname or "", failure)

    async def _certificates(self) -> None:
        """Warns of certificates that end soon, seen on the connections that stood anyway."""
        daemon = self._daemon
        now = daemon.clock.now()
        for host, whose in daemon.hosts().items():
            validity = daemon.network.certificates.of(host)
            text = validity.telling(now) if validity else ""
            if validity and text and self._warned.get(host) != text:
                self._warned[host] = text
                await daemon.notifier.certificate(host, validity, whose)

    def _say_status(self) -> None:
        parts = [f"{s.name}: {s.primary or 'no flag'}" for s in self._daemon.judge.states.values()]
        status = ", ".join(parts)
        if status != self._status:
            self._status = status
            self._systemd.status(status)

    async def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
