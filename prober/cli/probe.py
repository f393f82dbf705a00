"""`prober probe`: one canary now, and all it found."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from prober.cli.console import (
    BAD_STATE,
    BAD_USAGE,
    OK,
    ConfigOption,
    JsonOption,
    err,
    fail,
    out,
    print_json,
    say_time,
)
from prober.cli.probe_rows import Rows, notes, summary
from prober.cli.probe_run import Asker, Probed
from prober.cli.probe_screen import screen
from prober.cli.setup import Setup, load_setup
from prober.clock import Clock
from prober.config.paths import state_dir
from prober.config.schema import Provider
from prober.config.types import did_you_mean
from prober.daemon import detector_state
from prober.detection.precedent import Precedents
from prober.probing.capture import save
from prober.probing.network import Network

# More at a time would time this machine, and not the providers.
AT_ONCE = 4


def probe(
    provider: Annotated[
        str | None, typer.Argument(help="One provider, with all its canary found; else all.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Every provider, side by side; so without a name, too.")
    ] = False,
    warm: Annotated[
        bool,
        typer.Option(
            "--warm/--fresh",
            help="Warm: send a second canary over the connection of the first, as the daemon "
            "mostly does, and show that one. Fresh: a new connection.",
        ),
    ] = False,
    save_to: Annotated[
        Path | None,
        typer.Option(
            "--save", metavar="FILE",
            help="Keep the raw exchange in a new file that only you can read, its secrets taken "
            "out; for several providers one file each: FILE.txt is FILE.NAME.txt then. A file "
            "that is there already stays as it is, and nothing is sent.",
        ),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Send one canary now and show what it found; leaves with 0 if all is well, 1 if not.

    It is a real request: it costs a few tokens, beside the daemon's own budget.
    """
    setup = load_setup(config)
    if provider is not None and every:
        fail("give a provider or --all, not both", BAD_USAGE)
    if provider is not None:
        wanted = [_askable(setup, provider)]
        lacking: dict[str, str] = {}
    else:
        wanted, lacking = _all_askable(setup)
    files = _files(save_to, [p.name for p in wanted], alone=provider is not None)
    live = provider is None and not as_json and out.is_terminal
    all_probed = asyncio.run(_ask(setup, wanted, warm, _precedents(setup), live=live))
    # Before the screen, which somebody may cut off (`| head`).
    saved = _save(files, all_probed)
    if as_json:
        print_json([probed.plain() for probed in all_probed])
    elif provider is not None:
        for probed in all_probed:
            at = say_time(setup.config, probed.sample.started_at)
            for line in screen(probed, f"{at} {setup.config.daemon.timezone}", out.width):
                out.print(line)
    else:
        for line in [
            *([] if live else _rows(all_probed)),
            *notes(all_probed, out.width),
            summary(all_probed, len(lacking)),
        ]:
            out.print(line)
    for name, why in lacking.items():
        err.print(f"prober: {name} could not be asked: {why}", markup=False)
    good = saved and not lacking and all(probed.sample.ok for probed in all_probed)
    raise typer.Exit(OK if good else BAD_STATE)


# -- whom to ask ---------------------------------------------------------------------------------


def _askable(setup: Setup, name: str) -> Provider:
    """The provider of that name, or one line that says why it cannot be asked."""
    names = [p.name for p in setup.config.provider]
    provider = setup.config.find_provider(name)
    if provider is None:
        hint = did_you_mean(name, names, f"; there are: {', '.join(names) or 'none'}")
        fail(f"no provider {name!r}{hint}", BAD_USAGE)
    if why := setup.resolved.shut.get(name):
        how = setup.given.advice(provider.key) if provider.enabled and provider.key else ""
        fail(f"{name} cannot be probed: {why}{how}", BAD_USAGE)
    if why := _lacks(setup, name):
        fail(f"{name} cannot be probed: {why}", BAD_USAGE)
    return provider


def _all_askable(setup: Setup) -> tuple[list[Provider], dict[str, str]]:
    """(whom to ask, whom not and why); those left out on purpose are in neither."""
    meant = [p for p in setup.config.provider if p.name not in setup.resolved.shut]
    lacking = {p.name: why for p in meant if (why := _lacks(setup, p.name))}
    wanted = [p for p in meant if p.name not in lacking]
    if not wanted:
        reasons = [f"{name}: {why}" for name, why in (setup.resolved.shut | lacking).items()]
        fail(f"no provider can be probed; {'; '.join(reasons) or 'none is configured'}", BAD_USAGE)
    return wanted, lacking


