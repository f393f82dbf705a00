"""`prober run`."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import Annotated

import typer

from prober.cli.common import BAD_STATE, BAD_USAGE, ConfigOption, config_path, err
from prober.configfile import ConfigError
from prober.daemon import Daemon
from prober.resolve import Resolved
from prober.startup import StartError

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
    # journald adds the time itself.
    stamp = "" if os.environ.get("JOURNAL_STREAM") else "%(asctime)s "
    daemon = Daemon(config_path(config))
    handler = logging.StreamHandler()
    handler.setFormatter(_Scrubbed(f"{stamp}%(levelname)s %(name)s: %(message)s", daemon))
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=[handler])
    for name in NOT_OURS:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        asyncio.run(_serve(daemon))
    except (ConfigError, StartError) as error:
        for problem in error.problems:
            err.print(f"prober: {problem}", markup=False)
        raise typer.Exit(BAD_USAGE) from None
    except Exception:
        log.critical("the daemon was ended by an error of its own", exc_info=True)
        raise typer.Exit(BAD_STATE) from None


class _Scrubbed(logging.Formatter):
    """Whatever is logged, tracebacks too, leaves without a secret of the configuration."""

    def __init__(self, words: str, daemon: Daemon) -> None:
        super().__init__(words)
        self._daemon = daemon

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        known: Resolved | None = getattr(self._daemon, "resolved", None)  # not before its start
        return known.scrub(text) if known else text


async def _serve(daemon: Daemon) -> None:
    daemon.listen_to_signals()
    await daemon.run()
