"""What is simulated: SCENARIO.json as values, read and checked. Pure but for `load`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from prober.config import loader
from prober.config.defaults import fill_in
from prober.config.loader import ConfigError
from prober.config.schema import Config, Name
from prober.config.types import did_you_mean
from prober.sample import Outcome

ROUTE = "chat"


class ScenarioError(Exception):
    """The scenario is refused; the message is one line that names the key and what to write."""


# The descriptions are what an error tells people to write.
Seconds = Annotated[float, Field(ge=0, description="seconds, like 45")]
ShareOfOne = Annotated[float, Field(ge=0, le=1, description="a share from 0 to 1, like 0.3")]
Factor = Annotated[float, Field(gt=0, description="a factor above 0, like 3.0")]
TrueOrFalse = Annotated[bool, Field(description="true or false")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)


class Blips(_Part):
    """Spells in which every request fails, at random moments, `per_month` of 30 days."""

    per_month: float = Field(0.0, ge=0, description="how many in 30 days, like 20")
    min_s: Seconds = 5.0
    max_s: Seconds = 45.0

    @model_validator(mode="after")
    def _ordered(self) -> Blips:
        if self.max_s < self.min_s:
            raise ValueError("max_s is less than min_s: write the longer one as max_s")
        return self


class Generated(_Part):
    """A provider that is made up.

    Attributes:
        error_rate: share of requests that fail on an ordinary day.
        ttft_median_s: time to first text; its logarithm spreads by `ttft_sigma`.
        ttft_fat_tails: Student's t with 4 degrees of freedom in place of the normal one, spread
            as widely.
        drift: the median swings by this share over each day.
        traffic_rps: requests a second that applications make and report while it is the primary.
        processes: how many report them.
    """

    error_rate: ShareOfOne = 0.002
    ttft_median_s: float = Field(0.6, gt=0, description="seconds above 0, like 0.6")
    ttft_sigma: float = Field(0.4, ge=0, le=5, description="a spread from 0 to 5, like 0.4")
    ttft_fat_tails: TrueOrFalse = False
    drift: float = Field(0.0, ge=0, lt=1, description="a share from 0 to below 1, like 0.15")
    blips: Blips = Blips()
    traffic_rps: float = Field(0.0, ge=0, le=1e4, description="requests a second, like 5.0")
    processes: int = Field(4, ge=1, le=1000, description="a whole number from 1, like 4")


class Outage(_Part):
    """What a provider really suffers from `start_s` to `end_s`.

    Attributes:
        error_rate: share of requests that fail; left out: all of them, or with a latency_factor
            none but the ordinary ones.
        outcome: how they fail; `hang`: by saying nothing, until the first-text timeout.
    """

    provider: str = Field(description="the name of a provider of this scenario")
    start_s: Seconds
    end_s: Seconds
    error_rate: ShareOfOne | None = None
    latency_factor: Factor = 1.0
    outcome: Outcome = Field(
        Outcome.OVERLOADED, description='how requests fail, like "overloaded"', strict=False
    )
    hang: TrueOrFalse = False

    @property
    def failing(self) -> float:
        if self.error_rate is not None:
            return self.error_rate
        return 1.0 if self.hang or self.latency_factor == 1 else 0.0

    @model_validator(mode="after")
    def _sane(self) -> Outage:
        if self.end_s <= self.start_s:
            raise ValueError("end_s is not after start_s: write a later end_s")
        if self.outcome is Outcome.OK:
            raise ValueError('outcome = "ok" is no failure: write one like "overloaded"')
        return self


class Scenario(_Part):
    """A whole file. `providers` in the order in which a route made of them prefers them."""

    seed: int = Field(1, description="a whole number, like 1")
    duration_s: float = Field(gt=0, le=1e10, description="seconds above 0, like 86400")
    config: str | None = Field(None, description="the path of a prober.toml")
    providers: dict[Name, Generated] = Field(
        min_length=1, description='at least one provider, like {"a": {"error_rate": 0.002}}'
    )
    incidents: tuple[Outage, ...] = Field(
        (), description="a list of incidents, like []", strict=False
    )


def load(path: Path) -> tuple[Scenario, Config]:
    """The scenario in the file at `path`, and its configuration. Raises ScenarioError."""
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ScenarioError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ScenarioError(f"{path}: is not UTF-8 text") from error
    try:
        scenario = parse(text)
        return scenario, configured(scenario, path.parent)
    except ScenarioError as error:
        raise ScenarioError(f"{path}: {error}") from None


def parse(text: str) -> Scenario:
    """The scenario that `text` says, as JSON. Raises ScenarioError for the first thing wrong."""
    try:
        raw = json.loads(text, object_pairs_hook=_once_each)
    except json.JSONDecodeError as error:
        raise ScenarioError(
            f"is not JSON: {error.msg} at line {error.lineno} column {error.colno}"
        ) from None
    except (RecursionError, ValueError) as error:
        raise ScenarioError(f"is not JSON: {error}") from None
    if not isinstance(raw, dict):
        raise ScenarioError('must be a JSON object: write {"duration_s": 86400, "providers": {…}}')
    try:
        scenario = Scenario.model_validate(raw)
    except ValidationError as error:
        raise ScenarioError(_sentence(raw, dict(error.errors()[0]))) from None
    for number, incident in enumerate(scenario.incidents):
        if incident.provider not in scenario.providers:
            known = list(scenario.providers)
            raise ScenarioError(
                f'incidents[{number}].provider = "{incident.provider}": there is no such '
                f"provider{_near(incident.provider, known)}"
            )
        if incident.start_s >= scenario.duration_s:
            raise ScenarioError(
                f"incidents[{number}].start_s = {incident.start_s:.15g}: the scenario ends at "
                f"{scenario.duration_s:.15g}; write an earlier one, or a longer duration_s"
            )
    return scenario


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; of two rows with one name Python would keep the last, and say nothing."""
    table: dict[str, Any] = {}
    for key, value in pairs:
        if key in table:
            raise ScenarioError(f'"{key}" stands there twice in one object; write one of them')
        table[key] = value
    return table


