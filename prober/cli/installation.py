"""`prober adopt` and `prober uninstall`: which folder, Redis and history belong together."""

from __future__ import annotations

import shutil
import time
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TextIO

import redis
import typer
from redis.exceptions import RedisError

from prober.cli.console import BAD_USAGE, ConfigOption, fail, out, run_async
from prober.cli.setup import Setup, installation_of, load_setup, past
from prober.daemon import embedded_redis, recovery
from prober.failover import identity
from prober.history.installation import place_of, short
from prober.history.store import adoption, queries
from switch.connect import connect, connect_async
from switch.control.writer import FlagWriter
from switch.flag import Keys, installation_key

# What a folder knows of an installation. The budget is the machine's, the database has its own.
RECORDS = (
    "journal", "held", "spool", "spool.replaying", "detectors.json", "lease", "in-force.toml",
)  # fmt: skip
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


class What(StrEnum):
    FOLDER = "folder"
    REDIS = "redis"
    NEW = "new"
    HISTORY = "history"


def adopt(
    what: Annotated[
        What,
        typer.Argument(
            help="folder: this Redis joins the installation of the state folder. "
            "redis: the state folder joins the installation of this Redis. "
            "new: both begin a new installation. "
            "history ID: rows of the database become this installation's."
        ),
    ],
    whose: Annotated[str, typer.Argument(help="With history: whose rows.")] = "",
    yes: Yes = False,
    config: ConfigOption = None,
) -> None:
    """Make a state folder, a Redis or a history belong to one installation, on purpose."""
    setup = load_setup(config)
    if (what is What.HISTORY) is not bool(whose):
        fail("write: prober adopt folder | redis | new | history ID", BAD_USAGE)
    match what:
        case What.FOLDER:
            _adopt_folder(setup, yes)
        case What.REDIS:
            _adopt_redis(setup, yes)
        case What.NEW:
            _begin_anew(setup, yes)
        case What.HISTORY:
            _adopt_history(setup, whose, yes)


def _place(setup: Setup) -> str:
    return place_of(setup.resolved.redis_url, setup.config.redis.namespace)


def _borne(setup: Setup) -> str:
    try:
        with connect(setup.redis_url, timeout_s=2.0) as client:
            return str(client.get(installation_key(setup.config.redis.namespace)) or "")
    except (RedisError, OSError) as error:
        fail(f"{_place(setup)} cannot be asked: {error}")


def _give(setup: Setup, id: str, instead_of: str) -> None:
    """Names Redis. Leaves when somebody else was faster."""
    url = setup.redis_url

    async def claim() -> str:
        client = connect_async(url, timeout_s=2.0)
        try:
            return await FlagWriter(client).claim(setup.config.redis.namespace, id, instead_of)
        except (RedisError, OSError) as error:
            fail(f"{_place(setup)} takes no name: {error}")
        finally:
            await client.aclose()

    if (stands := run_async(claim())) != id:
        fail(f"{_place(setup)} was named {short(stands)} meanwhile; look with `prober status`")


def _named(id: str) -> str:
    return f"installation {short(id)}" if id else "no installation"


def _ask(question: str, yes: bool) -> None:
    out.print(question, markup=False)
    if not yes and not typer.confirm("Do it?"):
        fail("nothing was changed")


def _adopt_folder(setup: Setup, yes: bool) -> None:
    folder, borne = identity.read(setup.folder, ()), _borne(setup)
    id = folder.id or identity.new_id()
    _ask(
        f"{_place(setup)} ({_named(borne)}) joins installation {short(id)} of {setup.folder}: its "
        "flags are kept, restored and repaired by what this folder knows.",
        yes,
    )
    identity.keep(setup.folder, id, _place(setup))
    _give(setup, id, borne)
    out.print(f"{_place(setup)} belongs to installation {short(id)} now.", markup=False)


def _adopt_redis(setup: Setup, yes: bool) -> None:
    borne = _borne(setup)
    if not borne:
        fail(f"{_place(setup)} belongs to no installation; for a new one: prober adopt new")
    with closing(_stopped(setup)):
        folder = identity.read(setup.folder, ())
        _ask(
            f"{setup.folder} ({_named(folder.id)}) joins installation {short(borne)} of "
            f"{_place(setup)}; what it knows of its own flags is put aside.",
            yes,
        )
        aside = _put_aside(setup.folder, folder.id)
        identity.keep(setup.folder, borne, _place(setup))
    out.print(f"{setup.folder} belongs to installation {short(borne)} now.", markup=False)
    out.print(f"Its earlier records are in {aside}. Start the daemon.", markup=False)


