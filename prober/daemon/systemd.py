"""sd_notify and the watchdog, whose protocol is one datagram; and what journald reads in a log."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping
from typing import TextIO

PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))


class Systemd:
    """Talks to systemd where it runs us; silent elsewhere."""

    def __init__(self, address: str | None = None) -> None:
        address = os.environ.get("NOTIFY_SOCKET", "") if address is None else address
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)  # a systemd that hangs must not hold up a flip
            try:
                sock.sendto("\n".join(lines).encode(), self._address)
            except OSError:
                return  # systemd is gone, or has not read the last ones; there is nobody to tell

    def ready(self, status: str) -> None:
        self._send("READY=1", f"STATUS={status}")

    def status(self, status: str) -> None:
        self._send(f"STATUS={status}")

    def alive(self) -> None:
        self._send("WATCHDOG=1")

    def reloading(self, monotonic_usec: int) -> None:
        self._send("RELOADING=1", f"MONOTONIC_USEC={monotonic_usec}")

    def stopping(self) -> None:
        self._send("STOPPING=1")


def to_journal(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether journald reads what is written there; $JOURNAL_STREAM alone is inherited further."""
    try:
        stands = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environment.get("JOURNAL_STREAM") == f"{stands.st_dev}:{stands.st_ino}"


def prioritized(text: str, level: int) -> str:
    """Each line of a record with its priority of syslog(3), which journald takes off again."""
    priority = next((p for least, p in PRIORITIES if level >= least), 7)
    return "\n".join(f"<{priority}>{line}" for line in text.splitlines() or [""])
