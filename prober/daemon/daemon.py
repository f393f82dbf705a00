"""Builds everything, owns signals and shutdown. The only place that knows all the parts."""

from __future__ import annotations

import asyncio
import logging
import signal
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from prober import __version__
from prober.alerts.apprise_channel import apprise_sender, complain
from prober.alerts.outbox import Outbox, Send
from prober.clock import Clock
from prober.config import last_good, loader
from prober.config.loader import ConfigError
from prober.config.paths import state_dir
from prober.daemon import detector_state, embedded_redis, recovery
from prober.daemon.housekeeping import Housekeeping
from prober.daemon.log_limiter import LogLimiter
from prober.daemon.operator_api import OperatorApi
from prober.daemon.recovery import StartError
from prober.daemon.redis_durability import RedisDurability
from prober.daemon.systemd import Systemd
from prober.detection.precedent import Precedents
from prober.failover import identity
from prober.failover.executor import Executor
from prober.failover.identity import Identity
from prober.failover.judge import Judge
from prober.failover.memory import Memory
from prober.failover.notifier import Notifier
from prober.failover.report_consumer import ReportConsumer
from prober.failover.route_state import RouteState
from prober.history.incidents import Incidents
from prober.history.installation import place_of
from prober.history.journal import Journal, Record
from prober.history.store.schema import Version, open_engine, version
from prober.history.store.tables import sample_row
from prober.history.store.writer import Row, Store
from prober.probing.budget import Budget
from prober.probing.model_watch import Look, ModelWatch
from prober.probing.network import Network
from prober.probing.plans import Plan, Resolved, resolve
from prober.probing.probe import probe
from prober.probing.schedule import ProbeTarget, Schedule
from prober.web.control_socket import ControlServer
from switch.connect import connect_async
from switch.control.lease import TIMING, Ballot, Lease
from switch.control.writer import FlagWriter
from switch.flag import Keys, Mode

if TYPE_CHECKING:
    from prober.config.schema import Config
    from prober.sample import Sample

log = logging.getLogger(__name__)

SQL_WAIT_S = 2.0
CANARIES_END_S = 1.5
TICK_ENDS_S = 1.0
STORE_CLOSES_S = 1.5


