"""A browser, and a service in which Bob is enrolled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from chromium import Visit, chromium, watched, write_y4m
from serving import Clips, Service, running

from gaitkeeper.service.settings import Settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def browser(clip: Clips, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(write_y4m(clip("ann-long"), tmp_path_factory.mktemp("camera") / "camera.y4m")) as opened:
        yield opened


@pytest.fixture(scope="module")
def served(browser: Browser, clip: Clips, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service in which Bob is enrolled."""
    store = tmp_path_factory.mktemp("page") / "gallery.db"
    with running(Settings(store=f"sqlite:///{store}"), store) as service:
        service.client.enroll(clip("bob-1"), "bob")
        yield service


@pytest.fixture(scope="module")
def visit(browser: Browser, served: Service) -> Visit:
    """Open a view: ``with visit("people") as seen``; keywords are those of the browser's context."""
    return lambda view="identify", **context: watched(browser, served.url, f"/#/{view}", **context)
