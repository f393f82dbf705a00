"""Settings changed from the command line, and the sentences when they cannot be."""

from __future__ import annotations

import tomllib
from datetime import timedelta

import pytest

from prober.config.loader import ConfigError
from prober.config.overrides import changed
from prober.config.schema import Config
from prober.config.types import DetectorKind
from tests.support.files import GOOD


@pytest.fixture(autouse=True)
def _no_vantage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROBER_VANTAGE", raising=False)


def tables() -> dict[str, object]:
    return tomllib.loads(
        GOOD + "[route.detector]\nflip_bad_share = 0.2\nevidence = 9\n"
        '[defaults.detector]\nmin_span = "2m"\n'
    )


def tried(*sets: str, detector: str | None = None) -> Config:
    return changed(tables(), "chat", detector=detector, sets=sets)


def refusal(*sets: str, detector: str | None = None) -> str:
    with pytest.raises(ConfigError) as refused:
        tried(*sets, detector=detector)
    [problem] = refused.value.problems
    return problem


def test_a_value_is_read_as_toml_or_else_as_a_word() -> None:
    [route] = tried(
        "route.chat.objectives.availability=0.995",
        "route.chat.detector.min_span=10s",
        "route.chat.objectives.ttft={ under = '2s', share = 0.9 }",
        "route.chat.candidates=['b', 'a']",
    ).route
    assert route.objectives.availability == 0.995
    assert route.detector.min_span == timedelta(seconds=10)
    assert route.objectives.ttft is not None
    assert route.objectives.ttft.share == 0.9
    assert route.candidates == ("b", "a")


def test_what_was_read_stays_as_it_is() -> None:
    raw = tables()
    changed(raw, "chat", detector="calm", sets=["provider.a.canary.interval=10s"])
    assert raw == tables()


def test_a_preset_keeps_nothing_of_another_detector_but_the_share_worth_a_flip() -> None:
    detector = tried(detector="normal").route[0].detector
    assert (detector.kind, detector.flip_bad_share) == (DetectorKind.NORMAL, 0.2)
    assert (detector.evidence, detector.min_span) == (11, timedelta(seconds=45))


def test_keys_set_by_hand_come_after_the_preset() -> None:
    detector = tried("route.chat.detector.evidence=8", detector="normal").route[0].detector
    assert (detector.kind, detector.evidence) == (DetectorKind.NORMAL, 8)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            "route.chat.objectves.availability=1",
            "with --set: [[route]] \"chat\": unknown key 'objectves'; did you mean 'objectives'?",
        ),
        ("rout.chat.mode=auto", "with --set: [rout]: unknown table; did you mean 'route'?"),
        (
            "route.chta.mode=auto",
            "--set route.chta.mode: no [[route]] 'chta'; did you mean 'chat'?",
        ),
        ("route.x9.mode=auto", "--set route.x9.mode: no [[route]] 'x9'; there are: chat"),
        (
            "route.chat.objectives.availability=1.5",
            'with --set: [[route]] "chat": objectives.availability = 1.5: '
            "input should be less than 1",
        ),
        (
            "daemon.quorum=2",
            "with --set: [daemon]: quorum = 2 is no majority of 1 vantages",
        ),
        (
            "route.chat.detector.min_span=45",
            'with --set: [[route]] "chat": detector.min_span = 45: write a duration with its '
            'unit, like "30s", "10m", "1h" or "200ms"',
        ),
        ("chat", "--set chat: write KEY=VALUE, like route.chat.detector.evidence=9"),
        ("route.chat=1", "--set route.chat: name the route and a key of it"),
        ("route.chat.candidates.x=1", "--set route.chat.candidates.x: candidates is no table here"),
        ("canary..x=1", "--set canary..x: an empty step; write it like route.chat.mode"),
    ],
)  # fmt: skip
def test_a_bad_setting_is_one_sentence_that_says_what_to_write(said: str, sentence: str) -> None:
    assert refusal(said) == sentence


def test_an_unknown_preset_is_told_its_neighbour() -> None:
    assert refusal(detector="clam").endswith("did you mean 'calm'?")
