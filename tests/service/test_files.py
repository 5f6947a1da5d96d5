"""What is named as a clip and is no file is told of with a code, and waited for by no command."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from serving import Service
from typer.testing import CliRunner

from gaitkeeper.service.cli import app
from gaitkeeper.service.errors import NotAFile


def fifo(path: Path) -> None:
    os.mkfifo(path)


def listener(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(path))


def nothing(path: Path) -> None:
    assert not path.exists()


ODD: dict[str, Callable[[Path], None]] = {"folder": Path.mkdir, "pipe": fifo, "socket": listener, "No such": nothing}
COMMANDS = {
    "identify": ["identify", "{}"],
    "enroll": ["enroll", "{}", "--subject", "ann"],
    "verify": ["verify", "{}", "--subject", "ann"],
    "inspect": ["inspect", "{}"],
    "demo": ["demo", "{}"],
    "import": ["gallery", "import", "{}"],
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", ODD)
def test_what_is_no_file_is_told_of_by_every_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)  # the address of a socket is short
    ODD[kind](Path("walk.mp4"))
    done = CliRunner().invoke(app, [part.format("walk.mp4") for part in COMMANDS[command]])
    assert isinstance(done.exception, NotAFile), done.output
    assert kind in done.exception.detail


@pytest.mark.parametrize("kind", ODD)
def test_what_is_no_file_is_told_of_by_the_client(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    ODD[kind](Path("walk.mp4"))
    with pytest.raises(NotAFile, match=kind):
        service.client.identify("walk.mp4")
