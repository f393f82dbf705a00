"""What trackers noticed becomes incidents and alerts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

from prober.detection.episode import Episode, Trouble
from prober.detection.tracker import Change, Tracker
from prober.failover.route_state import RouteState
from prober.history.timeline import EntryKind

if TYPE_CHECKING:
    from prober.clock import Clock
    from prober.failover.notifier import Notifier
    from prober.history.incidents import Incidents

TellTrouble = Callable[[RouteState, str, Trouble], Awaitable[None]]


class Changes:
    """Takes every tracker's changes to the incidents, and to people by way of the notifier."""

    def __init__(self, incidents: Incidents, notifier: Notifier, clock: Clock) -> None:
        self._incidents = incidents
        self._notifier = notifier
        self._clock = clock

    async def take(self, state: RouteState) -> None:
        """Until none is left, even of those that came in meanwhile.

        Returns without awaiting anything more, so that a decision made at once sees no breach
        without an incident.
        """
        while any(tracker.changes for tracker in state.trackers.values()):
            for tracker in state.trackers.values():
                changes, tracker.changes = tracker.changes, []
                for change in changes:
                    await self._changed(state, tracker, change)

    async def _changed(self, state: RouteState, tracker: Tracker, change: Change) -> None:
        now = self._clock.now()
        if change is Change.BREACHED:
            await self._end_lesser(state, tracker, now)
            await self._incidents.begin(
                state.name,
                tracker.provider,
                opened_at=tracker.breach.onset_at or now,
                breached_at=now,
                objectives=", ".join(sorted(tracker.breach.latched)),
                summary=tracker.breach.why,
            )
            if tracker.provider != state.primary:
                await self._notifier.by_leader(
                    state, partial(self._notifier.breach, state, tracker)
                )
        elif change is Change.RECOVERED:
            closed = await self._incidents.end(state.name, tracker.provider, now)
            notify = partial(self._notifier.recovery, state, tracker.provider, closed)
            await self._notifier.by_leader(state, notify)
        elif change is Change.RECOVERING:
            text = f"{tracker.provider} answers again: {tracker.good_in_a_row} good in a row"
            self._incidents.remark(state.name, tracker.provider, EntryKind.RECOVERING, text, now)
        elif change is Change.ACCOUNT:
            await self._notify(state, tracker, tracker.account.episode, self._notifier.account)
        elif change is Change.ACCOUNT_WELL:
            await self._notify(state, tracker, tracker.account.episode, self._notifier.account_well)
        elif change is Change.CANARY:
            await self._notify(state, tracker, tracker.canary, self._notifier.canary)
        elif change is Change.CANARY_WELL:
            await self._notify(state, tracker, tracker.canary, self._notifier.canary_well)

    async def _notify(
        self, state: RouteState, tracker: Tracker, episode: Episode, how: TellTrouble
    ) -> None:
        """By the leader, and of the trouble as it is now: it may be another one by then."""
        if episode.told is not None:
            notify = partial(how, state, tracker.provider, episode.told)
            await self._notifier.by_leader(state, notify)

    async def _end_lesser(self, state: RouteState, tracker: Tracker, now: float) -> None:
        """What moves a flag is an incident of its own, with its own beginning."""
        known = self._incidents.find(state.name, tracker.provider)
        if known is None or not tracker.grave:
            return
        if tracker.rules.alert_only.issuperset(known.objectives.split(", ")):
            why = f"it became worse: {tracker.breach.why}"
            await self._incidents.end(state.name, tracker.provider, now, why)
