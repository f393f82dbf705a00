"""`--set route.chat.objectives.availability=0.995`: a configuration with some keys changed."""

from __future__ import annotations

import copy
import os
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from prober.config.loader import ConfigError, build
from prober.config.schema import Config, DetectorSettings
from prober.config.types import DetectorKind, did_you_mean

# Tables of which there are several: the second step of a key is a name.
NAMED = ("provider", "route", "alert")
SAID = "with --set"
# What a preset leaves as it was said: it is the route's own, whatever the rule.
KEPT = ("flip_bad_share",)


def changed(
    raw: dict[str, Any],
    route: str,
    *,
    detector: str | None = None,
    sets: Sequence[str] = (),
    environment: Mapping[str, str] = os.environ,
) -> Config:
    """The configuration of `raw` with other settings; `raw` stays as it is.

    Args:
        raw: the file's tables, as `configfile.read` gives them.
        route: whose detector is replaced.
        detector: a kind, like "calm"; dials of another detector do not stay.
        sets: KEY=VALUE, the value as in TOML; a word needs no quotes.

    Raises ConfigError with the sentences a file with these settings would be refused with.
    """
    tables = copy.deepcopy(raw)
    if detector is not None:
        _preset(tables, route, detector)
    for setting in sets:
        key, equals, value = setting.partition("=")
        if not equals or not key.strip():
            raise ConfigError(
                [f"--set {setting}: write KEY=VALUE, like route.{route}.detector.evidence=9"]
            )
        _put(tables, key.strip(), _value(value.strip()))
    name = SAID if sets else f"with --detector {detector}"
    return build(tables, name, environment, other_tools=True)


def _preset(tables: dict[str, Any], route: str, kind: str) -> None:
    kinds = [known.value for known in DetectorKind]
    if kind not in kinds:
        raise ConfigError(
            [f'--detector "{kind}": use one of {", ".join(kinds)}{did_you_mean(kind, kinds)}']
        )
    table = _of_name(tables, "route", route, f"--detector {kind}")
    kept = {key: table["detector"][key] for key in KEPT if key in table.get("detector", {})}
    table["detector"] = {"kind": kind, **_plain(), **kept}


def _plain() -> dict[str, Any]:
    """A detector as nobody has touched it: not even [defaults.detector] shines through."""
    whole = DetectorSettings().model_dump(mode="json", exclude_none=True)
    return {key: value for key, value in whole.items() if key != "kind"}


def _put(tables: dict[str, Any], path: str, value: Any) -> None:
    steps = path.split(".")
    if "" in steps:
        raise ConfigError([f"--set {path}: an empty step; write it like route.chat.mode"])
    place, rest = tables, steps
    if steps[0] in NAMED:
        if len(steps) < 3:
            raise ConfigError([f"--set {path}: name the {steps[0]} and a key of it"])
        place, rest = _of_name(tables, steps[0], steps[1], f"--set {path}"), steps[2:]
    for step in rest[:-1]:
        inner = place.setdefault(step, {})
        if not isinstance(inner, dict):
            raise ConfigError([f"--set {path}: {step} is no table here"])
        place = inner
    place[rest[-1]] = value


def _of_name(tables: dict[str, Any], kind: str, name: str, option: str) -> dict[str, Any]:
    rows: list[dict[str, Any]] = tables.get(kind, [])
    table = next((row for row in rows if row.get("name") == name), None)
    if table is None:
        names = [str(row.get("name")) for row in rows]
        near = did_you_mean(name, names) or f"; there are: {', '.join(names) or 'none'}"
        raise ConfigError([f"{option}: no [[{kind}]] {name!r}{near}"])
    return table


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text  # a word, as a shell leaves it: 45s, auto
