"""The REST service as a Ray Serve application: one front end, and replicas and searchers on all hosts."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.exceptions import RayError
from ray.serve import Application
from ray.serve.handle import DeploymentHandle
from starlette.types import ASGIApp, Receive, Scope, Send

from gaitkeeper.models.errors import GaitkeeperError
from gaitkeeper.service.app import create_app
from gaitkeeper.service.auth.keys import Keys
from gaitkeeper.service.auth.loopback import is_loopback
from gaitkeeper.service.errors import BadSettings, ClusterUnavailable, Forbidden
from gaitkeeper.service.hosts.cluster import joined
from gaitkeeper.service.hosts.own_address import keep_to_own_address
from gaitkeeper.service.hosts.remote import Remote
from gaitkeeper.service.hosts.replicas import Embedding, Perception
from gaitkeeper.service.hosts.searchers import start_searchers
from gaitkeeper.service.http.admission import refuse
from gaitkeeper.service.operations.listening import listen
from gaitkeeper.service.recognition.administration import DEFAULT_COLLECTION, Administration
from gaitkeeper.service.recognition.engine import Engine
from gaitkeeper.service.settings import Settings, load_settings
from gaitkeeper.service.settings.scale import Replicas, Scale

NAME = "gaitkeeper"
HEAD = {"node:__internal_head__": 0.001}
"""Resource that makes Ray place the front end on the head of the cluster, which has the service's state file."""
MINUTES = 10
"""Time for Ray Serve's web server to start on a busy machine."""
CONNECTIONS = 1000
"""Maximum number of open requests and live streams. The application limits their work."""


