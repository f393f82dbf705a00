"""The Python reader keeps the contract that the other clients are tested by."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from switch.cached_flag import CachedFlag
from switch.flag import (
    Keys,
    MalformedFlagError,
    decode_candidates,
    decode_changed,
    decode_flag,
)
from switch.flag_cache import check

GOLDEN = json.loads((Path(__file__).parent.parent.parent / "clients/golden.json").read_text())


@pytest.mark.parametrize("said", GOLDEN["keys"], ids=lambda said: said["route"])
def test_keys_are_the_contracts(said: dict[str, str]) -> None:
    keys = Keys(said["route"], said["namespace"])
    names = [name for name in said if name not in ("route", "namespace")]
    assert {name: getattr(keys, name) for name in names} == {name: said[name] for name in names}


@pytest.mark.parametrize("name", GOLDEN["bad_names"])
def test_a_bad_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="use a-z, 0-9"):
        Keys(name)


@pytest.mark.parametrize("each", GOLDEN["messages"], ids=lambda each: each["text"])
def test_messages_are_read_or_refused(each: dict[str, Any]) -> None:
    said = each["said"]
    wanted = said and (said["provider"], said["epoch"], said["decision_id"])
    assert decode_changed(each["text"]) == wanted


@pytest.mark.parametrize("each", GOLDEN["defaults"])
def test_a_default_that_is_not_supported_is_refused(each: dict[str, Any]) -> None:
    fine = contextlib.nullcontext()
    with fine if each["good"] else pytest.raises(ValueError, match="does not name: add it there"):
        check({"chat": each["default"]}, (), {"chat": each["supported"]}, {})


@pytest.mark.parametrize("each", GOLDEN["fallbacks"])
def test_fallbacks_follow_the_primary_in_the_routes_order(each: dict[str, Any]) -> None:
    belief = CachedFlag("chat", each["primary"], each["supported"], order=each.get("order", ()))
    belief.saw_candidates(decode_candidates(each["candidates"]))
    assert list(belief.fallbacks(each["primary"])) == each["fallbacks"]


@pytest.mark.parametrize("life", GOLDEN["lives"], ids=lambda life: life["name"])
def test_lives(life: dict[str, Any]) -> None:
    belief = CachedFlag("chat", life["default"], life.get("supported", ()))
    for step in life["steps"]:
        now_s = step["at_s"]
        if "state" in step:
            try:
                flag = decode_flag("chat", step["state"])
            except MalformedFlagError:
                flag = None
            belief.saw_candidates(decode_candidates(step.get("candidates", {})))
            belief.saw_state(flag, now_s)
        if "message" in step:
            said = decode_changed(step["message"])
            assert (said is not None and belief.heard(*said, now_s)) is step["read_back"]
        assert belief.served(now_s) == step["serves"], f"at {now_s} s"
        if "unsupported" in step:
            assert belief.unsupported == step["unsupported"], f"at {now_s} s"