class Daemon:
    """One running Prober.

    Args:
        path: the configuration file, read again on SIGHUP.
        clock: for tests.
    """

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        self.path = path
        self.clock = clock or Clock()
        self.stopping = asyncio.Event()
        self.ready = asyncio.Event()
        self._systemd = Systemd()
        self._tasks: list[asyncio.Task[None]] = []
        self._reloads: set[asyncio.Task[bool]] = set()
        self._reload_one = asyncio.Lock()
        self._repeats = LogLimiter()
        self.precedents = Precedents()

    # -- life ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Runs until `stop`. Raises ConfigError or StartError before anything has begun.

        What is built last is taken down first, within five seconds, and nothing recorded is lost.
        """
        while not self.stopping.is_set():
            await self._live()

    async def _live(self) -> None:
        """Until `stop`, or until what this was built on holds no more."""
        self._tasks = []
        async with AsyncExitStack() as built:
            await self._build(built)
            await self._begin(built)
            self.ready.set()
            self._systemd.ready(f"prober {__version__}, vantage {self.config.daemon.vantage}")
            log.info("prober %s is running; state in %s", __version__, self.folder)
            await self._until_stopped()
            if not self.stopping.is_set():
                log.info("beginning anew, with what this installation left")
                return
            self._systemd.stopping()
            log.info("stopping")
            if self.config.redis.embedded:
                log.info("the embedded Redis stays up, so that applications can read the flag")

    def stop(self) -> None:
        self.stopping.set()

    def listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self._hangup)

    def _hangup(self) -> None:
        if self.ready.is_set():
            self._reloads.add(task := asyncio.create_task(self.reload()))
            task.add_done_callback(self._reloads.discard)

    async def _until_stopped(self) -> None:
        ends = {
            asyncio.create_task(event.wait()) for event in (self.stopping, self.identity.changed)
        }
        done, _ = await asyncio.wait([*ends, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()
        for task in done - ends:
            task.result()  # a part that died takes the daemon down; systemd starts it again

    async def _end_work(self) -> None:
        await self.schedule.close(CANARIES_END_S)
        self.judge.stop()
        self.housekeeping.stop()
        self.report_consumer.stop()
        _, late = await asyncio.wait(self._tasks, timeout=TICK_ENDS_S)
        for task in late:
            task.cancel()
        await self.housekeeping.close()
        await self.judge.release_all()
        await self.housekeeping.save_detectors()

    async def _close_history(self) -> None:
        """Nothing writes any more: what SQL has need not stay in the journal."""
        written = self.store.up and self.store.waiting == 0 and not self.store.held
        await asyncio.to_thread(self.store.close, STORE_CLOSES_S)
        if written:
            await asyncio.to_thread(recovery.compact_if_large, self.journal, self.clock.now())

    # -- building ------------------------------------------------------------------------------

    async def _build(self, built: AsyncExitStack) -> None:
        self.config = await asyncio.to_thread(loader.load, self.path)
        self.resolved = await asyncio.to_thread(resolve, self.config)
        if self.resolved.problems:
            raise StartError(*self.resolved.problems)
        self.folder = await asyncio.to_thread(state_dir, self.config)
        lock = await asyncio.to_thread(recovery.lock, self.folder)
        built.callback(lock.close)
        self._nonce = await asyncio.to_thread(recovery.lease_nonce, self.folder)
        redis_url = self.resolved.redis_url or await self._embedded_url()
        try:
            self._redis = connect_async(redis_url)
        except ValueError:
            # Its own words may hold a piece of the password.
            raise StartError(
                "[redis]: url cannot be read; write redis://[user:password@]host:port/0 with "
                "special characters percent-encoded"
            ) from None
        built.push_async_callback(self._redis.aclose)
        writer = FlagWriter(self._redis)
        self.journal = Journal(self.folder / "journal")
        built.push_async_callback(self._close_journal)
        records = await asyncio.to_thread(self.journal.load)
        self.identity = await self._identify(records, writer)
        if self.identity.held:
            # The records are another installation's: ours are kept apart until that is settled.
            self.journal = Journal(self.folder / "held")
            records = await asyncio.to_thread(self.journal.load)
        self.store = await self._open_store()
        built.push_async_callback(self._close_history)
        self.network = await self._open_network()
        built.push_async_callback(lambda: self.network.aclose())
        self.incidents = Incidents(self.journal, self.store)
        self.journal.heard = self.incidents.heard
        self.outbox = Outbox(
            self.config.alert,
            self._sender(),
            self.journal,
            self.store,
            self.clock,
            self.config.daemon.vantage,
        )
        built.push_async_callback(self.outbox.close)
        self.notifier = Notifier(self.config, self.outbox, self.incidents, self.clock)
        past = await recovery.recall(records, self.store, self.config, SQL_WAIT_S)
        states = [self._state(route.name, past.memories) for route in self.config.route]
        executor = Executor(writer, self.journal, self.store)
        self.judge = Judge(
            self.config,
            states,
            executor,
            self.incidents,
            self.notifier,
            self.clock,
            Ballot(self._redis),
            self.identity,
        )
        self.judge.shut = self.resolved.shut
        self.report_consumer = ReportConsumer(self._redis, self.judge, self.clock)
        self.keeping = RedisDurability(self._redis)
        self._past = past
        budget_file = self.folder / "budget.json"
        self._budget = await asyncio.to_thread(Budget, self._limits(), budget_file)
        built.push_async_callback(asyncio.to_thread, self._budget.close)
        self.schedule = Schedule(
            self._targets(),
            self.judge,
            self._probe,
            self._keep,
            self._budget,
            self.clock,
            self._on_budget,
        )
        self.catalogues = await asyncio.to_thread(
            ModelWatch,
            self.resolved.plans,
            self.network,
            self.clock,
            self.folder / "models.json",
            self._on_model,
            self.resolved.scrub,
        )
        self._control = ControlServer(OperatorApi(self).controls(), self.folder)
        self.housekeeping = Housekeeping(self, self._systemd)

    async def _identify(self, records: list[Record], writer: FlagWriter) -> Identity:
        """Whose records these are, and whose Redis that is."""
        folder = await asyncio.to_thread(identity.read, self.folder, records)
        ours = Identity(
            folder,
            place_of(self.resolved.redis_url, self.config.redis.namespace),
            writer,
            self.config.redis.namespace,
            lambda: [Keys(route.name, self.config.redis.namespace) for route in self.config.route],
            writes=any(route.mode is not Mode.OBSERVE for route in self.config.route),
        )
        await ours.begin()
        if ours.held:
            log.error("HOLDING: %s; %s", ours.held.why, ours.held.you)
        else:
            await asyncio.to_thread((self.folder / "held").unlink, missing_ok=True)
        return ours

    async def _close_journal(self) -> None:
        await asyncio.to_thread(self.journal.close)

    async def _open_store(self) -> Store:
        try:
            engine = await asyncio.to_thread(open_engine, self.resolved.database_url)
        except (ArgumentError, ImportError) as error:
            raise StartError(f"[database]: url: {error}") from error
        except ValueError:
            raise StartError("[database]: url cannot be read; is its port a number?") from None
        try:
            async with asyncio.timeout(SQL_WAIT_S):
                stands = await asyncio.to_thread(version, engine)
        except (SQLAlchemyError, TimeoutError) as error:
            log.warning("SQL cannot be reached (%s); flips and alerts go on", error)
            stands = None
        if stands is Version.NEWER:
            engine.dispose()
            raise StartError(
                "[database]: made by a newer Prober than this one; install that version, "
                "or restore a backup"
            )
        store = Store(engine, self.folder / "spool", self.identity.id or None)
        if self.identity.held:
            store.hold(self.identity.held.why)
        else:
            store.start()
        return store

    async def _open_network(self) -> Network:
        ca_file = self.config.network.ca_file
        try:
            network = await asyncio.to_thread(Network, ca_file)
        except OSError as error:
            raise StartError(
                f"[network]: ca_file = {ca_file!r}: {error.strerror or error}; give a file of "
                "certificates in PEM"
            ) from error
        await network.wake()
        return network

    def _sender(self) -> Send:
        urls = self.resolved.alert_urls
        asyncio.get_running_loop().run_in_executor(None, complain, urls)
        return apprise_sender(urls, self.config.network.ca_file)

    async def _embedded_url(self) -> str:
        port = self.config.redis.port
        try:
            server = await asyncio.to_thread(embedded_redis.ensure, self.folder / "redis", port)
        except embedded_redis.EmbeddedRedisError as error:
            raise StartError(f"[redis]: {error}") from error
        log.info("embedded Redis on 127.0.0.1:%d; its address: prober redis-url", port)
        return server.url

    @property
    def _detectors(self) -> Path:
        return self.folder / "detectors.json"

    def _state(self, name: str, memories: dict[str, Memory]) -> RouteState:
        route = self.config.find_route(name)
        assert route is not None
        keys = Keys(name, self.config.redis.namespace)
        lease = Lease(self._redis, keys, TIMING.ttl_s, self._nonce)
        return RouteState(self.config, route, lease, memories.get(name, Memory()))

    async def _begin(self, built: AsyncExitStack) -> None:
        """Takes up what an earlier run left, and starts looking."""
        states = self.judge.states.values()
        self.outbox.start()
        recovery.restore(self._past, self.judge, self.outbox, self.incidents)
        held = self.identity.held
        saved = {} if held else await asyncio.to_thread(detector_state.read, self._detectors)
        detector_state.load(saved, states, self.clock.mono())
        self.precedents.load(saved.get("precedents"))
        recovery.resume_incidents(self.judge)
        await self.judge.retire(())
        await recovery.notify_missed(self._past, self.judge)
        await self._control.start()
        built.push_async_callback(self._control.close)
        built.push_async_callback(self._end_work)
        self.schedule.start()
        if held:
            for state in states:
                state.other = held.why
            await self.notifier.other(held)
        else:
            await self._keep_config()
        self._tasks += [
            asyncio.create_task(self.judge.run(), name="judge"),
            asyncio.create_task(self.housekeeping.run(), name="upkeep"),
            asyncio.create_task(self.report_consumer.run(), name="intake"),
        ]
        for name, why in self.resolved.shut.items():
            log.warning("%s is not probed: %s", name, why)

    def _targets(self) -> dict[str, ProbeTarget]:
        targets = {}
        for name, plan in self.resolved.plans.items():
            provider = self.config.find_provider(name)
            assert provider is not None
            canary = provider.canary
            targets[name] = ProbeTarget(
                plan,
                canary.interval.total_seconds(),
                canary.suspect_interval.total_seconds(),
            )
        return targets

    def _limits(self) -> dict[str, float]:
        """USD a day for each provider's canaries from this vantage."""
        vantages = max(1, len(self.config.daemon.vantages))
        return {p.name: p.canary.daily_budget_usd / vantages for p in self.config.provider}

    async def _probe(self, plan: Plan, id: str, base_rate: bool) -> Sample:
        sample = await probe(
            plan,
            self.network,
            self.clock,
            id=id,
            vantage=self.config.daemon.vantage,
            base_rate=base_rate,
            scrub=self.resolved.scrub,
            unforeseen=partial(self._unforeseen, plan.provider),
        )
        return self.precedents.judge(sample, plan.fingerprint)

    def _unforeseen(self, provider: str, error: Exception) -> None:
        if self._repeats.startled(provider, error):
            log.error("%s: a canary failed in a way nobody foresaw", provider, exc_info=error)

    def _keep(self, sample: Sample) -> None:
        self.store.put(Row("sample", sample_row(sample)))
        if news := self._repeats.line(sample, self.clock.mono()):
            log.info("%s", news)
        else:
            log.debug("%s: %s: %s", sample.provider, sample.outcome.value, sample.detail)

    async def _on_budget(self, provider: str, out: bool) -> None:
        configured = self.config.find_provider(provider)
        if configured is not None:
            limit = self._limits()[provider]
            spent = self.schedule.spent_today(provider)
            page = out and self.judge.serves(provider)
            await self.notifier.budget(provider, spent, limit, out=out, page=page)

    async def _on_model(self, provider: str, look: Look, key: str, days: int | None) -> None:
        states = [s for s in self.judge.states.values() if provider in s.trackers]
        if states and not any(state.tells for state in states):
            return  # the vantage that leads looks too
        serves = [s.name for s in states if s.primary == provider]
        stands_by = [s.name for s in states if s.primary != provider]
        await self.notifier.model(
            provider, key, look.sentence, days, serves=serves, stands_by=stands_by
        )

    def hosts(self) -> dict[str, list[str]]:
        """Whom we speak to by TLS, and what for; without those that another vantage tells of."""
        uses: dict[str, list[str]] = {}
        for name in self.resolved.plans:
            provider = self.config.find_provider(name)
            states = [s for s in self.judge.states.values() if name in s.trackers]
            if provider and (not states or any(state.tells for state in states)):
                uses.setdefault(provider.host, []).append(f"provider {name}")
        if host := urlsplit(self.resolved.heartbeat_url).hostname:
            uses.setdefault(host, []).append("the heartbeat")
        return uses

    # -- reload --------------------------------------------------------------------------------

    async def reload(self) -> bool:
        """Reads the configuration and the secrets again; a bad file changes nothing."""
        async with self._reload_one:
            return await self._reload()

    async def _reload(self) -> bool:
        self._systemd.reloading(round(self.clock.mono() * 1e6))
        try:
            config = await asyncio.to_thread(loader.load, self.path)
            resolved = await asyncio.to_thread(resolve, config)
            problems = [*resolved.problems, *recovery.stranded(self.judge, config)]
        except ConfigError as error:
            problems = error.problems
        if problems:
            for problem in problems:
                log.error("reload refused: %s", problem)
            await self.notifier.daemon(
                "reload",
                "The new configuration is refused; the old one stays in force",
                *problems[:5],
                "**You:** mend the file, try `prober check`, then reload again.",
            )
        else:
            await self._take(config, resolved)
            await self._keep_config()
        self._systemd.ready("reload refused, see the log" if problems else "reloaded")
        return not problems

    async def _keep_config(self) -> None:
        """For the commands of people, should the file be spoilt while we run."""
        try:
            await asyncio.to_thread(last_good.keep, self.folder, self.config)
        except OSError as error:
            log.warning("%s: cannot be written: %s", self.folder / last_good.FILE, error.strerror)

    async def _take(self, config: Config, resolved: Resolved) -> None:
        for table in ("daemon", "redis", "database"):
            if getattr(config, table) != getattr(self.config, table):
                log.warning("[%s] has changed; that takes a restart", table)
        kept = {name: getattr(self.config, name) for name in ("daemon", "redis", "database")}
        self.config, self.resolved = config.model_copy(update=kept), resolved
        states = {}
        for route in self.config.route:
            state = self.judge.states.get(route.name)
            if state is None:
                state = self._state(route.name, self._past.memories)
            else:
                state.configure(self.config, route)
            states[route.name] = state
        gone = [state for name, state in self.judge.states.items() if name not in states]
        self.judge.states, self.judge.config = states, self.config
        self.judge.voting.configure(self.config)
        self.judge.shut = resolved.shut
        self.notifier.configure(self.config)
        self.outbox.configure(self.config.alert, self._sender())
        self._budget.configure(self._limits())
        self.schedule.configure(self._targets())
        self.catalogues.configure(resolved.plans, resolved.scrub)
        await self.judge.retire(gone)
        log.info("configuration reloaded")
