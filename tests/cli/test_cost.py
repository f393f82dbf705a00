"""What canaries cost: sums that agree, a forecast that says what it rests on, 80 columns."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from prober.cli.cost import NO_ROUTE, Cost, by_route, calendar, costs, provider_table, total, usd
from prober.clock import Clock
from prober.config import loader
from prober.config.schema import Config
from prober.emulator import Emulator
from prober.history.store import tables
from prober.history.store.queries import Spending
from prober.history.store.schema import open_engine, upgrade
from prober.history.store.writer import Row, write
from prober.sample import Outcome, Sample
from tests.support.servers import Valkey
from tests.support.stage import Hook, running, until, write_config

from .conftest import Prober

HOUR_S, DAY_S = 3600.0, 86_400.0
# The third quarter of 11 March, UTC; it is the 12th in Auckland already.
NOW = datetime(2026, 3, 11, 18, tzinfo=UTC).timestamp()

CONFIG = """
[daemon]
state_dir = "{folder}"
timezone = "Asia/Kolkata"

[[provider]]
name = "a"
api = "anthropic"
model = "m"
price = {{ input = 1.0, output = 5.0 }}

[[provider]]
name = "b"
api = "openai"
model = "m"
price = {{ input = 1.0, output = 5.0 }}
canary = {{ daily_budget_usd = 2.0 }}

[[provider]]
name = "free"
api = "ollama"
model = "m"

[[provider]]
name = "idle"
api = "gemini"
model = "m"
price = {{ input = 1.0, output = 5.0 }}

[[route]]
name = "chat"
candidates = ["a", "b", "free"]

[[route]]
name = "summaries"
candidates = ["b", "a"]

[[route]]
name = "code"
candidates = ["a"]
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    class Then(Clock):
        def now(self) -> float:
            return NOW

    monkeypatch.setattr("prober.cli.cost.Clock", Then)
    path = tmp_path / "prober.toml"
    path.write_text(CONFIG.format(folder=tmp_path))
    return loader.load(path)


def spent(provider: str, age_s: float, *sums: float) -> Spending:
    """`sums`: today, this month, the last 24 h, the last 7 days."""
    return Spending(provider, NOW - age_s, sums)


# -- sums --------------------------------------------------------------------------------------


def test_days_and_months_are_those_of_utc() -> None:
    when = calendar(NOW)
    said = [datetime.fromtimestamp(at, UTC) for at in (when.day, when.month, when.next_month)]
    assert said == [datetime(2026, month, day, tzinfo=UTC) for month, day in
                    ((3, 11), (3, 1), (4, 1))]  # fmt: skip
    december = calendar(datetime(2026, 12, 31, 23, 59, tzinfo=UTC).timestamp())
    assert datetime.fromtimestamp(december.next_month, UTC) == datetime(2027, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("age_s", "sums", "basis_s", "rate"),
    [
        (10 * DAY_S, (0.1, 3.0, 0.2, 2.8), 7 * DAY_S, 0.4),
        (7 * DAY_S - 30, (0.1, 2.0, 0.2, 2.1), 7 * DAY_S, 0.3),
        (3 * DAY_S, (0.1, 0.9, 0.2, 0.9), DAY_S, 0.2),
        (6 * HOUR_S, (0.1, 0.1, 0.1, 0.1), 6 * HOUR_S, 0.4),
    ],
)
def test_the_forecast_rests_on_a_week_or_on_what_there_is(
    config: Config, age_s: float, sums: tuple[float, ...], basis_s: float, rate: float
) -> None:
    row = costs(config, [spent("a", age_s, *sums)], calendar(NOW))[0]
    assert row.basis_s == basis_s
    assert row.forecast_usd == pytest.approx(sums[1] + rate * 20.25)


def test_an_hour_is_too_early_for_a_forecast(config: Config) -> None:
    row = costs(config, [spent("a", HOUR_S - 1, 0.1, 0.1, 0.1, 0.1)], calendar(NOW))[0]
    assert (row.forecast_usd, row.basis_s, row.month_usd) == (None, None, 0.1)


def test_what_is_left_is_today_s_budget_less_what_was_spent(config: Config) -> None:
    rows = costs(config, [spent("b", DAY_S, 0.5, 0.5, 0.5, 0.5)], calendar(NOW))
    b = next(row for row in rows if row.name == "b")
    assert (b.budget_usd, b.left_usd) == (2.0, 1.5)
    over = costs(config, [spent("b", DAY_S, 2.5, 2.5, 2.5, 2.5)], calendar(NOW))[1]
    assert over.left_usd == 0.0


