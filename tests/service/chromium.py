"""A real Chromium, for a block, and what a test wants to know of what happened in it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome")
TIMEOUT = 240_000
"""Milliseconds to wait for what should be there: a busy machine is no failure, and shows a live view late."""


@contextmanager
def chromium(camera: Path) -> Iterator[Browser]:
    """A browser whose webcam is a file. Skips where there is no browser or no driver for it."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="no driver for a browser here: pip install playwright")
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=path,
            args=[
                "--no-sandbox",  # Chromium's own sandbox does not run as root, as CI does
                "--use-fake-device-for-media-stream",
                "--use-fake-ui-for-media-stream",
                f"--use-file-for-fake-video-capture={camera}",
            ],
        )
        yield browser
        browser.close()


def write_y4m(clip: Path, out: Path) -> Path:
    """A clip as the raw file that Chromium takes for a webcam; played again from the start at its end."""
    with av.open(str(clip)) as container, out.open("wb") as file:
        stream = container.streams.video[0]
        file.write(f"YUV4MPEG2 W{stream.width} H{stream.height} F30:1 Ip A1:1 C420jpeg\n".encode())
        for frame in container.decode(stream):
            file.write(b"FRAME\n" + frame.to_ndarray(format="yuv420p").tobytes())
    return out


@dataclass
class Watched:
    """A page, and what it did that nobody sees.

    Attributes:
        page: the page.
        hosts: of every request, with the scheme.
        errors: what scripts raised, and what the console says of the page's own policy.
    """

    page: Page
    hosts: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)


Visit = Callable[..., AbstractContextManager[Watched]]
"""Opens a view of a service in a browser."""


@contextmanager
def watched(browser: Browser, url: str, path: str = "/", **context: Any) -> Iterator[Watched]:
    """A page of a service, in a context of its own; ends with no error of a script and no request to another host."""
    opened = browser.new_context(**{"viewport": {"width": 1280, "height": 860}, **context})
    opened.set_default_timeout(TIMEOUT)
    seen = Watched(opened.new_page())
    opened.on("request", lambda request: seen.hosts.add("/".join(request.url.split("/")[:3])))
    seen.page.on("pageerror", lambda error: seen.errors.append(str(error)))
    seen.page.on("console", lambda message: _note(seen, message.type, message.text))
    seen.page.goto(url + path)
    try:
        yield seen
        assert seen.errors == []
        assert {host for host in seen.hosts if not host.startswith(("blob:", "data:"))} <= {
            url,
            url.replace("http", "ws"),
        }
    finally:
        opened.close()


def _note(seen: Watched, kind: str, text: str) -> None:
    # The browser writes down every refusal of the service, which the page shows by itself.
    if kind == "error" and not text.startswith("Failed to load resource"):
        seen.errors.append(text)
