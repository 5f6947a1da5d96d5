"""The console command, with and without a running server."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from serving import Clips, Run


@pytest.fixture
def gaitkeeper(command: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """The command, run in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return command


@pytest.mark.parametrize("with_server", [True, False])
def test_a_walker_is_enrolled_named_listed_and_erased(
    gaitkeeper: Run, clip: Clips, request: pytest.FixtureRequest, tmp_path: Path, with_server: bool
) -> None:
    if with_server:
        place = ("--server", request.getfixturevalue("service").url)
    else:
        place = ("--store", f"sqlite:///{tmp_path / 'own.db'}")

    done = gaitkeeper("enroll", clip("ann-1"), "--subject", "ann [1]", *place)
    assert done.code == 0 and "ann [1] enrolled in default" in done.out and "network fusion" in done.err
    assert "was enrolled before" in gaitkeeper("enroll", clip("ann-1"), "-s", "ann [1]", *place).out

    reply = json.loads(gaitkeeper("identify", clip("ann-2"), "--top-k", 1, "--json", *place).out)
    assert [c["subject"] for c in reply["people"][0]["candidates"]] == ["ann [1]"]
    assert reply.keys() == {"collection", "people", "clip", "skipped", "timings", "handle", "expires"}
    shown = gaitkeeper("identify", clip("ann-2"), "--explain", *place).out
    assert ("match" in shown or "unknown" in shown) and "ann [1]" in shown and "head → feet" in shown

    assert "ann [1]" in gaitkeeper("subjects", "list", *place).out
    assert (
        json.loads(gaitkeeper("subjects", "show", "ann [1]", "--json", *place).out)["subject"]["subject"] == "ann [1]"
    )
    assert "erased with 1 template" in gaitkeeper("subjects", "erase", "ann [1]", *place).out
    assert json.loads(gaitkeeper("subjects", "list", "--json", *place).out) == {
        "collection": "default",
        "subjects": [],
        "next": None,
    }
    gone = gaitkeeper("subjects", "show", "ann [1]", *place)
    assert gone.code == 2 and "[not_found]" in gone.err


def test_an_error_is_a_sentence_and_a_code_on_stderr(gaitkeeper: Run, clip: Clips, tmp_path: Path) -> None:
    text = tmp_path / "walk.mp4"
    text.write_text("no clip")
    refused = gaitkeeper("identify", text, "--json")
    assert (refused.code, refused.out) == (2, "")
    assert re.search(r"error: This is not a video.* \[unsupported_media\]", refused.err)

    several = gaitkeeper("enroll", clip("two"), "-s", "ann")
    assert several.code == 2 and "[multiple_people]" in several.err and "--track" in several.err
    assert len(re.findall(r"^│ [12] ", several.err, re.MULTILINE)) == 2


def test_what_is_wrong_here_exits_with_one(gaitkeeper: Run, clip: Clips, tmp_path: Path) -> None:
    unreachable = gaitkeeper("subjects", "list", "--server", "http://127.0.0.1:1")
    assert unreachable.code == 1 and "[server_unreachable]" in unreachable.err
    no_store = gaitkeeper("subjects", "list", "--store", f"sqlite:///{tmp_path}/none/gallery.db")
    assert no_store.code == 1 and "[store_unavailable]" in no_store.err


def test_bad_settings_exit_with_two(gaitkeeper: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    both = gaitkeeper("subjects", "list", "--server", "http://127.0.0.1:1", "--store", "sqlite:///x.db")
    assert both.code == 2 and "[bad_settings]" in both.err
    outside = gaitkeeper("serve", "--host", "0.0.0.0")
    assert outside.code == 2 and "[not_loopback]" in outside.err
    monkeypatch.setenv("GAITKEEPER_NETWORK", "gaitparty")
    unknown = gaitkeeper("serve", "--port", 0)
    assert unknown.code == 2 and "[unknown_network]" in unknown.err
    assert gaitkeeper("enroll", "no-such-file.mp4", "-s", "ann").code == 2


def test_an_unforeseen_error_shows_no_traceback_unless_asked(
    gaitkeeper: Run, clip: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # A file in the way of the folder: nothing that the command foresees.
    (tmp_path / "way").write_text("")
    failed = gaitkeeper("demo", clip("ann-1"), clip("ann-2"), "--out", tmp_path / "way" / "demo")
    assert failed.code == 1 and "[internal]" in failed.err and "GAITKEEPER_DEBUG" in failed.err


def test_inspect_writes_a_picture_per_walker(gaitkeeper: Run, clip: Clips, tmp_path: Path) -> None:
    reply = json.loads(gaitkeeper("inspect", clip("two"), "--out", tmp_path / "seen", "--json").out)
    assert [w["track"] for w in reply["walkers"]] == [1, 2]
    for picture in reply["pictures"]:
        assert Path(picture).read_bytes().startswith(b"\x89PNG")
    assert len(reply["pictures"]) == 2


def test_the_help_is_there_within_a_second() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "gaitkeeper", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for word in ("enroll", "identify", "inspect", "serve", "subjects", "weights", "doctor", "walkers", "demo"):
        assert word in done.stdout
    # Import time is counted in modules, not in seconds, which depend on what else the machine does.
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line}
    assert not imported & {"torch", "cv2", "av", "numpy", "fastapi", "pydantic", "httpx"}


def test_walkers_is_mounted(gaitkeeper: Run) -> None:
    assert "clips" in gaitkeeper("walkers", "--help").out


def test_serve_answers_and_stops_when_told(clip: Clips, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gaitkeeper", "serve", "--port", "0", "--store", f"sqlite:///{tmp_path}/g.db"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "200"}) as process:
        try:
            assert process.stderr is not None
            url = next(m[0] for line in process.stderr if (m := re.search(r"http://127\.0\.0\.1:\d+", line)))
            assert httpx.get(f"{url}/readyz", timeout=60).json()["status"] == "ready"
            process.send_signal(signal.SIGTERM)
            process.wait(120)
        finally:
            process.kill()


@pytest.mark.parametrize("columns", ["40", None])
def test_no_table_cuts_what_it_shows(
    gaitkeeper: Run, clip: Clips, monkeypatch: pytest.MonkeyPatch, columns: str | None
) -> None:
    named = f"ann-{'x' * 60}"
    gaitkeeper("enroll", clip("ann-1"), "--subject", named)
    gaitkeeper("subjects", "update", named, "--name", "Ann Example", "--meta", "team=red", "--legal-basis", "consent")
    if columns is None:
        monkeypatch.delenv("COLUMNS")  # and the output is no terminal
    else:
        monkeypatch.setenv("COLUMNS", columns)
    listed, shown = gaitkeeper("subjects", "list"), gaitkeeper("subjects", "show", named)
    found = gaitkeeper("identify", clip("ann-2"))
    for outcome in (listed, shown, found):
        assert outcome.code == 0 and "…" not in outcome.out
        assert "x" * 60 in re.sub(r"[^x]", "", outcome.out)
    if columns is None:
        words = (named, "Ann Example", "team=red", "consent")
        assert any(all(word in line for word in words) for line in listed.out.splitlines())
