"""vendors.toml: what comes with this version is sound, and a slip in it is named."""

from __future__ import annotations

import pytest

from prober.config.vendors import PLAIN_TOKENS, REASONING_TOKENS, parse, vendors
from prober.providers import ADAPTERS

SOUND = """
checked = 2026-11-26
source = "somebody's documentation"
[[api]]
name = "openai"
base_url = "https://api.example/v1/"
[[api]]
name = "bedrock"
base_url = "https://bedrock.{region}.example"
[[api]]
name = "vertex"
base_url = "https://{location}-ai.example"
global_url = "https://ai.example"
[[preset]]
name = "vllm"
base_url = "http://127.0.0.1:8000/v1"
[[family]]
apis = ["openai"]
name = 'o\\d'
effort = "low"
[[family]]
apis = ["openai"]
name = 'gpt-(5|6)-chat'
reasons = false
"""


def test_what_comes_with_this_version_knows_each_wire_api_and_no_other() -> None:
    assert {api.name for api in vendors().api} == set(ADAPTERS)
    assert vendors().checked.year >= 2026
    assert vendors().source


@pytest.mark.parametrize(
    ("api", "place", "url"),
    [
        ("openai", {}, "https://api.example/v1"),
        ("bedrock", {"region": "eu-1"}, "https://bedrock.eu-1.example"),
        ("bedrock", {}, ""),
        ("vertex", {"location": "eu"}, "https://eu-ai.example"),
        ("vertex", {"location": "global"}, "https://ai.example"),
        ("vertex", {"region": "eu"}, ""),
    ],
)
def test_an_address_is_made_of_the_place_that_it_needs(
    api: str, place: dict[str, str], url: str
) -> None:
    assert parse(SOUND).find_api(api).url(**place) == url


@pytest.mark.parametrize(
    ("model", "effort", "tokens"),
    [
        ("o3", None, REASONING_TOKENS),
        ("vendor/O4-mini", None, REASONING_TOKENS),
        ("gpt-5-chat-latest", None, PLAIN_TOKENS),
        ("gpt-4.1", None, PLAIN_TOKENS),
        ("gpt-4.1", "high", REASONING_TOKENS),
        ("o3", "none", PLAIN_TOKENS),
    ],
)
def test_who_reasons_gets_tokens_enough(model: str, effort: str | None, tokens: int) -> None:
    assert parse(SOUND).max_tokens("openai", model, effort) == tokens


@pytest.mark.parametrize(
    ("sound", "slip", "says"),
    [
        ("checked = 2026-11-26", "", "checked"),
        ("checked = 2026-11-26", 'checked = "soon"', "checked"),
        ('name = "openai"', 'name = "openai"\nbase_ulr = "x"', "base_ulr"),
        ("https://api.example/v1/", "api.example/v1", "must start with http"),
        ('name = "bedrock"', 'name = "openai"', "'openai' stands twice"),
        ('apis = ["openai"]', 'apis = ["opanai"]', "no api is named 'opanai'"),
        ("name = 'o\\d'", "name = 'o(\\d'", r"'o\(\\\\d' is no regular expression"),
    ],
)
def test_a_slip_is_named(sound: str, slip: str, says: str) -> None:
    assert sound in SOUND
    with pytest.raises(ValueError, match=says):
        parse(SOUND.replace(sound, slip, 1))
