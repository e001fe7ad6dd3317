"""For those who watch the process: is it alive, should it get traffic, and its figures."""

from __future__ import annotations

import asyncio
import os
from typing import Final, Literal

from litestar import Response, Router, get
from litestar.datastructures import State
from litestar.openapi import ResponseSpec
from msgspec import Struct
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from flexlive.web.dependencies import Ctx

DATABASE_TIMEOUT_SECONDS: Final = 2.0

Word = Literal["ok", "failed"]


class Live(Struct, frozen=True):
    status: Literal["ok"] = "ok"


class Ready(Struct, frozen=True, kw_only=True):
    """status is ok when database and relay are. bus is degraded while facts have to be polled for: they come, slower.
    process: who answers, of those that share the port; another one after each start."""

    status: Literal["ok", "failed", "draining"]
    database: Word
    relay: Word
    bus: Literal["ok", "degraded"]
    process: str


@get("/livez", operation_id="livez")
async def livez() -> Live:
    """The process answers. Asks nobody else: a restart would not bring a database back."""
    return Live()


@get(
    "/readyz",
    operation_id="readyz",
    responses={503: ResponseSpec(Ready, description="not ready", generate_examples=False)},
)
async def readyz(ctx: Ctx, state: State) -> Response[Ready]:
    """503 while the database cannot be reached, facts do not flow, or the process is about to stop."""
    database: Word = "ok" if await _database_answers(ctx) else "failed"
    relay: Word = "ok" if state.relay_alive() else "failed"
    bus: Literal["ok", "degraded"] = "ok" if state.bus_alive() else "degraded"
    ready = database == relay == "ok" and not state.draining
    body = Ready(
        status="ok" if ready else "draining" if state.draining else "failed",
        database=database,
        relay=relay,
        bus=bus,
        process=ctx.roster.process,
    )
    return Response(body, status_code=200 if ready else 503, headers={"cache-control": "no-store"})


@get("/metrics", operation_id="metrics", media_type="text/plain")
async def metrics() -> Response[bytes]:
    """Prometheus text format; of all processes that share the port."""
    text = await asyncio.to_thread(_figures)
    return Response(text, headers={"content-type": CONTENT_TYPE_LATEST}, media_type="text/plain")


def _figures() -> bytes:
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


async def _database_answers(ctx: Ctx) -> bool:
    try:
        async with asyncio.timeout(DATABASE_TIMEOUT_SECONDS):
            async with ctx.pool.acquire(timeout=DATABASE_TIMEOUT_SECONDS) as conn:
                return await conn.fetchval("select 1", timeout=DATABASE_TIMEOUT_SECONDS) == 1
    except Exception:
        # Whatever the reason, there is no database for us; the caller's answer says so.
        return False


router = Router(path="/", route_handlers=[livez, readyz, metrics], tags=["health"])
