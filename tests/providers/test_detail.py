"""What a provider said, as a person reads it: whole, and nothing twice."""

from __future__ import annotations

import json

import pytest

from prober.providers import ADAPTERS
from prober.providers.adapter import detail

BAD_GATEWAY = (
    "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    "<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>"
)
LONG_HEAD = f"<!DOCTYPE html><html>{'<meta charset=utf-8>' * 40}<title>Gone &amp; lost</title>"


def said(status: int, body: object) -> str:
    raw = body if isinstance(body, str) else json.dumps(body)
    return ADAPTERS["openai"].classify(status, raw.encode()).detail


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (529, {"error": {"message": "529 Overloaded", "type": "529"}}, "HTTP 529 Overloaded"),
        (
            400,
            {"error": {"message": "/chat/completions: Invalid model name", "code": "400"}},
            "HTTP 400 /chat/completions: Invalid model name",
        ),
        (
            503,
            {"error": {"message": "HTTP 503: no healthy upstream", "code": 503}},
            "HTTP 503 no healthy upstream",
        ),
        (
            400,
            {"error": {"message": "root@vm: The model", "code": "model_decommissioned"}},
            "HTTP 400 model_decommissioned root@vm: The model",
        ),
        (
            500,
            {"error": {"message": "server_error: it broke", "type": "server_error"}},
            "HTTP 500 server_error: it broke",
        ),
        (502, BAD_GATEWAY, "HTTP 502 Bad Gateway"),
        (500, LONG_HEAD, "HTTP 500 Gone & lost"),
        (500, "<html><body><p>oops</p></body></html>", "HTTP 500 a page (HTML) without a title"),
        (502, {"error": {"message": BAD_GATEWAY, "code": 502}}, "HTTP 502 Bad Gateway"),
        (500, "a < b", "HTTP 500 a < b"),
        (500, "", "HTTP 500"),
    ],
)
def test_a_refusal_is_one_line_that_repeats_nothing(status: int, body: object, words: str) -> None:
    assert said(status, body) == words


def test_an_error_inside_a_stream_repeats_nothing_either() -> None:
    assert detail(503, ["503"], "litellm.MidStreamFallbackError: upstream closed") == (
        "HTTP 503 litellm.MidStreamFallbackError: upstream closed"
    )
    assert detail(0, ["overloaded_error"], "Overloaded") == "overloaded_error Overloaded"
