"""The sentences of what stands around us: the heartbeat's watcher, certificates. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from prober.alerts.event import AlertEvent, Severity
from prober.alerts.text import Wording, plain

if TYPE_CHECKING:
    from prober.probing.certificates import Validity


def heartbeat(write: Wording, at: float, *, host: str, why: str) -> AlertEvent:
    return write.event(
        "daemon",
        f"heartbeat/{int(at)}",
        "",
        Severity.WARNING,
        at,
        f"The heartbeat is not taken: {plain(why)}",
        [
            write.when(at),
            f"I ping {host} while all is well. It may page now though nothing is wrong, "
            "and it would not notice if I died.",
            "**You:** look there whether the check still exists under this URL; a new one goes "
            "where [daemon].heartbeat points.",
        ],
    )


def heartbeat_taken(write: Wording, at: float, *, host: str) -> AlertEvent:
    return write.event(
        "daemon",
        f"heartbeat-taken/{int(at)}",
        "",
        Severity.INFO,
        at,
        "The heartbeat is taken again",
        [write.when(at), f"{host} answers as it should.", "**Nothing to do.**"],
    )


def certificate(
    write: Wording, at: float, *, host: str, validity: Validity, whose: Sequence[str]
) -> AlertEvent:
    """`whose`: what breaks when it has ended, like "provider a"."""
    days = validity.days_left(at)
    return write.event(
        "certificate",
        f"certificate/{host}/{validity.telling(at)}",
        "",
        Severity.PAGE if days < 1 else Severity.WARNING,
        at,
        f"{validity.sentence(host, at)[:1].upper()}{validity.sentence(host, at)[1:]}",
        [
            write.when(at),
            f"After that no connection to it stands: {', '.join(whose)}.",
            "**You:** renew it, or tell whoever runs that server.",
        ],
    )
