"""An OpenFeature provider over a Reader. Needs the extra: pip install "prober-llm[openfeature]".

    from openfeature import api
    api.set_provider_and_wait(ProberProvider(reader))
    api.get_client().get_string_value("chat", "anthropic")   # the flag's key is the route

**The fork trap.** The SDK keeps its providers, their status and its event threads in module
globals, and no thread survives a fork. Under a prefork server (gunicorn with --preload) call
`api.set_provider_and_wait` in every worker (`post_fork`), never in the master: a provider set
before the fork has a reader that follows (a Reader restarts itself), but its events are dead, and
one that was still being initialised stays NOT_READY for ever, so that every evaluation gives the
caller's default.

While a provider is being initialised the SDK answers with the caller's default too: prefer
`set_provider_and_wait`.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn

from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEventDetails
from openfeature.exception import FlagNotFoundError, TypeMismatchError
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType, Reason
from openfeature.provider import AbstractProvider, Metadata

from switch.cached_flag import Reading, Source
from switch.flag_cache import UnknownRouteError

if TYPE_CHECKING:
    from switch.protocols import FlagView

LOOK_S = 0.25
READY_WITHIN_S = 2.0

_REASONS = {
    # Every answer comes from memory; CACHED is the word for a good one.
    Source.LIVE: Reason.CACHED,
    Source.CACHED: Reason.STALE,
    Source.SNAPSHOT: Reason.STALE,
    Source.DEFAULT: Reason.DEFAULT,
    Source.FORCED: Reason.STATIC,
}

Object = Sequence[FlagValueType] | Mapping[str, FlagValueType]


class ProberProvider(AbstractProvider):
    """Routes as string flags (the provider's name) and object flags (name, fallbacks, epoch).

    Emits PROVIDER_CONFIGURATION_CHANGED with the routes that flipped, PROVIDER_STALE when Redis
    has not confirmed a flag for three polls or holds none, and PROVIDER_READY when it does again.
    Closing the reader stays with whoever made it.

    Args:
        ready_within_s: how long initialisation waits for a first read of every route. After
            that it is ready and stale: a default or a snapshot is something to serve.
    """

    def __init__(self, reader: FlagView, *, ready_within_s: float = READY_WITHIN_S) -> None:
        super().__init__()
        self._reader = reader
        self._ready_within_s = ready_within_s
        self._stopping = threading.Event()
        self._watcher: threading.Thread | None = None

    def get_metadata(self) -> Metadata:
        return Metadata(name="prober")

    def initialize(self, evaluation_context: EvaluationContext) -> None:
        self._stopping.clear()
        waited_s, seen = 0.0, self._look()
        while any(r.stale for r in seen.values()) and waited_s < self._ready_within_s:
            if self._stopping.wait(LOOK_S / 5):
                return
            waited_s, seen = waited_s + LOOK_S / 5, self._look()
        self._watcher = threading.Thread(
            target=self._watch, args=(seen,), name="prober-openfeature", daemon=True
        )
        self._watcher.start()

    def shutdown(self) -> None:
        self._stopping.set()
        if self._watcher is not None and self._watcher is not threading.current_thread():
            self._watcher.join(LOOK_S * 4)

    # -- evaluation ---------------------------------------------------------------------

    def resolve_string_details(
        self,
        flag_key: str,
        default_value: str,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[str]:
        reading = self._reading(flag_key)
        return FlagResolutionDetails(
            value=reading.provider or default_value,
            reason=_REASONS[reading.source],
            variant=reading.provider or None,
            flag_metadata=_metadata(reading),
        )

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Object,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Object]:
        reading = self._reading(flag_key)
        details: dict[str, FlagValueType] = {
            "provider": reading.provider,
            "fallbacks": list(self._reader.fallbacks(flag_key)),
            "epoch": reading.epoch,
            "reason": reading.reason,
        }
        return FlagResolutionDetails(
            value=details if reading.provider else default_value,
            reason=_REASONS[reading.source],
            variant=reading.provider or None,
            flag_metadata=_metadata(reading),
        )

    def resolve_boolean_details(
        self,
        flag_key: str,
        default_value: bool,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[bool]:
        self._refuse(flag_key)

    def resolve_integer_details(
        self,
        flag_key: str,
        default_value: int,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[int]:
        self._refuse(flag_key)

    def resolve_float_details(
        self,
        flag_key: str,
        default_value: float,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[float]:
        self._refuse(flag_key)

    def _reading(self, route: str) -> Reading:
        try:
            return self._reader.flag(route)
        except UnknownRouteError as error:
            raise FlagNotFoundError(str(error)) from error

    def _refuse(self, route: str) -> NoReturn:
        self._reading(route)
        raise TypeMismatchError(f"route {route!r} is a provider's name: ask for a string")

    # -- events -------------------------------------------------------------------------

    def _look(self) -> dict[str, Reading]:
        return {route: self._reader.flag(route) for route in self._reader.routes}

    def _watch(self, seen: dict[str, Reading]) -> None:
        stale: list[str] = []
        # The SDK says READY when initialize() has returned, whatever we found: look after that.
        while not self._stopping.wait(LOOK_S):
            now = self._look()
            was, stale = stale, [route for route, reading in now.items() if reading.stale]
            changed = [route for route in now if now[route].provider != seen[route].provider]
            seen = now
            if changed:
                text = ", ".join(f"{route}: {now[route].provider}" for route in changed)
                self.emit_provider_configuration_changed(
                    ProviderEventDetails(flags_changed=changed, message=text)
                )
            if stale and not was:
                self.emit_provider_stale(
                    ProviderEventDetails(message=f"no flag comes from Redis: {', '.join(stale)}")
                )
            elif was and not stale:
                self.emit_provider_ready(
                    ProviderEventDetails(message="Redis gives every flag again")
                )


def _metadata(reading: Reading) -> dict[str, bool | int | float | str]:
    metadata: dict[str, bool | int | float | str] = {
        "epoch": reading.epoch,
        "why": reading.reason,
        "source": reading.source.value,
        "stale": reading.stale,
    }
    return metadata | {"unsupported": reading.unsupported} if reading.unsupported else metadata
