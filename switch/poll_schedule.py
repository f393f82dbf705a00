"""When a worker reads which route, and whether its subscription still hears. Pure.

Every method takes the monotonic time in seconds; chance is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from switch.flag import Keys

POLL_S = 5.0
# A thousand readers hear one message; they must not all ask in the same millisecond.
READ_BACK_WITHIN_S = 0.5
RETRY_S = (0.2, 2.0)
# The longest single wait for a message: hints end and a stop is noticed within it.
LISTEN_S = 0.25
ECHO_S = 10.0
DEAF_S = 2.0

Uniform = Callable[[float, float], float]


class PollSchedule:
    """The next read of each route. Polls come a little early at random, never late."""

    def __init__(self, uniform: Uniform) -> None:
        self._uniform = uniform
        self._poll_s: dict[Keys, float] = {}
        self._due_s: dict[Keys, float] = {}

    def watch(self, keys: Keys, poll_s: float) -> None:
        """Reads these at once, and then every `poll_s`; the shortest poll asked for counts."""
        self._poll_s[keys] = min(poll_s, self._poll_s.get(keys, poll_s))
        self._due_s[keys] = 0.0

    def forget(self, keys: Keys) -> None:
        self._poll_s.pop(keys, None)
        self._due_s.pop(keys, None)

    def due(self, now_s: float) -> list[Keys]:
        return [keys for keys, at_s in self._due_s.items() if at_s <= now_s]

    def wait_s(self, now_s: float) -> float:
        """How long nothing has to be asked, as far as one wait may take."""
        return max(0.0, min([LISTEN_S, *(at_s - now_s for at_s in self._due_s.values())]))

    def at_once(self, keys: Keys) -> None:
        if keys in self._due_s:
            self._due_s[keys] = 0.0

    def soon(self, keys: Keys, now_s: float) -> None:
        """A message came: read back after a jittered pause."""
        if keys in self._due_s:
            at_s = now_s + self._uniform(0, READ_BACK_WITHIN_S)
            self._due_s[keys] = min(self._due_s[keys], at_s)

    def done(self, keys: Keys, now_s: float) -> None:
        if keys in self._due_s:
            self._due_s[keys] = now_s + self._poll_s[keys] * self._uniform(0.8, 1.0)

    def failed(self, which: Iterable[Keys], now_s: float) -> None:
        at_s = now_s + self._uniform(*RETRY_S)
        for keys in which:
            if keys in self._due_s:
                self._due_s[keys] = at_s


class Ear:
    """One subscription: when to make it, and when it has gone deaf without a word.

    A connection that was cut silently hears nothing and reports nothing. So now and then it
    subscribes again to what it already hears, and expects the server's answer: unlike PING,
    that needs no further permission.
    """

    def __init__(self, uniform: Uniform) -> None:
        self._uniform = uniform
        self._open_at_s = 0.0
        self._heard_s = 0.0
        self._echo_s: float | None = None
        self._confirmed: set[str] = set()

    def may_open(self, now_s: float) -> bool:
        return now_s >= self._open_at_s

    def opened(self, now_s: float) -> None:
        self._confirmed.clear()
        self._heard_s, self._echo_s = now_s, now_s

    def lost(self, now_s: float) -> None:
        self._open_at_s = now_s + self._uniform(*RETRY_S)

    def wants_echo(self, now_s: float) -> bool:
        return self._echo_s is None and now_s - self._heard_s >= ECHO_S

    def asked(self, now_s: float) -> None:
        self._echo_s = now_s

    def heard(self, now_s: float) -> None:
        self._heard_s, self._echo_s = now_s, None

    def deaf(self, now_s: float) -> bool:
        return self._echo_s is not None and now_s - self._echo_s >= DEAF_S

    def confirms(self, channel: str) -> bool:
        """The server says that we are subscribed; True the first time on this connection."""
        new = channel not in self._confirmed
        self._confirmed.add(channel)
        return new
