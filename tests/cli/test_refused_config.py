"""A refused prober.toml takes no command of an emergency away."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from prober.config import last_good, loader
from prober.emulator import Emulator
from tests.support.servers import Valkey
from tests.support.stage import Hook, running, until, write_config

from .conftest import Prober

BROKEN = {
    "a misspelt key": lambda text: text.replace("healthy_for", "healthy_forr"),
    "no TOML": lambda text: text.replace("[route.detector]", "[route.detector"),
    "a wrong table": lambda text: text.replace("[redis]", '[redis]\nnamespace = "?"'),
}


def primary(valkey: Valkey) -> str | None:
    with valkey.client() as client:
        found: str | None = client.get("prober:{chat}:primary")
        return found


@pytest.fixture
def config(tmp_path: Path, emulator: Emulator, valkey: Valkey, oncall: Hook) -> Path:
    return write_config(tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url)


def spoil(config: Path, how: str) -> None:
    spoilt = BROKEN[how](config.read_text("utf-8"))
    assert spoilt != config.read_text("utf-8")
    config.write_text(spoilt, "utf-8")


@pytest.mark.parametrize("how", BROKEN)
async def test_every_command_of_an_emergency_works_while_the_daemon_runs(
    config: Path, valkey: Valkey, prober: Prober, how: str
) -> None:
    async with running(config) as daemon:
        await until(lambda: primary(valkey) == "a")
        spoil(config, how)
        assert not await daemon.reload()
        for words in (
            ("status",), ("why", "chat"), ("contract",), ("cost",), ("history",), ("pause",),
            ("resume",), ("ack", "chat"), ("pin", "b", "--for", "1m"), ("unpin",),
            ("failover", "a", "--force"), ("failback",), ("alert", "test"),
        ):  # fmt: skip
            said = await prober(*words)
            assert said.exit_code == 0, (words, said.output)
            assert f"{config} is refused (" in said.stderr
            assert "the configuration that the daemon took last" in said.stderr
        assert primary(valkey) == "a"
        parsed = json.loads((await prober("status", "--json")).stdout)
        assert parsed["routes"][0]["primary"] == "a", "the warning is no part of the JSON"
        for words in (("check",), ("probe", "a")):
            assert (await prober(*words)).exit_code == 2, words


@pytest.mark.parametrize("how", BROKEN)
async def test_a_flag_can_be_moved_when_the_daemon_is_dead_too(
    config: Path, valkey: Valkey, prober: Prober, how: str
) -> None:
    async with running(config):
        await until(lambda: primary(valkey) == "a")
    spoil(config, how)
    said = await prober("failover", "b", "--force")
    assert said.exit_code == 0, said.output
    assert primary(valkey) == "b"
    assert "chat: b" in (await prober("status")).stdout


async def test_a_reloaded_configuration_is_the_one_gone_by(
    config: Path, valkey: Valkey, prober: Prober
) -> None:
    async with running(config) as daemon:
        await until(lambda: primary(valkey) == "a")
        config.write_text(config.read_text("utf-8").replace('["a", "b"]', '["a"]'), "utf-8")
        assert await daemon.reload()
        spoil(config, "no TOML")
        said = await prober("failover", "b", "--force")
        assert "'b' is no candidate of chat; there are: a" in said.output


async def test_where_no_daemon_ever_ran_the_sound_rows_of_the_file_serve(
    config: Path, prober: Prober
) -> None:
    config.write_text(
        config.read_text("utf-8") + '[[outcome]]\noutcome = "auth"\nstatuss = 4\n', "utf-8"
    )
    said = await prober("contract", "chat")
    assert said.exit_code == 0, said.output
    assert "is refused (1 error; see: prober check); going by what of it is sound" in said.stderr
    spoil(config, "a wrong table")
    refused = await prober("contract", "chat")
    assert refused.exit_code == 2, "another namespace would be another flag"
    assert "namespace" in refused.output


def test_what_is_kept_is_the_same_configuration_and_its_owner_s(config: Path) -> None:
    meant = loader.load(config)
    last_good.keep(config.parent, meant)
    assert last_good.kept(config.parent) == meant
    assert stat.S_IMODE((config.parent / last_good.FILE).stat().st_mode) == 0o600


def test_what_cannot_be_kept_leaves_no_older_one(config: Path) -> None:
    meant = loader.load(config)
    last_good.keep(config.parent, meant)
    (config.parent / f"{last_good.FILE}.new").mkdir()
    with pytest.raises(OSError, match="directory"):
        last_good.keep(config.parent, meant)
    assert last_good.kept(config.parent) is None
