"""The service keeps what its OpenAPI document promises, whatever is sent: generated requests against a real server.

``GAITKEEPER_FUZZ_EXAMPLES`` says how many an operation; ``make fuzz`` makes 1,000.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import CHECKS, load_all_checks
from serving import Service, running

from gaitkeeper.service.app import create_app
from gaitkeeper.service.auth.keys import Keys, Scope
from gaitkeeper.service.settings import Settings
from gaitkeeper.service.state import State

EXAMPLES = int(os.environ.get("GAITKEEPER_FUZZ_EXAMPLES", "25"))

DOCUMENT = schemathesis.openapi.from_dict(create_app(Settings()).openapi())


@DOCUMENT.hook
def filter_query(_: schemathesis.HookContext, query: dict[str, Any] | None) -> bool:
    """Whether what is wrong with a query is on the wire: there an empty list is nothing, and one of one its item."""
    request = requests.Request("GET", "http://127.0.0.1/", params=query).prepare()
    sent = parse_qs(urlsplit(str(request.url)).query, keep_blank_values=True)
    return all(
        str(name) in sent and (not isinstance(value, list) or len(sent[str(name)]) > 1)
        for name, value in (query or {}).items()
    )


load_all_checks()
# No schema says which bytes are a video in which somebody walks, or whether a subject is there.
LEFT_OUT = {"positive_data_acceptance"}
ALL = [CHECKS.get_one(name) for name in CHECKS.get_all_names() if name not in LEFT_OUT]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, str]]:
    """A service with keys on, and the one that may do everything."""
    store = tmp_path_factory.mktemp("fuzz") / "gallery.db"
    given = Settings(store=f"sqlite:///{store}", rate="1000000/minute", deadline=60)
    state = State(given.state_path)
    key = Keys(state).create([Scope.ADMIN])[1]
    state.close()
    with running(given, store) as service:
        yield service, key


@DOCUMENT.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_operation_answers_as_documented(case: schemathesis.Case, served: tuple[Service, str]) -> None:
    service, key = served
    headers = {"Authorization": f"Bearer {key}"}
    case.call_and_validate(base_url=service.url, headers=headers, checks=ALL, timeout=120)
