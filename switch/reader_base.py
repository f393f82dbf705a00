"""What both readers answer the application from memory, whoever keeps that memory fresh."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from switch.cached_flag import Reading
    from switch.flag import Candidate
    from switch.flag_cache import FlagCache
    from switch.reports import ReportTally


class ReaderBase:
    """The part of Reader and AsyncReader that waits for nothing."""

    _routes: FlagCache
    _tally: ReportTally | None

    @property
    def routes(self) -> tuple[str, ...]:
        """The routes it was built for."""
        return tuple(self._routes.keys)

    def primary(self, route: str) -> str:
        """The provider to call now. Raises UnknownRouteError, or NotReadyError."""
        return self._routes.primary(route)

    def fallbacks(self, route: str) -> tuple[str, ...]:
        """Who may be tried after the primary now, in the route's order. Raises UnknownRouteError.

        The application's own `fallbacks` while the daemon's list has never been read.
        """
        return self._routes.fallbacks(route)

    def candidates(self, route: str) -> tuple[Candidate, ...]:
        """All of the route's providers, with model and address. Raises UnknownRouteError."""
        return self._routes.candidates(route)

    def flag(self, route: str) -> Reading:
        """The primary with epoch, reason, source and ages. Raises UnknownRouteError."""
        return self._routes.flag(route)

    def report(
        self, provider: str, *, ok: bool, ttft_s: float | None = None, route: str | None = None
    ) -> None:
        """Counts how a call to `provider` went. Never waits, never raises for what it is given.

        Args:
            ok: the provider did its part; a bad request of our own is no report at all.
            ttft_s: seconds to the first text, where one came.
            route: may be left out where the reader has one route.
        """
        if self._tally is not None:
            self._tally.note((route, provider, ok, ttft_s))
