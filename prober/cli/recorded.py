"""What `backtest` and `tune` share: how far back recorded history is read, and while it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from sqlalchemy.exc import SQLAlchemyError

from prober.cli.console import BAD_USAGE, err, fail
from prober.config.types import parse_duration
from prober.history.store.queries import NoHistoryError

if TYPE_CHECKING:
    from prober.cli.setup import Setup
    from prober.simulation.backtest.history import OnRead

SinceOption = Annotated[str, typer.Option("--since", help='How far back, like "30d" or "12h".')]


def since_s(text: str) -> float:
    """Seconds of a --since, or out."""
    try:
        return parse_duration(text).total_seconds()
    except ValueError as error:
        fail(f"--since {text}: {error}", BAD_USAGE)


@contextmanager
def history(setup: Setup) -> Iterator[None]:
    """What can be wrong with history, as one line."""
    setup.need("[database]")
    try:
        yield
    except NoHistoryError as error:
        fail(str(error))
    except SQLAlchemyError as error:
        _away(error)


def _away(error: SQLAlchemyError) -> NoReturn:
    reason = str(getattr(error, "orig", None) or error).splitlines()[0]
    if any(sign in reason for sign in ("no such table", "unable to open", 'relation "sample"')):
        fail("there is no history yet; it begins with: prober run")
    fail(f"history cannot be read: {reason}")


@contextmanager
def reading(since: float, until: float, silent: bool) -> Iterator[OnRead | None]:
    """A bar over the time that is read."""
    if silent:
        yield None
        return
    columns = TextColumn("reading history"), BarColumn(), TextColumn("{task.percentage:.0f} %")
    with Bar(*columns, TimeRemainingColumn(), console=err, transient=True) as bar:
        task = bar.add_task("", total=until - since)
        yield lambda at: bar.update(task, completed=at - since)
