"""What the service says of itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from serving import Clips, Service, Start

from gaitkeeper import models
from gaitkeeper.service.auth.keys import Keys, Scope
from gaitkeeper.service.client import Client
from gaitkeeper.service.errors import Forbidden
from gaitkeeper.service.settings import Settings
from gaitkeeper.service.state import State


def test_the_networks_are_listed_with_their_weights_and_calibrations(service: Service) -> None:
    listed = {model.name: model for model in service.client.models().models}
    assert models.NETWORKS.keys() <= listed.keys()
    (default,) = (model for model in listed.values() if model.default)
    assert default.trained and default.weights is not None and default.weights.state == "present"
    assert models.load(default.name).weights_id == default.weights.sha256[:16]
    assert default.calibrated[0].fpirs == [0.01, 0.001]
    assert listed["gei"].trained and listed["gei"].weights is None
    assert all(model.about and model.inputs for model in listed.values())
    untrained = [name for name, model in listed.items() if not model.trained]
    assert untrained and not any(listed[name].calibrated for name in untrained)


def test_the_system_says_how_busy_it_is_and_names_no_path(start: Start, clip: Clips) -> None:
    service = start(workers=2, queue=3)
    service.client.enroll(clip("ann-1"), "ann")
    found = service.client.system()
    assert (found.device, found.device_name, found.locked) == ("cpu", None, False)
    assert (found.store.kind, found.store.collections, found.store.templates) == ("sqlite", 1, 1)
    assert (found.load.clips_pending, found.load.clips_bound, found.load.jobs_waiting) == (0, 5, 0)
    assert found.load.memory_bytes is None or found.load.memory_bytes > 50e6
    assert 0 <= found.uptime < 600
    assert str(service.store.parent) not in found.model_dump_json()


def test_whoever_is_bound_to_a_collection_sees_networks_and_no_system(start: Start, tmp_path: Path) -> None:
    state = State(Settings(store=f"sqlite:///{tmp_path / 'gallery.db'}").state_path)
    bound = Keys(state).create([Scope.ADMIN], ["door"])[1]
    whole = Keys(state).create([Scope.ADMIN])[1]
    state.close()
    service = start()
    with Client(service.url, key=bound) as client:
        assert client.models().models
        with pytest.raises(Forbidden):
            client.system()
    with Client(service.url, key=whole) as client:
        assert client.system().locked
