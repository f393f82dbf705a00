"""What the model understands: three canaries, and the first word of anything else. Pure."""

from __future__ import annotations

import json
import re

# Bounded, because a number of thousands of digits is none to Python.
_SUM = r"(\d{1,18}) \+ (\d{1,18})"
ARITHMETIC = re.compile(rf"What is {_SUM}\? Reply with the number alone, in digits\.")
JSON = re.compile(
    r'Reply with only a JSON object with two keys: "word", the first word of this message '
    rf'as a string, and "sum", the number {_SUM}\.'
)
GREETING = "Hello."


def understood(prompt: str) -> str:
    """The right answer to a canary, whose first word is its nonce."""
    word = (prompt.split() or [GREETING])[0]
    question = prompt.partition("\n")[2].strip()
    if match := ARITHMETIC.fullmatch(question):
        return str(_sum(match))
    if match := JSON.fullmatch(question):
        return json.dumps({"word": word, "sum": _sum(match)}, ensure_ascii=False)
    return word


def _sum(match: re.Match[str]) -> int:
    return int(match[1]) + int(match[2])
