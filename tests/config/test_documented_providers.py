"""Every configuration in docs/providers.md is run as it stands there, against the emulator.

Only where it points to is changed. One test for each provider and outcome; the table at the end of
the page shows them.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from prober.clock import Clock
from prober.config import loader
from prober.config.schema import Config, Provider
from prober.emulator import Emulator
from prober.probing.network import Network
from prober.probing.plans import Plan, resolve
from prober.probing.probe import probe
from prober.sample import Outcome, Sample

PAGE = Path(__file__).parents[2] / "docs" / "providers.md"
BLOCKS = [
    block
    for block in re.findall(r"```toml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    if block.startswith("[[provider]]")
]
CONFIGS: dict[str, str] = {
    found[1]: block for block in BLOCKS if (found := re.search(r'^name = "(.+)"$', block, re.M))
}
FAULTS: dict[Outcome, dict[str, Any]] = {
    Outcome.OK: {},
    Outcome.OVERLOADED: {"error_share": 1},
    Outcome.SERVER_ERROR: {"error_share": 1, "status": 500},
    Outcome.STREAM_ERROR: {"in_stream_error_share": 1},
    Outcome.STREAM_TRUNCATED: {"truncate_share": 1},
    Outcome.EMPTY_COMPLETION: {"empty_share": 1},
    Outcome.TIMEOUT_FIRST_TEXT: {"hang_share": 1},
    Outcome.RATE_LIMITED: {"error_share": 1, "status": 429},
    Outcome.RESET: {"reset_share": 1},
    Outcome.WRONG_ANSWER: {"wrong_answer_share": 1},
    Outcome.REFUSAL: {"refusal_share": 1},
    Outcome.QUOTA_EXHAUSTED: {"quota_share": 1},
    Outcome.AUTH: {"auth_share": 1},
    Outcome.MODEL_NOT_FOUND: {"model_not_found_share": 1},
    Outcome.BAD_REQUEST: {"error_share": 1, "status": 413},
    Outcome.BUDGET_TOO_SMALL: {"length_share": 1},
}
# They have no word for a refusal: what their models say then is a wrong answer.
NEVER = {("ollama", Outcome.REFUSAL), ("mistral", Outcome.REFUSAL)}
CELLS = [(name, outcome) for name in CONFIGS for outcome in FAULTS if (name, outcome) not in NEVER]
TOKEN = "ya29.a-token-of-the-tests"


@pytest.fixture(scope="module")
def google_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A service account whose token service is on this machine."""

    class TokenService(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            body = json.dumps({"access_token": TOKEN, "expires_in": 3600}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), TokenService)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    account = {
        "type": "service_account",
        "project_id": "my-project",
        "private_key_id": "1",
        "private_key": private.decode(),
        "client_email": "canary@my-project.iam.gserviceaccount.com",
        "token_uri": f"http://127.0.0.1:{server.server_address[1]}/token",
    }
    path = tmp_path_factory.mktemp("google") / "account.json"
    path.write_text(json.dumps(account), "utf-8")
    yield path
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch, google_key: Path, tmp_path: Path) -> None:
    for name in re.findall(r'env = "(.+?)"', "".join(BLOCKS)):
        monkeypatch.setenv(name, "k-of-the-tests")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDOFTHETESTS")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-tests")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(google_key))


def pointed_at(emulator: Emulator, provider: Provider) -> Provider:
    """The same provider, at the emulator."""
    base_url = emulator.base_url(provider.api)
    if provider.api_version:
        base_url = base_url.removesuffix("/openai/v1")
    # Such servers ask for no key; the emulator wants to see any.
    anyone = {"authorization": "Bearer anyone"} if not provider.key and provider.preset else {}
    headers = {**provider.headers, **anyone}
    return provider.model_copy(update={"base_url": base_url, "headers": headers})


async def plan_of(name: str, emulator: Emulator, **canary: Any) -> Plan:
    return await asyncio.to_thread(_plan_of, name, emulator, **canary)


def _plan_of(name: str, emulator: Emulator, **canary: Any) -> Plan:
    config: Config = loader.parse(CONFIGS[name])
    (provider,) = config.provider
    assert provider.url
    bounds = provider.canary.model_copy(update=canary)
    provider = pointed_at(emulator, provider).model_copy(update={"canary": bounds})
    resolved = resolve(config.model_copy(update={"provider": (provider,)}))
    assert resolved.problems == []
    return resolved.plans[name]


async def found(plan: Plan, network: Network) -> Sample:
    return await probe(plan, network, Clock(), id="x")


@pytest.mark.parametrize(("name", "outcome"), CELLS, ids=str)
async def test_a_documented_provider(
    name: str, outcome: Outcome, emulator: Emulator, network: Network
) -> None:
    """What goes wrong at the provider becomes this outcome, whatever the API calls it."""
    plan = await plan_of(name, emulator)
    emulator.set_faults(**{"ttft_s": 0.001, **FAULTS[outcome]})
    if outcome is Outcome.TIMEOUT_FIRST_TEXT:
        plan = replace(plan, first_text_timeout_s=0.3)
    sample = await found(plan, network)
    assert sample.outcome is outcome, sample.detail


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("kind", ["echo", "arithmetic", "json"])
async def test_each_kind_of_canary_is_answered_over_each_api(
    name: str, kind: str, emulator: Emulator, network: Network
) -> None:
    sample = await found(await plan_of(name, emulator, kind=kind), network)
    assert sample.outcome is Outcome.OK, sample.detail
    assert sample.phases.first_text_s is not None


@pytest.mark.parametrize("name", CONFIGS)
async def test_tokens_and_a_request_id_are_read_over_each_api(
    name: str, emulator: Emulator, network: Network
) -> None:
    plan = await plan_of(name, emulator)
    sample = await found(plan, network)
    assert sample.tokens.input
    assert sample.tokens.output
    assert sample.request_id or plan.api in {"ollama", "gemini", "vertex"}


def test_the_page_shows_the_table_of_these_tests() -> None:
    """Mend the page with what the assertion prints when a provider or an outcome is added."""
    assert PAGE.read_text("utf-8").rpartition("printed there.\n\n")[2] == table()


def table() -> str:
    rows = [["provider", *FAULTS], ["---"] * (len(FAULTS) + 1)]
    rows += [[name, *(_cell(name, outcome) for outcome in FAULTS)] for name in CONFIGS]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _cell(name: str, outcome: Outcome) -> str:
    return "–" if (name, outcome) in NEVER else "✓"
