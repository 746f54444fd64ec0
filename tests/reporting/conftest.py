"""One headless Chromium for the tests of pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.reporting.browser import ABSENT, PROGRAM, Browser


@pytest.fixture(scope="session")
def _chromium() -> Iterator[Browser]:
    if PROGRAM is None:
        pytest.skip(ABSENT)
    with Browser() as browser:
        yield browser


@pytest.fixture
def browser(_chromium: Browser) -> Iterator[Browser]:
    """A page of 1280 × 900, light; what it complains of is an error of the test."""
    _chromium.look(1280, 900)
    _chromium.errors.clear()
    yield _chromium
    _chromium.pause(0.05)
    assert _chromium.errors == []
