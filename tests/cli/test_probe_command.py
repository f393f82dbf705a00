"""`prober probe` itself, against the emulator."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import sys
from pathlib import Path

import pytest

from prober.cli.probe_run import Asker, Probed
from prober.clock import Clock
from prober.config.loader import load
from prober.config.schema import Provider
from prober.daemon import detector_state
from prober.detection.precedent import Precedents
from prober.emulator import Emulator
from prober.probing import credentials
from prober.probing.plans import Plan, resolve
from prober.sample import Outcome, Sample
from tests.support.stage import Hook

from .conftest import Prober

CONFIG = """
[redis]
url = {{ env = "NOT_THERE" }}
[canary]
first_text_timeout = "500ms"
timeout = "1s"
[[provider]]
name = "alpha"
api = "anthropic"
model = "claude-test"
base_url = "{url}"
key = {{ env = "KEY_A" }}
[[provider]]
name = "beta"
api = "openai"
preset = "vllm"
model = "gpt-test"
base_url = "{url}/v1"
key = {{ env = "KEY_B" }}
[[provider]]
name = "off"
api = "ollama"
model = "m"
enabled = false
"""


@pytest.fixture
def config(tmp_path: Path, emulator: Emulator, oncall: Hook) -> Path:
    path = tmp_path / "prober.toml"
    path.write_text(CONFIG.format(url=emulator.url), "utf-8")
    return path


async def test_one_provider_is_shown_on_one_screen(config: Path, prober: Prober) -> None:
    """What is missing elsewhere in the file is no matter."""
    said = await prober("probe", "beta")
    assert said.exit_code == 0, said.output
    for words in (
        "beta: ok, HTTP 200", "connect", "first text", "as it should be", "tokens/s",
        "/health says 200", "requests left", "openai-processing-ms: 20",
    ):  # fmt: skip
        assert words in said.stdout
    assert "kept from" not in said.stdout


async def test_a_server_whose_health_is_fine_and_that_answers_nobody_is_seen_through(
    config: Path, emulator: Emulator, prober: Prober
) -> None:
    emulator.set_faults(api="openai", hang_share=1.0)
    said = await prober("probe", "beta")
    assert said.exit_code == 1
    assert "beta: no first text in time (timeout_first_text), no answer" in said.stdout
    assert "given up" in said.stdout
    assert "/health says 200" in said.stdout
    assert "the canary says that it is not" in said.stdout


async def test_a_warm_canary_is_the_second_over_one_connection(
    config: Path, emulator: Emulator, prober: Prober
) -> None:
    said = await prober("probe", "alpha", "--warm")
    assert "kept from the canary before" in said.stdout
    assert emulator.requests().total == 2
    await prober("probe", "alpha", "--fresh")
    assert emulator.requests().total == 3
    emulator.set_faults(error_share=1.0)
    assert (await prober("probe", "alpha", "--warm")).exit_code == 1
    assert emulator.requests().total == 4, "the first has failed already"


async def test_all_are_probed_side_by_side_with_a_row_each_and_a_sum(
    config: Path, emulator: Emulator, prober: Prober
) -> None:
    for words in (("probe",), ("probe", "--all")):
        said = await prober(*words)
        assert said.exit_code == 0, said.output
        lines = said.stdout.splitlines()
        assert lines[0].startswith("provider")
        assert {line.split()[0] for line in lines[1:3]} == {"alpha", "beta"}
        assert lines[-1].startswith("2 of 2 ok")
        assert "\x1b" not in said.output
    emulator.set_faults(api="openai", error_share=1.0, status=503)
    said = await prober("probe")
    assert said.exit_code == 1
    assert "not ok: beta (overloaded)" in said.stdout
    assert "beta: HTTP 503" in said.stdout


async def test_json_holds_the_whole_sample(config: Path, prober: Prober) -> None:
    (found,) = json.loads((await prober("probe", "beta", "--json")).stdout)
    assert found["outcome"] == "ok"
    assert found["phases"]["dns_s"] is None, "an address asks no name server"
    assert found["phases"]["connect_s"] >= 0
    assert found["limits"]["requests"]["limit"] == 10_000
    assert found["health"]["fine"] is True
    assert found["answer"]
    assert len(json.loads((await prober("probe", "--json")).stdout)) == 2


async def test_the_raw_exchange_is_saved_for_its_owner_alone(
    config: Path, tmp_path: Path, prober: Prober
) -> None:
    file = tmp_path / "exchange.txt"
    said = await prober("probe", "alpha", "--save", str(file))
    assert f"saved: {file}" in said.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    text = file.read_text("utf-8")
    for words in (
        "# alpha, claude-test, ",
        "> POST ",
        "> x-api-key: ***",
        "< HTTP/1.1 200",
        "# 0.",
    ):
        assert words in text
    assert "secret-key-of-a" not in text


async def test_a_screen_that_is_cut_off_costs_no_file(config: Path, tmp_path: Path) -> None:
    """As `prober probe NAME --save FILE | head -1` does it."""
    for words, file in (
        (("alpha",), tmp_path / "exchange.txt"),
        (("--all",), tmp_path / "exchange.beta.txt"),
    ):
        reader, writer = os.pipe()
        os.close(reader)
        command = [sys.executable, "-m", "prober", "probe", *words, "-c", str(config)]
        process = await asyncio.create_subprocess_exec(
            *command, "--save", str(tmp_path / "exchange.txt"), stdout=writer,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        os.close(writer)
        _, said = await process.communicate()
        assert "> POST " in await asyncio.to_thread(file.read_text, "utf-8"), said
        file.unlink()


async def test_at_most_four_are_asked_at_a_time(
    config: Path, emulator: Emulator, prober: Prober, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More would time this machine: canaries of nineteen wait for each other's connections."""
    one = config.read_text("utf-8").split("[[provider]]")[1]
    many = "".join(f"[[provider]]{one.replace('alpha', f'more-{n}')}" for n in range(9))
    config.write_text(config.read_text("utf-8") + many, "utf-8")
    asked, most = 0, 0
    whole = Asker.ask

    async def counted(asker: Asker, provider: Provider, plan: Plan) -> Probed:
        nonlocal asked, most
        asked, most = asked + 1, max(most, asked + 1)
        try:
            return await whole(asker, provider, plan)
        finally:
            asked -= 1

    monkeypatch.setattr(Asker, "ask", counted)
    said = await prober("probe")
    assert said.stdout.splitlines()[-1].startswith("11 of 11 ok"), said.output
    assert most == 4
    names = [line.split()[0] for line in said.stdout.splitlines()[1:12]]
    assert names == ["alpha", "beta", *(f"more-{n}" for n in range(9))], "in the file's order"


