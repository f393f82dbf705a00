"""What each API's list of models says of ours: there, gone, on its way out, or unreadable."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.providers import ADAPTERS
from prober.providers.events import Endpoint
from prober.providers.model_list import UNREADABLE, Catalogue, Listing, day_of
from tests.support.values import STEADY

KEY = "sk-very-secret-0123456789"
DAY = date(2027, 1, 31)
WELL, GONE = Listing(True), Listing(False)
FADING = Listing(True, deprecated=True)
ENDING = Listing(True, deprecated=True, retires=DAY)
DATED = Listing(True, retires=DAY)


def catalogue(api: str) -> Catalogue:
    found = ADAPTERS[api].catalogue
    assert found is not None
    return found


def listing(api: str, said: Any, status: int = 200, model: str = "m-1") -> Listing:
    return catalogue(api).listing(status, json.dumps(said).encode(), model)


def anthropic(stage: str, retires: str | None = None) -> dict[str, Any]:
    return {"type": "model", "id": "m-1", "lifecycle": stage, "retires_at": retires}


def rows(**said: Any) -> dict[str, Any]:
    return {"object": "list", "data": [{"id": "m-0"}, {"id": "m-1", **said}]}


def google(stage: str = "", retires: str | None = None) -> dict[str, Any]:
    status = {"modelStage": stage, "retirementTime": retires}
    return {"name": "models/m-1", **({"modelStatus": status} if stage else {})}


def amazon(status: str, ends: str | None = None) -> dict[str, Any]:
    return {"modelDetails": {"modelLifecycle": {"status": status, "endOfLifeTime": ends}}}


OTHERS = {"object": "list", "data": [{"id": "m-0"}, "odd", None, {"id": {"m-1": 1}}]}
SECONDS = 1_801_353_600  # 2027-01-31


@pytest.mark.parametrize(
    ("api", "said", "wanted"),
    [
        ("anthropic", anthropic("active"), WELL),
        ("anthropic", anthropic("deprecated"), FADING),
        ("anthropic", anthropic("deprecated", "2027-01-31T00:00:00Z"), ENDING),
        ("anthropic", anthropic("retired", "2027-01-31T00:00:00Z"), Listing(False, retires=DAY)),
        ("anthropic", {"type": "model", "id": "m-1"}, WELL),  # before it told stages
        ("openai", rows(shutdown_date=None), WELL),
        ("openai", rows(shutdown_date="2027-01-31"), DATED),
        ("openai", rows(expiration_date="2027-01-31T10:00:00Z"), DATED),
        ("openai", rows(), WELL),
        ("openai", OTHERS, GONE),
        ("openai", {"data": [{"id": "/m/x.gguf", "owned_by": "llamacpp"}]}, UNREADABLE),
        ("openai", {"data": [{"id": n, "owned_by": "llamacpp"} for n in ("x", "y")]}, GONE),
        ("openai-responses", rows(shutdown_date="2027-01-31"), DATED),
        ("openai-responses", OTHERS, GONE),
        ("gemini", google(), WELL),
        ("gemini", google("STABLE"), WELL),
        ("gemini", google("LEGACY"), FADING),
        ("gemini", google("LEGACY", "2027-01-31T00:00:00Z"), ENDING),
        ("gemini", google("DEPRECATED"), GONE),
        ("gemini", google("RETIRED"), GONE),
        ("mistral", rows(deprecation=None), WELL),
        ("mistral", rows(deprecation="2027-01-31T12:00:00Z"), ENDING),
        ("mistral", OTHERS, GONE),
        ("mistral", {"data": [{"id": "m-1-2507", "aliases": ["m-1"]}]}, WELL),
        ("ollama", {"models": [{"name": "m-1:latest", "model": "m-1:latest"}]}, WELL),
        ("ollama", {"models": [{"name": "m-1", "model": "m-1"}]}, WELL),
        ("ollama", {"models": [{"name": "m-1:7b"}]}, GONE),
        ("ollama", {"models": []}, GONE),
        ("azure-openai", rows(lifecycle_status="generally-available"), WELL),
        ("azure-openai", rows(lifecycle_status="deprecating"), FADING),
        (
            "azure-openai",
            rows(lifecycle_status="deprecated", deprecation={"inference": SECONDS}),
            ENDING,
        ),
        # A deployment has a name of its own: not to find it in the list of models says nothing.
        ("azure-openai", OTHERS, UNREADABLE),
        ("vertex", {"name": "publishers/google/models/m-1", "launchStage": "GA"}, WELL),
        ("bedrock", amazon("ACTIVE"), WELL),
        ("bedrock", amazon("LEGACY"), FADING),
        ("bedrock", amazon("LEGACY", "2027-01-31T00:00:00Z"), ENDING),
    ],
)
def test_a_listing_is_read(api: str, said: Any, wanted: Listing) -> None:
    assert listing(api, said) == wanted


@pytest.mark.parametrize(
    ("api", "wanted"),
    [
        *[(api, GONE) for api in ("anthropic", "gemini", "vertex")],
        *[(api, UNREADABLE) for api in ("openai", "mistral", "ollama", "azure-openai", "bedrock")],
    ],
)
def test_not_found_means_gone_only_where_the_model_was_asked_for(api: str, wanted: Listing) -> None:
    """A gateway without a list of models is no retirement."""
    assert listing(api, {"error": "not found"}, status=404) == wanted


LISTED = list(ADAPTERS)


@pytest.mark.parametrize("api", LISTED)
@pytest.mark.parametrize("status", [200, 401, 403, 429, 500, 503])
@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b'{"data": 5}', b"{" * 5_000])
def test_what_cannot_be_read_says_nothing(api: str, status: int, body: bytes) -> None:
    assert catalogue(api).listing(status, body, "m-1") == UNREADABLE


KEYS = [
    *("data", "models", "id", "name", "model", "lifecycle", "retires_at", "shutdown_date"),
    *("modelStatus", "modelStage", "retirementTime", "deprecation", "inference", "aliases"),
    *("lifecycle_status", "modelDetails", "modelLifecycle", "status", "endOfLifeTime"),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["m-1", "LEGACY"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)
    ),
    max_leaves=15,
)


@pytest.mark.parametrize("api", LISTED)
@STEADY
@given(JSON)
def test_json_of_any_shape_does_not_raise(api: str, said: Any) -> None:
    row = {"id": "m-1", **(said if isinstance(said, dict) else {"lifecycle_status": said})}
    for body in (said, {"data": [row]}, {"data": said}, row):
        found = listing(api, body)
        assert isinstance(found.sentence("m-1"), str)


@pytest.mark.parametrize(
    ("found", "well", "sentence"),
    [
        (WELL, True, ""),
        (UNREADABLE, True, ""),
        (GONE, False, "m-1 is not in the provider's list of models"),
        (FADING, False, "m-1 is deprecated; no date of retirement is given"),
        (ENDING, False, "m-1 is deprecated and retires on 2027-01-31"),
        (DATED, False, "m-1 retires on 2027-01-31"),
    ],
)
def test_a_listing_says_itself_in_a_sentence(found: Listing, well: bool, sentence: str) -> None:
    assert (found.well, found.sentence("m-1")) == (well, sentence)


@pytest.mark.parametrize(
    ("value", "day"),
    [
        ("2027-01-31", DAY),
        ("2027-01-31T23:59:59Z", DAY),
        ("2027-01-31T00:00:00.000+01:00", DAY),
        (SECONDS, DAY),
        (float(SECONDS), DAY),
        (True, None),
        ("soon", None),
        ("", None),
        (None, None),
        ([], None),
        (10**30, None),
        (float("nan"), None),
        (float("inf"), None),
    ],
)
def test_a_day_is_read_in_every_form(value: Any, day: date | None) -> None:
    assert day_of(value) == day


BASE = "https://h.example"
CONTROL = "https://bedrock.eu-1.amazonaws.com/foundation-models"


@pytest.mark.parametrize(
    ("api", "base", "model", "url"),
    [
        ("anthropic", BASE, "m/1", f"{BASE}/v1/models/m%2F1"),
        ("openai", f"{BASE}/v1", "m-1", f"{BASE}/v1/models"),
        ("openai-responses", f"{BASE}/v1", "m-1", f"{BASE}/v1/models"),
        ("gemini", BASE, "models/m-1", f"{BASE}/v1beta/models/m-1"),
        ("mistral", BASE, "m-1", f"{BASE}/v1/models"),
        ("vertex", BASE, "gemini-3", f"{BASE}/v1/publishers/google/models/gemini-3"),
        ("vertex", BASE, "claude-x@1", f"{BASE}/v1/publishers/anthropic/models/claude-x@1"),
        ("ollama", BASE, "m-1", f"{BASE}/api/tags"),
        ("azure-openai", f"{BASE}/openai/v1", "m-1", f"{BASE}/openai/v1/models"),
        (
            "bedrock",
            "https://bedrock-runtime.eu-1.amazonaws.com",
            "anthropic.claude-v1:0",
            f"{CONTROL}/anthropic.claude-v1%3A0",
        ),
        (
            "bedrock",
            "https://bedrock-runtime.eu-1.amazonaws.com",
            "eu.anthropic.claude-v1:0",
            f"{CONTROL}/anthropic.claude-v1%3A0",
        ),
        (
            "bedrock",
            "https://bedrock-runtime.eu-1.amazonaws.com",
            "us-gov.anthropic.claude-v1:0",
            f"{CONTROL}/anthropic.claude-v1%3A0",
        ),
        (
            "bedrock",
            "https://bedrock-runtime.eu-1.amazonaws.com",
            "openai.gpt-5.6-luna",
            f"{CONTROL}/openai.gpt-5.6-luna",
        ),
    ],
)
def test_the_catalogue_is_asked_with_the_key_in_a_header(
    api: str, base: str, model: str, url: str
) -> None:
    request = catalogue(api).build(Endpoint(base, model, KEY))
    assert (request.method, request.url, request.body) == ("GET", url, b"")
    assert KEY in str(request.headers)


def test_azure_s_classic_catalogue_has_its_version() -> None:
    target = Endpoint(BASE, "m-1", KEY, api_version="2024-10-21")
    request = catalogue("azure-openai").build(target)
    assert request.url == f"{BASE}/openai/models?api-version=2024-10-21"
