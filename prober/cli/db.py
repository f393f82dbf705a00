"""`prober db`: the schema of the history."""

from __future__ import annotations

import typer
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from prober.cli.console import BAD_USAGE, ConfigOption, JsonOption, fail, out, print_json, run_async
from prober.cli.setup import Setup, load_setup
from prober.failover import identity
from prober.failover.identity import Identity
from prober.history.installation import Folder, place_of
from prober.history.journal import decode
from prober.history.store.schema import NewerSchemaError, Version, open_engine, version
from prober.history.store.schema import upgrade as upgrade_schema
from switch.connect import connect_async
from switch.control.writer import FlagWriter
from switch.flag import Keys, Mode

app = typer.Typer(help="The history's database.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass


@app.command()
def upgrade(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Bring the tables to this version; an SQLite file is copied beside itself first."""
    setup = load_setup(config)
    setup.need("[database]")
    setup.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        engine = open_engine(setup.resolved.database_url)
        old = version(engine) is Version.OLD
        done = upgrade_schema(engine, _heir(setup) if old else "")
    except NewerSchemaError as error:
        fail(str(error), BAD_USAGE)
    except (ArgumentError, ImportError) as error:
        fail(f"[database]: url: {error}", BAD_USAGE)
    except SQLAlchemyError as error:
        fail(f"the database cannot be reached: {getattr(error, 'orig', error)}")
    if as_json:
        print_json({"before": done.before, "after": done.after, "backup": done.backup})
        return
    if done.before == done.after:
        out.print(f"The schema is at {done.after} already.")
        return
    out.print(f"The schema is at {done.after} now (was: {done.before or 'none'}).")
    if done.backup is not None:
        out.print(f"To go back: stop Prober, put {done.backup} in place of the database file,")
        out.print("and start the version you had before.")


def _heir(setup: Setup) -> str:
    """Who the rows belong to that are older than installations' ids: we, which is settled first."""
    if id := identity.read(setup.folder, ()).id:
        return id
    try:
        records = decode((setup.folder / "journal").read_bytes())[0]
    except OSError:
        records = []
    ours = run_async(_settle(setup, identity.read(setup.folder, records), setup.redis_url))
    if ours.held:
        fail(f"{ours.held.why}; {ours.held.you}")
    if not ours.id:
        fail(
            "history that is older than installations needs to know whose it is, and Redis does "
            "not say it; see that Redis runs, then run this again. Flips go on, history waits"
        )
    return ours.id


async def _settle(setup: Setup, folder: Folder, redis_url: str) -> Identity:
    client = connect_async(redis_url, timeout_s=2.0)
    space, routes = setup.config.redis.namespace, setup.config.route
    ours = Identity(
        folder,
        place_of(setup.resolved.redis_url, space),
        FlagWriter(client),
        space,
        lambda: [Keys(route.name, space) for route in routes],
        writes=any(route.mode is not Mode.OBSERVE for route in routes),
    )
    try:
        await ours.begin()
    finally:
        await client.aclose()
    return ours