async def test_several_exchanges_are_saved_to_a_file_each(
    config: Path, tmp_path: Path, prober: Prober
) -> None:
    await prober("probe", "--save", str(tmp_path / "exchange.txt"))
    assert {file.name for file in tmp_path.glob("exchange*")} == {
        "exchange.alpha.txt",
        "exchange.beta.txt",
    }


async def test_what_is_saved_already_stays_and_nothing_is_sent(
    config: Path, tmp_path: Path, emulator: Emulator, prober: Prober
) -> None:
    kept = tmp_path / "exchange.beta.txt"
    kept.write_text("evidence")
    said = await prober("probe", "--save", str(tmp_path / "exchange.txt"))
    assert said.exit_code == 2
    assert f"{kept} is there already" in said.stderr
    assert kept.read_text() == "evidence"
    nowhere = await prober("probe", "--save", str(tmp_path / "none" / "exchange.txt"))
    assert nowhere.exit_code == 2
    assert "there is no folder" in nowhere.stderr
    assert emulator.requests().total == 0


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("alpa",), "no provider 'alpa'; did you mean 'alpha'?"),
        (("zz",), "no provider 'zz'; there are: alpha, beta, off"),
        (("off",), "off cannot be probed: disabled in the configuration"),
        (("alpha", "--all"), "give a provider or --all, not both"),
    ],
)
async def test_bad_input_is_one_clear_line(
    config: Path, prober: Prober, words: tuple[str, ...], line: str
) -> None:
    said = await prober("probe", *words)
    assert (said.exit_code, said.output) == (2, f"prober: {line}\n")


