"""The command that runs the service."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from gaitkeeper.service.commands.console.terminal import ERR, StoreOption, progress


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; by default loopback.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0 means a free port.")] = None,
    root_path: Annotated[
        str | None, typer.Option(metavar="PATH", help="Path of the service behind a proxy, for example /gait.")
    ] = None,
    store: StoreOption = None,
    ray: Annotated[
        str | None,
        typer.Option(help="Serve on a Ray cluster: its address, `auto`, or `local` for one on this machine."),
    ] = None,
) -> None:
    """Run the REST service."""
    if ray is not None:
        _on_cluster(host, port, root_path, store, ray)
        return
    with progress("starting"):
        import uvicorn

        from gaitkeeper.service.app import create_app
        from gaitkeeper.service.auth.keys import Keys
        from gaitkeeper.service.operations.listening import listen, socket_options, url_of
        from gaitkeeper.service.operations.logs import configure
        from gaitkeeper.service.recognition.engine import Engine
        from gaitkeeper.service.settings import load_settings

        given = {"host": host, "port": port, "store": store, "root_path": root_path}
        settings = load_settings(**{name: value for name, value in given.items() if value is not None})
        # Open and test the engine here, so that errors appear as a message and not as the traceback of a failed start.
        engine = Engine(settings)
        door = listen(
            settings.host,
            settings.port,
            published_on_loopback=settings.published_on_loopback,
            keys=Keys(engine.state).exist(),
        )
        app = create_app(settings, engine)
        # The service only accepts requests after its models were loaded and tested.
        engine.check()
    ERR.print(f"gaitkeeper on {url_of(door)} (routes in /openapi.json; stop with Ctrl-C)", soft_wrap=True)
    configure(settings.log)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        **socket_options(settings),
        # On a stop signal it accepts no more requests and finishes the running ones, which have a deadline.
        timeout_graceful_shutdown=math.ceil(settings.deadline) + 5,
    )
    uvicorn.Server(config).run([door])


def _on_cluster(host: str | None, port: int | None, root_path: str | None, store: str | None, address: str) -> None:
    with progress("starting"):
        from gaitkeeper.service.errors import BadSettings, ClusterUnavailable
        from gaitkeeper.service.hosts.cluster import prepare
        from gaitkeeper.service.operations.logs import configure
        from gaitkeeper.service.settings import load_settings

        if root_path is not None:
            raise BadSettings("--ray and --root-path exclude each other: set GAITKEEPER_ROOT_PATH on every host.")
        if store is not None:
            raise BadSettings("--ray and --store exclude each other: every host uses its own GAITKEEPER_STORE.")
        given = {"host": host, "port": port}
        settings = load_settings(**{name: value for name, value in given.items() if value is not None})
        prepare(address)
        try:
            from gaitkeeper.service.ray_app import run
        except ModuleNotFoundError as error:
            raise ClusterUnavailable("Ray is not installed: pip install 'gaitkeeper-id[ray]'.") from error
    configure(settings.log)
    run(settings, address, lambda url: ERR.print(f"gaitkeeper on {url} (stop with Ctrl-C)", soft_wrap=True))
