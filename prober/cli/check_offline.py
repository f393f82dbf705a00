"""What `prober check` tries on this machine alone: alert URLs are parsed, folders written to."""

from __future__ import annotations

import difflib
import logging
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

if TYPE_CHECKING:
    from prober.config.schema import Config
    from prober.probing.plans import Resolved

_SCHEMA = re.compile(r"([A-Za-z0-9]+)://")
_INVALID = re.compile(r"An? (?:invalid|unsupported) (?P<what>.+) \(.*\)", re.DOTALL)
_MAIL = "mailto://user:password@host?to=…"


def problems(config: Config, resolved: Resolved, folder: Path) -> list[str]:
    """One line for each thing that would fail later; none shows a secret. Blocks."""
    return [*_folders(config, resolved, folder), *_channels(resolved)]


# -- folders ---------------------------------------------------------------------------------------


def _folders(config: Config, resolved: Resolved, folder: Path) -> Iterator[str]:
    if why := unwritable(folder):
        text = (
            f'state_dir = "{config.daemon.state_dir}"' if config.daemon.state_dir else "state_dir"
        )
        yield f"[daemon]: {text}: {why}"
    file = _sqlite_file(resolved.database_url)
    if file is None or (file.parent == folder and why):
        return
    if why := unwritable(file.parent) or _no_file_to_write(file):
        yield f"[database]: url: {why}"


def _sqlite_file(url: str) -> Path | None:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return None  # refused with a line of its own
    name = parsed.database or ""
    in_memory = name in ("", ":memory:")
    return Path(name) if parsed.get_backend_name() == "sqlite" and not in_memory else None


def unwritable(folder: Path) -> str:
    """Why nothing can be put into a folder, there or still to be made; "" when something can."""
    try:
        here = next(place for place in (folder, *folder.parents) if place.exists())
        if not here.is_dir():
            return f"{here} is no folder; name another one"
        with tempfile.TemporaryFile(dir=here):
            return ""
    except OSError as error:
        return (
            f"{folder} cannot be written ({error.strerror}); let the user that runs Prober own it, "
            "and check as that user"
        )


def _no_file_to_write(file: Path) -> str:
    try:
        if file.exists():
            file.open("ab").close()  # writes nothing
    except OSError as error:
        return f"{file} cannot be written ({error.strerror}); let the user that runs Prober own it"
    return ""


# -- alert channels --------------------------------------------------------------------------------


def _channels(resolved: Resolved) -> Iterator[str]:
    for name, url in resolved.alert_urls.items():
        if url and (why := channel_problem(url)):
            yield f'[[alert]] "{name}": url: {why}'


def channel_problem(url: str) -> str:
    """Why apprise can send nothing by a URL; "" when it can. Nothing is sent, nothing shown."""
    # Here: it takes a second to load all its plugins.
    from apprise import Apprise
    from apprise.manager_plugins import NotificationManager

    match = _SCHEMA.match(url)
    if match is None:
        return f"is no URL of a channel; write it like {_MAIL}"
    schema, plugins = match[1].lower(), NotificationManager()  # type: ignore[no-untyped-call]
    # Its own log lines may show a URL, which holds the channel's secret.
    logging.getLogger("apprise").setLevel(logging.CRITICAL)
    try:
        if Apprise.instantiate(url, suppress_exceptions=False) is not None:
            return ""
        reason = ""
    except Exception as error:  # each plugin has its own
        reason = missing_part(str(error), url)
    if schema in ("http", "https"):
        return f"apprise knows no service there; a webhook of your own is json{schema[4:]}://…"
    if schema not in plugins:
        known = list(plugins.schemas())  # type: ignore[no-untyped-call]
        near = difflib.get_close_matches(schema, known, n=1, cutoff=0.75)
        hint = f'; did you mean "{near[0]}://"?' if near else ""
        return f'apprise knows no "{schema}://"{hint}'
    return (
        f"apprise refuses it{reason}; write it like {_template(schema, plugins[schema].templates)}"
    )


def missing_part(message: str, url: str) -> str:
    """The part of a URL that a plugin misses, by its own words without what was given for it."""
    match = _INVALID.match(message)
    what = match["what"] if match else ""
    given = [part for part in re.split(r"[/?&=:@\s()]+", unquote(url)) if len(part) > 3]
    if not what or any(part in what for part in given[1:]):
        return ""
    return f": its {what} is missing or malformed"


def _template(schema: str, templates: Sequence[str]) -> str:
    """Its first form, with names in place of secrets."""
    return templates[0].replace("{schema}", schema) if templates else f"{schema}://…"
