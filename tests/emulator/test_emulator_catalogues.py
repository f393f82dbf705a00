"""Catalogues and health paths: fine whatever is broken, but a model may be gone or going."""

from __future__ import annotations

import httpx
import pytest

from prober.emulator import Emulator
from tests.emulator.emulator_wires import WIRES, Asker

# API, its list, the list's field, and one model in it.
VERTEX = "/v1/projects/p/locations/l/publishers"
CATALOGUES = [
    ("anthropic", "/v1/models", "data", "/v1/models/{}"),
    ("openai", "/v1/models", "data", "/v1/models/{}"),
    ("openai-responses", "/openai-responses/v1/models", "data", "/openai-responses/v1/models/{}"),
    ("mistral", "/mistral/v1/models", "data", "/mistral/v1/models/{}"),
    ("azure-openai", "/openai/v1/models", "data", "/openai/v1/models/{}"),
    ("azure-openai", "/openai/models", "data", "/openai/models/{}"),
    ("gemini", "/v1/models", "models", "/v1/models/{}"),
    ("gemini", "/v1beta/models", "models", "/v1beta/models/{}"),
    ("vertex", "/v1/publishers/google/models", "publisherModels", VERTEX + "/google/models/{}"),
    ("bedrock", "/foundation-models", "modelSummaries", "/foundation-models/{}"),
]
LISTS = [
    *[row[:3] for row in CATALOGUES],
    ("ollama", "/api/tags", "models"),
]
SINGLES = [
    *[(row[0], row[3]) for row in CATALOGUES],
    ("vertex-claude", f"{VERTEX}/anthropic/models/{{}}"),
]
GONE = {"mistral": 400}


@pytest.mark.parametrize(("name", "path", "field"), [*LISTS, ("ollama", "/api/version", "version")])
def test_lookups_look_fine_whatever_is_broken(
    client: httpx.Client, emulator: Emulator, name: str, path: str, field: str
) -> None:
    emulator.set_faults(hang_share=1)
    response = client.get(path, headers=WIRES[name].headers)
    assert response.status_code == 200
    assert response.json()[field]


@pytest.mark.parametrize(("name", "path"), [row[:2] for row in LISTS])
def test_a_retired_model_is_not_listed(
    client: httpx.Client, emulator: Emulator, name: str, path: str
) -> None:
    asker = Asker(name, client)
    for model in ("kept", "gone"):
        asker.ask(model=model)
    emulator.set_faults(asker.api, "gone", model_not_found_share=1)
    listed = client.get(path, headers=asker.wire.headers).text
    assert "kept" in listed
    assert "gone" not in listed
    emulator.set_faults(asker.api, model_not_found_share=1)
    assert client.get(path, headers=asker.wire.headers).status_code == 200


@pytest.mark.parametrize(("name", "path"), SINGLES)
def test_a_model_is_told_until_it_is_gone(
    client: httpx.Client, emulator: Emulator, name: str, path: str
) -> None:
    asker = Asker(name, client)
    emulator.set_faults(hang_share=1)
    told = client.get(path.format("kept"), headers=asker.wire.headers)
    assert told.status_code == 200
    assert "kept" in told.text
    emulator.set_faults(asker.api, "gone", model_not_found_share=1)
    missing = client.get(path.format("gone"), headers=asker.wire.headers)
    assert missing.status_code == GONE.get(name, 404)
    assert asker.wire.problem(missing.json())


# Gemini, Vertex AI and Ollama have no place to say so.
RETIRING = [row for row in CATALOGUES if row[0] not in ("gemini", "vertex")]
ENDS = {"azure-openai": "1801353600"}


@pytest.mark.parametrize(("name", "many", "_field", "one"), RETIRING)
def test_a_catalogue_tells_when_a_model_retires(
    client: httpx.Client, emulator: Emulator, name: str, many: str, _field: str, one: str
) -> None:
    day = ENDS.get(name, "2027-01-31")
    emulator.set_faults(name, "old", retires="2027-01-31")
    headers = WIRES[name].headers
    assert day in client.get(one.format("old"), headers=headers).text
    assert day not in client.get(one.format("new"), headers=headers).text
    assert client.get(many, headers=headers).text.count(day) == 1


@pytest.mark.parametrize(
    "path",
    ["/v1/models", "/v1/models/m", "/anthropic/v1/models", "/v1beta/models", "/openai/models"],
)
def test_a_lookup_without_a_key_is_refused(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code in (401, 403)


@pytest.mark.parametrize("prefix", ["", "/openai", "/bedrock"])
@pytest.mark.parametrize("path", ["/health", "/readyz", "/health/liveliness"])
def test_health_is_fine_whatever_is_broken(
    client: httpx.Client, emulator: Emulator, prefix: str, path: str
) -> None:
    emulator.set_faults(hang_share=0.5, model_not_found_share=0.5)
    assert client.get(prefix + path).status_code == 200
