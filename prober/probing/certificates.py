"""Until when the certificates of the servers that answered are good, and when to warn of it."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

DAY_S = 86_400
SOON_DAYS = 14
# Certificates that live a week are renewed days before their end, and always end soon.
SHORT_LIVED_DAYS = 7
SHORT_LIVED_SOON_DAYS = 2
# People are reminded when so many days are left.
REMIND_DAYS = (7, 3, 1)


@dataclass(frozen=True, slots=True)
class Validity:
    """From when until when a certificate is good; seconds since the epoch."""

    begins_at: float
    ends_at: float

    def days_left(self, now: float) -> int:
        """Whole days; negative when it has ended."""
        return int((self.ends_at - now) // DAY_S)

    def ends_soon(self, now: float) -> bool:
        short = self.ends_at - self.begins_at <= SHORT_LIVED_DAYS * DAY_S
        soon_days = SHORT_LIVED_SOON_DAYS if short else SOON_DAYS
        return self.ends_at - now < soon_days * DAY_S

    def sentence(self, host: str, now: float) -> str:
        """ "the certificate of h.example ends on 2026-12-05, in 8 days" """
        return f"the certificate of {host} {self.clause(now)}"

    def clause(self, now: float) -> str:
        day = datetime.fromtimestamp(self.ends_at, UTC).date().isoformat()
        days = self.days_left(now)
        if days < 0:
            return f"ended on {day}"
        return f"ends on {day}, {'within a day' if days == 0 else _days(days)}"

    def telling(self, now: float) -> str:
        """What there is to tell; another text is another alert. Empty: nothing. Pure."""
        if not self.ends_soon(now):
            return ""
        near = [limit for limit in REMIND_DAYS if self.ends_at - now <= limit * DAY_S]
        return f"{int(self.ends_at)}/{min(near, default=SOON_DAYS)}"


def _days(days: int) -> str:
    return "in 1 day" if days == 1 else f"in {days} days"


class Certificates:
    """What was last seen of each host. Looking costs something, so each connection is read once."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[object, Validity | None]] = {}

    def see(self, host: str, stream: Any) -> None:
        """Takes note of the certificate of an open connection; `stream` is httpcore's."""
        tls = stream.get_extra_info("ssl_object") if stream is not None else None
        if tls is None or self._seen.get(host, (None, None))[0] is tls:
            return
        self._seen[host] = (tls, validity(tls.getpeercert() or {}))

    def of(self, host: str) -> Validity | None:
        """None for a host that has not answered yet, or not by TLS."""
        return self._seen.get(host, (None, None))[1]


def validity(certificate: Mapping[str, Any]) -> Validity | None:
    """From what `getpeercert` gives."""
    try:
        return Validity(
            ssl.cert_time_to_seconds(certificate["notBefore"]),
            ssl.cert_time_to_seconds(certificate["notAfter"]),
        )
    except (KeyError, ValueError):
        return None
