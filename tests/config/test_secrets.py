"""Secrets by reference, read late, never shown; and what a configuration resolves to."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from prober.config.loader import parse
from prober.config.paths import state_dir
from prober.config.redact import Scrubber
from prober.config.schema import Config
from prober.config.secrets import MissingSecretError, PublicOrSecret, SecretRef, reveal
from prober.probing.plans import resolve

KEY = "sk-very-secret"


def test_a_secret_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K", f" {KEY}\n")
    assert SecretRef(env="K").read() == KEY


def test_a_secret_is_read_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text(KEY + "\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert SecretRef(file=str(tmp_path / "key")).read() == KEY
    assert SecretRef(file="~/key").read() == KEY


def test_a_secret_is_read_from_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text(KEY)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert SecretRef(credential="key").read() == KEY


def test_a_missing_secret_names_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("K", raising=False)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe" + KEY.encode())
    for ref, words in (
        (SecretRef(env="K"), "environment variable K is empty or not there"),
        (SecretRef(credential="key"), "systemd credential key is empty or not there"),
        (SecretRef(file=f"{tmp_path}/empty"), f"file {tmp_path}/empty is empty or not there"),
        (
            SecretRef(file=f"{tmp_path}/none"),
            f"file {tmp_path}/none cannot be read: No such file or directory",
        ),
        (SecretRef(file=f"{tmp_path}/binary"), f"file {tmp_path}/binary is no file of UTF-8 text"),
        (SecretRef(file="a\x00b"), "file a\x00b is no file of UTF-8 text"),
    ):
        with pytest.raises(MissingSecretError) as missing:
            ref.read()
        assert str(missing.value) == words
        assert missing.value.__cause__ is None or KEY not in repr(missing.value.__cause__)


@pytest.mark.parametrize("places", [{}, {"env": "A", "file": "b"}, {"env": "A", "credential": "c"}])
def test_a_secret_stands_in_exactly_one_place(places: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="give exactly one of env, file or credential"):
        SecretRef(**places)


class Holder(BaseModel):
    url: PublicOrSecret


@pytest.mark.parametrize(
    "url",
    [
        "redis://:pw@h:1/0",
        "rediss://user:p%40w@h",
        "redis://:with/slash@h",
        "postgresql+psycopg://u:pw@h/db",
        "postgresql://h/db?user=u&password=pw",
        "unix:///run/redis.sock?PASSWORD=pw",
    ],
)
def test_a_url_that_may_hold_a_password_is_given_by_reference(url: str) -> None:
    with pytest.raises(ValidationError, match="it may hold a password"):
        Holder(url=url)


@pytest.mark.parametrize(
    "url",
    ["embedded", "redis://h:6379/0", "sqlite:///prober.db", "sqlite:////a@b/x.db", "unix:///s"],
)
def test_a_public_url_may_stand_in_the_file(url: str) -> None:
    assert reveal(Holder(url=url).url) == url


def test_a_url_by_reference_is_revealed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("U", "redis://:pw@h")
    holder = Holder.model_validate({"url": {"env": "U"}})
    assert reveal(holder.url) == "redis://:pw@h"
    assert "pw" not in repr(holder)


def test_the_scrubber_takes_out_every_secret_longest_first() -> None:
    scrub = Scrubber(["secret-1", "secret-1-and-more", "", "short"])
    assert scrub("a secret-1-and-more b secret-1 c short") == "a *** b *** c short"


CONFIG = """
[redis]
url = {{ env = "REDIS_URL" }}
[daemon]
state_dir = "{folder}"
heartbeat = {{ env = "BEAT" }}
[[provider]]
name = "a"
api = "anthropic"
model = "m"
key = {{ env = "KEY_A" }}
headers = {{ x-plain = "1", x-auth = {{ env = "AUTH" }} }}
[provider.canary]
max_tokens = 512
[[provider]]
name = "b"
api = "ollama"
model = "m"
enabled = "if_key"
[[provider]]
name = "c"
api = "openai"
model = "m"
enabled = "if_key"
key = {{ env = "KEY_C" }}
[[provider]]
name = "d"
api = "openai"
model = "m"
enabled = false
key = {{ env = "KEY_D" }}
[[alert]]
name = "oncall"
url = {{ env = "HOOK" }}
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    for name in ("KEY_C", "KEY_D", "PROBER_VANTAGE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KEY_A", KEY)
    monkeypatch.setenv("AUTH", "Bearer gateway")
    monkeypatch.setenv("REDIS_URL", "redis://:redis-password@h")
    monkeypatch.setenv("BEAT", "https://hc.example/uuid")
    monkeypatch.setenv("HOOK", "json://hook.example/token")
    return parse(CONFIG.format(folder=tmp_path))


def test_everything_a_configuration_names_is_resolved(config: Config, tmp_path: Path) -> None:
    found = resolve(config)
    assert found.problems == []
    plan = found.plans["a"]
    assert (plan.api, plan.target.key, plan.max_tokens) == ("anthropic", KEY, 512)
    assert plan.target.headers == {"x-plain": "1", "x-auth": "Bearer gateway"}
    assert plan.target.base_url == "https://api.anthropic.com"
    assert list(found.plans) == ["a"]
    assert found.shut == {
        "b": "no key is configured",
        "c": "no key: environment variable KEY_C is empty or not there",
        "d": "disabled in the configuration",
    }
    assert found.redis_url == "redis://:redis-password@h"
    assert found.heartbeat_url == "https://hc.example/uuid"
    assert found.alert_urls == {"oncall": "json://hook.example/token"}
    assert found.database_url == f"sqlite:///{tmp_path}/prober.db"


def test_no_secret_is_in_what_is_shown_and_each_is_scrubbed(config: Config) -> None:
    found = resolve(config)
    secrets = [
        KEY,
        "Bearer gateway",
        "redis-password",
        "redis://:redis-password@h",
        "https://hc.example/uuid",
        "json://hook.example/token",
    ]
    for secret in secrets:
        assert secret not in repr(found)
        assert found.scrub(f"<{secret}>") == "<***>"
    assert found.scrub("x-plain: 1") == "x-plain: 1"


def test_each_missing_secret_is_a_problem(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KEY_A", "AUTH", "HOOK"):
        monkeypatch.delenv(name)
    assert resolve(config).problems == [
        '[[provider]] "a": key: environment variable KEY_A is empty or not there',
        '[[provider]] "a": headers.x-auth: environment variable AUTH is empty or not there',
        '[[alert]] "oncall": url: environment variable HOOK is empty or not there',
    ]


@pytest.mark.parametrize(
    ("url", "placed"),
    [
        ("sqlite:////var/x.db", "sqlite:////var/x.db"),
        ("sqlite://", "sqlite://"),
        ("postgresql+psycopg://h/db", "postgresql+psycopg://h/db"),
        ("no url", "no url"),
    ],
)
def test_only_a_relative_sqlite_file_is_placed(url: str, placed: str) -> None:
    assert resolve(parse(f'[database]\nurl = "{url}"')).database_url == placed


def test_an_embedded_redis_has_no_url_yet() -> None:
    assert resolve(parse("")).redis_url == ""


def test_state_stands_where_systemd_the_file_or_xdg_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("STATE_DIRECTORY", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert state_dir(parse("")) == tmp_path / ".local/state/prober"
    monkeypatch.setenv("XDG_STATE_HOME", "/xdg")
    assert state_dir(parse("")) == Path("/xdg/prober")
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/prober:/other")
    assert state_dir(parse("")) == Path("/var/lib/prober")
    assert state_dir(parse('[daemon]\nstate_dir = "~/s"')) == tmp_path / "s"
