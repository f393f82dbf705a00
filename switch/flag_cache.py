"""What one reader holds in memory: the belief of each route, and whom it tells of changes.

`primary()` is one lookup in a dict. Everything else happens under a lock that is held for
microseconds and never over a callback, a file or a socket.
"""

from __future__ import annotations

import difflib
import inspect
import logging
import os
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from switch.cached_flag import CachedFlag, Reading, Source
from switch.flag import NAME, Candidate, Flag, Keys
from switch.snapshot import Snapshot

log = logging.getLogger("switch")

OnChange = Callable[[str, str, str], None]
OnUnsupported = Callable[[str, str], None]
PendingCall = tuple[Callable[..., None], tuple[str, ...]]


class UnknownRouteError(LookupError):
    """The application asks for a route it did not name when it built the reader."""


class NotReadyError(LookupError):
    """Nothing is known of the route yet, and it has no default."""


def forced(route: str) -> str:
    """What the environment forces this route to, or "": PROBER_FORCE_CHAT=openai."""
    return os.environ.get(f"PROBER_FORCE_{route.upper().replace('-', '_')}", "")


def missing(route: str, known: Iterable[str]) -> LookupError:
    known = list(known)
    if route in known:
        return NotReadyError(f"route {route!r} has no flag yet and no default was given")
    near = difflib.get_close_matches(route, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"
    return UnknownRouteError(f"route {route!r} is not one of this reader's{hint}")


def unsupported(route: str, provider: str, supported: Collection[str], served: str) -> str:
    """What is logged of a flag that this build of the application cannot follow."""
    stays = f"{served!r} stays" if served else "nothing is served"
    return (
        f"the flag of route {route!r} names {provider!r}, and this application supports "
        f"{', '.join(sorted(supported))}: {stays}. Add {provider!r} to supported[{route!r}] once "
        f"it can be called, or take it out of the route's candidates in prober.toml"
    )


def check(
    default: Mapping[str, str],
    routes: Iterable[str],
    supported: Mapping[str, Collection[str]],
    fallbacks: Mapping[str, Iterable[str]],
) -> None:
    """What cannot be meant, or Python would take for something else: a name for its letters."""
    if not isinstance(default, Mapping):
        raise TypeError(f'default is {default!r}; write {{"chat": "anthropic"}}')
    if isinstance(routes, str):
        raise TypeError(f"routes is a string; write routes=[{routes!r}]")
    for what, lists in (("supported", supported), ("fallbacks", fallbacks)):
        for route, names in lists.items():
            if isinstance(names, str):
                raise TypeError(f"{what}[{route!r}] is a string; write [{names!r}]")
    for route, names in supported.items():
        if names and default.get(route, "") not in ("", *names):
            raise ValueError(
                f"default[{route!r}] is {default[route]!r}, which supported[{route!r}] does not "
                f"name: add it there, or write one of {', '.join(sorted(names))} as the default"
            )


def _may_force(route: str, provider: str, supported: Collection[str]) -> bool:
    """Said either way: a variable that was forgotten would hold a route for ever."""
    name = f"PROBER_FORCE_{route.upper().replace('-', '_')}"
    if not NAME.match(provider):
        log.warning("%s=%r is ignored: it is no provider's name", name, provider)
        return False
    if supported and provider not in supported:
        log.warning(
            "%s=%s is ignored: this application supports %s", name, provider, ", ".join(supported)
        )
        return False
    log.warning("%s=%s is in force: the flag does not move route %s", name, provider, route)
    return True


class FlagCache:
    """Beliefs, and what they serve.

    Args:
        dispatch: takes a callback and its arguments, and sees that it is called.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        default: Mapping[str, str] | None,
        routes: Iterable[str],
        supported: Mapping[str, Collection[str]] | None,
        fallbacks: Mapping[str, Iterable[str]] | None,
        namespace: str,
        poll_s: float,
        on_change: OnChange | None,
        on_unsupported: OnUnsupported | None,
        snapshot: str | os.PathLike[str] | None,
        clock: Callable[[], float],
        dispatch: Callable[[PendingCall], None],
    ) -> None:
        default, supported, fallbacks = default or {}, supported or {}, fallbacks or {}
        check(default, routes, supported, fallbacks)
        names = list(dict.fromkeys([*default, *routes, *supported, *fallbacks]))
        if not names:
            raise ValueError('name a route: default={"chat": "anthropic"} or routes=["chat"]')
        if not poll_s > 0:
            raise ValueError(f"poll_s is {poll_s!r}: give seconds above 0")
        for name, callback in (("on_change", on_change), ("on_unsupported", on_unsupported)):
            if inspect.iscoroutinefunction(callback):
                raise TypeError(f"{name} is a coroutine function; give a plain one")
        self.keys = {name: Keys(name, namespace) for name in names}
        self.poll_s = poll_s
        self.clock = clock
        self.on_ready: Callable[[], None] | None = None
        self._on_change, self._on_unsupported = on_change, on_unsupported
        self._dispatch = dispatch
        self._lock = threading.Lock()
        self._told_unsupported: dict[str, str] = {}
        self._forced = {
            name: provider
            for name in names
            if (provider := forced(name)) and _may_force(name, provider, supported.get(name, ()))
        }
        self._snapshot = Snapshot(snapshot, namespace, names) if snapshot else None
        remembered = self._snapshot.load() if self._snapshot else {}
        self.beliefs = {
            name: CachedFlag(
                name,
                default.get(name, ""),
                supported.get(name, ()),
                remembered.get(name),
                fallbacks.get(name, ()),
            )
            for name in names
        }
        for name, kept in remembered.items():
            if not self.beliefs[name].supports(kept.provider):
                log.warning(
                    "the snapshot %s is ignored for route %s: it names %s, and this application "
                    "supports %s",
                    snapshot, name, kept.provider, ", ".join(sorted(supported[name])),
                )  # fmt: skip
        # What primary() reads. Only whole strings are ever assigned into it.
        self.served: dict[str, str] = {}
        self._settle(first=True)

    # -- for the application ------------------------------------------------------------

    def primary(self, route: str) -> str:
        try:
            return self.served[route]
        except KeyError:
            raise missing(route, self.beliefs) from None

    def flag(self, route: str) -> Reading:
        belief = self._belief(route)
        with self._lock:
            reading = belief.reading(self.clock(), self.poll_s)
        if route in self._forced:
            return replace(
                reading,
                provider=self._forced[route],
                reason="forced by the environment",
                source=Source.FORCED,
            )
        return reading

    def fallbacks(self, route: str) -> tuple[str, ...]:
        return self._belief(route).fallbacks(self.served.get(route, ""))

    def candidates(self, route: str) -> tuple[Candidate, ...]:
        return self._belief(route).candidates

    def _belief(self, route: str) -> CachedFlag:
        try:
            return self.beliefs[route]
        except KeyError:
            raise missing(route, self.beliefs) from None

    # -- for the worker -----------------------------------------------------------------

    def took(self, name: str, flag: Flag | None, candidates: Sequence[Candidate]) -> None:
        """`state` and `candidates` were read."""
        with self._lock:
            belief = self.beliefs[name]
            belief.saw_candidates(candidates)
            belief.saw_state(flag, self.clock())
            news = self._settle()
        self._spread(*news)
        if self.on_ready and self.ready:
            self.on_ready()

    def heard(self, name: str, message: tuple[str, int, str]) -> bool:
        """A message came; True when `state` should be read back."""
        with self._lock:
            wanted = self.beliefs[name].heard(*message, self.clock())
            news = self._settle()
        self._spread(*news)
        return wanted

    def tick(self) -> None:
        """Takes back what was served on a message alone for too long."""
        if not any(belief.hinted for belief in self.beliefs.values()):
            return
        with self._lock:
            news = self._settle()
        self._spread(*news)

    def save(self) -> None:
        """Writes the snapshot where there is something new. Blocks on the disk."""
        if self._snapshot is None:
            return
        with self._lock:
            known = {name: belief.remember() for name, belief in self.beliefs.items()}
        self._snapshot.save({name: served for name, served in known.items() if served})

    @property
    def saves(self) -> bool:
        return self._snapshot is not None

    @property
    def ready(self) -> bool:
        return all(belief.flag is not None for belief in self.beliefs.values())

    def knows(self, name: str) -> bool:
        """Whether Redis ever said who serves it."""
        return self.beliefs[name].flag is not None

    def after_fork(self) -> None:
        """In the child: the lock may have been held by a thread that is not here."""
        self._lock = threading.Lock()

    def _settle(self, *, first: bool = False) -> tuple[list[str], list[PendingCall]]:
        """Serves what is believed now; gives the warnings and callbacks that come of it."""
        now_s = self.clock()
        lines: list[str] = []
        calls: list[PendingCall] = []
        for name, belief in self.beliefs.items():
            belief.forget_old_hint(now_s)
            provider = self._forced.get(name) or belief.served(now_s)
            before = self.served.get(name, "")
            if provider and provider != before:
                self.served[name] = provider
                if not first and self._on_change:
                    calls.append((self._on_change, (name, before, provider)))
            notified = self._told_unsupported.get(name, "")
            if belief.unsupported != notified:
                self._told_unsupported[name] = belief.unsupported
                if belief.unsupported:
                    served = self.served.get(name, "")
                    lines.append(unsupported(name, belief.unsupported, belief.supported, served))
                if belief.unsupported and self._on_unsupported:
                    calls.append((self._on_unsupported, (name, belief.unsupported)))
        return lines, calls

    def _spread(self, lines: list[str], calls: list[PendingCall]) -> None:
        for line in lines:
            warn(line)
        for call in calls:
            self._dispatch(call)


def warn(line: str) -> None:
    """Logs it; an empty one is nothing to tell."""
    if line:
        log.warning("%s", line)


def guarded(call: PendingCall) -> None:
    """Calls it; whatever it raises ends in the log, SystemExit too: it must not end a worker."""
    callback, args = call
    try:
        callback(*args)
    except BaseException:
        log.exception("a callback of the flag reader failed")
