"""The REST service as an ASGI application."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import get_args

import anyio.to_thread
from fastapi import Depends, FastAPI
from fastapi.middleware.cors import CORSMiddleware

from gaitkeeper.service import DISTRIBUTION
from gaitkeeper.service.auth.keys import Keys
from gaitkeeper.service.auth.sessions import Sessions
from gaitkeeper.service.background.expiry import purging
from gaitkeeper.service.background.jobs import Jobs
from gaitkeeper.service.background.replay import Replays
from gaitkeeper.service.background.watchlists import Watchlists
from gaitkeeper.service.background.webhooks import Webhooks
from gaitkeeper.service.background.work import Work
from gaitkeeper.service.cameras.cameras import Cameras
from gaitkeeper.service.cameras.news import News
from gaitkeeper.service.http import handlers, openapi
from gaitkeeper.service.http.admission import Gate, RateLimit
from gaitkeeper.service.http.limits import BodyLimit, WorkQueue
from gaitkeeper.service.http.reply_headers import Edge
from gaitkeeper.service.http.root_path import Under, root_of
from gaitkeeper.service.http.unknown_fields import known_only
from gaitkeeper.service.http.uploads import Uploads
from gaitkeeper.service.live.events import DropReason
from gaitkeeper.service.metrics import Metrics
from gaitkeeper.service.problems import PROBLEMS
from gaitkeeper.service.recognition.engine import Engine
from gaitkeeper.service.routes import (
    cameras,
    clips,
    collections,
    jobs,
    pairs,
    sightings,
    strangers,
    stream,
    subjects,
    walkers,
)
from gaitkeeper.service.routes.operations import health, metrics, session, system
from gaitkeeper.service.routes.page import page_router
from gaitkeeper.service.routes.watching import cameras as watched_cameras
from gaitkeeper.service.routes.watching import watchlists
from gaitkeeper.service.settings import Settings, load_settings


def create_app(settings: Settings | None = None, engine: Engine | None = None) -> FastAPI:
    """The application.

    Args:
        settings: the settings; by default from the environment.
        engine: the engine, closed with the application; by default opened with the settings.
    """
    settings = settings or load_settings()
    rate = RateLimit(settings.rate)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with engine or Engine(settings) as opened:
            app.state.engine = opened
            app.state.keys = Keys(opened.state)
            app.state.sessions = Sessions(opened.state, app.state.keys, settings.session_seconds)
            app.state.replays = Replays(opened.state, settings.keep_replies)
            app.state.queue = WorkQueue(settings.workers, settings.queue, settings.retry_after)
            news = app.state.news = News(settings, opened.state, app.state.metrics)
            app.state.watchlists = Watchlists(opened, news.stir)
            webhooks = Webhooks(
                opened.state,
                settings.webhooks,
                settings.webhook_key,
                app.state.metrics,
                opened.has,
                attempts=settings.webhook_attempts,
                watching=app.state.watchlists.watching,
                also=news.judged,
            )
            work = app.state.work = Work(opened, app.state.metrics, webhooks)
            app.state.metrics.watch(lambda: app.state.queue.pending)
            app.state.metrics.watch_handles(lambda: len(opened.handles), lambda: opened.handles.size)
            app.state.metrics.watch_stages((*opened.pipeline.stages.values(), opened.embedder.stage))
            app.state.streams = stream.Streams(settings.streams, settings.retry_after)
            app.state.metrics.watch_streams(lambda: app.state.streams.live)
            # Probes have their own thread, so a full queue does not make the service look dead.
            app.state.probes = WorkQueue(1, settings.queue, settings.retry_after)
            app.state.jobs = Jobs(
                opened.state,
                work.do_job,
                opened.has,
                bound=settings.jobs,
                keep=settings.keep_jobs,
                annotated_bytes=settings.annotated_bytes,
                retry_after=settings.retry_after,
                on_end=webhooks.ended,
                on_problem=app.state.metrics.problem,
            )
            app.state.cameras = Cameras(
                opened, lambda person, stream: webhooks.judged(person, stream=stream), app.state.metrics, news.stir
            )
            news.start(app.state.cameras, app.state.watchlists)
            app.state.metrics.watch_cameras(app.state.cameras.states)
            expiry = asyncio.create_task(purging(opened))
            try:
                yield
            finally:
                expiry.cancel()
                await asyncio.gather(expiry, return_exceptions=True)
                await anyio.to_thread.run_sync(app.state.cameras.close)
                await anyio.to_thread.run_sync(news.close)
                await anyio.to_thread.run_sync(app.state.jobs.close)
                await anyio.to_thread.run_sync(webhooks.close)

    app = FastAPI(
        title="Gaitkeeper",
        version=version(DISTRIBUTION),
        description="Identifies people by their gait. Errors are RFC 9457 problem documents with a stable `code`.",
        lifespan=lifespan,
        # The framework's documentation pages load scripts from another host. A service with biometric data must not do
        # that.
        docs_url=None,
        # The names of the functions: generated clients call their methods by them.
        generate_unique_id_function=lambda route: route.name,
        redoc_url=None,
        dependencies=[Depends(known_only)],
    )
    # The middleware added last runs first: no body is read before the gate has admitted the request.
    app.add_middleware(
        BodyLimit,
        limit=settings.max_upload_bytes,
        seconds=settings.deadline,
        uploads=Uploads(settings.uploads),
        retry_after=settings.retry_after,
    )
    app.add_middleware(Gate, rate=rate, origins=settings.cors_origins)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Idempotency-Key", "Prefer", "X-Request-ID"],
            expose_headers=["X-Request-ID", "Retry-After", "Location"],
        )
    app.add_middleware(Edge)
    if root := root_of(settings.root_path):
        app.add_middleware(Under, root=root)
    app.state.metrics = Metrics()
    codes = (code for code, problem in PROBLEMS.items() if problem.status is not None)
    app.state.metrics.expect(codes, get_args(DropReason))
    app.state.started = time.time()
    handlers.install(app)
    openapi.install(app)
    clips_and_people = (
        clips,
        walkers,
        collections,
        subjects,
        pairs,
        strangers,
        sightings,
        cameras,
        watched_cameras,
        watchlists,
        jobs,
        stream,
    )
    for routes in (*clips_and_people, session, system, health, metrics):
        app.include_router(routes.router)
    app.include_router(page_router())
    return app
