"""What one table of prober.toml cannot know of another: refusals, and warnings of the unwise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from prober.canary import CanaryKind
from prober.config.costs import BASE_SHARE, PROOFS_A_DAY, daily_cost_usd, least_budget_usd
from prober.config.objectives import Objective, objectives_of
from prober.config.schema import CanarySettings, Config, Expected, Provider, Route
from prober.config.types import OTHER_TOOLS, DetectorKind, did_you_mean
from prober.config.vendors import vendors
from prober.sample import Outcome
from switch.flag import Mode


def cross_check(config: Config, raw: dict[str, Any]) -> list[str]:
    """One line for each thing that makes the configuration refused.

    `raw` is the file as read: names count even where their own table has errors.
    """
    return [
        *_names(raw),
        *_references(raw),
        *_vantages(config),
        *(line for provider in config.provider for line in _provider(config, provider)),
        *(line for route in config.route for line in _route(route)),
        *_outcomes(config, raw),
        *_maintenance(config, raw),
    ]


def other_tools_rules(config: Config) -> Iterator[str]:
    """One line for each detector of another tool, which the daemon does not go by."""
    for route in config.route:
        detectors = {"detector": route.detector}
        for name in ("ttft", "total", "tokens_per_s"):
            limit = getattr(route.objectives, name)
            if limit is not None and limit.detector is not None:
                detectors[f"objectives.{name}.detector"] = limit.detector
        for key, detector in detectors.items():
            if detector.kind in OTHER_TOOLS:
                ours = ", ".join(kind.value for kind in DetectorKind if kind not in OTHER_TOOLS)
                yield (
                    f'[[route]] "{route.name}": {key}.kind = "{detector.kind}" is another tool\'s '
                    f"rule, for backtest and simulate alone; write one of {ours}"
                )


def _raw_names(raw: dict[str, Any], table: str) -> list[str]:
    rows = raw.get(table)
    return [
        row["name"]
        for row in (rows if isinstance(rows, list) else [])
        if isinstance(row, dict) and isinstance(row.get("name"), str)
    ]


def _names(raw: dict[str, Any]) -> Iterator[str]:
    for table in ("provider", "route", "alert"):
        for name, count in Counter(_raw_names(raw, table)).items():
            if count > 1:
                yield f'[[{table}]] "{name}": the name is given {count} times; names must differ'


def _references(raw: dict[str, Any]) -> Iterator[str]:
    providers, routes = _raw_names(raw, "provider"), _raw_names(raw, "route")
    for place, candidates in _raw_lists(raw, "route", "candidates"):
        for name in dict.fromkeys(candidates):
            if name not in providers:
                yield f"{place}: candidates names no [[provider]] {name!r}{_near(name, providers)}"
        for name, count in Counter(candidates).items():
            if count > 1:
                yield f"{place}: candidates names {name!r} {count} times"
    for place, wanted in _raw_lists(raw, "alert", "routes"):
        for name in wanted:
            if name not in routes:
                yield f"{place}: routes names no [[route]] {name!r}{_near(name, routes)}"


def _outcomes(config: Config, raw: dict[str, Any]) -> Iterator[str]:
    providers = _raw_names(raw, "provider")
    for number, row in enumerate(config.outcome, 1):
        place = f"[[outcome]] number {number}"
        apis = [api.name for api in vendors().api]
        if row.api and row.api not in apis:
            yield f"{place}: api names no wire API {row.api!r}{_near(row.api, apis)}"
        if row.provider and row.provider not in providers:
            near = _near(row.provider, providers)
            yield f"{place}: provider names no [[provider]] {row.provider!r}{near}"
        if row.status is None and not row.code and not row.says:
            yield f"{place}: needs status, code or says, else it would rename every error"
        if row.outcome is Outcome.OK:
            yield f'{place}: outcome = "ok": an error cannot be made a success'


def _maintenance(config: Config, raw: dict[str, Any]) -> Iterator[str]:
    for row in config.maintenance:
        for table, name in (("provider", row.provider), ("route", row.route)):
            known = _raw_names(raw, table)
            if name is not None and name not in known:
                place = f'[[maintenance]] "{row.name}"'
                yield f"{place}: {table} names no [[{table}]] {name!r}{_near(name, known)}"


def _raw_lists(raw: dict[str, Any], table: str, key: str) -> Iterator[tuple[str, list[str]]]:
    """(place, the strings listed under `key`) of each row, whatever else is wrong with it."""
    rows = raw.get(table)
    for number, row in enumerate(rows if isinstance(rows, list) else [], 1):
        if isinstance(row, dict) and isinstance(row.get(key), list):
            name = row.get("name")
            place = f'[[{table}]] "{name}"' if isinstance(name, str) else f"[[{table}]] {number}"
            yield place, [item for item in row[key] if isinstance(item, str)]


def _near(word: str, choices: list[str]) -> str:
    return did_you_mean(word, choices, f"; there are: {', '.join(choices) or 'none'}")


def _vantages(config: Config) -> Iterator[str]:
    daemon = config.daemon
    count = len(daemon.vantages)
    if count and daemon.vantage not in daemon.vantages:
        yield (
            f'[daemon]: vantage = "{daemon.vantage}" is not one of vantages; '
            "set PROBER_VANTAGE on this host"
        )
    for name, times in Counter(daemon.vantages).items():
        if times > 1:
            yield f"[daemon]: vantages names {name!r} {times} times; each one votes once"
    if count and count % 2 == 0 and daemon.quorum is None:
        yield (
            f"[daemon]: {count} vantages can split evenly; write quorum = {count // 2 + 1}, "
            "or make them an odd number"
        )
    if daemon.quorum is not None and not count // 2 < daemon.quorum <= max(count, 1):
        yield f"[daemon]: quorum = {daemon.quorum} is no majority of {max(count, 1)} vantages"


def _provider(config: Config, provider: Provider) -> Iterator[str]:
    place = f'[[provider]] "{provider.name}"'
    canary = provider.canary
    if canary.suspect_interval > canary.interval:
        yield f"{place}: canary.suspect_interval must not be longer than canary.interval"
    if canary.first_text_timeout > canary.timeout:
        yield f"{place}: canary.first_text_timeout must not be longer than canary.timeout"
    yield from (f"{place}: {line}" for line in _place(provider))
    yield from (f"{place}: canary.{line}" for line in _asking(canary))
    base, needed = daily_cost_usd(config, provider)
    if needed > canary.daily_budget_usd or base > BASE_SHARE * canary.daily_budget_usd:
        least = least_budget_usd(config, provider)
        yield (
            f"{place}: canary.daily_budget_usd = {canary.daily_budget_usd:g} does not carry a "
            f"canary every {canary.interval.total_seconds():g} s plus {PROOFS_A_DAY} proofs; "
            f"allow at least {least:.2g}, or lengthen canary.interval"
        )


def _place(provider: Provider) -> Iterator[str]:
    """Where requests go, by the needs of each API."""
    if not provider.url:
        wanted = {
            "bedrock": 'region = "eu-central-1"',
            "vertex": 'location = "europe-west4" and project = "…"',
            "azure-openai": 'base_url = "https://NAME.openai.azure.com/openai/v1"',
        }
        yield f"write {wanted.get(provider.api, 'base_url')}"
    elif provider.api == "vertex" and not (provider.project and provider.location):
        yield 'vertex needs project = "…" and location = "europe-west4"'
    if provider.preset and provider.api != "openai":
        yield f'preset = "{provider.preset}" goes with api = "openai", not "{provider.api}"'
    if provider.api_version and provider.api != "azure-openai":
        yield "api_version is azure-openai's alone"


def _asking(canary: CanarySettings) -> Iterator[str]:
    expect = canary.expect
    if canary.kind is CanaryKind.CUSTOM:
        if not canary.prompt.strip():
            yield 'prompt is missing; kind = "custom" sends it after the nonce'
        if not (expect.contains or expect.regex or expect.path):
            yield 'expect is missing; say what the answer must show: { contains = "…" }'
    elif canary.prompt or expect != Expected():
        yield f'prompt and expect go with kind = "custom", not "{canary.kind}"'
    if expect.equals is not None and not expect.path:
        yield 'expect.equals needs expect.path, as in { path = "answer.city", equals = "Paris" }'


def _route(route: Route) -> Iterator[str]:
    place = f'[[route]] "{route.name}"'
    if not route.candidates:
        yield f"{place}: candidates is empty; name at least one provider"
    for objective in objectives_of(route):
        yield from (f"{place}: {line}" for line in _objective(objective))
    for name in ("ttft", "total", "tokens_per_s"):
        limit = getattr(route.objectives, name)
        if limit is None:
            continue
        wanted = "over" if name == "tokens_per_s" else "under"
        if limit.relative and wanted == "over":
            yield f"{place}: objectives.{name} cannot be relative; write over"
        elif limit.relative and limit.under is not None:
            yield f"{place}: objectives.{name} is relative; leave out under"
        elif not limit.relative and getattr(limit, wanted) is None:
            yield f"{place}: objectives.{name} needs {wanted}"


def _objective(objective: Objective) -> Iterator[str]:
    # Past this the likelihood ratio turns on its head: good canaries would count as bad.
    dials, worth_a_flip = objective.dials, objective.config.flip_bad_share
    if dials is not None and dials.p1 == worth_a_flip and dials.p0 > dials.p1 / 2 + 1e-12:
        yield (
            f"objectives.{objective.name} allows {dials.p0:.2%} bad and flip_bad_share is "
            f"{dials.p1:.2%}; flip_bad_share must be at least twice the allowed share"
        )


# -- legal, but unwise -------------------------------------------------------------------


def warnings(config: Config) -> list[str]:
    """One line for each thing that is legal and will disappoint somebody."""
    return [
        *_unwise_daemon(config),
        *(line for provider in config.provider for line in _unwise_provider(provider)),
        *(line for route in config.route for line in _unwise_route(config, route)),
    ]


def _unwise_daemon(config: Config) -> Iterator[str]:
    if len(config.daemon.vantages) == 2:
        yield "[daemon]: with two vantages either one's death stops every flip; use one or three"
    if config.daemon.several and config.redis.embedded:
        yield "[redis]: vantages vote in one Redis; each would start an embedded one of its own"
    if not config.alert:
        yield "no [[alert]]: nobody will be told of a failover"
    if not config.route:
        yield "no [[route]]: providers are watched, but no flag is kept"
    if not config.network.controls and any(not p.on_loopback for p in config.provider):
        yield (
            "[network]: no controls; without one or two addresses outside your network, "
            "connection failures count only when another provider answers"
        )
    automatic = any(route.mode is Mode.AUTO for route in config.route)
    if config.redis.embedded and automatic:
        yield "[redis]: the embedded server can be reached from this machine only"


def _unwise_provider(provider: Provider) -> Iterator[str]:
    place = f'[[provider]] "{provider.name}"'
    yield from (f"{place}: {line}" for line in _adapted(provider.canary))
    if provider.price.input == provider.price.output == 0 and not provider.on_loopback:
        yield f"{place}: no price, so the daily budget cannot hold it back"
    if provider.url.startswith("http://") and not provider.on_loopback and provider.key:
        yield f"{place}: base_url is plain http; its key travels unencrypted"
    if ending := _added_anyway(provider):
        yield f'{place}: base_url ends in "{ending}", which is added by itself; leave it out'
    if provider.api in ("openai", "openai-responses") and not urlsplit(provider.url).path:
        yield f"{place}: base_url has no path; most servers want one, as in {provider.url}/v1"


def _adapted(canary: CanarySettings) -> Iterator[str]:
    """What nobody said, and does not stand as the documentation has it for a budget's sake."""
    given, usual = canary.model_fields_set, CanarySettings()
    seconds, usd = canary.interval.total_seconds(), canary.daily_budget_usd
    if "daily_budget_usd" not in given and usd > usual.daily_budget_usd:
        yield (
            f"canaries may cost {usd:g} USD a day, for one every {seconds:g} s and "
            f"{PROOFS_A_DAY} proofs; write canary.daily_budget_usd"
        )
    elif "interval" not in given and canary.interval > max(usual.interval, canary.suspect_interval):
        yield (
            f"a canary only every {seconds:g} s, so that canary.daily_budget_usd = {usd:g} "
            "carries it; write canary.interval, or allow more"
        )


