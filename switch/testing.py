"""Stand-ins for unit tests: FlagReader and AsyncFlagReader without Redis and threads.

reader = FakeReader({"chat": "anthropic"}, fallbacks={"chat": ["openai"]})
reader.set_primary("chat", "openai")
assert my_application(reader) == "answered by openai"
assert reader.reports == [Reported("chat", "openai", True, None)]
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from switch.cached_flag import Reading, Source
from switch.flag_cache import check, missing

if TYPE_CHECKING:
    from switch.flag import Candidate


@dataclass(frozen=True, slots=True)
class Reported:
    """One call of `report()`. `route` is the reader's only one where the call named none."""

    route: str | None
    provider: str
    ok: bool
    ttft_s: float | None


class _Fake:
    def __init__(
        self,
        primary: Mapping[str, str] | None = None,
        *,
        routes: Iterable[str] = (),
        supported: Mapping[str, Collection[str]] | None = None,
        fallbacks: Mapping[str, Iterable[str]] | None = None,
        on_change: Callable[[str, str, str], None] | None = None,
        on_unsupported: Callable[[str, str], None] | None = None,
    ) -> None:
        """A route in `routes` alone has no flag yet: its `primary()` raises NotReadyError."""
        self._primary, self._supported = dict(primary or {}), dict(supported or {})
        check(self._primary, routes, self._supported, fallbacks or {})
        self._fallbacks = {route: tuple(others) for route, others in (fallbacks or {}).items()}
        self._candidates: dict[str, tuple[Candidate, ...]] = {}
        self._names = list(
            dict.fromkeys([*self._primary, *routes, *self._supported, *self._fallbacks])
        )
        self._on_change, self._on_unsupported = on_change, on_unsupported
        self._unsupported: dict[str, str] = {}
        self._epoch = dict.fromkeys(self._names, 1)
        self._reason: dict[str, str] = {}
        self._stale: set[str] = set()
        self.reports: list[Reported] = []
        self.closed = False

    # -- what a test sets ---------------------------------------------------------------

    def set_primary(self, route: str, provider: str, reason: str = "set by the test") -> None:
        """A flip: the epoch grows, and `on_change` is called at once. Raises UnknownRouteError.

        One to a name outside `supported` moves no primary and calls `on_unsupported`.
        """
        self._check(route)
        self._reason[route] = reason
        self._epoch[route] += 1
        if not self._supports(route, provider):
            self._unsupported[route] = provider
            if self._on_unsupported:
                self._on_unsupported(route, provider)
            return
        self._unsupported.pop(route, None)
        before, self._primary[route] = self._primary.get(route, ""), provider
        if self._on_change and provider != before:
            self._on_change(route, before, provider)

    def set_fallbacks(self, route: str, *providers: str) -> None:
        self._check(route)
        self._fallbacks[route] = providers

    def set_candidates(self, route: str, *candidates: Candidate) -> None:
        self._check(route)
        self._candidates[route] = candidates

    def set_stale(self, route: str, stale: bool = True) -> None:
        """As if Redis had been away for long."""
        self._check(route)
        (self._stale.add if stale else self._stale.discard)(route)

    # -- what an application calls ------------------------------------------------------

    @property
    def routes(self) -> tuple[str, ...]:
        return tuple(self._names)

    def primary(self, route: str) -> str:
        try:
            return self._primary[route]
        except KeyError:
            raise missing(route, self._names) from None

    def fallbacks(self, route: str) -> tuple[str, ...]:
        self._check(route)
        served = self._primary.get(route)
        return tuple(
            name
            for name in self._fallbacks.get(route, ())
            if name != served and self._supports(route, name)
        )

    def candidates(self, route: str) -> tuple[Candidate, ...]:
        self._check(route)
        return self._candidates.get(route, ())

    def flag(self, route: str) -> Reading:
        self._check(route)
        stale, known = route in self._stale, route in self._primary
        return Reading(
            provider=self._primary.get(route, ""),
            epoch=self._epoch[route] if known else 0,
            reason=self._reason.get(route, ""),
            source=(Source.CACHED if stale else Source.LIVE) if known else Source.DEFAULT,
            read_age_s=3600.0 if stale else 0.0,
            checked_age_s=3600.0 if stale else 0.0,
            stale=stale or not known,
            unsupported=self._unsupported.get(route, ""),
        )

    def report(
        self, provider: str, *, ok: bool, ttft_s: float | None = None, route: str | None = None
    ) -> None:
        if route is None and len(self._names) == 1:
            route = self._names[0]
        self.reports.append(Reported(route, provider, ok, ttft_s))

    def _check(self, route: str) -> None:
        if route not in self._names:
            raise missing(route, self._names)

    def _supports(self, route: str, provider: str) -> bool:
        return provider in (self._supported.get(route) or (provider,))

    @property
    def _ready(self) -> bool:
        return all(route in self._primary for route in self._names)


class FakeReader(_Fake):
    """Stands in for `Reader`."""

    def wait_ready(self, seconds: float) -> bool:
        """At once: whether every route has a primary."""
        return self._ready

    def read_once(self) -> None:
        """Nothing to read: the test says what is."""

    def close(self) -> None:
        self.closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class FakeAsyncReader(_Fake):
    """Stands in for `AsyncReader`."""

    async def wait_ready(self, seconds: float) -> bool:
        """At once: whether every route has a primary."""
        return self._ready

    async def read_once(self) -> None:
        """Nothing to read: the test says what is."""

    def start(self) -> None:
        """Nothing to start."""

    async def close(self) -> None:
        self.closed = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