def _lacks(setup: Setup, name: str) -> str:
    """What is missing for this provider; what is missing elsewhere is no matter here."""
    place = f'[[provider]] "{name}": '
    problems = (p for p in setup.resolved.problems if p.startswith(place))
    return next((problem.removeprefix(place) for problem in problems), "")


# -- asking --------------------------------------------------------------------------------------


def _precedents(setup: Setup) -> Precedents:
    """What the daemon of this machine knows; nothing where its records cannot be read."""
    precedents = Precedents()
    precedents.load(
        detector_state.read(state_dir(setup.config) / "detectors.json").get("precedents")
    )
    return precedents


async def _ask(
    setup: Setup, wanted: list[Provider], warm: bool, precedents: Precedents, *, live: bool
) -> list[Probed]:
    if problem := next((p for p in setup.resolved.problems if p.startswith("[network]")), ""):
        fail(problem, BAD_USAGE)
    for name, value in setup.given.environment.items():
        if name.startswith(("AWS_", "GOOGLE_")):  # their libraries look nowhere else
            os.environ[name] = value
    ca_file = setup.config.network.ca_file
    try:
        network = Network(ca_file, setup.given.environment)
    except OSError as error:
        fail(f"[network]: ca_file = {ca_file!r}: {error.strerror or error}", BAD_USAGE)
    async with network:
        asker = Asker(
            network,
            setup.resolved.scrub,
            setup.config.daemon.vantage,
            warm,
            precedents=precedents,
        )
        plans, turns, began_s = setup.resolved.plans, asyncio.Semaphore(AT_ONCE), dict[str, float]()

        async def ask(provider: Provider) -> Probed:
            async with turns:
                began_s[provider.name] = asker.clock.mono()
                return await asker.ask(provider, plans[provider.name])

        tasks = [asyncio.create_task(ask(p), name=p.name) for p in wanted]
        if live:
            with Live(get_renderable=_View(tasks, began_s, asker.clock).lines, console=out):
                await asyncio.wait(tasks)
        return await asyncio.gather(*tasks)


class _View:
    """The rows as they stand now."""

    def __init__(
        self, tasks: list[asyncio.Task[Probed]], began_s: dict[str, float], clock: Clock
    ) -> None:
        self._tasks, self._began_s, self._clock = tasks, began_s, clock
        self._rows = Rows([task.get_name() for task in tasks], out.width)

    def lines(self) -> RenderableType:
        return Group(self._rows.heading(), *map(self._row, self._tasks))

    def _row(self, task: asyncio.Task[Probed]) -> RenderableType:
        if task.done() and not task.cancelled():
            return self._rows.row(task.result().sample)
        began_s = self._began_s.get(task.get_name())
        seconds = None if began_s is None else self._clock.mono() - began_s
        return self._rows.waiting(task.get_name(), seconds)


def _rows(all_probed: list[Probed]) -> list[Text]:
    rows = Rows([probed.provider.name for probed in all_probed], out.width)
    return [rows.heading(), *(rows.row(probed.sample) for probed in all_probed)]


# -- keeping the raw exchange --------------------------------------------------------------------


def _files(path: Path | None, names: list[str], *, alone: bool) -> dict[str, Path]:
    """Where each exchange goes. Refused before anything is sent and paid for."""
    if path is None:
        return {}
    files = {
        name: path if alone else path.with_name(f"{path.stem}.{name}{path.suffix}")
        for name in names
    }
    for file in files.values():
        if file.exists() or file.is_symlink():
            fail(f"{file} is there already; name another --save file, or remove it", BAD_USAGE)
    if not path.parent.is_dir():
        fail(f"there is no folder {path.parent} for --save", BAD_USAGE)
    if not os.access(path.parent, os.W_OK | os.X_OK):
        fail(f"--save: the folder {path.parent} cannot be written", BAD_USAGE)
    return files


def _save(files: dict[str, Path], all_probed: list[Probed]) -> bool:
    """Whether every file was written; says of each whether it was."""
    unsaved = 0
    for probed in all_probed:
        file = files.get(probed.provider.name)
        if file is None:
            continue
        try:
            save(file, probed.exchange)
        except OSError as error:
            unsaved += 1
            err.print(f"prober: {file} cannot be written: {error.strerror}", markup=False)
        else:
            err.print(f"saved: {file} (the raw exchange without its secrets)", markup=False)
    return not unsaved
