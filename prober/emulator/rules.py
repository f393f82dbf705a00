"""The faults in force, and which of them strikes the next request."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from difflib import get_close_matches
from fractions import Fraction
from random import Random

from prober.emulator.faults import Faults, FaultsError, InjectedFault

ANY = "*"


class FaultRule:
    """One setting in force; `draw` says what happens to the next request under it."""

    def __init__(self, faults: Faults, chance: Random) -> None:
        self.faults = faults
        self.chance = chance
        self._shares = faults.shares()
        self._credit = dict.fromkeys(self._shares, Fraction())

    def draw(self) -> InjectedFault:
        return self._evenly() if self.faults.even else self._by_chance()

    def _by_chance(self) -> InjectedFault:
        weights = [float(share) for share in self._shares.values()]
        return self.chance.choices(list(self._shares), weights)[0]

    def _evenly(self) -> InjectedFault:
        """Error diffusion: whoever is owed the most comes next, healthy first among equals."""
        for fault, share in self._shares.items():
            self._credit[fault] += share
        fault = max(self._credit, key=self._credit.__getitem__)
        self._credit[fault] -= 1
        return fault


class FaultRules:
    """All settings, by API and model. The most specific one holds for a request.

    Any thread may set and reset; the server's thread alone draws. Without a lock: each method is
    one operation on the dict, and a lock would block an event loop.
    """

    def __init__(self, apis: Collection[str]) -> None:
        self._apis = apis
        self._rules: dict[tuple[str, str | None], FaultRule] = {}

    def set(self, api: str, model: str | None, faults: Faults) -> None:
        """Replaces what held for `api` ("*": all) and `model` (None: all), its counting too.

        Raises FaultsError for an API that is not served.
        """
        if api not in (ANY, *self._apis):
            near = get_close_matches(api, self._apis, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"it serves {', '.join(self._apis)}"
            raise FaultsError(f"api {api!r} is not served; {hint}")
        self._rules[api, model] = FaultRule(faults, Random(faults.seed))  # noqa: S311  # no secrets here

    def reset(self) -> None:
        """Everything is healthy again."""
        self._rules.clear()

    def find(self, api: str, model: str) -> FaultRule:
        rules = self._rules
        for key in ((api, model), (api, None), (ANY, model), (ANY, None)):
            if rule := rules.get(key):
                return rule
        return FaultRule(Faults(), Random(0))  # noqa: S311

    def models(self, api: str) -> list[str]:
        """The models that a setting names."""
        return [model for name, model in list(self._rules) if model and name in (api, ANY)]

    def show(self) -> list[dict[str, object]]:
        return [
            {"api": api, "model": model, **asdict(rule.faults)}
            for (api, model), rule in list(self._rules.items())
        ]
