"""What the operators' interface and the housekeeping need of the daemon that runs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from prober.alerts.outbox import Outbox
    from prober.clock import Clock
    from prober.config.schema import Config
    from prober.daemon.redis_durability import RedisDurability
    from prober.detection.precedent import Precedents
    from prober.failover.identity import Identity
    from prober.failover.judge import Judge
    from prober.failover.notifier import Notifier
    from prober.history.incidents import Incidents
    from prober.history.journal import Journal
    from prober.history.store.writer import Store
    from prober.probing.model_watch import ModelWatch
    from prober.probing.network import Network
    from prober.probing.plans import Resolved
    from prober.probing.schedule import Schedule


class Parts(Protocol):
    """The daemon as they see it. Read at each use: a reload changes the configuration."""

    path: Path
    folder: Path
    clock: Clock
    config: Config
    resolved: Resolved
    identity: Identity
    journal: Journal
    store: Store
    incidents: Incidents
    network: Network
    outbox: Outbox
    notifier: Notifier
    judge: Judge
    schedule: Schedule
    catalogues: ModelWatch
    keeping: RedisDurability
    precedents: Precedents

    def hosts(self) -> dict[str, list[str]]: ...
