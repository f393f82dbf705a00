"""Whom to ask, what and how: prober.toml's [canary], [[provider]] and [[outcome]]."""

from __future__ import annotations

import re
from datetime import timedelta
from ipaddress import ip_address
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import regex
from pydantic import BeforeValidator, Field, field_validator

from prober.canary import MISSING, TOKENS, Asking, CanaryKind, Expect
from prober.config.secrets import Secret, SecretRef, credential_in, looks_secret
from prober.config.types import Duration, Name, Table, check_port, longer_than_nothing
from prober.config.vendors import Preset, vendors
from prober.sample import Outcome

# No extra_body replaces these: a canary that asks something else, or all at once, proves nothing.
OWN = frozenset({"stream", "messages", "contents", "input"})

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_HEADER_VALUE = re.compile(r"([!-~]([\t -~]*[!-~])?)?\Z")


def unsendable(value: str) -> str:
    """Why HTTP cannot carry a value in a header; empty when it can. Does not repeat the value."""
    if _HEADER_VALUE.match(value):
        return ""
    if "\n" in value or "\r" in value:
        return "holds a line break, which no header can carry"
    if not value.isascii():
        return "holds a letter beyond ASCII, which no header can carry"
    return "begins or ends with a space, or holds a control character, which no header can carry"


def _enabled(value: Any) -> Any:
    if value is True or value is False or value == "if_key":
        return value
    raise ValueError('write true, false or "if_key"')


Enabled = Annotated[Any, BeforeValidator(_enabled)]


class Expected(Table):
    """What the answer to a custom prompt must show; every key given must hold."""

    contains: str = ""
    regex: str = ""
    path: str = ""
    equals: Any = None

    @field_validator("regex")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            regex.compile(value)
        except regex.error as error:
            raise ValueError(f"is no regular expression: {error}") from None
        return value

    @field_validator("path")
    @classmethod
    def _steps(cls, value: str) -> str:
        if value and "" in value.split("."):
            raise ValueError('has an empty step; write it like "items.0.city"')
        return value


class CanarySettings(Table):
    interval: Duration = timedelta(seconds=30)
    suspect_interval: Duration = timedelta(seconds=3)
    first_text_timeout: Duration = timedelta(seconds=8)
    timeout: Duration = timedelta(seconds=20)
    kind: CanaryKind = CanaryKind.ECHO
    prompt: str = ""
    expect: Expected = Expected()
    max_tokens: int | None = Field(None, ge=1)
    effort: str | None = None
    max_bytes: int = Field(1_000_000, ge=1_000)
    daily_budget_usd: float = Field(1.0, gt=0)

    @field_validator("interval", "suspect_interval", "first_text_timeout", "timeout")
    @classmethod
    def _positive(cls, value: timedelta) -> timedelta:
        return longer_than_nothing(value)

    @property
    def asking(self) -> Asking:
        wanted = self.expect
        equals = MISSING if wanted.equals is None else wanted.equals
        expect = Expect(wanted.contains, wanted.regex, wanted.path, equals)
        return Asking(self.kind, self.prompt, expect)


class Price(Table):
    """USD per million tokens."""

    input: float = Field(0.0, ge=0)
    output: float = Field(0.0, ge=0)


NO_PRESET = Preset(name="none", base_url="", max_tokens_field="")

# Where a provider is called: what may differ by place for a `regional_endpoint`.
ADDRESS = ("base_url", "region", "location")


