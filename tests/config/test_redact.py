"""A known secret goes out of a text in whatever way it is written there."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode

import pytest

from prober.config.loader import ConfigError, parse
from prober.config.redact import Scrubber
from prober.config.secrets import shown_url
from prober.probing.capture import Capture
from prober.providers.events import HttpRequest

KEY = "sk-proj-Ab3/xYz+0123456789"
SCRUB = Scrubber([KEY, "sk-proj-another/one+0123"])
ESCAPED = "".join(f"\\u{ord(character):04x}" for character in KEY)


@pytest.mark.parametrize(
    "written",
    [ESCAPED, ESCAPED.upper().replace("\\U", "\\u"), KEY[:5] + ESCAPED[30:],
     json.dumps(ESCAPED)[1:-1], ESCAPED.replace("\\u002f", "\\/")],
    ids=["all", "capitals", "in part", "JSON in JSON", "mixed"],
)  # fmt: skip
def test_a_secret_goes_when_its_characters_are_escaped(written: str) -> None:
    assert SCRUB(f"<{written}>") == "<***>"


@pytest.mark.parametrize("encode", [b64encode, urlsafe_b64encode])
@pytest.mark.parametrize("around", range(4))
def test_a_secret_goes_out_of_the_base64_that_holds_it(encode: type, around: int) -> None:
    """As in "Basic …"; wherever it begins there."""
    text = encode(b"user:"[:around] + KEY.encode() + b":rest"[:around]).decode()
    left = SCRUB(text)
    assert "***" in left
    assert len(left) <= 6 + 4 * around, "no more than a letter of it, and what was around it"
    mixed = SCRUB(json.dumps(text).replace("/", "\\/"))
    assert "***" in mixed


def test_the_tape_holds_no_escaped_key() -> None:
    tape = Capture(HttpRequest("POST", "http://h/v1", {}, b"{}"), "HTTP/1.1 401 No")
    said = f'{{"error": "{ESCAPED}"}}'.encode()
    for at in range(0, len(said), 7):
        tape.chunk(0.1, said[at : at + 7])
    text = tape.text(SCRUB)
    assert "***" in text
    assert "\\u0073" not in text


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://user:pass@h.example/x?k=v", "http://h.example/…"),
        ("https://h.example:8443/login#token", "https://h.example:8443/…"),
        ("/login?token=t0ken", "/…"),
        ("http://[broken", "…"),
    ],
)
def test_of_a_redirect_only_its_host_is_shown(url: str, shown: str) -> None:
    assert shown_url(url) == shown
    assert f"< Location: {shown}\n" in Capture(status="x", headers={"Location": url}).text(str)


@pytest.mark.parametrize(
    "line",
    [
        'base_url = "https://foo.example/v1?key=abcdef"',
        'base_url = "https://user:abcdef@foo.example/v1"',
        'base_url = "foo.example/v1?token=abcdef"',
        'base_url = "https://foo.example/#abcdef"',
        'region = ["https://foo.example/?abcdef"]',
    ],
)
def test_a_refused_url_that_may_let_somebody_in_is_not_repeated(line: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(f'[[provider]]\nname = "a"\napi = "openai"\nmodel = "m"\n{line}')
    assert line.split(" ")[0] in str(refused.value)
    assert "abcdef" not in str(refused.value)


def test_any_other_refused_value_is_shown() -> None:
    with pytest.raises(ConfigError, match=r'= "ftp://foo[.]example/v1": must start'):
        parse('[[provider]]\nname = "a"\napi = "openai"\nmodel = "m"\n'
              'base_url = "ftp://foo.example/v1"')  # fmt: skip
