"""`prober redis-url` and `prober embedded`: the Redis that came along."""

from __future__ import annotations

from contextlib import closing

import typer

from prober.cli.console import BAD_STATE, ConfigOption, fail, out
from prober.cli.setup import Setup, load_setup, load_setup_in_force
from prober.daemon import embedded_redis, recovery

app = typer.Typer(help="The embedded Redis.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass


def redis_url(config: ConfigOption = None) -> None:
    """The address of Redis with its password, for applications; only its owner may read it."""
    setup = load_setup_in_force(config)
    if not setup.config.redis.embedded:
        print_address(setup.redis_url)
        return
    print_address(_server(setup).tcp_url)


def print_address(url: str) -> None:
    """Alone on its line: URL=$(prober redis-url)."""
    typer.echo(url)


def _server(setup: Setup) -> embedded_redis.Embedded:
    folder = setup.folder / "redis"
    try:
        (folder / embedded_redis.STATE).read_bytes()
    except PermissionError:
        fail(f"{folder} is its owner's alone; run this as that user: sudo -u prober prober …")
    except FileNotFoundError:
        fail(f"no embedded Redis was started in {folder}; run: prober run")
    server = embedded_redis.find(folder)
    if server is None:
        state = folder / embedded_redis.STATE
        fail(f"{state} cannot be read as JSON; it holds the port and password")
    return server


@app.command()
def stop(config: ConfigOption = None) -> None:
    """End the embedded Redis; its data stay. Applications go on with what they know."""
    setup = load_setup(config)
    if not setup.config.redis.embedded:
        fail("[redis].url names a Redis of your own; it is not ours to end")
    server = _server(setup)
    try:
        held = recovery.lock(setup.folder)
    except recovery.StartError:
        fail("the daemon runs, and would start it again; first: systemctl stop prober")
    with closing(held):
        if not embedded_redis.answers(server):
            out.print("The embedded Redis does not run.")
            return
        embedded_redis.stop(server)
        if embedded_redis.answers(server):
            fail(f"the embedded Redis did not end; see {setup.folder / 'redis/redis.log'}",
                 BAD_STATE)  # fmt: skip
    out.print(f"The embedded Redis has ended; its data stay in {setup.folder / 'redis'}.",
              markup=False)  # fmt: skip