class Provider(Table):
    name: Name
    vendor: str = ""
    api: Literal[
        "anthropic", "openai", "openai-responses", "gemini", "mistral", "ollama", "azure-openai",
        "bedrock", "vertex",
    ]  # fmt: skip
    preset: Literal[
        "vllm", "localai", "llamacpp", "openrouter", "portkey", "helicone", "litellm"
    ] | None = None  # fmt: skip
    model: str = Field(min_length=1)
    key: Secret | None = None
    account: Literal["shared", "own"] = "shared"
    enabled: Enabled = True
    failure_domains: tuple[str, ...] = ()
    residency: tuple[str, ...] = ()
    price: Price = Price()
    base_url: str = ""
    regional_endpoint: bool = False
    headers: dict[str, str | SecretRef] = Field(default_factory=dict)
    max_tokens_field: Literal["max_completion_tokens", "max_tokens"] | None = None
    stream_options: bool = True
    extra_body: dict[str, Any] = Field(default_factory=dict)
    connection: Literal["reuse", "fresh"] = "reuse"
    api_version: str = ""
    region: str = ""
    project: str = ""
    location: str = ""
    canary: CanarySettings = CanarySettings()

    @field_validator("base_url")
    @classmethod
    def _http(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        try:
            parts = urlsplit(value)
        except ValueError:
            raise ValueError("is no URL") from None
        if "@" in parts.netloc:
            raise ValueError("must not hold a password; give it by reference in headers")
        if value and not parts.hostname:
            raise ValueError("names no host")
        check_port(value)
        if parts.query or parts.fragment:
            raise ValueError("ends before ? and #; what a gateway wants to know goes in headers")
        return value.rstrip("/")

    @field_validator("headers")
    @classmethod
    def _sendable(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name, content in value.items():
            if not _HEADER_NAME.match(name):
                raise ValueError(f"{name!r} cannot be a header's name; use letters, digits and -")
            if isinstance(content, str) and (why := unsendable(content)):
                raise ValueError(f"{name} {why}")
        return value

    @field_validator("headers")
    @classmethod
    def _no_literal_credential(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name, content in value.items():
            if isinstance(content, str) and content and looks_secret(name, content):
                wanted = f'headers = {{ {name} = {{ env = "NAME" }} }}'
                raise ValueError(f"{name} looks like a credential; give it by reference: {wanted}")
        return value

    @field_validator("extra_body")
    @classmethod
    def _no_credential(cls, value: dict[str, Any]) -> dict[str, Any]:
        if name := credential_in(value):
            raise ValueError(f"{name} looks like a credential; give it by reference in headers")
        if own := OWN.intersection(value):
            name = min(own)
            raise ValueError(f"{name} is the canary's own; it asks and streams by itself")
        return value

    @property
    def url(self) -> str:
        """The base URL as it means in the API's official SDK; empty when nobody said it."""
        if self.base_url:
            return self.base_url
        if self.preset:
            return self.quirks.base_url
        return vendors().find_api(self.api).url(self.region, self.location)

    @property
    def on_loopback(self) -> bool:
        """Whether the provider runs on this very machine."""
        host = self.host
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    @property
    def domains(self) -> frozenset[str]:
        """What fails together with the provider: what it names itself, and its key."""
        key = {f"key:{self.key}"} if self.key else set()
        return frozenset({*self.failure_domains, *key})

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def tokens_field(self) -> str:
        """How this server calls the bound on an answer's length."""
        return self.max_tokens_field or self.quirks.max_tokens_field or "max_completion_tokens"

    @property
    def quirks(self) -> Preset:
        return vendors().find_preset(self.preset) if self.preset else NO_PRESET

    @property
    def max_tokens(self) -> int:
        """What one answer may spend: what is said, or what kind and family need."""
        if self.canary.max_tokens is not None:
            return self.canary.max_tokens
        least = vendors().max_tokens(self.api, self.model, self.canary.effort)
        return max(TOKENS[self.canary.kind], least)

    @property
    def worst_cost_usd(self) -> float:
        """What one canary can cost at the most: its prompt and every allowed token."""
        prompt = self.canary.asking.prompt_tokens
        return (prompt * self.price.input + self.max_tokens * self.price.output) / 1e6


class OutcomeRule(Table):
    """One more row of the outcome table, tried before the built-in ones: docs/providers.md."""

    outcome: Outcome
    api: str = ""
    provider: Name | None = None
    status: int | None = Field(None, ge=100, le=599)
    code: str | None = None
    says: str | None = None
