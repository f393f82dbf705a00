"""From a configuration to what can be used: secrets read, plans made, paths placed."""

from __future__ import annotations

import hashlib
import json
import re
import ssl
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import httpx
from sqlalchemy import make_url

from prober.canary import Asking
from prober.config.paths import state_dir
from prober.config.provider_schema import Price, unsendable
from prober.config.redact import LONG, Scrubber
from prober.config.secrets import Given, MissingSecretError, SecretRef, reveal
from prober.probing.credentials import Authorize, authorizer, missing_extra
from prober.probing.proxy import named_proxies, proxy_problems
from prober.providers.events import Endpoint, HttpRequest, merged
from prober.providers.outcomes import OutcomeRow, rules_of
from prober.providers.reasoning import settings
from prober.sample import Tokens
from switch.connect import connect

if TYPE_CHECKING:
    from prober.config.schema import Config, Provider

REDIS_SCHEMES = ("redis://", "rediss://", "unix://", "redis+sentinel://")
DATABASE_SCHEMES = ("sqlite:///", "postgresql+psycopg://")


@dataclass(frozen=True, slots=True)
class Plan:
    """Whom to probe, what to ask, and within what bounds.

    Attributes:
        rules: the configuration's own rows of the outcome table.
        authorize: signs each request; None where the key in `target` is enough.
        fresh: every canary opens a connection of its own.
        fingerprint: of all that is sent, and to whom, secrets by reference; empty: not known.
    """

    provider: str
    api: str
    target: Endpoint
    max_tokens: int = 16
    max_bytes: int = 1_000_000
    first_text_timeout_s: float = 8.0
    timeout_s: float = 20.0
    price: Price = field(default_factory=Price)
    asking: Asking = field(default_factory=Asking)
    rules: tuple[OutcomeRow, ...] = ()
    authorize: Authorize | None = None
    fresh: bool = False
    fingerprint: str = ""

    @property
    def worst_cost_usd(self) -> float:
        tokens = Tokens(input=self.asking.prompt_tokens, output=self.max_tokens)
        return cost_usd(tokens, self.price)

    async def signed(self, request: HttpRequest) -> HttpRequest:
        """With what proves who asks. Raises CredentialsError."""
        return await self.authorize(request) if self.authorize else request


def cost_usd(tokens: Tokens, price: Price) -> float:
    """What the tokens cost; counts that nobody gave are free."""
    return ((tokens.input or 0) * price.input + (tokens.output or 0) * price.output) / 1e6


@dataclass(frozen=True)
class Resolved:
    """Everything a configuration points at.

    Attributes:
        shut: provider -> why it cannot be probed.
        problems: missing secrets; each one stops the start.
        redis_url: empty for the embedded server.
    """

    plans: dict[str, Plan]
    shut: dict[str, str]
    alert_urls: dict[str, str] = field(repr=False)
    redis_url: str = field(repr=False)
    database_url: str = field(repr=False)
    heartbeat_url: str = field(repr=False)
    scrub: Scrubber = field(repr=False)
    problems: list[str] = field(default_factory=list)


def resolve(config: Config, given: Given | None = None) -> Resolved:
    """Reads every secret the configuration names. Raises nothing; see `problems`.

    Args:
        given: where secrets come from; else this process's own environment and credentials.
    """
    given = given or Given()
    problems: list[str] = []
    secrets: list[str] = []

    def take(place: str, value: str | SecretRef | None) -> str:
        if value is None:
            return ""
        try:
            text = reveal(value, given)
        except MissingSecretError as error:
            problems.append(f"{place}: {error}{error.advice}")
            return ""
        if isinstance(value, SecretRef):
            secrets.append(text)
        return text

    plans: dict[str, Plan] = {}
    shut: dict[str, str] = {}
    scrub = Scrubber()
    ca_file = config.network.ca_file
    if ca_file and (why := _no_certificates(Path(ca_file).expanduser())):
        problems.append(f'[network]: ca_file = "{ca_file}": {why}')
    problems += proxy_problems(given.environment)
    for provider in config.provider:
        key = _key(provider, given, shut, problems)
        if key:
            secrets.append(key)
        headers = {
            name: take(f'[[provider]] "{provider.name}": headers.{name}', value)
            for name, value in provider.headers.items()
        }
        problems += [
            f'[[provider]] "{provider.name}": {what}: what it names {why}'
            for what, content in (("key", key), *((f"headers.{n}", v) for n, v in headers.items()))
            if (why := unsendable(content))
        ]
        if provider.name not in shut and (lacking := missing_extra(provider)):
            problems.append(f'[[provider]] "{provider.name}": {lacking}')
        elif provider.name not in shut:
            rules = rules_of(config.outcome, provider.name)
            authorize = authorizer(provider, scrub.learn, ca_file)
            plans[provider.name] = _plan(provider, key, headers, rules, authorize)
    alerts = {alert.name: take(f'[[alert]] "{alert.name}": url', alert.url)
              for alert in config.alert}  # fmt: skip
    redis_url = "" if config.redis.embedded else take("[redis]: url", config.redis.url)
    database = take("[database]: url", config.database.url)
    heartbeat = take("[daemon]: heartbeat", config.daemon.heartbeat)
    if redis_url and not redis_url.startswith(REDIS_SCHEMES):
        problems.append(f"[redis]: url must begin with one of {', '.join(REDIS_SCHEMES)}")
    if database and not database.startswith(DATABASE_SCHEMES):
        problems.append(f"[database]: url must begin with one of {', '.join(DATABASE_SCHEMES)}")
    problems += _unreadable(redis_url, heartbeat)
    private = [*alerts.values(), heartbeat]
    proxies = named_proxies(given.environment)
    scrub.know([*secrets, *_passwords([redis_url, database, *private, *proxies])])
    scrub.know(piece for url in private for piece in _pieces(url))
    return Resolved(
        plans=plans,
        shut=shut,
        alert_urls=alerts,
        redis_url=redis_url,
        database_url=_placed(database, state_dir(config, given.environment)),
        heartbeat_url=heartbeat,
        scrub=scrub,
        problems=problems,
    )


