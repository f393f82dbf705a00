"""The stand-ins have the readers' face, and behave like them where an application can tell."""

from __future__ import annotations

import inspect

import pytest

from switch import (
    AsyncFlagReader,
    AsyncReader,
    FlagReader,
    NotReadyError,
    Reader,
    Source,
    UnknownRouteError,
)
from switch.testing import FakeAsyncReader, FakeReader, Reported
from tests.switch.reader_stage import candidate

KINDS = [(Reader, FakeReader), (AsyncReader, FakeAsyncReader)]
TYPES = [
    *((FlagReader, kind) for kind in (Reader, FakeReader)),
    *((AsyncFlagReader, kind) for kind in (AsyncReader, FakeAsyncReader)),
]


def face(kind: type) -> dict[str, object]:
    """Public name -> its signature, and whether it must be awaited."""
    found: dict[str, object] = {}
    for name, member in inspect.getmembers(kind):
        if name.startswith("_") and name not in (
            "__enter__",
            "__exit__",
            "__aenter__",
            "__aexit__",
        ):
            continue
        if callable(member):
            said = inspect.signature(member).replace(return_annotation=None)
            found[name] = (str(said), inspect.iscoroutinefunction(member))
        else:
            found[name] = type(member)
    return found


@pytest.mark.parametrize(("real", "fake"), KINDS)
def test_whatever_a_reader_has_its_stand_in_has_too(real: type, fake: type) -> None:
    faked = face(fake)
    assert {name: faked.get(name) for name in face(real)} == face(real)


@pytest.mark.parametrize(("wanted", "kind"), TYPES)
def test_the_type_to_annotate_with_is_what_readers_and_stand_ins_have(
    wanted: type, kind: type
) -> None:
    """mypy holds them to it in switch/protocols.py; here: nothing public is missing in the type."""
    own = {"set_primary", "set_fallbacks", "set_candidates", "set_stale"}
    said = face(wanted)
    assert said.keys() == face(kind).keys() - own
    without_exit = [name for name in said if not name.endswith("exit__")]
    assert {n: said[n] for n in without_exit} == {n: face(kind)[n] for n in without_exit}


def test_a_primary_is_what_the_test_says() -> None:
    changes = []
    reader = FakeReader({"chat": "a"}, on_change=lambda *c: changes.append(c))
    assert (reader.primary("chat"), reader.flag("chat").source) == ("a", Source.LIVE)
    epoch = reader.flag("chat").epoch
    reader.set_primary("chat", "b", "a is down")
    reader.set_primary("chat", "b")
    reading = reader.flag("chat")
    assert (reading.provider, reading.epoch) == ("b", epoch + 2)
    assert changes == [("chat", "a", "b")]


def test_fallbacks_leave_out_the_primary() -> None:
    reader = FakeReader({"chat": "a"}, fallbacks={"chat": ["b", "a", "c"]})
    assert reader.fallbacks("chat") == ("b", "c")
    reader.set_primary("chat", "c")
    assert reader.fallbacks("chat") == ("b", "a")
    reader.set_fallbacks("chat", "d")
    assert reader.fallbacks("chat") == ("d",)


def test_a_name_outside_supported_is_shown_and_not_served() -> None:
    told: list[tuple[str, str]] = []
    reader = FakeReader(
        {"chat": "a"},
        supported={"chat": ["a", "b"]},
        fallbacks={"chat": ["b", "c"]},
        on_unsupported=lambda *said: told.append(said),
    )
    reader.set_primary("chat", "c")
    reading = reader.flag("chat")
    assert (reading.provider, reading.unsupported, told) == ("a", "c", [("chat", "c")])
    assert reader.fallbacks("chat") == ("b",)
    reader.set_primary("chat", "b")
    assert (reader.flag("chat").provider, reader.flag("chat").unsupported) == ("b", "")
    with pytest.raises(ValueError, match="write one of b as the default"):
        FakeReader({"chat": "a"}, supported={"chat": ["b"]})


def test_candidates_are_what_the_test_says() -> None:
    reader = FakeReader({"chat": "a"})
    assert reader.candidates("chat") == ()
    reader.set_candidates("chat", candidate("a"))
    assert reader.candidates("chat") == (candidate("a"),)


def test_a_route_without_a_primary_is_not_ready() -> None:
    reader = FakeReader({"mail": "m"}, routes=["chat"])
    assert reader.routes == ("mail", "chat")
    assert not reader.wait_ready(0)
    with pytest.raises(NotReadyError):
        reader.primary("chat")
    assert (reader.flag("chat").source, reader.flag("chat").stale) == (Source.DEFAULT, True)
    reader.set_primary("chat", "a")
    assert reader.wait_ready(0)


def test_an_unknown_route_raises_with_a_near_name_as_the_real_one_does() -> None:
    reader = FakeReader({"chat": "a"})
    for method in (reader.primary, reader.flag, reader.fallbacks, reader.candidates):
        with pytest.raises(UnknownRouteError, match="did you mean 'chat'"):
            method("chatt")
    with pytest.raises(UnknownRouteError):
        reader.set_primary("chatt", "b")


def test_stale_is_what_the_test_says() -> None:
    reader = FakeReader({"chat": "a"})
    reader.set_stale("chat")
    assert (reader.flag("chat").stale, reader.flag("chat").source) == (True, Source.CACHED)
    reader.set_stale("chat", False)
    assert not reader.flag("chat").stale


def test_reports_are_kept_for_the_test_to_see() -> None:
    reader = FakeReader({"chat": "a"})
    reader.report("a", ok=True, ttft_s=0.4)
    reader.report("a", ok=False, route="chat")
    assert reader.reports == [
        Reported("chat", "a", True, 0.4),
        Reported("chat", "a", False, None),
    ]


async def test_both_are_context_managers() -> None:
    with FakeReader({"chat": "a"}) as reader:
        reader.read_once()
    assert reader.closed
    async with FakeAsyncReader({"chat": "a"}) as other:
        other.start()
        await other.read_once()
        assert await other.wait_ready(0)
    assert other.closed
