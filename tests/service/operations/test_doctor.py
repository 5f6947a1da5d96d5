"""The doctor finds what is wrong with an installation."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from gaitkeeper.models.weights import locate, manifest
from gaitkeeper.service.cli import main
from gaitkeeper.service.operations.doctor import EXCLUSIVE, Check, examine, exclusive, weights_state


def by_name(checks: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


def test_a_sound_installation_has_nothing_wrong_and_is_left_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    checks = by_name(list(examine()))
    assert [check for check in checks.values() if not check.ok] == []
    assert {"python", "opencv-python", "onnxruntime", "settings", "decoder", "device", "perception", "store"} < set(
        checks
    )
    assert "onnxruntime" in checks["device"].finding and "CPU" in checks["device"].finding
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("group", EXCLUSIVE)
def test_distributions_that_overwrite_each_other_are_noticed(group: tuple[str, ...]) -> None:
    assert exclusive(group, {}).ok
    assert exclusive(group, {group[1]: "1.0"}).ok
    check = exclusive(group, {group[0]: "1.0", group[1]: "2.0"})
    assert not check.ok
    assert f"pip uninstall -y {group[0]} {group[1]}" in check.finding


def test_missing_and_corrupt_weights_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = {name: locate(name) for name, entry in manifest().items() if entry.default}
    monkeypatch.setenv("GAITKEEPER_CACHE", str(tmp_path))
    corrupt, *missing = here
    (tmp_path / here[corrupt].name).write_bytes(here[corrupt].read_bytes()[:-1])
    checks = by_name(list(examine()))
    assert weights_state(corrupt) == "corrupt" and "sha256" in checks[f"weights {corrupt}"].finding
    for name in missing:
        assert weights_state(name) == "missing" and "weights pull" in checks[f"weights {name}"].finding
    assert not checks["perception"].ok
    shutil.copy(here[corrupt], tmp_path)
    assert weights_state(corrupt) == "present"


def test_a_store_that_cannot_be_made_or_read_is_noticed(tmp_path: Path) -> None:
    assert not by_name(list(examine(f"sqlite:///{tmp_path}/none/g.db")))["store"].ok
    (tmp_path / "text.db").write_text("What is a gallery without a database? " * 100)
    assert not by_name(list(examine(f"sqlite:///{tmp_path}/text.db")))["store"].ok
    assert not by_name(list(examine("nonsense://x")))["store"].ok


def test_bad_settings_end_the_examination(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAITKEEPER_PORT", "many")
    last = list(examine())[-1]
    assert (last.name, last.ok) == ("settings", False)
    assert "port" in last.finding


def test_the_command_exits_with_one_where_something_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for store, code in ((tmp_path / "g.db", 0), (tmp_path / "none" / "g.db", 1)):
        monkeypatch.setattr(sys, "argv", ["gaitkeeper", "doctor", "--json", "--store", f"sqlite:///{store}"])
        with pytest.raises(SystemExit) as caught:
            main()
        assert (caught.value.code or 0) == code
        assert {check["ok"] for check in json.loads(capsys.readouterr().out)} == (
            {True} if code == 0 else {True, False}
        )
