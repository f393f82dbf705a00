"""What `prober check` sees at once, though it would only fail on the way."""

from __future__ import annotations

from pathlib import Path

import certifi
import pytest

from prober.config.loader import ConfigError, parse
from prober.probing.plans import resolve

PROVIDER = '[[provider]]\nname = "a"\napi = "openai"\nmodel = "m"\n'


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (r'headers = { x-tenant = "a\nb" }', "x-tenant holds a line break, which no header"),
        ('headers = { x-tenant = "5 €" }', "x-tenant holds a letter beyond ASCII"),
        ('headers = { x-tenant = " a" }', "x-tenant begins or ends with a space"),
        (r'headers = { x-tenant = "a\u0007b" }', "or holds a control character"),
        ('headers = { "x tenant" = "a" }', "'x tenant' cannot be a header's name"),
        (r'headers = { "x\n" = "a" }', r"'x\n' cannot be a header's name"),
        ('headers = { "" = "a" }', "'' cannot be a header's name"),
        ('canary = { expect = { path = "a..b" } }', "has an empty step"),
        ('canary = { expect = { path = ".a" } }', "has an empty step"),
    ],
)
def test_what_cannot_be_sent_or_found_is_refused_with_one_line(line: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(PROVIDER + line)
    (problem,) = [p for p in refused.value.problems if "empty step" in p or "header" in p]
    assert problem.startswith('prober.toml: [[provider]] "a": ')
    assert said in problem


@pytest.mark.parametrize("value", ["", "a", "a b", "a\tb", "~!", "max-age=5; q"])
def test_what_headers_can_carry_is_not_refused(value: str) -> None:
    config = parse(PROVIDER + f"headers = {{ x-tenant = {value!r} }}".replace("\\t", "\t"))
    assert config.provider[0].headers == {"x-tenant": value}


def test_a_secret_that_no_header_can_carry_is_named_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KEY", "secret-one\nsecret-two")
    monkeypatch.setenv("GATE", "secret-gäte")
    text = 'key = { env = "KEY" }\nheaders = { x-gate = { env = "GATE" } }\n'
    assert resolve(parse(PROVIDER + text)).problems == [
        '[[provider]] "a": key: what it names holds a line break, which no header can carry',
        '[[provider]] "a": headers.x-gate: what it names holds a letter beyond ASCII, which no '
        "header can carry",
    ]


def test_a_file_without_certificates_is_refused_before_the_daemon_needs_it(tmp_path: Path) -> None:
    words = tmp_path / "words.pem"
    words.write_text("root:x:0:0\n")
    for path, why in (
        (words, "holds no certificates in PEM"),
        (tmp_path / "none.pem", "no such file"),
        (tmp_path, "no such file"),
    ):
        found = resolve(parse(f'[network]\nca_file = "{path}"'))
        assert found.problems == [f'[network]: ca_file = "{path}": {why}']
    assert resolve(parse(f'[network]\nca_file = "{certifi.where()}"')).problems == []
