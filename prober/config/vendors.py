"""What vendors' APIs, servers and models want: vendors.toml, checked when it is read."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

PLAIN_TOKENS = 16
REASONING_TOKENS = 512


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _web_address(value: str) -> str:
    if value and not value.startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://")
    return value.rstrip("/")


class Api(_Facts):
    """One wire API.

    Attributes:
        base_url: where it is called by default, perhaps with `{region}` or `{location}`; empty
            where there is no common address.
        global_url: the same for the location "global".
    """

    name: str = Field(min_length=1)
    base_url: str = ""
    global_url: str = ""

    _addresses = field_validator("base_url", "global_url")(_web_address)

    def url(self, region: str = "", location: str = "") -> str:
        """The default base URL; empty where there is none, or the place that it needs is missing.

        >>> Api(name="x", base_url="https://{region}.example").url(region="eu")
        'https://eu.example'
        """
        if location == "global" and self.global_url:
            return self.global_url
        if ("{region}" in self.base_url and not region) or (
            "{location}" in self.base_url and not location
        ):
            return ""
        return self.base_url.replace("{region}", region).replace("{location}", location)


class Preset(_Facts):
    """One server or gateway that speaks OpenAI's Chat Completions.

    Attributes:
        base_url: where it listens by default.
        health: the path of its own health check, from the server's root.
        max_tokens_field: how it calls the bound on an answer's length.
        headers: sent with each canary, below those of the configuration.
        extra_body: laid over the request's body, below that of the configuration.
        effort_table: "reasoning" where the effort of reasoning stands in a table of that name.
    """

    name: str = Field(min_length=1)
    base_url: str
    health: str = ""
    max_tokens_field: str = "max_tokens"
    headers: Mapping[str, str] = Field(default_factory=dict)
    extra_body: Mapping[str, Any] = Field(default_factory=dict)
    effort_table: str = ""

    _addresses = field_validator("base_url")(_web_address)

    def health_url(self, base_url: str) -> str:
        """Where to ask whether the server thinks itself well; empty if there is no such path."""
        parts = urlsplit(base_url)
        return f"{parts.scheme}://{parts.netloc}{self.health}" if self.health else ""


class Family(_Facts):
    """Models of one kind.

    Attributes:
        apis: the wire APIs that serve them.
        name: the pattern of their names.
        effort: the setting asked for unless the configuration names one; None: none is sent.
        reasons: whether an answer spends hidden tokens before its first visible one.
    """

    apis: tuple[str, ...] = Field(min_length=1)
    name: re.Pattern[str]
    effort: str | None = None
    reasons: bool = True

    @field_validator("name", mode="before")
    @classmethod
    def _anchored(cls, value: str) -> re.Pattern[str]:
        try:
            return re.compile(rf"(?:^|[/.]){value}", re.IGNORECASE)
        except re.error as error:
            raise ValueError(f"{value!r} is no regular expression: {error}") from None

    def has(self, api: str, model: str) -> bool:
        return api in self.apis and self.name.search(model) is not None


class Vendors(_Facts):
    """The whole file. `checked`: when somebody last compared it with its `source`."""

    checked: date
    source: str = Field(min_length=1)
    api: tuple[Api, ...]
    preset: tuple[Preset, ...]
    family: tuple[Family, ...]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for rows in (self.api, self.preset):
            names = [row.name for row in rows]
            if twice := {name for name in names if names.count(name) > 1}:
                raise ValueError(f"{min(twice)!r} stands twice")
        known = {row.name for row in self.api}
        for row in self.family:
            if unknown := set(row.apis) - known:
                raise ValueError(f"family {row.name.pattern!r}: no api is named {min(unknown)!r}")
        return self

    def find_api(self, name: str) -> Api:
        """Raises KeyError."""
        return {row.name: row for row in self.api}[name]

    def find_preset(self, name: str) -> Preset:
        """Raises KeyError."""
        return {row.name: row for row in self.preset}[name]

    def find_family(self, api: str, model: str) -> Family | None:
        return next((family for family in self.family if family.has(api, model)), None)

    def max_tokens(self, api: str, model: str, effort: str | None) -> int:
        """What an answer may spend, hidden tokens included; `effort`: as configured."""
        family = self.find_family(api, model)
        reasons = family is not None and family.reasons
        if effort is not None:
            reasons = effort not in ("none", "0")
        return REASONING_TOKENS if reasons else PLAIN_TOKENS


def parse(text: str) -> Vendors:
    """Raises ValueError that names the row and what is wrong with it."""
    return Vendors.model_validate(tomllib.loads(text))


@cache
def vendors() -> Vendors:
    """What comes with this version. Read once, checked whole."""
    return parse(files("prober.config").joinpath("vendors.toml").read_text("utf-8"))
