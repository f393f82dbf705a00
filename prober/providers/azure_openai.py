"""Azure OpenAI: OpenAI's Chat Completions at a resource of one's own.

With `api_version` the classic path of a deployment is used, `{base}/openai/deployments/{model}`;
without it the v1 path, `base_url` then ending in `/openai/v1` as in the SDK.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from prober.providers import openai
from prober.providers.adapter import Adapter
from prober.providers.events import Endpoint, HttpRequest, get, object_of, parse_json, post, text_of
from prober.providers.model_list import UNREADABLE, Catalogue, Listing, day_of
from prober.providers.sse import Messages


def build(target: Endpoint, prompt: str, max_tokens: int) -> HttpRequest:
    body = openai.body(target, prompt, max_tokens)
    return post(_url(target, "/chat/completions"), target, body, _key(target))


def _url(target: Endpoint, path: str) -> str:
    if not target.api_version:
        return f"{target.base_url}{path}"
    deployment = quote(target.model, safe="")
    version = quote(target.api_version, safe="")
    return f"{target.base_url}/openai/deployments/{deployment}{path}?api-version={version}"


def _key(target: Endpoint) -> dict[str, str]:
    return {"api-key": target.key} if target.key else {}


def codes(error: dict[str, Any]) -> list[str]:
    """The code, the type, and the content filter's own code inside."""
    inner = object_of(error.get("innererror")).get("code")
    return [*openai.codes(error), *([inner] if isinstance(inner, str) else [])]


def _model(target: Endpoint) -> HttpRequest:
    if target.api_version:
        version = quote(target.api_version, safe="")
        return get(f"{target.base_url}/openai/models?api-version={version}", target, _key(target))
    return get(f"{target.base_url}/models", target, _key(target))


def _listing(body: bytes, model: str) -> Listing:
    """The list holds models and a canary names a deployment: only a hit says something."""
    rows = object_of(parse_json(body)).get("data")
    entries = [object_of(row) for row in (rows if isinstance(rows, list) else [])]
    row = next((row for row in entries if row.get("id") == model), None)
    if row is None:
        return UNREADABLE
    stage = text_of(row.get("lifecycle_status"))
    return Listing(
        found=True,
        deprecated=stage in {"deprecated", "deprecating"},
        retires=day_of(object_of(row.get("deprecation")).get("inference")),
    )


ADAPTER = Adapter(
    api="azure-openai",
    build=build,
    framing=Messages,
    events=openai.events,
    codes=codes,
    request_id_headers=("apim-request-id", "x-request-id", "x-ms-request-id"),
    catalogue=Catalogue(_model, _listing),
)