class OwnMachine:
    """Middleware that accepts only connections from this machine, whatever their Host header says.

    Without keys the gate admits all callers, because the service then only listens on loopback. Here Ray's proxy
    listens, possibly on other addresses.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in {"http", "websocket"} and not is_loopback((scope.get("client") or ("",))[0]):
            await refuse(Forbidden("Without keys this service answers its own machine only."), scope, receive, send)
            return
        await self.app(scope, receive, send)


class Front:
    """The application of :func:`gaitkeeper.service.app.create_app`, with the settings of the host that runs it.

    Args:
        made: creation time of the default collection, as known to the process that started the service.
        locked: whether there were keys at that time.
        searchers: number of searchers to start.
        perception, embedding: the replicas.

    Raises:
        ClusterUnavailable: the store or the service's state file on this host is a different one.
    """

    def __init__(
        self,
        made: datetime,
        locked: bool,
        searchers: int,
        perception: DeploymentHandle[Any],
        embedding: DeploymentHandle[Any],
    ) -> None:
        keep_to_own_address()
        settings = load_settings()
        if "workers" not in settings.model_fields_set:
            # As many clips as the replicas accept: they replace this service's threads.
            scale = settings.ray.perception
            settings = settings.model_copy(update={"workers": scale.most * scale.batch})
        remote = Remote(settings.pipeline, perception, embedding, start_searchers(searchers), settings.deadline)
        self._settings, self._engine = settings, Engine(settings, remote)
        if self._engine.store.collection(DEFAULT_COLLECTION).created != made:
            raise ClusterUnavailable("The front end has another store: set the same GAITKEEPER_STORE on all hosts.")
        self._locked = Keys(self._engine.state).exist()
        if locked and not self._locked:
            raise ClusterUnavailable("The front end does not find the keys: set GAITKEEPER_STATE on the head.")

    def __serve_build_asgi_app__(self) -> FastAPI:
        app = create_app(self._settings, self._engine)
        if not self._locked:
            app.add_middleware(OwnMachine)
        return app


def application(settings: Settings, scale: Scale) -> Application:
    """The deployments.

    Args:
        settings: settings of this host. The others check that they use the same store.
        scale: number of each deployment's processes.
    """
    with Administration(settings) as own:
        made = own.store.collection(DEFAULT_COLLECTION).created
        locked = Keys(own.state).exist()
    device = settings.pipeline.device
    perception = _replicated(Perception, scale.perception, device).bind(scale.perception.batch, scale.perception.wait)
    embedding = _replicated(Embedding, scale.embedding, device).bind(scale.embedding.batch, scale.embedding.wait)
    front = serve.deployment(
        name="front",
        num_replicas=1,
        max_ongoing_requests=CONNECTIONS,
        ray_actor_options={"num_cpus": 0, "resources": HEAD},
    )(serve.ingress()(Front))
    return front.bind(made, locked, scale.searchers, perception, embedding)


def _replicated(kind: type, scale: Replicas, device: str) -> serve.Deployment:
    return serve.deployment(
        name=kind.__name__.lower(),
        max_ongoing_requests=2 * scale.batch,
        autoscaling_config={
            "min_replicas": scale.least,
            "max_replicas": scale.most,
            "target_ongoing_requests": scale.batch,
        },
        ray_actor_options=scale.reserved(device),
    )(kind)


def build(args: Mapping[str, str]) -> Application:
    """For ``serve build`` and ``serve run gaitkeeper.service.ray_app:build searchers=4``: arguments are fields of
    Scale."""
    settings = load_settings()
    return application(settings, settings.ray.model_validate(settings.ray.model_dump() | dict(args)))


def run(settings: Settings, address: str, ready: Callable[[str], None], stop: threading.Event | None = None) -> None:
    """Serve on a cluster until the process is told to end.

    Args:
        settings: settings of this host, the head.
        address: as of :func:`gaitkeeper.service.hosts.cluster.joined`.
        ready: called with the URL.
        stop: event that also ends the service.

    Raises:
        NotLoopback: there are no keys, and the host is not a loopback address.
        BadSettings: the port is 0, which Ray Serve does not support, or it is in use.
        ClusterUnavailable: the cluster does not exist, or a part could not be started.
    """
    over = stop or threading.Event()
    with joined(address, settings):
        app = application(settings, settings.ray)
        if not settings.port:
            raise BadSettings("On a cluster, the port must be given: --port 8321.")
        with Administration(settings) as own:
            door = {"published_on_loopback": settings.published_on_loopback, "keys": Keys(own.state).exist()}
        # Ray Serve would try a port that is in use again and again, and only then say so.
        listen(settings.host, settings.port, **door).close()
        try:
            place = {"host": settings.host, "port": settings.port}
            patiently(lambda: serve.start(proxy_location="HeadOnly", http_options=place))
            patiently(lambda: serve.run(app, name=NAME, route_prefix="/"))
            ready(f"http://{settings.host}:{settings.port}")
            if stop is None:
                for number in (signal.SIGINT, signal.SIGTERM):
                    signal.signal(number, lambda *_: over.set())
            over.wait()
        except GaitkeeperError:
            raise
        except RuntimeError as error:
            raise ClusterUnavailable(f"The service did not start on the cluster: {_reasons(error)}") from error
        except RayError as error:
            told = f"A process of Ray Serve ended while the service started: {type(error).__name__}."
            raise ClusterUnavailable(told) from error
        finally:
            serve.shutdown()  # type: ignore[no-untyped-call]


def patiently(start: Callable[[], object]) -> None:
    """Start a part of Ray Serve, which stops waiting for its web server after a minute, but goes on starting it.

    Raises:
        ClusterUnavailable: it has not started after some minutes.
    """
    for minute in range(1, MINUTES + 1):
        try:
            start()
        except TimeoutError as error:
            if minute == MINUTES:
                told = f"Ray Serve's web server did not start within {MINUTES} minutes."
                raise ClusterUnavailable(told) from error
        else:
            return


def _reasons(error: RuntimeError) -> str:
    """The last lines of Ray Serve's messages about deployments that did not start, or else of the error."""
    found: Any = serve.status().applications.get(NAME)
    messages = [] if found is None else [one.message for one in found.deployments.values() if one.message]
    return " ".join(message.strip().splitlines()[-1] for message in messages or [str(error)] if message.strip())
