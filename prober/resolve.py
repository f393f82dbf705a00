"""From a configuration to what can be used: secrets read, plans made, paths placed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import ssl
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl

import httpx
from sqlalchemy import make_url

from prober.config import Config, Provider
from prober.config_provider import unsendable
from prober.credentials import Authorize, authorizer, missing_extra
from prober.probe import Plan
from prober.providers.base import Target, merged
from prober.providers.outcomes import Rule
from prober.proxy import named_proxies, proxy_problems
from prober.scrub import LONG, Scrubber
from prober.secret import Given, MissingSecretError, SecretRef, reveal
from switch.connect import connect

REDIS_SCHEMES = ("redis://", "rediss://", "unix://", "redis+sentinel://")
DATABASE_SCHEMES = ("sqlite:///", "postgresql+psycopg://")

# Where deploy/prober.service keeps its state.
SERVICE_STATE = Path("/var/lib/prober")


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


def state_dir(config: Config, environment: Mapping[str, str] = os.environ) -> Path:
    """Where this host's records stand: systemd's STATE_DIRECTORY, the configuration, or XDG."""
    if config.daemon.state_dir:
        return Path(config.daemon.state_dir).expanduser().absolute()
    if systemd := environment.get("STATE_DIRECTORY"):
        return Path(systemd.split(":")[0])
    if os.access(SERVICE_STATE, os.W_OK):
        return SERVICE_STATE  # the service's own user, or root, at a shell
    base = environment.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "prober"


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
            for what, said in (("key", key), *((f"headers.{n}", v) for n, v in headers.items()))
            if (why := unsendable(said))
        ]
        if provider.name not in shut and (lacking := missing_extra(provider)):
            problems.append(f'[[provider]] "{provider.name}": {lacking}')
        elif provider.name not in shut:
            rules = config.rules_of(provider)
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
    rules: tuple[Rule, ...],
    authorize: Authorize | None,
) -> Plan:
    canary, quirks = provider.canary, provider.quirks
    body = merged(merged(quirks.extra_body, provider.reasoning.body), provider.extra_body)
    target = Target(
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


def _fingerprint(provider: Provider, target: Target) -> str:
    """Of what a canary says and to whom; a secret counts by where it stands."""
    canary = provider.canary
    said = [
        *(provider.api, provider.max_tokens, canary.kind, canary.prompt, repr(canary.expect)),
        *(provider.preset, str(provider.key)),
        sorted((name, str(v)) for name, v in provider.headers.items()),
        {**asdict(target), "key": "", "headers": {}},
    ]
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()[:16]


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
        yield from (said for name, said in parse_qsl(place.partition("?")[2]) if "passw" in name)


def _pieces(url: str) -> list[str]:
    """The long parts of a URL: what lets one in stands there as often as in a password."""
    parts = re.split(r"[/?&=:@#]+", url)
    return [part for part in parts if len(part) >= LONG and "." not in part]
