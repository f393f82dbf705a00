"""Reads prober.toml: every error at once, each with its table, key, value and what to write."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from prober.config.checks import cross_check, other_tools_rules
from prober.config.defaults import settle
from prober.config.schema import Config
from prober.config.secrets import looks_secret, may_hold_password
from prober.config.types import did_you_mean
from switch.flag import NAME

VANTAGE = "PROBER_VANTAGE"


class ConfigError(Exception):
    """The file is refused.

    Attributes:
        problems: one line for each error.
        sound: the configuration without the rows ([[provider]], [[route]], …) that have errors;
            None where an error stands in a table that the other ones lean on.
    """

    def __init__(self, problems: list[str], sound: Config | None = None) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
        self.sound = sound


def load(
    path: Path, environment: Mapping[str, str] = os.environ, *, other_tools: bool = False
) -> Config:
    """The configuration in the file at `path`. Raises ConfigError with every problem."""
    return build(read(path), str(path), environment, other_tools=other_tools)


def read(path: Path) -> dict[str, Any]:
    """The tables in the file at `path`, not checked yet. Raises ConfigError."""
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: is not UTF-8 text"]) from error
    return _tables(text, str(path))


def parse(text: str, name: str = "prober.toml", *, other_tools: bool = False) -> Config:
    """The configuration in `text`. Raises ConfigError with every problem."""
    return build(_tables(text, name), name, other_tools=other_tools)


def _tables(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        hint = "; an inline table must stay on one line" if _left_open(text, str(error)) else ""
        if "overwrite" in str(error):
            hint = "; write [[provider]], [[route]] and [[alert]] with two brackets"
        raise ConfigError([f"{name}: {error}{hint}"]) from error


def build(
    raw: dict[str, Any],
    name: str,
    environment: Mapping[str, str] = os.environ,
    *,
    other_tools: bool = False,
) -> Config:
    """The configuration that the tables make. Raises ConfigError with every problem.

    `other_tools`: their detectors' kinds are taken too, as backtest and simulate do.
    """
    problems: list[str] = []
    rows_alone = True
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        problems += [_sentence(raw, dict(details)) for details in error.errors()]
        config, rows_alone = _without_errors(raw, error)
    config = settle(_named(config, environment, problems))
    _ = config.daemon.zone  # read from disk now, and not in the middle of an event loop
    problems += cross_check(config, raw)
    if not other_tools:
        problems += other_tools_rules(config)
    if problems:
        lines = [f"{name}: {problem}" for problem in dict.fromkeys(problems)]
        raise ConfigError(lines, config if rows_alone else None)
    return config


def _left_open(text: str, error: str) -> bool:
    """Whether tomllib stopped inside an inline table at the end of a line; it does not say so."""
    match = re.search(r"at line (\d+)", error)
    lines = text.splitlines()
    line = lines[int(match[1]) - 1] if match and int(match[1]) <= len(lines) else ""
    return line.count("{") > line.count("}")


def _named(config: Config, environment: Mapping[str, str], problems: list[str]) -> Config:
    """The same file serves every vantage, so that the environment has the last word."""
    name = environment.get(VANTAGE, "")
    if not name:
        return config
    if not NAME.match(name):
        problems.append(f"{VANTAGE} = {_shown(name)}: use a-z, 0-9, - and _ only, at most 64")
    daemon = config.daemon.model_copy(update={"vantage": name})
    return config.model_copy(update={"daemon": daemon})


# -- errors as sentences ------------------------------------------------------------------


def _sentence(raw: dict[str, Any], error: dict[str, Any]) -> str:
    loc: tuple[int | str, ...] = error["loc"]
    place, key, value = _place(raw, loc)
    shown = "" if _may_be_secret(key, value) else f" = {_shown(value)}"
    match error["type"]:
        case "extra_forbidden" if len(loc) == 1:
            return f"{place}: unknown table{did_you_mean(str(loc[0]), list(Config.model_fields))}"
        case "tuple_type" if len(loc) == 1:
            return f"[{loc[0]}]: write [[{loc[0]}]], with two brackets: there can be several"
        case "extra_forbidden":
            return f"{place}: unknown key {key!r}{did_you_mean(str(loc[-1]), _fields_at(loc[:-1]))}"
        case "missing":
            return f"{place}: {key} is missing"
        case "enum" | "literal_error":
            expected = str(error.get("ctx", {}).get("expected", ""))
            choices = [word.strip("' ") for word in expected.replace(" or ", ", ").split(",")]
            near = did_you_mean(str(value), choices)
            return f"{place}: {key}{shown}: use one of {', '.join(choices)}{near}"
        case "tuple_type":
            return f'{place}: {key}{shown}: write a list: ["…"]'
        case "too_short":
            return f"{place}: {key}{shown}: name at least one"
        case "int_parsing" | "int_type":
            return f"{place}: {key}{shown}: write a whole number"
        case "value_error":
            return f"{place}: {key}{shown}: {error['ctx']['error']}"
        case _:
            return f"{place}: {key}{shown}: {error['msg'][:1].lower()}{error['msg'][1:]}"


_ABSENT = object()
_SECRET_KEYS = {"key", "url", "heartbeat", "headers"}


def _may_be_secret(key: str, value: Any) -> bool:
    """What stands where a reference belongs, or in a table of the wrong shape, stays unsaid."""
    if value is _ABSENT or isinstance(value, dict) or key == WHOLE:
        return True
    parts = value if isinstance(value, list) else [value]
    return bool(_SECRET_KEYS & set(key.split("."))) or any(_dubious(key, part) for part in parts)


def _dubious(key: str, value: Any) -> bool:
    """Whether a login may stand in it: in a URL, under its name, or by the value's looks."""
    if isinstance(value, dict):
        return True
    if not isinstance(value, str):
        return False
    url = "/" in value and ("?" in value or "@" in value or "#" in value)
    return url or may_hold_password(value) or looks_secret(key.rpartition(".")[2], value)


