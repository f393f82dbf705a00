"""What a command works with: the configuration and what it points at, found and read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import typer
from redis.exceptions import RedisError
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from prober.cli.console import BAD_USAGE, err, fail
from prober.cli.given import given as given_to
from prober.config import last_good, loader
from prober.config.loader import ConfigError
from prober.config.paths import state_dir
from prober.config.schema import Config, Route
from prober.config.secrets import Given
from prober.daemon import embedded_redis
from prober.failover import identity
from prober.history.store import queries
from prober.history.store.schema import of_installation, open_engine
from prober.probing.plans import Resolved, resolve
from switch.connect import connect
from switch.flag import installation_key

NO_CONFIG = "no prober.toml here nor in /etc/prober; give one with --config"


def found_config(given: Path | None) -> Path | None:
    """The file that was named, or the first that is there."""
    usual = (Path("prober.toml"), Path("/etc/prober/prober.toml"))
    return given or next((path for path in usual if os.path.isfile(path)), None)


def config_path(given: Path | None) -> Path:
    return found_config(given) or fail(NO_CONFIG, BAD_USAGE)


@dataclass(frozen=True)
class Setup:
    """The configuration and what it points at, as far as this process can get at it."""

    path: Path
    config: Config
    resolved: Resolved
    folder: Path
    given: Given = field(default_factory=Given)

    def need(self, *places: str) -> None:
        """Leaves when what a command needs is missing; what others need is no matter here."""
        for problem in self.resolved.problems:
            if problem.startswith(places):
                fail(problem, BAD_USAGE)

    @property
    def redis_url(self) -> str:
        """Where the flag is; an embedded Redis is found through the configuration alone."""
        self.need("[redis]")
        if self.resolved.redis_url:
            return self.resolved.redis_url
        server = embedded_redis.find(self.folder / "redis")
        if server is None:
            fail("the embedded Redis was never started; run: prober run")
        return server.url

    def route(self, name: str | None) -> Route:
        """The route named, or the only one there is."""
        routes = self.config.route
        if name is None:
            if len(routes) == 1:
                return routes[0]
            fail(f"say which route: {', '.join(r.name for r in routes) or 'none'}", BAD_USAGE)
        route = self.config.find_route(name)
        if route is None:
            fail(f"no route {name!r}; there are: {', '.join(r.name for r in routes)}", BAD_USAGE)
        return route


def load_setup(given: Path | None) -> Setup:
    """Reads the configuration, or leaves with every problem it has."""
    path, got = _given(given)
    try:
        config = loader.load(path, got.environment)
    except ConfigError as error:
        _leave(error)
    return make_setup(path, config, got)


def _given(path: Path | None) -> tuple[Path, Given]:
    file = config_path(path)
    return file, given_to(file)


def make_setup(path: Path, config: Config, given: Given) -> Setup:
    folder = state_dir(config, given.environment)
    return Setup(path, config, resolve(config, given), folder, given)


def load_setup_in_force(given: Path | None) -> Setup:
    """Like `setup`, for what people need in an emergency: a refused file does not stop them.

    They go by the configuration that the daemon took last; where it never ran, by what of the
    file is sound.
    """
    path, got = _given(given)
    try:
        return make_setup(path, loader.load(path, got.environment), got)
    except ConfigError as error:
        refused = error
    folder = last_good.folder_of(path, got.environment)
    config = last_good.kept(folder, got.environment)
    whose = "the configuration that the daemon took last"
    if config is None:
        config, whose = refused.sound, "what of it is sound"
    if config is None:
        _leave(refused)
    count = len(refused.problems)
    errors = "1 error" if count == 1 else f"{count} errors"
    err.print(
        f"prober: {path} is refused ({errors}; see: prober check); going by {whose}", markup=False
    )
    return Setup(path, config, resolve(config, got), folder, got)


def _leave(refused: ConfigError) -> NoReturn:
    for problem in refused.problems:
        err.print(f"prober: {problem}", markup=False)
    raise typer.Exit(BAD_USAGE)


@contextmanager
def past(setup: Setup) -> Iterator[Engine]:
    """History in SQL; leaves with one line when it cannot be read."""
    setup.need("[database]")
    nothing = "there is no history yet; it begins with: prober run"
    try:
        engine = open_engine(setup.resolved.database_url)
    except (SQLAlchemyError, ImportError, ValueError) as error:
        fail(f"history cannot be read: [database]: url: {setup.resolved.scrub(str(error))}")
    file = engine.url.database if engine.url.get_backend_name() == "sqlite" else None
    if file and not Path(file).exists():
        fail(nothing)  # to ask for it would make an empty one, and the asker's
    try:
        yield of_installation(engine, installation_of(setup, engine))
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        if "incident_event" in reason or "installation" in reason:
            fail("the database is older than this prober; run: prober db upgrade")
        absent = "relation" in reason and "does not exist" in reason
        if absent or "no such table" in reason or "unable to open" in reason:
            fail(nothing)
        fail(f"history cannot be read: {setup.resolved.scrub(reason)}")
    finally:
        engine.dispose()


def history_of(setup: Setup) -> Engine:
    """Our own rows of history; the caller disposes of it. Raises SQLAlchemyError and others."""
    engine = open_engine(setup.resolved.database_url)
    return of_installation(engine, installation_of(setup, engine))


def installation_of(setup: Setup, engine: Engine) -> str:
    """Whose history is asked for: as the state folder says, else Redis, else if there is but one.

    Raises SQLAlchemyError.
    """
    if id := identity.read(setup.folder, ()).id:
        return id
    server = embedded_redis.find(setup.folder / "redis") if setup.config.redis.embedded else None
    if url := server.url if server else setup.resolved.redis_url:
        try:
            with connect(url) as client:
                if id := client.get(installation_key(setup.config.redis.namespace)):
                    return str(id)
        except (RedisError, OSError):
            pass  # the database may say it
    there = queries.installations(engine)
    if len(there) > 1:
        fail(f"the database holds {len(there)} installations; run this where the state directory "
             f"is ({setup.folder} has none), or while Redis can be asked")  # fmt: skip
    return there[0] if there else ""
