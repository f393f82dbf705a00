"""What an answer says of a gateway in between. Pure.

Did our provider answer at all, did it answer the first time it was asked, whose key was refused?
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from prober.providers.events import object_of, text_of

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


# "litellm.AuthenticationError: AuthenticationError: OpenAIException - Incorrect API key provided"
_LITELLM = re.compile(r"\b(\w+?)Exception\b[\w ]* - ")
_ROUTED = re.compile(r"\berror from provider ?\((\w+)", re.IGNORECASE)


def upstream(answer: Mapping[str, Any], message: str) -> str:
    """Who, behind a gateway, refused; empty where whom we asked refused.

    Args:
        answer: the whole answer.
        message: the error's own words.
    """
    if match := _LITELLM.search(message) or _ROUTED.search(message):
        return match[1].replace("_", " ")
    metadata = object_of(object_of(answer.get("error")).get("metadata"))
    extra = object_of(answer.get("extra_fields"))
    named = [
        text_of(metadata.get("provider_name")),  # OpenRouter
        text_of(answer.get("provider")) if answer.get("error") else "",  # Portkey
        "" if answer.get("is_bifrost_error") else text_of(extra.get("provider")),  # Bifrost
    ]
    return next((name for name in named if name), "")