# What people copy from the documentation of an API that Prober adds by itself; the longest first.
ADDED: dict[str, tuple[str, ...]] = {
    "anthropic": ("/v1/messages", "/v1"),
    "openai": ("/chat/completions",),
    "openai-responses": ("/responses",),
    "gemini": ("/v1beta/models", "/v1beta", "/v1"),
    "mistral": ("/v1/chat/completions", "/v1"),
    "ollama": ("/api/chat", "/api", "/v1"),
    "azure-openai": ("/chat/completions",),
    "vertex": ("/v1",),
}


def _added_anyway(provider: Provider) -> str:
    endings = ADDED.get(provider.api, ())
    return next((end for end in endings if provider.url.endswith(end)), "")


def _unwise_route(config: Config, route: Route) -> Iterator[str]:
    place = f'[[route]] "{route.name}"'
    if len(route.candidates) == 1:
        yield f"{place}: one candidate; there is nothing to fail over to"
        return
    candidates = [p for name in route.candidates if (p := config.find_provider(name))]
    if route.residency:
        kept_out = [p.name for p in candidates if not set(p.residency) or
                    not set(p.residency) <= set(route.residency)]  # fmt: skip
        if kept_out:
            yield f"{place}: residency keeps out {', '.join(kept_out)}"
    domains = [p.domains for p in candidates]
    shared = frozenset.intersection(*domains) if domains else frozenset()
    if shared:
        yield f"{place}: every candidate is in failure domain {', '.join(sorted(shared))}"
    if route.failover.healthy_for < timedelta(minutes=1):
        yield f"{place}: failover.healthy_for under a minute invites flapping"


def by_choice(providers: Iterable[Provider], prefer: str) -> list[Provider]:
    """A route's candidates as its configuration ranks them: the first is the flag's home.

    Latency and quality drift, so that they rank no home.
    """
    enabled = [provider for provider in providers if provider.enabled]
    if prefer == "cost":
        enabled.sort(key=lambda provider: provider.price.input + provider.price.output)
    return enabled