WHOLE = "the table"


def _place(raw: Any, loc: tuple[int | str, ...]) -> tuple[str, str, Any]:
    """('[[route]] "chat"', "detector.kind", value) for a pydantic location."""
    value: Any = raw
    words: list[str] = []
    place = ""
    for depth, step in enumerate(loc):
        if _holds(value, step):
            value = value[step]
        elif depth < len(loc) - 1 or _is_branch(step):
            continue  # the name of a union's branch, which the file does not contain
        else:
            value = _ABSENT
        if depth == 0 and isinstance(step, str):
            listed = isinstance(value, list)
            place = f"[[{step}]]" if listed else f"[{step}]" if isinstance(value, dict) else ""
            if not place:
                words.append(step)
        elif depth == 1 and isinstance(step, int):
            name = value.get("name") if isinstance(value, dict) else None
            place += f' "{name}"' if isinstance(name, str) else f" number {step + 1}"
        else:
            words.append(str(step))
    return place or "at the top", ".".join(words) or WHOLE, value


def _holds(value: Any, step: int | str) -> bool:
    if isinstance(value, dict):
        return step in value
    return isinstance(value, list) and isinstance(step, int) and step < len(value)


def _is_branch(step: int | str) -> bool:
    """pydantic names the branches of a union in a location: `bool`, `literal['if_key']`, …"""
    return isinstance(step, str) and (
        step.startswith(("literal[", "function-", "lax-")) or step in {"bool", "str", "SecretRef"}
    )


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"


def _fields_at(loc: tuple[int | str, ...]) -> list[str]:
    """The keys that the table at `loc` may have."""
    model: type[BaseModel] = Config
    for step in loc:
        field = model.model_fields.get(step) if isinstance(step, str) else None
        if field is None:
            continue
        inner = next(_models(field.annotation), None)
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (tuple, list, dict, Union, UnionType, Annotated):
        for part in get_args(annotation):
            yield from _models(part)


def _without_errors(raw: dict[str, Any], error: ValidationError) -> tuple[Config, bool]:
    """What is left when every table with an error is taken out: it can still be checked.

    And whether only rows had to go, of which there are several.
    """
    bad = {tuple(details["loc"][:2]) for details in error.errors()}
    kept: dict[str, Any] = {}
    for key, value in raw.items():
        if isinstance(value, list):
            kept[key] = [item for at, item in enumerate(value) if (key, at) not in bad]
        elif not any(place[0] == key for place in bad):
            kept[key] = value
    rows_alone = all(len(place) == 2 and isinstance(place[1], int) for place in bad)
    try:
        return Config.model_validate(kept), rows_alone
    except ValidationError:
        return Config(), False


# -- the whole configuration, written out -------------------------------------------------


def effective(config: Config) -> str:
    """The configuration with every default, as TOML that reads back to the same Config."""
    dumped = config.model_dump(mode="json", exclude_none=True)
    lines: list[str] = []
    for key, value in dumped.items():
        if isinstance(value, dict):
            lines += [f"[{key}]", *_lines(value), ""]
        for item in value if isinstance(value, list) else []:
            lines += [f"[[{key}]]", *_lines(item), ""]
    return "\n".join(lines)


def _lines(table: dict[str, Any]) -> list[str]:
    return [f"{key} = {_toml(value)}" for key, value in table.items()]


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{_key(key)} = {_toml(part)}" for key, part in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(part) for part in value) + "]"
    # A JSON string, number or boolean is a TOML one.
    return json.dumps(value, ensure_ascii=False)


def _key(key: str) -> str:
    plain = key.replace("-", "").replace("_", "").isalnum() and key.isascii()
    return key if plain else json.dumps(key)
