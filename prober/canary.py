"""A prompt with a known answer, and the check of that answer. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_OTHER = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Canary:
    """`echo`: the nonce comes first, so that no prompt or prefix cache can answer."""

    nonce: str

    @property
    def prompt(self) -> str:
        return f"{self.nonce}\nReply with exactly the first word of this message and nothing else."

    def right(self, answer: str) -> bool:
        """Case, spacing and a polite wrapper are forgiven; another word is not."""
        return _OTHER.sub("", self.nonce.lower()) in _OTHER.sub("", answer.lower())
