"""What `prober check --online` tries: Redis, SQL, keys. Nothing is sent to people."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redis.exceptions import AuthenticationError, NoPermissionError, RedisError
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from prober.history.store.schema import Version, open_engine, version
from prober.probing.credentials import CredentialsError
from prober.probing.network import Network, received
from prober.probing.transport_errors import TROUBLE, translate
from prober.providers import ADAPTERS
from switch.connect import connect_async
from switch.flag import installation_key

if TYPE_CHECKING:
    from prober.config.schema import Config, Provider
    from prober.probing.plans import Plan, Resolved

TIMEOUT_S = 10.0
MAX_BYTES = 8_000_000


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of one try. Attributes: fine: None: it was not tried. said: and what to do."""

    what: str
    fine: bool | None
    said: str

    @property
    def line(self) -> str:
        state = {True: "fine", False: "NOT fine", None: "not tried"}[self.fine]
        return f"{self.what}: {state}: {self.said}"


async def tried(config: Config, resolved: Resolved, redis_url: str) -> list[Tried]:
    """Everything, side by side. `redis_url`: empty where the embedded server is not running."""
    scrub = resolved.scrub
    async with Network(config.network.ca_file) as network:
        others = await asyncio.gather(
            _bounded("redis", redis(redis_url, config.redis.namespace, scrub)),
            _bounded("database", asyncio.to_thread(database, resolved.database_url, scrub)),
            *(
                _bounded(f"provider {name}", key(_provider(config, name), plan, network))
                for name, plan in resolved.plans.items()
            ),
        )
    channels = [
        Tried(f"alert {name}", None, f"nothing was sent; try: prober alert test {name}")
        for name in resolved.alert_urls
    ]
    return [*others, *channels]


def _provider(config: Config, name: str) -> Provider:
    provider = config.find_provider(name)
    assert provider is not None
    return provider


async def _bounded(what: str, trying: Any) -> Tried:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            fine, sentence = await trying
    except TimeoutError:
        fine, sentence = False, f"no answer in {TIMEOUT_S:g} s"
    return Tried(what, fine, sentence)


# -- Redis -----------------------------------------------------------------------------------------


def _commands(namespace: str) -> list[tuple[Any, ...]]:
    """One harmless call of each command that the daemon needs; deploy/redis.acl lists them.

    A pair of braces, as around a route's name: the ACL covers such keys, and no route has these.
    """
    key, channel = f"{namespace}:{{check}}:tried", f"{namespace}:{{check}}:changed"
    hash, stream = f"{key}:hash", f"{key}:stream"
    return [
        ("TIME",),
        ("INFO", "replication"),
        ("SET", key, "1", "PX", 10_000),
        ("GET", key),
        ("GET", installation_key(namespace)),
        ("PEXPIRE", key, 10_000),
        ("HSET", hash, "a", "1"),
        ("HSETNX", hash, "a", "1"),
        ("HGET", hash, "a"),
        ("HMGET", hash, "a"),
        ("HGETALL", hash),
        ("HKEYS", hash),
        ("HEXISTS", hash, "a"),
        ("HDEL", hash, "a"),
        ("XADD", stream, "MAXLEN", 1, "*", "a", "1"),
        ("XREVRANGE", stream, "+", "-", "COUNT", 1),
        ("XREAD", "COUNT", 1, "STREAMS", stream, "0"),
        ("XINFO", "STREAM", stream),
        ("SCRIPT", "LOAD", "return 1"),
        ("EVAL", "return 1", 1, key),
        ("PUBLISH", channel, ""),
        ("WAIT", 0, 1),
        ("DEL", key, hash, stream),
    ]


async def redis(url: str, namespace: str, scrub: Callable[[str], str]) -> tuple[bool | None, str]:
    """Connects, logs in, and calls every command once, on keys of no route."""
    if not url:
        return None, "the embedded server is not running; `prober run` starts it"
    client = connect_async(url, timeout_s=2.0)
    lacking: list[str] = []
    try:
        for command in _commands(namespace):
            try:
                await client.execute_command(*command)  # type: ignore[no-untyped-call]
            except NoPermissionError:
                sub = f"|{command[1].lower()}" if command[0] in ("SCRIPT", "XINFO") else ""
                right = f"+{command[0].lower()}{sub}"
                foreign = command[1:] == (installation_key(namespace),)
                lacking.append(f"~{command[1]}" if foreign and "+get" not in lacking else right)
    except AuthenticationError:
        return False, "it refuses the user or the password that [redis].url points at"
    except (RedisError, OSError) as error:
        return False, f"{scrub(' '.join(str(error).split()))[:200]}; see [redis].url"
    finally:
        await client.aclose()
    if lacking:
        return False, f"its user lacks {' '.join(dict.fromkeys(lacking))}; see deploy/redis.acl"
    return True, "it can be written, and every command is allowed"


# -- SQL -------------------------------------------------------------------------------------------


def database(url: str, scrub: Callable[[str], str]) -> tuple[bool, str]:
    """Connects, and reads the schema's version. Makes no file. Blocks."""
    parsed = make_url(url)
    sqlite = parsed.get_backend_name() == "sqlite"
    if sqlite and not Path(parsed.database or "").exists():
        return True, "there is no file yet; `prober run` makes it"
    try:
        engine = open_engine(url)
        try:
            stands = version(engine)
        finally:
            engine.dispose()
    except (SQLAlchemyError, ImportError, ValueError) as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        return False, f"{scrub(reason)}; see [database].url"
    match stands:
        case Version.OLD:
            return False, "its schema is older than this Prober; run: prober db upgrade"
        case Version.NEWER:
            return False, "a newer Prober made it; install that version, or restore a backup"
        case Version.EMPTY:
            return True, "it is empty; `prober run` makes the schema"
        case Version.CURRENT:
            return True, "its schema is current"


# -- providers -------------------------------------------------------------------------------------


async def key(provider: Provider, plan: Plan, network: Network) -> tuple[bool | None, str]:
    """Asks for the list of models, which costs nothing."""
    probe = f"try: prober probe {provider.name}"
    catalogue = ADAPTERS[plan.api].catalogue
    if catalogue is None or provider.preset == "openrouter":  # whose list is open to all
        return None, f"there is no free call that needs the key; {probe}"
    try:
        request = await plan.signed(catalogue.build(plan.target))
        async with (
            network.client() as client,
            client.stream(
                request.method, request.url, headers=request.headers, content=request.body
            ) as response,
        ):
            body = bytearray()
            async for data in received(response):
                body += data
                if len(body) > MAX_BYTES:
                    break
    except CredentialsError as error:
        return False, str(error)
    except TROUBLE as error:
        return False, translate(error, answered=False)[1]
    listing = catalogue.listing(response.status_code, bytes(body), plan.target.model)
    if response.status_code in (401, 403):
        return False, (
            f"HTTP {response.status_code}: the key is refused; put a valid one where "
            "[[provider]].key points"
        )
    if listing.found is None:
        return None, f"its list of models answers HTTP {response.status_code}; {probe}"
    if sentence := listing.sentence(plan.target.model):
        return listing.found, f"{sentence}; {probe}"
    whose = "the key is taken, and " if plan.target.key else ""
    return True, f"{whose}{plan.target.model} is in the list of models"
