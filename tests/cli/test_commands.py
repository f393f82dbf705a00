"""The command, beside a running daemon."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from prober.cli import status
from prober.cli.console import out
from prober.cli.setup import Setup
from prober.config.loader import parse
from prober.emulator import Emulator
from prober.probing.plans import resolve
from tests.support.servers import Valkey
from tests.support.stage import Hook, running, until, write_config

from .conftest import Prober


def primary(valkey: Valkey) -> str | None:
    with valkey.client() as client:
        found: str | None = client.get("prober:{chat}:primary")
        return found


@pytest.fixture
def config(tmp_path: Path, emulator: Emulator, valkey: Valkey, oncall: Hook) -> Path:
    return write_config(tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url)


async def test_status_shows_who_serves_and_leaves_with_0(
    config: Path, valkey: Valkey, prober: Prober
) -> None:
    async with running(config):
        await until(lambda: primary(valkey) == "a")
        said = await prober("status")
        assert said.exit_code == 0, said.output
        assert "chat (auto): a since" in said.output
        assert "→ a" in said.output
        parsed = json.loads((await prober("status", "--json")).stdout)
        assert parsed["running"] is True
        assert parsed["routes"][0]["primary"] == "a"


async def test_status_says_when_the_journal_s_disk_is_slow_or_full(
    config: Path, valkey: Valkey, prober: Prober
) -> None:
    async with running(config) as daemon:
        await until(lambda: primary(valkey) == "a")
        daemon.journal.late, daemon.journal.failed = 3, 2
        said = (await prober("status")).output
        assert "records not written to the journal: 2" in said
        assert "records late on disk, by over 200 ms: " in said
        assert json.loads((await prober("status", "--json")).stdout)["journal_late"] >= 3


async def test_status_without_a_daemon_reads_the_flag_where_applications_do(
    config: Path, valkey: Valkey, prober: Prober
) -> None:
    async with running(config):
        await until(lambda: primary(valkey) == "a")
    said = await prober("status")
    assert said.exit_code == 1
    assert "daemon is not running" in said.output
    assert "chat: a" in said.output


async def test_a_failing_primary_makes_status_leave_with_1(
    config: Path, valkey: Valkey, emulator: Emulator, prober: Prober
) -> None:
    async with running(config) as daemon:
        await until(lambda: primary(valkey) == "a")
        emulator.set_faults(api="*", error_share=1.0, status=503)
        await until(lambda: bool(daemon.judge.states["chat"].trackers["a"].breach.latched))
        assert (await prober("status")).exit_code == 1


async def test_why_tells_the_decision_the_evidence_and_each_candidates_chances(
    config: Path, valkey: Valkey, prober: Prober
) -> None:
    async with running(config) as daemon:
        # It has looked again since: what Redis has, it knows of.
        await until(lambda: daemon.judge.states["chat"].primary == "a")
        said = await prober("why", "chat")
        assert said.exit_code == 0, said.output
        assert "chat is served by a." in said.output
        assert "Decision: hold. a is ok" in said.output
        assert "availability: evidence 0.0 of 72" in said.output
        assert "If it had to leave now:" in said.output
        assert "yes b:" in said.output
        wrong = await prober("why", "chatt")
        assert wrong.exit_code == 2
        assert "no route 'chatt'; there are: chat" in wrong.output


async def test_a_pin_moves_the_flag_is_told_and_unpin_ends_it(
    config: Path, valkey: Valkey, oncall: Hook, prober: Prober
) -> None:
    async with running(config) as daemon:
        await until(lambda: primary(valkey) == "a")
        said = await prober("pin", "b", "--for", "30m", "--reason", "a is dear today")
        assert said.exit_code == 0, said.output
        assert "chat is pinned to b for 30m." in said.output
        assert primary(valkey) == "b"
        await until(lambda: any("pinned to b by" in t for t in oncall.titles))
        await until(lambda: "pinned to b by" in daemon.judge.states["chat"].decision.reason)
        taken = await prober("failover", "a", "--force")
        assert taken.exit_code == 1
        assert "prober unpin chat" in taken.output
        assert (await prober("unpin")).exit_code == 0
        await until(lambda: any("unpinned by" in t for t in oncall.titles))
        assert primary(valkey) == "b"
        await until(lambda: len(daemon.judge.states["chat"].cause.since) == 1)
        _why_keeps_its_cause((await prober("why")).output)
    with valkey.client() as client:
        client.flushall()
    async with running(config):
        await until(lambda: primary(valkey) == "b")
        said = (await prober("why")).output
        _why_keeps_its_cause(said)
        assert "put back on b: Redis came back empty" in said
    alone = await prober("why")
    assert alone.exit_code == 1
    assert "chat is served by b." in alone.output
    assert "Redis came back empty" in alone.output


def _why_keeps_its_cause(said: str) -> None:
    assert re.search(r"Here since .* \(\S+, operator\): a is dear today", said), said
    assert re.search(r"unpinned by \S+: unpinned", said)


async def test_why_without_a_name_answers_for_every_route(
    config: Path, valkey: Valkey, prober: Prober
) -> None:
    more = '[[route]]\nname = "second"\ncandidates = ["b"]\n'
    config.write_text(config.read_text("utf-8") + more, "utf-8")
    async with running(config) as daemon:
        # It has looked again since: what Redis has, it knows of.
        await until(lambda: daemon.judge.states["chat"].primary == "a")
        said = await prober("why")
        assert said.exit_code == 0, said.output
        assert "chat is served by a." in said.output
        assert "second is served by" in said.output
        parsed = json.loads((await prober("why", "--json")).stdout)
        assert [one["route"] for one in parsed] == ["chat", "second"]
        one = json.loads((await prober("why", "chat", "--json")).stdout)
        assert (one["route"], one["origin"]) == ("chat", "seed")
        assert one["candidates"][0]["command"] == "prober failover b --route chat"


def test_why_names_freeze_redis_incident_and_what_led_there() -> None:
    said = {
        "route": "chat", "primary": "b", "decision": {"action": "hold", "reason": "stays"},
        "changed_at": 1.0, "reason": "a breached availability", "actor": "prober@eu-1",
        "origin": "automatic", "because_of": 142, "incident": 143, "redis": "Connection refused",
        "frozen_until": 3600.0, "providers": [],
        "differences": ["us-1 has another `base_url` of a than eu-1 and ap-1"],
        "since": [{"at": 60.0, "what": "unpinned by ann", "reason": "over"}],
        "candidates": [{"name": "a", "eligible": False, "why": "breached: 0 of 4",
                        "by_itself": "once it has recovered", "command": "prober failover a"}],
    }  # fmt: skip
    setup = Setup(Path("f"), parse(""), resolve(parse("")), Path("."))
    with out.capture() as shown:
        status._show_why(setup, said)
    text = " ".join(shown.get().split())
    for words in (
        "(prober@eu-1, automatic, incident 142): a breached availability",
        "unpinned by ann: over",
        "Incident 143 is open: prober incident show 143",
        "Redis: Connection refused",
        "us-1 has another `base_url` of a than eu-1 and ap-1",
        "Frozen until",
        "`prober ack chat` ends it.",
        "by itself once it has recovered; now: prober failover a",
    ):
        assert words in text


async def test_failover_proves_its_target_first(
    config: Path, valkey: Valkey, emulator: Emulator, prober: Prober
) -> None:
    async with running(config) as daemon:
        await until(lambda: primary(valkey) == "a")
        said = await prober("failover", "b", "--reason", "try b")
        assert said.exit_code == 0, said.output
        assert primary(valkey) == "b"
        back = json.loads((await prober("failback", "--json")).stdout)
        assert (back["from"], back["to"]) == ("b", "a")
        emulator.set_faults(api="openai", error_share=1.0, status=503)
        await until(daemon.judge.states["chat"].trackers["b"].recent_bad)
        refused = await prober("failover", "b")
        assert refused.exit_code == 1
        assert "b is not proven" in refused.output
        assert primary(valkey) == "a"
        assert (await prober("failover", "b", "--force")).exit_code == 0
        assert primary(valkey) == "b"


async def test_the_way_back_is_to_the_cheapest_where_that_is_preferred(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook, prober: Prober
) -> None:
    path = write_config(
        tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url, failback="manual"
    )
    text = path.read_text("utf-8").replace("[route.failover]", '[route.failover]\nprefer = "cost"')
    for name, usd in (("a", 9.0), ("b", 1.0)):
        domain = f'failure_domains = ["{name}"]\n'
        text = text.replace(domain, f"{domain}price = {{ input = {usd}, output = {usd} }}\n")
    path.write_text(text, "utf-8")
    async with running(path):
        await until(lambda: primary(valkey) == "b")
        assert (await prober("failover", "a")).exit_code == 0
        assert primary(valkey) == "a"
        said = await prober("failback")
        assert "chat is back on b." in said.output
        assert primary(valkey) == "b"
        emulator.set_faults(api="openai", error_share=1.0, status=503)
        await until(lambda: primary(valkey) == "a")
        await until(lambda: any("failed over: b → a" in t for t in oncall.titles))
    (letter,) = (one for one in oncall.letters if "failed over: b → a" in one["title"])
    assert "Stays here until you fail back" in letter["message"]


async def test_who_serves_already_is_neither_proven_nor_moved(
    config: Path, valkey: Valkey, emulator: Emulator, prober: Prober
) -> None:
    """A failing primary that cannot be proven is no reason to name --force."""
    async with running(config):
        await until(lambda: primary(valkey) == "a")
        emulator.set_faults(error_share=1.0, status=503)
        for words in (("failover", "a"), ("failback",)):
            said = await prober(*words)
            assert said.exit_code == 0, said.output
            assert said.output == "chat is on a already; nothing to do.\n"
    said = await prober("failover", "b")
    assert said.exit_code == 1
    assert "b cannot be proven: no daemon answers on this machine" in said.output
    assert "systemctl start prober" in said.output


async def test_residency_binds_people_too_unless_they_force_it(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook, prober: Prober
) -> None:
    path = write_config(tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url)
    text = path.read_text("utf-8")
    for name, where in (("a", "eu"), ("b", "us")):
        domain = f'failure_domains = ["{name}"]\n'
        text = text.replace(domain, f'{domain}residency = ["{where}"]\n')
    path.write_text(text.replace('name = "chat"\n', 'name = "chat"\nresidency = ["eu"]\n'), "utf-8")
    async with running(path):
        await until(lambda: primary(valkey) == "a")
        for words in (("pin", "b"), ("failover", "b")):
            refused = await prober(*words)
            assert refused.exit_code == 1
            assert "b is not allowed for chat: its residency is us, allowed is eu" in refused.output
            assert primary(valkey) == "a"
        assert (await prober("pin", "b", "--force")).exit_code == 0
        assert primary(valkey) == "b"


async def test_a_paused_daemon_moves_nothing_until_it_is_resumed(
    config: Path, valkey: Valkey, emulator: Emulator, oncall: Hook, prober: Prober
) -> None:
    async with running(config) as daemon:
        await until(lambda: primary(valkey) == "a")
        assert "Paused" in (await prober("pause")).output
        emulator.set_faults(api="anthropic", error_share=1.0, status=529)
        tracker = daemon.judge.states["chat"].trackers["a"]
        await until(lambda: bool(tracker.breach.latched), "it is judged all the same")
        assert daemon.judge.states["chat"].decision.reason.startswith("paused by an operator")
        assert primary(valkey) == "a"
    async with running(config) as daemon:
        assert daemon.judge.paused, "a pause outlives a restart"
        assert (await prober("resume")).exit_code == 0
        await until(lambda: primary(valkey) == "b")


async def test_ack_takes_an_incident_or_a_route(
    config: Path, valkey: Valkey, emulator: Emulator, oncall: Hook, prober: Prober
) -> None:
    async with running(config) as daemon:
        await until(lambda: primary(valkey) == "a")
        emulator.set_faults(api="*", error_share=1.0, status=503)
        await until(lambda: any("NO FAILOVER" in t for t in oncall.titles))
        number = daemon.incidents.find("chat", "a")
        assert number is not None
        said = await prober("ack", str(number.number))
        assert "No reminders about chat for 1 h." in said.output
        assert (await prober("ack", "chat")).exit_code == 0
        wrong = await prober("ack", "4711")
        assert wrong.exit_code == 2
        assert "no open incident and no route '4711'" in wrong.output


def test_what_a_provider_says_at_length_is_cut_in_status_and_why() -> None:
    said = {
        "name": "a", "health": "breached", "why": "9" * 5_000, "pace": "", "evidence": [],
        "room": None, "model": {"warning": "9" * 5_000},
    }  # fmt: skip
    route = {
        "route": "chat", "mode": "auto", "primary": "a", "redis": "ok", "changed_at": None,
        "drill": None, "drilled": None, "differences": [],
        "decision": {"reason": "stays"}, "pin": None, "frozen_until": None, "providers": [said],
    }  # fmt: skip
    setup = Setup(Path("f"), parse(""), resolve(parse("")), Path("."))
    for show in (
        lambda: status._show_evidence(said, primary=True),
        lambda: status._show_route(setup, route),
    ):
        with out.capture() as shown:
            show()
        assert 100 < shown.get().count("9") < 400
        assert "…" in shown.get()


async def test_history_tells_flips_incidents_and_samples(
    config: Path, valkey: Valkey, emulator: Emulator, prober: Prober
) -> None:
    async with running(config) as daemon:
        await until(lambda: primary(valkey) == "a")
        emulator.set_faults(api="anthropic", error_share=1.0, status=529)
        await until(lambda: primary(valkey) == "b")
        await until(lambda: daemon.store.up and daemon.store.waiting == 0)
    said = await prober("history")
    assert said.exit_code == 0, said.output
    assert "chat: a → b (auto" in said.output
    assert "incident 1: a:" in said.output
    samples = await prober("history", "--provider", "a", "--json")
    assert {row["outcome"] for row in json.loads(samples.stdout)} >= {"overloaded"}


async def test_status_why_and_history_count_what_a_gateway_had_to_retry(
    config: Path, valkey: Valkey, emulator: Emulator, prober: Prober
) -> None:
    """Every canary is good, and half of what is behind the gateway may be down."""
    emulator.set_faults(api="anthropic", retried=2)
    async with running(config) as daemon:
        await until(lambda: primary(valkey) == "a")
        await until(lambda: daemon.store.up and daemon.store.waiting == 0)
        counted = r"(\d+) of \1 good only after a retry inside the gateway"
        for words in (["status"], ["why", "chat"]):
            assert re.search(counted, (await prober(*words)).output)
    said = (await prober("history", "--provider", "a")).output
    assert "after 2 retries inside the gateway" in said
    assert re.search(counted, said)
    assert "retry" not in (await prober("history", "--provider", "b")).output


async def test_contract_prints_the_key_and_four_languages(config: Path, prober: Prober) -> None:
    said = await prober("contract", "chat")
    assert said.exit_code == 0, said.output
    for words in ("prober:{chat}:primary", "redis-cli", "Reader(", "createClient", "ParseURL"):
        assert words in said.output


async def test_probe_shows_phases_and_leaves_with_1_for_a_failure(
    config: Path, emulator: Emulator, prober: Prober
) -> None:
    said = await prober("probe")
    assert said.exit_code == 0, said.output
    assert "first text" in said.output
    emulator.set_faults(api="anthropic", quota_share=1.0)
    failed = await prober("probe", "a")
    assert failed.exit_code == 1
    assert "quota_exhausted" in failed.output
    assert "secret-key" not in failed.output
    parsed = json.loads((await prober("probe", "b", "--json")).stdout)
    assert parsed[0]["outcome"] == "ok"


async def test_alert_test_says_which_channel_took_it(
    config: Path, oncall: Hook, prober: Prober
) -> None:
    said = await prober("alert", "test")
    assert (said.exit_code, said.output.strip()) == (0, "oncall: taken")
    assert "A test alert" in oncall.titles[0]
    oncall.status = 500
    refused = await prober("alert", "test")
    assert refused.exit_code == 1
    assert "NOT taken" in refused.output


async def test_check_lists_every_error_and_leaves_with_2(
    config: Path, prober: Prober, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "is fine: 2 providers, 1 routes" in (await prober("check")).output
    shown = await prober("check", "--effective")
    assert 'suspect_interval = "25ms"' in shown.output
    monkeypatch.delenv("KEY_B")
    missing = await prober("check")
    assert missing.exit_code == 2
    assert "environment variable KEY_B is empty or not there" in missing.output
    config.write_text(config.read_text() + "\n[[route]]\nname = 'x'\ncandidates = ['zz']\nmod = 1")
    broken = await prober("check")
    assert broken.exit_code == 2
    assert "unknown key 'mod'; did you mean 'mode'?" in broken.output
    assert "names no [[provider]] 'zz'" in broken.output


async def test_db_upgrade_makes_the_tables_once(config: Path, prober: Prober) -> None:
    assert "The schema is at 0006 now" in (await prober("db", "upgrade")).output
    assert "already" in (await prober("db", "upgrade")).output


async def test_commands_that_need_the_daemon_say_so(config: Path, prober: Prober) -> None:
    for words in (("pause",), ("why",), ("ack", "1")):
        said = await prober(*words)
        assert said.exit_code == 1
        assert "no daemon answers on this machine" in said.output


async def test_no_configuration_is_one_clear_line(
    prober: Prober, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PROBER_CONFIG")
    monkeypatch.chdir(tmp_path)
    said = await prober("check")
    assert said.exit_code == 2
    assert "no prober.toml here nor in /etc/prober" in said.output
