"""Answers of somebody else than the API: a page, a proxy, a server asked at the wrong path. Pure.

None of them says anything of the key or the model, whatever its HTTP status.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import unescape

from prober.providers.events import object_of, parse_json

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
BLOCKED = "blocked by something in between"
WRONG_PATH = "not this API's path: see base_url"
# What firewalls and networks of servers say (Cloudflare, CloudFront, Akamai, Imperva, F5, …).
_BLOCKS = re.compile(
    r"error code: 1\d\d\d\b|error 1\d\d\d\b|request (was )?(blocked|rejected|denied)|"
    r"you have been blocked|request could not be satisfied|requested url was rejected|"
    r"attention required|just a moment|web application firewall|\bwaf\b|incapsula|sucuri|"
    r"mod_security|support id"
)
_OF_THE_KEY = re.compile(r"\bkey\b|api-key|apikey|token|credential|unauthori[sz]ed|authenticat")
_ASKS_FOR_A_KEY = re.compile(r"unauthori[sz]ed|authorization required|authenticat|\bkey\b|token")
_LOOKED_AT = 4_000
_TITLE = re.compile(rb"<title[^>]*>([^<]{1,200})", re.IGNORECASE)
_PAGE = re.compile(
    r"[\ufeff\s]*(<\?xml[^>]*>\s*)?<(!doctype html|html|head|body|center|h1)\b", re.I
)
_SAYS = re.compile(r"<(?:title|h1)[^>]*>([^<]{1,200})", re.I)
_BLANK = b"\xef\xbb\xbf \t\r\n"


def between(status: int, content_type: str, body: bytes, codes: Sequence[str]) -> str:
    """What stands between us and the API and refuses, in words; empty where the API refuses.

    It says nothing of the key, whatever its HTTP status.
    """
    start = body[:_LOOKED_AT].lstrip(_BLANK)
    if not start:
        return f"HTTP {status}, {BLOCKED} (no words)" if status == 403 and not codes else ""
    if start.startswith((b"{", b"[")):
        cloudflare = object_of(parse_json(body)).get("cloudflare_error") is True
        return f"HTTP {status}, {BLOCKED} (Cloudflare)" if cloudflare and status == 403 else ""
    page = _is_page(content_type, body)
    words = " ".join(start.decode("utf-8", "replace").lower().split())
    if status == 401 and _ASKS_FOR_A_KEY.search(words):
        return ""  # a proxy that knows the keys: Perplexity's
    if _BLOCKS.search(words) and 400 <= status < 500 and status not in (404, 429):
        text = _titled(body) if page else f': "{words[:60]}"'
    elif page and status in (401, 403, 407, 451):
        text = _titled(body)
    elif status == 403 and not page and not _OF_THE_KEY.search(words):
        text = f': "{words[:60]}"' if words.isprintable() else ""
    else:
        return ""
    return f"HTTP {status}, {BLOCKED} ({'HTML' if page else 'text'}{text})"


def lost(status: int, body: bytes, codes: Sequence[str], message: str, *, known: bool) -> bool:
    """Nobody there knows the path: the API itself would name the model.

    `known`: the outcome table has words for what was said.
    """
    if status not in (404, 405):
        return False
    if _PATHLESS.match(message.strip().lower()):
        return True
    return not known and not _own(body, codes, message)


def unstreamed(content_type: str, body: bytes) -> str:
    """What came in place of a stream, with HTTP success; empty for what may be one."""
    start = body.lstrip(_BLANK)
    if not start:
        return ""
    decoded = parse_json(body)
    decoded = object_of(decoded[0] if isinstance(decoded, list) and decoded else decoded)
    if decoded.keys() & _ANSWERS and not decoded.get("error"):
        return "answered whole JSON: it does not stream"
    if start.startswith(_BEGINNINGS):
        return ""
    if content_type.startswith(STREAMS) and not _titled(body):
        return ""  # a page says so by its title, whatever it is announced as
    kind = content_type.partition(";")[0].strip() or "without a content type"
    return f"answered {kind}{_titled(body)}, not this API"


def told(body: bytes) -> bool:
    """Whole JSON that may say what went wrong: no answer, and no line of a stream."""
    decoded = parse_json(body)
    decoded = object_of(decoded[0] if isinstance(decoded, list) and decoded else decoded)
    return bool(decoded) and not decoded.keys() & _ANSWERS


def words(text: str) -> bool:
    """Words, and no page."""
    return bool(text.strip()) and _PAGE.match(text) is None


def readable(text: str) -> str:
    """A text as it is; of an HTML page what its title or its first heading says."""
    if not _PAGE.match(text):
        return text
    titles = (" ".join(unescape(match[1]).split()) for match in _SAYS.finditer(text))
    return next((title for title in titles if title), "a page (HTML) without a title")


def _own(body: bytes, codes: Sequence[str], message: str) -> bool:
    """The API itself says that something is not there."""
    words = message.lower()
    parsed = parse_json(body)
    parsed = object_of(parsed[0] if isinstance(parsed, list) and parsed else parsed)
    return bool(parsed) and (bool(codes) or bool(parsed.get("error")) or "model" in words)


def _is_page(content_type: str, body: bytes) -> bool:
    start = body[:200].lstrip(_BLANK).lower()
    return start.startswith((b"<!doctype html", b"<html")) or (
        "html" in content_type and start.startswith(b"<")
    )


def _titled(body: bytes) -> str:
    match = _TITLE.search(body)
    words = " ".join(match[1].decode("utf-8", "replace").split())[:80] if match else ""
    return f', "{words}"' if words.isprintable() and words else ""
