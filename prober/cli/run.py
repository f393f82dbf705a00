"""`prober run`."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from typing import Annotated

import typer

from prober.cli.console import BAD_STATE, BAD_USAGE, ConfigOption, err
from prober.cli.setup import config_path
from prober.config.loader import ConfigError
from prober.daemon.daemon import Daemon
from prober.daemon.recovery import StartError
from prober.daemon.systemd import prioritized, to_journal
from prober.probing.plans import Resolved

log = logging.getLogger(__name__)

# Their small talk is of no use to an operator, and holds whole URLs and requests.
NOT_OURS = (
    "httpx", "httpcore", "hpack", "apscheduler", "asyncio", "alembic", "uvicorn", "urllib3",
    "requests", "botocore", "google",
)  # fmt: skip


def run(
    config: ConfigOption = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every canary.")] = False,
) -> None:
    """Run the daemon: probe, decide, keep the flag, alert."""
    daemon = Daemon(config_path(config))
    handler = logging.StreamHandler()
    handler.setFormatter(_Scrubbed(daemon, journal=to_journal(sys.stderr, os.environ)))
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=[handler])
    for name in NOT_OURS:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        asyncio.run(_serve(daemon))
    except (ConfigError, StartError) as error:
        journal = to_journal(sys.stderr, os.environ)
        for problem in error.problems:
            line = f"prober: {problem}"
            err.print(prioritized(line, logging.ERROR) if journal else line, markup=False)
        raise typer.Exit(BAD_USAGE) from None
    except Exception:
        log.critical("the daemon was ended by an error of its own", exc_info=True)
        raise typer.Exit(BAD_STATE) from None


class _Scrubbed(logging.Formatter):
    """Whatever is logged, tracebacks too, leaves without a secret of the configuration."""

    def __init__(self, daemon: Daemon, *, journal: bool) -> None:
        # journald has the time and the level itself.
        super().__init__(f"{'' if journal else '%(asctime)s %(levelname)s '}%(name)s: %(message)s")
        self._daemon, self._journal = daemon, journal

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        known: Resolved | None = getattr(self._daemon, "resolved", None)  # not before its start
        text = known.scrub(text) if known else text
        return prioritized(text, record.levelno) if self._journal else text


async def _serve(daemon: Daemon) -> None:
    daemon.listen_to_signals()
    await daemon.run()
