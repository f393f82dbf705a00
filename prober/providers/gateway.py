"""What an answer's headers say of a gateway in between: did our provider answer at all? Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

CACHES = ("x-portkey-cache-status", "helicone-cache", "x-litellm-cache-hit")
FALLBACKS = ("x-litellm-attempted-fallbacks", "helicone-fallback-index")
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


def _hit(value: str) -> bool:
    words = value.strip().lower()
    return words == "true" or words.endswith("hit")


def _positive(value: str) -> bool:
    digits = value.strip()
    return digits.isascii() and digits.isdigit() and int(digits[:9]) > 0
