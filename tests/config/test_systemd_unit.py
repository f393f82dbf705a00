"""What the unit hands over, read from its files by systemd's own rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from prober.config import systemd_unit
from prober.config.schema import Config
from prober.config.systemd_unit import (
    Unit,
    find,
    handed,
    of_process,
    parse_environment,
    parse_service,
)


def a_unit(folder: Path, *lines: str) -> Unit:
    file = folder / "prober.service"
    file.write_text("\n".join(["[Service]", *lines]))
    found = find(folder / "prober.toml", {"PROBER_UNIT": str(file)})
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("A=1\nB=2", {"A": "1", "B": "2"}),
        ("# A=1\n; B=2\nC=3", {"C": "3"}),
        ("# goes on \\\nA=1\nB=2", {"B": "2"}),
        ("A = two words  \n", {"A": "two words"}),
        ("A='it''s'", {"A": "its"}),
        ("A='#$\\n'", {"A": "#$\\n"}),
        ('A="say \\"x\\" \\n"', {"A": 'say "x" \\n'}),
        ("A='two\nlines'\nB=2", {"A": "two\nlines", "B": "2"}),
        ("A=one\\\ntwo\nB=2", {"A": "onetwo", "B": "2"}),
        ('A=in"side"', {"A": 'in"side"'}),
        ("A=redis://u:p=x#y@h/0", {"A": "redis://u:p=x#y@h/0"}),
        ("A=\nB=2", {"A": "", "B": "2"}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("nonsense\nA=1", {"A": "1"}),
        ("A=1\nA=2", {"A": "2"}),
    ],
)
def test_an_environment_file_is_read_as_systemd_reads_it(text: str, read: dict[str, str]) -> None:
    assert parse_environment(text) == read


def test_a_drop_in_adds_and_an_empty_line_resets() -> None:
    main = "[Unit]\nUser=no\n[Service]\n# User=no\nUser=prober\nEnvironmentFile=/a\n"
    more = "[Service]\nEnvironmentFile=\nEnvironmentFile=/b\nExecStart=prober \\\n  run\n"
    assert parse_service([main, more]) == (
        ("User", "prober"),
        ("EnvironmentFile", "/b"),
        ("ExecStart", "prober    run"),
    )


def test_everything_the_unit_hands_over_is_found(tmp_path: Path) -> None:
    (tmp_path / "environment").write_text("REDIS_URL='redis://h'\n")
    (tmp_path / "key").write_text("from a file\n")
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/b").write_text("from a folder")
    found = a_unit(
        tmp_path,
        f"EnvironmentFile=-{tmp_path}/enviro*",
        "Environment='PROBER_VANTAGE=eu-1' A=1",
        f"LoadCredential=key-a:{tmp_path}/key",
        f"LoadCredential=all:{tmp_path}/keys",
        "SetCredential=key-c:inline",
        "StateDirectory=prober-two",
    )
    got = handed(found)
    assert got.environment == {
        "REDIS_URL": "redis://h",
        "PROBER_VANTAGE": "eu-1",
        "A": "1",
        "STATE_DIRECTORY": "/var/lib/prober-two",
    }
    assert got.credentials == {"key-a": "from a file\n", "all_b": "from a folder",
                               "key-c": "inline"}  # fmt: skip
    assert got.closed == ()
    assert "redis://h" not in repr(got)
    assert "inline" not in repr(got) + repr(found)


def test_a_file_that_may_not_be_read_is_named_and_one_that_is_not_there_is_not(
    tmp_path: Path,
) -> None:
    (tmp_path / "environment").mkdir()  # cannot be read, by root neither
    lines = f"EnvironmentFile={tmp_path}/environment", f"LoadCredential=a:{tmp_path}/gone"
    assert handed(a_unit(tmp_path, *lines)).closed == (tmp_path / "environment",)


def test_the_unit_is_the_one_that_runs_the_daemon_on_this_very_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd_unit, "FOLDERS", (tmp_path / "etc", tmp_path / "lib"))
    for place, name, path in (
        ("lib", "prober.service", "/lib.toml"),
        ("etc", "prober.service", "/etc.toml"),
        ("lib", "prober-two.service", "/two.toml"),
        ("lib", "prober-failed.service", "/failed.toml"),
    ):
        (tmp_path / place).mkdir(exist_ok=True)
        verb = "alert send" if "failed" in name else "run"
        (tmp_path / place / name).write_text(
            f"[Service]\nExecStart=/opt/prober/bin/prober {verb} --config {path}\n"
        )

    def name_of(path: str, **environment: str) -> str:
        found = find(Path(path), environment)
        return found.name if found else ""

    assert name_of("/etc.toml") == "prober.service"
    assert name_of("/two.toml") == "prober-two.service"
    assert name_of("/lib.toml") == "", "hidden by the administrator's"
    assert name_of("/failed.toml") == ""
    assert name_of("/mine/prober.toml") == "", "secrets of the service are not for another file"
    assert name_of("/mine/prober.toml", PROBER_UNIT="prober-two") == "prober-two.service"
    (tmp_path / "etc/prober-two.service.d").mkdir()
    (tmp_path / "etc/prober-two.service.d/x.conf").write_text("[Service]\nUser=somebody\n")
    two = find(Path("/two.toml"), {})
    assert two is not None
    assert two.user == "somebody"


def test_the_daemon_hands_on_what_its_configuration_points_at_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key-a").write_text("credential of a")
    (tmp_path / "other").write_text("no business of ours")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    config = Config.model_validate(
        {
            "redis": {"url": {"env": "REDIS_URL"}},
            "provider": [
                {
                    "name": "a",
                    "api": "anthropic",
                    "model": "m",
                    "key": {"credential": "key-a"},
                    "headers": {"x-two": {"env": "HEADER"}},
                }
            ],
        }
    )
    environment = {"REDIS_URL": "redis://h", "HEADER": "h", "OTHER": "x", "HOME": "/root",
                   "https_proxy": "http://p", "PROBER_VANTAGE": "eu-1"}  # fmt: skip
    got = of_process(config, environment)
    assert got.environment == {k: v for k, v in environment.items() if k not in ("OTHER", "HOME")}
    assert got.credentials == {"key-a": "credential of a"}
