"""What gunicorn loads once, before it forks its workers: the flag at module level, as people do."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from switch import Reader

reader = Reader(os.environ["FLAG_URL"], {"chat": "default"}, report_url=os.environ["FLAG_URL"])


def app(_: dict[str, object], start: Callable[..., object]) -> Iterable[bytes]:
    provider = reader.primary("chat")
    reader.report(provider, ok=True)
    start("200 OK", [("Content-Type", "text/plain"), ("Connection", "close")])
    return [f"{os.getpid()} {provider}".encode()]