def _no_certificates(path: Path) -> str:
    """What is wrong with a file of certificates; empty when they can be read."""
    if not path.is_file():
        return "no such file"
    try:
        ssl.create_default_context(cafile=str(path))
    except ssl.SSLError:
        return "holds no certificates in PEM"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return ""


def _key(provider: Provider, given: Given, shut: dict[str, str], problems: list[str]) -> str:
    if provider.enabled is False:
        shut[provider.name] = "disabled in the configuration"
        return ""
    if provider.key is None:
        if provider.enabled == "if_key":
            shut[provider.name] = "no key is configured"
        return ""
    try:
        return given.read(provider.key)
    except MissingSecretError as error:
        if provider.enabled == "if_key":
            shut[provider.name] = f"no key: {error}"
        else:
            problems.append(f'[[provider]] "{provider.name}": key: {error}{error.advice}')
        return ""


def _plan(
    provider: Provider,
    key: str,
    headers: dict[str, str],
    rules: tuple[OutcomeRow, ...],
    authorize: Authorize | None,
) -> Plan:
    canary, quirks = provider.canary, provider.quirks
    reasoning = settings(provider.api, provider.model, provider.canary.effort, quirks.effort_table)
    body = merged(merged(quirks.extra_body, reasoning.body), provider.extra_body)
    target = Endpoint(
        base_url=provider.url,
        model=provider.model,
        key=key,
        headers={**quirks.headers, **headers},
        max_tokens_field=provider.tokens_field,
        extra_body=body,
        stream_options=provider.stream_options,
        api_version=provider.api_version,
        project=provider.project,
        location=provider.location,
        region=provider.region,
    )
    return Plan(
        provider=provider.name,
        api=provider.api,
        target=target,
        max_tokens=provider.max_tokens,
        max_bytes=canary.max_bytes,
        first_text_timeout_s=canary.first_text_timeout.total_seconds(),
        timeout_s=canary.timeout.total_seconds(),
        price=provider.price,
        asking=canary.asking,
        rules=rules,
        authorize=authorize,
        fresh=provider.connection == "fresh",
        fingerprint=_fingerprint(provider, target),
    )


def _fingerprint(provider: Provider, target: Endpoint) -> str:
    """Of what a canary says and to whom; a secret counts by where it stands."""
    canary = provider.canary
    sent = [
        *(provider.api, provider.max_tokens, canary.kind, canary.prompt, repr(canary.expect)),
        *(provider.preset, str(provider.key)),
        sorted((name, str(v)) for name, v in provider.headers.items()),
        {**asdict(target), "key": "", "headers": {}},
    ]
    return hashlib.sha256(json.dumps(sent, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _placed(url: str, folder: Path) -> str:
    """A relative SQLite file stands in the state directory, wherever the daemon was started."""
    try:
        parsed = make_url(url)
    except Exception:
        return url  # refused with its own line when it is opened
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        return url
    path = folder / parsed.database
    return parsed.set(database=str(path)).render_as_string(hide_password=False)


def _unreadable(redis_url: str, heartbeat: str) -> Iterator[str]:
    """Found now: the words of whoever opens such a URL later may hold a piece of its password."""
    encoded = "with special characters of the password percent-encoded"
    if redis_url.startswith(REDIS_SCHEMES):
        try:
            connect(redis_url).close()
        except ValueError:
            wanted = "redis://[user:password@]host:port/0"
            yield f"[redis]: url cannot be read; write {wanted} {encoded}"
    try:
        scheme = httpx.URL(heartbeat).scheme if heartbeat else "https"
    except (httpx.InvalidURL, ValueError):
        scheme = ""
    if scheme not in ("http", "https"):
        yield f"[daemon]: heartbeat is no URL; write https://host/path {encoded}"


def _passwords(urls: Iterable[str]) -> Iterator[str]:
    for url in urls:
        place = url.partition("://")[2]
        yield place.rpartition("@")[0].partition(":")[2]
        yield from (value for name, value in parse_qsl(place.partition("?")[2]) if "passw" in name)


def _pieces(url: str) -> list[str]:
    """The long parts of a URL: what lets one in stands there as often as in a password."""
    parts = re.split(r"[/?&=:@#]+", url)
    return [part for part in parts if len(part) >= LONG and "." not in part]
