"""Below a path of a proxy's host: page, REST and WebSockets through a real nginx and a real browser."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from chromium import chromium, watched, write_y4m
from serving import Clips, Start
from streaming import in_step, jpegs

from gaitkeeper.service.auth.keys import Keys, Scope
from gaitkeeper.service.client import Client
from gaitkeeper.service.errors import BadSettings
from gaitkeeper.service.http.root_path import root_of
from gaitkeeper.service.settings import Settings, load_settings
from gaitkeeper.service.state import State

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CONFIG = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{}}
http {{
  access_log off; client_max_body_size 300m;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{
    listen 127.0.0.1:{port};
    location /gait/ {{
      proxy_pass {target};
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection "upgrade";
    }}
  }}
}}
"""


@contextmanager
def nginx(folder: Path, target: str) -> Iterator[str]:
    """The address of a proxy that shows a service below /gait."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if program is None:
        pytest.skip("no nginx here: apt-get install nginx-light")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = folder / "nginx.conf"
    config.write_text(CONFIG.format(folder=folder, port=port, target=target))
    process = subprocess.Popen([program, "-p", str(folder), "-c", str(config), "-e", str(folder / "error.log")])
    try:
        with httpx.Client(transport=httpx.HTTPTransport(retries=10)) as client:
            client.get(f"http://127.0.0.1:{port}/gait/livez", timeout=60)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture(params=["taken off", "passed on"])
def proxied(request: pytest.FixtureRequest, start: Start, tmp_path: Path) -> Iterator[str]:
    """A host that shows a service below /gait, the path taken off by the proxy, or not."""
    service = start(root_path="/gait/")
    folder = tmp_path / "nginx"
    folder.mkdir()
    with nginx(folder, service.url + ("/" if request.param == "taken off" else "")) as host:
        yield host


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory, clip: Clips) -> Iterator[Browser]:
    with chromium(write_y4m(clip("ann-1"), tmp_path_factory.mktemp("webcam") / "webcam.y4m")) as found:
        yield found


def test_everything_is_found_below_a_path(proxied: str, clip: Clips) -> None:
    with Client(f"{proxied}/gait") as client:
        client.enroll(clip("ann-1"), "ann")
        assert client.identify(clip("ann-2")).people
        with client.stream() as live:
            events = list(in_step(live, jpegs(clip("ann-1"))[:3]))
    assert any(event.event == "tracks" for event in events)
    later = httpx.post(
        f"{proxied}/gait/identify",
        files={"clip": clip("ann-1").read_bytes()},
        headers={"prefer": "respond-async"},
        timeout=60,
    )
    assert later.headers["location"] == f"/gait/jobs/{later.json()['id']}"
    assert httpx.get(proxied + later.headers["location"], timeout=60).status_code == 200
    document = httpx.get(f"{proxied}/gait/openapi.json", timeout=60).json()
    assert document["servers"] == [{"url": "/gait"}]
    bare = httpx.get(
        f"{proxied}/gait", follow_redirects=True, timeout=60
    )  # without its slash the page would find nothing
    assert str(bare.url) == f"{proxied}/gait/" and bare.status_code == 200
    missing = httpx.get(f"{proxied}/gait/nothing", timeout=60)
    assert missing.json()["code"] == "route_not_found" and "/gait/nothing" in missing.json()["detail"]
    assert httpx.post(f"{proxied}/gait/collections/default", timeout=60).headers["allow"] == "DELETE, GET, PATCH"


def test_the_page_and_its_live_view_work_below_a_path(proxied: str, browser: Browser) -> None:
    with watched(browser, proxied, "/gait/#/system") as seen:
        page = seen.page
        page.get_by_role("heading", name="System", level=1).wait_for()
        page.goto(f"{proxied}/gait/#/live")
        page.get_by_role("button", name="Start").click()
        page.get_by_text("frames a second").first.wait_for()
        page.get_by_role("button", name="Stop").click()
        page.get_by_role("button", name="Start").wait_for()


def test_what_a_key_may_do_is_the_same_below_a_path(start: Start, tmp_path: Path) -> None:
    state = State(Settings(store=f"sqlite:///{tmp_path}/gallery.db").state_path)
    text = Keys(state).create([Scope.IDENTIFY])[1]
    state.close()
    service = start(root_path="/gait")
    headers = {"authorization": f"Bearer {text}"}
    for path in ("", "/gait"):
        assert httpx.get(f"{service.url}{path}/livez", timeout=60).status_code == 200
        assert httpx.get(f"{service.url}{path}/models", timeout=60).status_code == 401
        assert httpx.get(f"{service.url}{path}/models", headers=headers, timeout=60).status_code == 200
        assert httpx.get(f"{service.url}{path}/collections", headers=headers, timeout=60).status_code == 403
        clip = {"files": {"clip": b"no clip"}, "headers": headers}
        assert httpx.post(f"{service.url}{path}/identify", **clip).status_code == 415  # type: ignore[arg-type]
        big = {"files": {"clip": bytes(2**21)}, "headers": headers}
        assert httpx.post(f"{service.url}{path}/identify", **big).status_code == 415  # type: ignore[arg-type]


def test_a_path_is_written_with_or_without_slashes_and_nothing_else() -> None:
    assert [root_of(text) for text in ("", "/", "gait", "/gait/", "/a/b/")] == ["", "", "/gait", "/gait", "/a/b"]
    with pytest.raises(BadSettings):
        load_settings(root_path="http://host/gait?x")
