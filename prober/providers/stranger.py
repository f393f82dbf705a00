"""Answers of somebody else than the API: a page, a proxy, a server asked at the wrong path. Pure.

None of them says anything of the key or the model, whatever its HTTP status.
"""

from __future__ import annotations

import re
from html import unescape

from prober.providers.base import object_of, parse_json
from prober.sample import Outcome

# What streams are announced as; anything else that answers a canary is looked at more closely.
STREAMS = ("text/event-stream", "application/x-ndjson", "application/vnd.amazon.eventstream")
# How the APIs begin what they stream.
_BEGINNINGS = (b"data:", b"event:", b"id:", b"retry:", b":", b"{", b"[")
# Where an API puts the answer that it does not stream.
_ANSWERS = frozenset({"choices", "candidates", "content", "output"})
# What servers say of a path that they do not know; of a model they would say its name.
_PATHLESS = re.compile(
    r"(404 )?((file|page|resource|route) )?not found\W*$|invalid url\b|no route matched"
)
_TITLE = re.compile(rb"<title[^>]*>([^<]{1,200})", re.IGNORECASE)
_PAGE = re.compile(
    r"[\ufeff\s]*(<\?xml[^>]*>\s*)?<(!doctype html|html|head|body|center|h1)\b", re.I
)
_SAYS = re.compile(r"<(?:title|h1)[^>]*>([^<]{1,200})", re.I)
_BLANK = b"\xef\xbb\xbf \t\r\n"


def refused(
    status: int, content_type: str, body: bytes, codes: list[str], message: str
) -> tuple[Outcome, str] | None:
    """What a refusal means that is not the API's own; None for the API's own, and every other."""
    if status in (401, 403, 407) and _is_page(content_type, body):
        # Applications would be answered the same: it counts, and it is not the key.
        said = f"HTTP {status}, blocked by something in between (HTML{_titled(body)})"
        return Outcome.SERVER_ERROR, said
    if status in (404, 405) and not _own(body, codes, message):
        return Outcome.BAD_REQUEST, f"HTTP {status}, not this API's path: see base_url"
    return None


def unstreamed(content_type: str, body: bytes) -> str:
    """What came in place of a stream, with HTTP success; empty for what may be one."""
    start = body.lstrip(_BLANK)
    if not start:
        return ""
    said = parse_json(body)
    said = object_of(said[0] if isinstance(said, list) and said else said)
    if said.keys() & _ANSWERS and not said.get("error"):
        return "answered whole JSON: it does not stream"
    if start.startswith(_BEGINNINGS):
        return ""
    kind = content_type.partition(";")[0].strip() or "without a content type"
    return f"answered {kind}{_titled(body)}, not this API"


def readable(text: str) -> str:
    """A text as it is; of an HTML page what its title or its first heading says."""
    if not _PAGE.match(text):
        return text
    titles = (" ".join(unescape(found[1]).split()) for found in _SAYS.finditer(text))
    return next((title for title in titles if title), "a page (HTML) without a title")


def _own(body: bytes, codes: list[str], message: str) -> bool:
    """The API itself says that something is not there."""
    said = message.strip().lower()
    if _PATHLESS.match(said):
        return False
    parsed = parse_json(body)
    parsed = object_of(parsed[0] if isinstance(parsed, list) and parsed else parsed)
    return bool(parsed) and (bool(codes) or bool(parsed.get("error")) or "model" in said)


def _is_page(content_type: str, body: bytes) -> bool:
    start = body[:200].lstrip(_BLANK).lower()
    return start.startswith((b"<!doctype html", b"<html")) or (
        "html" in content_type and start.startswith(b"<")
    )


def _titled(body: bytes) -> str:
    found = _TITLE.search(body)
    words = " ".join(found[1].decode("utf-8", "replace").split())[:80] if found else ""
    return f', "{words}"' if words.isprintable() and words else ""
