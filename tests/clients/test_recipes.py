"""The recipes of docs/applications.md, run as they stand there against the emulator."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openfeature import api

from prober.emulator import Emulator, started
from switch import Reader
from switch.flag import Candidate, Keys, encode_candidate
from switch.testing import FakeAsyncReader, Reported
from tests.support.late import late
from tests.support.servers import Valkey

openai = late("openai")

TEXT = (Path(__file__).parent.parent.parent / "docs/applications.md").read_text()
KEYS = Keys("chat")


def recipe(name: str) -> dict[str, Any]:
    """What the code block of that name defines."""
    found = re.search(rf"<!-- recipe: {name} -->\n```python\n(.*?)```", TEXT, re.DOTALL)
    assert found is not None, f"docs/applications.md has no recipe {name!r}"
    said: dict[str, Any] = {}
    exec(compile(found.group(1), f"docs/applications.md: {name}", "exec"), said)
    return said


@contextlib.contextmanager
def clients(said: dict[str, Any]) -> Iterator[None]:
    """Closes the SDKs' clients, whose sockets would else warn from within some later test."""
    yield
    for name in ("claude", "gpt"):
        if name in said:
            said[name].close()


@pytest.fixture(scope="module")
def _emulator() -> Iterator[Emulator]:
    with started() as emulator:
        yield emulator


@pytest.fixture
def emulator(_emulator: Emulator, valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    _emulator.reset()
    for name, value in {
        "REDIS_URL": valkey.url,
        "ANTHROPIC_API_KEY": "k",
        "ANTHROPIC_BASE_URL": _emulator.url,
        "ANTHROPIC_API_BASE": _emulator.url,
        "OPENAI_API_KEY": "k",
        "OPENAI_BASE_URL": f"{_emulator.url}/v1",
    }.items():
        monkeypatch.setenv(name, value)
    return _emulator


@pytest.fixture
def flag(valkey: Valkey) -> Iterator[Any]:
    """Sets the flag as the daemon would: state, candidates, message."""
    with valkey.client() as client:
        epoch = 10

        def move(provider: str) -> None:
            nonlocal epoch
            epoch += 1
            state = {"provider": provider, "epoch": epoch, "decision_id": f"d{epoch}"}
            client.hset(KEYS.state, mapping=state)
            for order, name in enumerate(("anthropic", "openai")):
                one = Candidate(name, name, name, "m", "https://x", order=order)
                client.hset(KEYS.candidates, name, encode_candidate(one))

        move("anthropic")
        yield move


def calls(emulator: Emulator) -> dict[str, int]:
    return {api: sum(models.values()) for api, models in emulator.requests().counts.items()}


@pytest.mark.parametrize(
    "name", ["sdks", pytest.param("litellm", marks=pytest.mark.skipif(
        importlib.util.find_spec("litellm") is None, reason="litellm is not installed"
    ))],
)  # fmt: skip
def test_the_sdks_are_chosen_by_the_flag_and_fall_back(
    emulator: Emulator, flag: Any, valkey: Valkey, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPORT_URL", valkey.url)
    said = recipe(name)
    reader: Reader = said["reader"]
    with reader, clients(said):
        assert reader.wait_ready(20)
        assert said["ask"]("Say something.")
        assert calls(emulator) == {"anthropic": 1}
        flag("openai")
        reader.read_once()
        assert said["ask"]("Say something.")
        assert calls(emulator) == {"anthropic": 1, "openai": 1}
        emulator.set_faults("openai", error_share=1.0, status=503)
        assert said["ask"]("Say something."), "the next in order answers"
        assert calls(emulator)["anthropic"] == 2
    if name == "sdks":
        with valkey.client() as client:
            sent = "".join(str(entry) for _, entry in client.xrange(KEYS.reports))
        assert '"openai"' in sent
        assert '"bad":1' in sent


def test_when_nobody_answers_the_last_failure_is_told(emulator: Emulator, flag: Any) -> None:
    said = recipe("sdks")
    with said["reader"] as reader, clients(said):
        assert reader.wait_ready(20)
        emulator.set_faults("*", error_share=1.0, status=503)
        with pytest.raises(RuntimeError, match="no provider answered") as raised:
            said["ask"]("Say something.")
        assert isinstance(raised.value.__cause__, openai.APIError)


def test_a_bad_request_is_neither_retried_nor_reported(
    emulator: Emulator, flag: Any, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPORT_URL", valkey.url)
    said = recipe("sdks")
    with said["reader"] as reader, clients(said):
        assert reader.wait_ready(20)
        emulator.set_faults("*", error_share=1.0, status=400)
        with pytest.raises(said["OURS"]):
            said["ask"]("Say something.")
    assert calls(emulator) == {"anthropic": 1}
    with valkey.client() as client:
        assert client.xrange(KEYS.reports) == []


async def test_a_stream_stays_with_its_provider_and_is_reported_with_its_first_text(
    emulator: Emulator,
) -> None:
    reader = FakeAsyncReader({"chat": "openai"})
    http = await asyncio.to_thread(httpx_of_openai)
    async with openai.AsyncOpenAI(http_client=http, max_retries=0) as client:
        stream = recipe("stream")["stream"]
        texts = []
        async for text in stream(reader, {"openai": client}, "Say something."):
            reader.set_primary("chat", "anthropic")
            texts.append(text)
        assert "".join(texts)
        [report] = reader.reports
        assert (report.provider, report.ok) == ("openai", True)
        assert report.ttft_s is not None
        reader.set_primary("chat", "openai")
        emulator.set_faults("openai", error_share=1.0, status=503)
        with pytest.raises(openai.APIError):
            async for _ in stream(reader, {"openai": client}, "Say something."):
                pass
        assert reader.reports[1] == Reported("chat", "openai", False, None)
    assert set(calls(emulator)) == {"openai"}


def httpx_of_openai() -> Any:
    return openai.DefaultAsyncHttpxClient(trust_env=False, verify=False)


def test_the_openfeature_recipe_answers(emulator: Emulator, flag: Any) -> None:
    flag("openai")
    said = recipe("openfeature")
    try:
        assert said["provider"]() == "openai"
    finally:
        api.clear_providers()
        said["reader"].close()


def test_the_unit_test_recipe_passes() -> None:
    recipe("testing")


def test_every_recipe_is_run_here() -> None:
    assert set(re.findall(r"<!-- recipe: (\w+) -->", TEXT)) == {
        "sdks", "stream", "litellm", "openfeature", "testing",
    }  # fmt: skip
    assert TEXT.count("```python") == 5
