"""What a reader logs of a Redis that it cannot use: each trouble once, and its end. Pure.

Whoever gave a wrong password, database or namespace would else be served the default for ever,
and learn of it on the day of the first failover.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from redis.exceptions import AuthenticationError, AuthorizationError, NoPermissionError

if TYPE_CHECKING:
    from switch.flag import Keys

# Time does not heal these. The first two are connection errors to redis-py.
REFUSALS = (AuthenticationError, AuthorizationError, NoPermissionError)

UNREAD = "the flag cannot be read from {where}: {error}; what is known stays in force"
DEAF = "changes of the flag cannot be heard from {where}: {error}; they are found by polling"
UNSENT = "reports cannot be sent to {where}: {error}; they are dropped"


def place(url: str) -> str:
    """Where a URL leads, without the login."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] + parts.path


class LogOnce:
    """One kind of trouble. Times are monotonic seconds; an empty line is nothing to tell.

    Args:
        line: what is told, with {where} and {error}.
        patience_s: how long an outage lasts before it is told; at once before the first success.
    """

    def __init__(self, line: str, url: str, patience_s: float) -> None:
        self._line, self._where = line, place(url)
        self._patience_s = patience_s
        self._worked = False
        self._since_s: float | None = None
        self._told: set[bool] = set()
        self._empty_s: dict[Keys, float] = {}

    def failed(self, error: Exception, now_s: float) -> str:
        self._since_s = now_s if self._since_s is None else self._since_s
        refused = isinstance(error, REFUSALS)
        early = self._worked and not refused and now_s - self._since_s < self._patience_s
        if early or refused in self._told:
            return ""
        self._told.add(refused)
        what = str(error).strip(" .") or type(error).__name__
        return self._line.format(where=self._where, error=what)

    def worked(self) -> str:
        self._worked, self._since_s = True, None
        if not self._told:
            return ""
        self._told.clear()
        return f"{self._where} can be used again"

    def empty(self, keys: Keys, now_s: float) -> str:
        """There is no flag. The daemon may be about to set the first one."""
        since_s = self._empty_s.setdefault(keys, now_s)
        if not 0 <= since_s <= now_s - self._patience_s:
            return ""
        self._empty_s[keys] = float("inf")
        return (
            f"{self._where} has no flag for route {keys.route!r} ({keys.state} is empty): are "
            "these the daemon's Redis, database and namespace, and is the route in its prober.toml?"
        )
