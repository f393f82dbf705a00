from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _keys(keys: None) -> None:
    """Each daemon here has its providers' keys."""