SPENT = [
    spent("a", 10 * DAY_S, 0.3, 3.0, 0.4, 2.8),
    spent("b", 10 * DAY_S, 0.1, 1.0, 0.1, 0.7),
    spent("gone", 10 * DAY_S, 0.0, 0.5, 0.0, 0.1),
]


def test_by_provider_and_by_route_the_sums_agree(config: Config) -> None:
    rows = costs(config, SPENT, calendar(NOW))
    routes, whole = by_route(config, rows), total(rows)
    assert [row.name for row in rows] == ["a", "b", "free", "idle", "gone"]
    assert [row.name for row in routes] == ["chat", "summaries", "code", NO_ROUTE]
    for key in ("today_usd", "month_usd", "forecast_usd"):
        for table in (rows, routes):
            parts = sum(getattr(row, key) or 0.0 for row in table)
            assert parts == pytest.approx(getattr(whole, key)), key
    chat = routes[0]
    assert chat.today_usd == pytest.approx(0.3 / 3 + 0.1 / 2), "in equal parts"
    assert routes[-1].month_usd == 0.5, "what no route lists any more was spent all the same"
    assert rows[-1].forecast_usd == 0.5, "and it costs no more"


# -- for people --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "words"),
    [(None, "–"), (0.0, "0"), (0.000_15, "0.000150"), (0.0123, "0.0123"), (1234.5, "1,234.50")],
)
def test_money_has_as_many_decimals_as_it_needs(value: float | None, words: str) -> None:
    assert usd(value) == words


def test_the_table_fits_eighty_columns_whatever_the_names() -> None:
    row = Cost("x" * 64, 1234.56, 12_345.67, 123_456.78, 7 * DAY_S, 2000.0, 1999.99)
    rows = [row, replace(row, name="y" * 64, note="no longer configured")]
    console = Console(width=80, file=io.StringIO())
    console.print(provider_table(rows, total(rows)))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 80
    shown = "".join(lines)
    for words in ("left today", "1,234.56", "123,456.78", "1,999.99", "7 d", "246,913.56"):
        assert words in shown


@pytest.fixture
def filled(config: Config, tmp_path: Path) -> Path:
    """A month of samples: a's are dear, b's are from today, "gone" left the configuration."""
    engine = open_engine(f"sqlite:///{tmp_path}/prober.db")
    upgrade(engine)
    sent = [("a", NOW - 1 - hour * HOUR_S, 0.01) for hour in range(24 * 15)]
    sent += [("b", NOW - minute * 60, 0.001) for minute in range(120)]
    sent += [("gone", NOW - 9 * DAY_S, 0.5), ("a", NOW - 40 * DAY_S, 99.0), ("free", NOW, 0.0)]
    rows = [
        Row("sample", tables.sample_row(Sample(
            id=str(number), provider=provider, vantage="v", model="m", started_at=at, started_s=0,
            outcome=Outcome.OK, cost_usd=cost,
        )))
        for number, (provider, at, cost) in enumerate(sent)
    ]  # fmt: skip
    with engine.begin() as connection:
        write(connection, rows)
    engine.dispose()
    return tmp_path


async def test_cost_needs_no_daemon_and_says_all_in_sentence_and_tables(
    filled: Path, prober: Prober
) -> None:
    said = await prober("cost")
    assert said.exit_code == 0, said.output
    # 18 hours of today and 258 of this month at 0.01; 120 minutes at 0.001; and the one gone.
    assert said.output.startswith("Canaries cost 0.3000 USD today, 3.20 this month, ")
    lines = {line.split()[0]: line.split()[1:] for line in said.output.splitlines() if line.strip()}
    assert lines["a"] == ["0.1800", "0.8200", "2.58", "7.44", "7", "d"]
    assert lines["b"][:3] == ["0.1200", "1.88", "0.1200"]
    assert lines["free"] == ["no", "price", "–", "–", "–", "–"]
    assert lines["idle"] == ["0", "1.00", "0", "–", "–"]
    assert lines["gone"] == ["(gone)", "0", "–", "0.5000", "0.5000", "–"]
    assert lines["summaries"][0] == usd(0.18 / 3 + 0.12 / 2)
    assert "Days are UTC's, as the budget counts, and begin at 05:30 Asia/Kolkata." in said.output
    assert max(len(line) for line in said.output.splitlines()) <= 80