async def test_a_missing_key_stops_its_own_provider_only(
    config: Path, prober: Prober, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KEY_B")
    said = await prober("probe", "beta")
    line = "key: environment variable KEY_B is empty or not there"
    assert said.exit_code == 2
    assert said.output.startswith(f"prober: beta cannot be probed: {line}")
    assert "run: KEY_B=… " in said.output
    assert (await prober("probe", "alpha")).exit_code == 0
    rest = await prober("probe")
    assert rest.exit_code == 1
    assert "1 of 1 ok" in rest.stdout
    assert f"beta could not be asked: {line}" in rest.stderr
    monkeypatch.delenv("KEY_A")
    nobody = await prober("probe")
    assert nobody.exit_code == 2
    assert "no provider can be probed; off: disabled" in nobody.stderr


async def test_a_missing_extra_is_named(
    config: Path, prober: Prober, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = '[[provider]]\nname = "aws"\napi = "bedrock"\nmodel = "m"\nregion = "eu-central-1"\n'
    config.write_text(config.read_text("utf-8") + more, "utf-8")

    for module in ("botocore", *credentials.EXTRAS["bedrock"]):
        monkeypatch.setitem(sys.modules, module, None)
    said = await prober("probe", "aws")
    assert said.exit_code == 2
    assert "needs botocore" in said.output
    assert 'pip install "prober-llm[bedrock]"' in said.output
    assert len(said.output.splitlines()) == 1


async def test_certificates_that_cannot_be_read_are_one_clear_line(
    config: Path, prober: Prober
) -> None:
    text = config.read_text("utf-8") + '[network]\nca_file = "/none/ca.pem"\n'
    config.write_text(text, "utf-8")
    said = await prober("probe", "alpha")
    assert said.exit_code == 2
    assert '[network]: ca_file = "/none/ca.pem": no such file' in said.output


async def test_a_proxy_that_cannot_be_used_is_one_clear_line(
    config: Path, prober: Prober, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "ftp://user:pass@127.0.0.1:9")
    for command in (("probe", "alpha"), ("probe", "--all"), ("check",)):
        said = await prober(*command)
        assert said.exit_code == 2
        assert "[network]: ALL_PROXY is no proxy that can be used" in said.output
        assert "pass" not in said.output
        assert "Traceback" not in said.output


async def test_the_help_says_what_it_costs_and_what_save_does(prober: Prober) -> None:
    said = " ".join((await prober("probe", "--help")).output.split())
    assert "It is a real request: it costs a few tokens" in said
    assert "stays as it is, and nothing is sent" in said


async def test_a_canary_that_the_daemon_has_seen_answered_is_not_called_malformed(
    config: Path,
    prober: Prober,
    emulator: Emulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the daemon's own memory, on the same machine; of another canary it says nothing."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    now = Clock().now()
    saved = await asyncio.to_thread(_answered, config, now)
    await asyncio.to_thread(detector_state.save, tmp_path / "detectors.json", saved)
    emulator.set_faults(error_share=1.0, status=413)
    found = {}
    for name in ("alpha", "beta"):
        said = json.loads((await prober("probe", name, "--json")).stdout)
        found[name] = said[0]["outcome"]
    assert found == {"alpha": "refused", "beta": "bad_request"}


def _answered(config: Path, now: float) -> detector_state.Saved:
    plan = resolve(load(config)).plans["alpha"]
    memory = Precedents()
    memory.judge(Sample("x", "alpha", "local", "m", now, 0.0, Outcome.OK), plan.fingerprint)
    return {**detector_state.dump([], 0.0), "precedents": memory.dump(now)}
