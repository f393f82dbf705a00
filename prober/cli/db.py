"""`prober db`: the schema of the history."""

from __future__ import annotations

import typer
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from prober.cli.common import BAD_USAGE, ConfigOption, JsonOption, fail, out, print_json, setup
from prober.store.schema import NewerSchemaError, open_engine
from prober.store.schema import upgrade as upgrade_schema

app = typer.Typer(help="The history's database.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass


@app.command()
def upgrade(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Bring the tables to this version; an SQLite file is copied beside itself first."""
    found = setup(config)
    found.need("[database]")
    found.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        done = upgrade_schema(open_engine(found.resolved.database_url))
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