async def test_cost_as_json_is_exact(filled: Path, prober: Prober) -> None:
    said = json.loads((await prober("cost", "--json")).stdout)
    assert said["total"]["month_usd"] == pytest.approx(2.58 + 0.12 + 0.5)
    by_name = {row["name"]: row for row in said["providers"]}
    assert by_name["a"]["basis_s"] == 7 * DAY_S
    assert by_name["a"]["forecast_usd"] == pytest.approx(2.58 + 0.24 * 20.25)
    assert by_name["free"]["budget_usd"] is None
    assert sum(row["month_usd"] for row in said["routes"]) == pytest.approx(
        said["total"]["month_usd"]
    )
    assert said["day_begins"] == datetime(2026, 3, 11, tzinfo=UTC).timestamp()


async def test_history_that_waits_in_the_spool_is_said(filled: Path, prober: Prober) -> None:
    assert "spool" not in (await prober("cost")).output
    (filled / "spool").write_text("\n")
    assert "Some history waits in the spool" in (await prober("cost")).output


async def test_without_history_there_is_one_clear_line_and_no_new_file(
    config: Config, tmp_path: Path, prober: Prober
) -> None:
    for command in (("cost",), ("history",)):
        said = await prober(*command)
        assert said.exit_code == 1
        assert said.output.strip() == (
            "prober: there is no history yet; it begins with: prober run"
        )
    assert not (tmp_path / "prober.db").exists()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql+psycopg://ann:secret-word@127.0.0.1:9/x", "history cannot be read: "),
        ("postgresql+psycopg://ann:secret-word@127.0.0.1:port/x", "history cannot be read: "),
    ],
)
async def test_a_database_that_is_away_is_one_line_without_its_password(
    config: Config, tmp_path: Path, prober: Prober, monkeypatch: pytest.MonkeyPatch, url: str,
    words: str,
) -> None:  # fmt: skip
    monkeypatch.setenv("DATABASE_URL", url)
    path = tmp_path / "prober.toml"
    path.write_text(path.read_text() + '\n[database]\nurl = { env = "DATABASE_URL" }\n')
    said = await prober("cost")
    assert said.exit_code == 1
    assert words in said.output
    assert len(said.output.strip().splitlines()) == 1
    assert "secret-word" not in said.output


async def test_beside_a_running_daemon_it_counts_what_that_spends(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook, prober: Prober
) -> None:
    path = write_config(tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url)
    price = "price = { input = 1.0, output = 5.0 }\ncanary = { daily_budget_usd = 1000.0 }\n"
    path.write_text(path.read_text().replace("failure_domains", f"{price}failure_domains", 1))
    async with running(path) as daemon:
        await until(lambda: daemon.store.up and daemon.schedule.spent_today("a") > 0.000_3)
        await until(lambda: daemon.store.waiting == 0)
        said = json.loads((await prober("cost", "--json")).stdout)
        a = next(row for row in said["providers"] if row["name"] == "a")
        assert a["month_usd"] > 0
        assert a["left_usd"] == pytest.approx(1000.0 - a["today_usd"])


async def test_status_shows_the_room_that_is_left_and_the_model_that_goes(
    tmp_path: Path,
    valkey: Valkey,
    emulator: Emulator,
    oncall: Hook,
    prober: Prober,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("prober.probing.model_watch.FIRST_S", 0.0)
    monkeypatch.setattr("prober.daemon.housekeeping.MODELS_EVERY_S", 0.1)
    emulator.set_faults(
        api="anthropic", ttft_s=0.001, limit_requests=10_000, limit_tokens=4_000_000,
        remaining_share=0.98, retires="2031-01-31",
    )  # fmt: skip
    path = write_config(tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url)
    async with running(path) as daemon:
        await until(lambda: daemon.judge.states["chat"].trackers["a"].last)
        await until(lambda: daemon.catalogues.found("a"))
        said = await prober("status")
        assert "claude-test is deprecated and retires on 2031-01-31" in said.output
        assert "room: requests 9,800 of 10,000, tokens 98 % left" in said.output
        parsed = json.loads((await prober("status", "--json")).stdout)
        room = parsed["routes"][0]["providers"][0]["room"]
        assert room["requests"]["limit"] == 10_000
        assert room["tokens"]["remaining"] == 3_920_000
        assert set(room) == {"short", "at", "requests", "tokens", "retry_after_s"}
