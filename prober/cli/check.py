"""`prober check`: is the configuration fine, on paper and, if wanted, for real?"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from prober.cli import check_offline, check_online
from prober.cli.check_online import Tried
from prober.cli.console import (
    BAD_STATE,
    BAD_USAGE,
    OK,
    ConfigOption,
    JsonOption,
    err,
    out,
    print_json,
)
from prober.cli.given import given as given_to
from prober.cli.setup import NO_CONFIG, Setup, found_config, make_setup
from prober.config import loader
from prober.config.checks import warnings
from prober.config.loader import ConfigError, effective
from prober.daemon import embedded_redis
from prober.probing.proxy import proxy_warnings


@dataclass
class CheckReport:
    """What there is to say, whichever way it ends."""

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    not_probed: dict[str, str] = field(default_factory=dict)
    tried: list[Tried] = field(default_factory=list)

    @property
    def code(self) -> int:
        if self.errors:
            return BAD_USAGE
        return BAD_STATE if any(tried.fine is False for tried in self.tried) else OK

    def plain(self) -> dict[str, Any]:
        tried = [{"what": t.what, "fine": t.fine, "said": t.said} for t in self.tried]
        return {
            "fine": self.code == OK,
            "errors": self.errors,
            "warnings": self.warnings,
            "not_probed": self.not_probed,
            "tried": tried,
        }


def check(
    config: ConfigOption = None,
    show_effective: Annotated[
        bool, typer.Option("--effective", help="Print the whole configuration with defaults.")
    ] = False,
    for_real: Annotated[
        bool,
        typer.Option(
            "--online", help="Try Redis, the database and the providers' keys too; costs nothing."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check the configuration: every error, then every warning.

    Leaves with 0 if all is fine, 2 if the configuration is not, 1 if something that --online
    tried is not.
    """
    report = CheckReport()
    setup = _read(found_config(config), report)
    if setup is not None and for_real and not report.errors:
        report.tried = asyncio.run(
            check_online.tried(setup.config, setup.resolved, _redis_url(setup))
        )
    if as_json:
        print_json(report.plain())
    elif setup is not None and show_effective:
        out.print(effective(setup.config), markup=False)
    for line in report.errors:
        err.print(f"prober: {line}", markup=False)
    if setup is not None and not as_json and not show_effective:
        _say(setup, report)
    raise typer.Exit(report.code)


def _read(path: Path | None, report: CheckReport) -> Setup | None:
    """None: the file is not there, or refused."""
    if path is None:
        report.errors = [NO_CONFIG]
        return None
    given = given_to(path)
    try:
        config = loader.load(path, given.environment)
    except ConfigError as error:
        report.errors = error.problems
        return None
    setup = make_setup(path, config, given)
    problems = [
        *setup.resolved.problems,
        *check_offline.problems(config, setup.resolved, setup.folder),
    ]
    report.errors = [f"{path}: {problem}" for problem in problems]
    report.warnings = [*warnings(config), *proxy_warnings(given.environment)]
    report.not_probed = setup.resolved.shut
    return setup


def _redis_url(setup: Setup) -> str:
    if setup.resolved.redis_url:
        return setup.resolved.redis_url
    server = embedded_redis.find(setup.folder / "redis")
    return server.url if server else ""


def _say(setup: Setup, report: CheckReport) -> None:
    for line in report.warnings:
        out.print(f"warning: {line}", markup=False)
    for name, reason in report.not_probed.items():
        out.print(f"{name} is not probed: {reason}", markup=False)
    for tried in report.tried:
        out.print(tried.line, markup=False)
    if not report.errors:
        counts = f"{len(setup.config.provider)} providers, {len(setup.config.route)} routes"
        but = "" if report.code == OK else "; not so all that it points at"
        out.print(f"{setup.path} is fine: {counts}{but}", markup=False)
