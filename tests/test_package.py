"""What is shipped: the wheel, the schema inside it, the shipped files, the house's arrows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import distributions
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from prober import __version__
from prober.config import loader
from prober.config.checks import warnings
from prober.history.store.schema import open_engine, upgrade
from prober.history.store.tables import metadata
from prober.probing.plans import resolve

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    found = next(folder.glob("prober_llm-*.whl"))
    with zipfile.ZipFile(found) as archive:
        archive.extractall(folder / "unpacked")
    return folder / "unpacked"


def test_the_wheel_carries_the_script_the_types_and_the_migrations(wheel: Path) -> None:
    names = {str(path.relative_to(wheel)) for path in wheel.rglob("*") if path.is_file()}
    assert {
        "switch/control/flip.lua",
        "switch/py.typed",
        "prober/py.typed",
        "prober/config/vendors.toml",
        "prober/migrations/env.py",
        "prober/migrations/versions/0001_first_tables.py",
    } <= names
    assert not any(name.startswith(("tests/", "bench/")) for name in names)


def test_the_distribution_is_prober_llm_and_brings_the_command_prober(wheel: Path) -> None:
    (found,) = distributions(path=[str(wheel)])
    assert (found.name, found.version) == ("prober-llm", __version__)
    assert [point.name for point in found.entry_points] == ["prober"]


# On PyPI `prober` is another project's.
ANOTHERS = re.compile(
    r"\b(?:pip3?|pipx|uv|poetry)\s+(?:install|add|run)\b[^\n&|;]*?(?<![\w./-])prober(?![\w./-])"
)


@pytest.mark.parametrize(
    ("line", "whose"),
    [
        ("pip install prober", "another's"),
        ("pip install -U 'prober[postgresql]'", "another's"),
        ("pipx install prober==1.0", "another's"),
        ("uv add prober", "another's"),
        ('/opt/prober/bin/pip install "prober-llm[daemon]"', "ours"),
        ("pip install . && useradd prober", "ours"),
    ],
)
def test_an_installation_of_anothers_project_is_known(line: str, whose: str) -> None:
    assert bool(ANOTHERS.search(line)) == (whose == "another's")


def test_nobody_is_told_to_install_anothers_project() -> None:
    kinds = {".md", ".py", ".toml", ".service", ".sh", ".mjs", ".go", ".txt", ".ini"}
    told = [
        f"{path.relative_to(ROOT)}: {found.group()}"
        for path in ROOT.rglob("*")
        if path.suffix in kinds
        and not any(p.startswith(".") for p in path.relative_to(ROOT).parts)
        and path != Path(__file__)
        for found in ANOTHERS.finditer(path.read_text("utf-8"))
    ]
    assert told == []


def test_db_upgrade_works_from_the_wheel_alone(wheel: Path, tmp_path: Path) -> None:
    config = tmp_path / "prober.toml"
    config.write_text(f'[daemon]\nstate_dir = "{tmp_path}"\n', "utf-8")
    said = subprocess.run(
        [sys.executable, "-m", "prober", "db", "upgrade", "--config", str(config)],
        env={**os.environ, "PYTHONPATH": str(wheel)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "The schema is at 0006 now" in said.stdout
    assert (tmp_path / "prober.db").exists()


def test_without_the_daemons_parts_the_command_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise ModuleNotFoundError('no', name='typer')\n")
    said = subprocess.run(
        [sys.executable, "-m", "prober", "status"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 2
    assert (
        said.stderr
        == 'prober: typer is missing; install the daemon: pip install "prober-llm[daemon]"\n'
    )


def test_the_migrations_make_exactly_the_tables(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/x.db")
    upgrade(engine)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_the_shipped_configuration_starts_on_a_machine_without_any_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    config = loader.load(ROOT / "prober.toml")
    resolved = resolve(config)
    assert resolved.problems == []
    assert sorted(resolved.shut) == ["anthropic", "gemini", "openai"]
    assert list(resolved.plans) == ["local"]
    assert any("nobody will be told" in line for line in warnings(config))


def test_every_dependency_is_pinned() -> None:
    pinned = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    wanted += [line for lines in extras.values() for line in lines]
    names = {line.split(">")[0].split("[")[0].split("=")[0].strip().lower() for line in wanted}
    assert names <= pinned


def test_imports_go_down_only() -> None:
    said = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stdout