def configured(scenario: Scenario, folder: Path) -> Config:
    """The configuration the scenario names, or one route that takes its providers in order.

    Raises ScenarioError.
    """
    names = list(scenario.providers)
    if not scenario.config:
        return fill_in(
            Config.model_validate(
                {
                    "provider": [{"name": n, "api": "openai", "model": "simulated"} for n in names],
                    "route": [
                        {"name": ROUTE, "candidates": names, "failover": {"failback": "auto"}}
                    ],
                }
            )
        )
    path = folder / scenario.config
    try:
        config = loader.load(path, other_tools=True)
    except ConfigError as error:
        raise ScenarioError(f'config = "{scenario.config}": {error.problems[0]}') from None
    known = [provider.name for provider in config.provider]
    for name in names:
        if name not in known:
            raise ScenarioError(
                f'providers: "{name}" is no [[provider]] of {scenario.config}{_near(name, known)}'
            )
    if not config.route:
        raise ScenarioError(f'config = "{scenario.config}": has no [[route]]; write one')
    for route in config.route:
        for name in route.candidates:
            if name not in names:
                raise ScenarioError(
                    f'providers: "{name}" is missing, a candidate of route "{route.name}" in '
                    f'{scenario.config}: write "{name}": {{"error_rate": 0.002}}'
                )
    return config


# -- errors as sentences ------------------------------------------------------------------


def _sentence(raw: Any, error: dict[str, Any]) -> str:
    loc: tuple[int | str, ...] = error["loc"]
    loc = tuple(step for step in loc if step != "[key]")
    path, value = _path(loc), _value(raw, loc)
    model, wanted = _fields(loc[:-1]), _wanted(loc)
    match error["type"]:
        case "missing":
            return f"{path} is missing: write {wanted}"
        case "extra_forbidden":
            return f"{path}: unknown key{_near(str(loc[-1]), list(model))}"
        case "value_error":
            return f"{path}: {error['ctx']['error']}"
        case "enum":
            return f"{path} = {_shown(value)}: write one of {error['ctx']['expected']}"
        case "less_than_equal" if " to " not in wanted:
            most = error["ctx"]["le"]
            return f"{path} = {_shown(value)}: write {wanted}, and at most {most:.15g}"
        case _:
            return f"{path} = {_shown(value)}: write {wanted}"


def _path(loc: tuple[int | str, ...]) -> str:
    path = ""
    for step in loc:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else str(step)
    return path


def _value(raw: Any, loc: tuple[int | str, ...]) -> Any:
    for step in loc:
        try:
            raw = raw[step]
        except (KeyError, IndexError, TypeError):
            return None
    return raw


def _wanted(loc: tuple[int | str, ...]) -> str:
    """What belongs at `loc`, in words."""
    fields, wanted = _fields(loc[:-1]), ""
    if loc and isinstance(loc[-1], str) and loc[-1] in fields:
        wanted = fields[loc[-1]]
    return wanted or 'an object, like {"error_rate": 0.002}'


def _fields(loc: tuple[int | str, ...]) -> dict[str, str]:
    """Key -> what to write there, of the object at `loc`."""
    model: type[BaseModel] | None = Scenario
    for step in loc:
        field = model.model_fields.get(str(step)) if model is not None else None
        if field is not None:
            model = next(_models(field.annotation), None)
    if model is None:
        return {}
    return {name: _said(field) for name, field in model.model_fields.items()}


def _said(field: Any) -> str:
    if field.description:
        return str(field.description)
    for part in _parts(field.annotation):
        for note in getattr(part, "__metadata__", ()):
            if getattr(note, "description", None):
                return str(note.description)
    return ""


def _parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    for part in get_args(annotation):
        yield from _parts(part)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (tuple, dict, Union, UnionType, Annotated):
        for part in get_args(annotation):
            yield from _models(part)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"


def _near(word: str, known: list[str]) -> str:
    return did_you_mean(word, known, f"; write one of {', '.join(known)}")
