"""What an answer's headers say of a gateway in between. Pure.

Did our provider answer at all, and did it answer the first time it was asked?
"""

from __future__ import annotations

import re
from collections.abc import Mapping

CACHES = (
    "x-portkey-cache-status", "helicone-cache", "x-litellm-cache-hit", "cf-aig-cache-status",
)  # fmt: skip
FALLBACKS = ("x-litellm-attempted-fallbacks", "helicone-fallback-index", "cf-aig-step")
# How often the gateway asked again, or how often it asked in all. Portkey says -1 for none.
RETRIES = ("x-litellm-attempted-retries", "x-portkey-retry-attempt-count")
ATTEMPTS = ("x-envoy-attempt-count", "ngrok-aig-attempts")
PORTKEY_OPTION = "x-portkey-last-used-option-index"
# "config.targets[1].targets[0]": any step that is not the first target.
_OTHER_TARGET = re.compile(r"\[0*[1-9]")


def stand_in(headers: Mapping[str, str]) -> str:
    """Why the answer says nothing of the provider behind a gateway; empty when it does.

    Names in lower case. An answer from a cache, or of another target, measures something else.
    """
    for name in CACHES:
        if _hit(headers.get(name, "")):
            return (
                f"the gateway answered from its cache ({name}); switch its cache off for canaries"
            )
    others = _OTHER_TARGET.search(headers.get(PORTKEY_OPTION, ""))
    if others or any(_positive(headers.get(name, "")) for name in FALLBACKS):
        return "the gateway fell back to another target; give the canary a config with one target"
    return ""


def retried(headers: Mapping[str, str]) -> int:
    """How often a gateway asked again before this answer, all gateways together.

    Names in lower case. An answer after a retry is as good as any to who asked for it, and the
    provider behind it has failed: canaries that are all good may hide that half of it is down.
    """
    again = sum(_number(headers[name]) for name in RETRIES if name in headers)
    return again + sum(max(0, _number(headers[name]) - 1) for name in ATTEMPTS if name in headers)


def _hit(value: str) -> bool:
    words = value.strip().lower()
    return words == "true" or words.endswith("hit")


def _positive(value: str) -> bool:
    return _number(value) > 0


def _number(value: str) -> int:
    """0 for whatever is none."""
    digits = value.strip()
    return int(digits[:9]) if digits.isascii() and digits.isdigit() else 0
