"""Reasoning that a server leaves inside the answer's text: <think>…</think> and its like. Pure.

A server without a reasoning parser sends all as content. A block opens an answer, or follows on
another block; a closing tag alone ends one whose opening tag stood in the prompt (DeepSeek-R1's
template under vLLM). Tags may be split over chunks, each character is looked at once or twice.
"""

from __future__ import annotations

from typing import NamedTuple

TAGS = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "<reasoning>": "</reasoning>",
    "<seed:think>": "</seed:think>",
    "[think]": "[/think]",  # Magistral
    "◁think▷": "◁/think▷",  # Kimi
    "<|channel|>analysis<|message|>": "<|channel|>final<|message|>",  # gpt-oss
    "<|channel>thought": "<channel|>",  # Gemma 4
}
_STARTS = tuple({tag[0] for tag in TAGS})
_LONGEST = max(map(len, TAGS.values()))


class ShownText(NamedTuple):
    """What a piece of text adds to the answer.

    Attributes:
        text: to be seen.
        thought: some of the piece was reasoning.
        undone: all text before it was reasoning, too.
    """

    text: str
    thought: bool = False
    undone: bool = False


class Thinking:
    """Text in as it comes, split anywhere; what is to be seen out."""

    __slots__ = ("_closing", "_held", "_visible")

    def __init__(self) -> None:
        self._held = ""  # may be the beginning of a tag
        self._closing = ""  # the tag that ends the block; empty: outside of one
        self._visible = False

    def take(self, piece: str) -> ShownText:
        if self._visible and not self._held and not any(start in piece for start in _STARTS):
            return ShownText(piece)
        text, self._held = self._held + piece, ""
        shown, thought, undone = "", False, False
        while text:
            low = _lower(text)
            if self._closing:
                thought = True
                end = low.find(self._closing)
                if end < 0:
                    self._held = text[max(0, len(text) - len(self._closing) + 1) :]
                    break
                text, self._closing = text[end + len(self._closing) :], ""
            elif not self._visible and (tag := _opening(low.lstrip())):
                if tag not in TAGS:  # only the beginning of one
                    self._held = text
                    break
                at = low.index(tag)
                shown, thought = shown + text[:at], True
                text, self._closing = text[at + len(tag) :], TAGS[tag]
            elif closed_at := _closed(low):
                shown, thought, undone, self._visible = "", True, True, False
                text = text[closed_at:]
            else:
                self._visible = self._visible or bool(text.strip())
                at = _unfinished(low)
                shown, self._held = shown + text[:at], text[at:]
                break
        return ShownText(shown, thought, undone)

    def close(self) -> str:
        """What was held back and is no tag after all."""
        held, self._held = self._held, ""
        return "" if self._closing else held


def _lower(text: str) -> str:
    """In lower case, each character where it was."""
    low = text.lower()
    return low if len(low) == len(text) else text


def _opening(low: str) -> str:
    """The tag that a text begins with, or the whole of a text that a tag begins with."""
    for tag in TAGS:
        if low.startswith(tag):
            return tag
    return low if any(tag.startswith(low) for tag in TAGS) else ""


def _closed(low: str) -> int:
    """Where the first closing tag ends; 0: there is none."""
    ends = [at + len(tag) for tag in TAGS.values() if (at := low.find(tag)) >= 0]
    return min(ends, default=0)


def _unfinished(low: str) -> int:
    """Where the beginning of a closing tag stands at the end of a text; its length: nowhere."""
    for at in range(max(0, len(low) - _LONGEST + 1), len(low)):
        if low[at] in _STARTS and any(tag.startswith(low[at:]) for tag in TAGS.values()):
            return at
    return len(low)