def _begin_anew(setup: Setup, yes: bool) -> None:
    borne, id = _borne(setup), identity.new_id()
    with closing(_stopped(setup)):
        folder = identity.read(setup.folder, ())
        _ask(
            f"{setup.folder} ({_named(folder.id)}) and {_place(setup)} ({_named(borne)}) become a "
            f"new installation, {short(id)}: flags that stand there stay, what the folder knows "
            "is put aside, and history begins anew.",
            yes,
        )
        aside = _put_aside(setup.folder, folder.id)
        _give(setup, id, borne)
        identity.keep(setup.folder, id, _place(setup))
    out.print(f"Installation {short(id)} begins.", markup=False)
    out.print(f"Earlier records are in {aside}. Start the daemon.", markup=False)


def _adopt_history(setup: Setup, whose: str, yes: bool) -> None:
    with past(setup) as engine:
        own = installation_of(setup, engine)
        known = [id for id in queries.installations(engine) if id.startswith(whose) and id != own]
        if len(known) != 1:
            others = ", ".join(short(id) for id in queries.installations(engine) if id != own)
            fail(f"{whose!r} names no other installation; there are: {others or 'none'}", BAD_USAGE)
        (old,) = known
        _ask(
            f"{adoption.counted(engine, old)} rows of installation {short(old)} become those of "
            f"{short(own)}. Daemons of {short(old)} must not run any more.",
            yes,
        )
        adoption.hand_over(engine, old, own, time.time())
    out.print(f"The history of {short(old)} is that of {short(own)} now.", markup=False)


def _stopped(setup: Setup) -> TextIO:
    """The folder's lock, so that no daemon uses what is changed."""
    try:
        return recovery.lock(setup.folder)
    except recovery.StartError as error:
        fail(f"{error}; first: systemctl stop prober")


def _put_aside(folder: Path, id: str) -> Path:
    aside = folder / f"aside-{short(id) or 'unnamed'}-{time.time_ns()}"
    aside.mkdir(mode=0o700)
    for name in RECORDS:
        if (folder / name).exists():
            (folder / name).rename(aside / name)
    return aside


def uninstall(yes: Yes = False, config: ConfigOption = None) -> None:
    """Remove this installation: its flags in Redis, its history, the embedded Redis, its records.

    Applications go on with the last provider they know, and without Prober.
    """
    setup = load_setup(config)
    with closing(_stopped(setup)):
        own = identity.read(setup.folder, ()).id
        server = (
            embedded_redis.find(setup.folder / "redis") if setup.config.redis.embedded else None
        )
        unused = server is not None and not embedded_redis.answers(server)
        if not unused and (borne := _borne(setup)) != own:
            fail(f"{_place(setup)} belongs to {_named(borne)}, {setup.folder} to {_named(own)}: "
                 "nothing was removed")  # fmt: skip
        _ask(
            f"Removes installation {short(own) or '(unnamed)'}: its flags in {_place(setup)}, its "
            f"history, and everything in {setup.folder}.",
            yes,
        )
        if not unused:
            _remove_flags(setup)
        if own and _has_history(setup):
            with past(setup) as engine:
                adoption.remove(engine, own)
        if server is not None:
            embedded_redis.stop(server)
        shutil.rmtree(setup.folder)
    out.print("Removed. Left: the package, prober.toml and the systemd units.")


def _has_history(setup: Setup) -> bool:
    """A database of our own goes with the folder."""
    return not setup.resolved.database_url.startswith(f"sqlite:///{setup.folder}/")


def _remove_flags(setup: Setup) -> None:
    space = setup.config.redis.namespace
    names = [installation_key(space)]
    for route in setup.config.route:
        keys = Keys(route.name, space)
        names += [keys.primary, keys.state, keys.pin, keys.candidates, keys.events, keys.lease]
        names += [keys.votes, keys.reports]
    try:
        with connect(setup.redis_url, timeout_s=2.0) as client:
            for name in names:
                client.delete(name)
    except (redis.RedisError, OSError) as error:
        fail(f"{_place(setup)}: {error}")
