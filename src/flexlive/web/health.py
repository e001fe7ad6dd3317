"""For those who watch the process: is it alive, should it get traffic, and its figures."""

from __future__ import annotations

import asyncio
from typing import Final, Literal

from litestar import Response, Router, get
from litestar.datastructures import State
from litestar.openapi import ResponseSpec
from msgspec import Struct
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from flexlive.web.dependencies import Ctx

DATABASE_TIMEOUT_SECONDS: Final = 2.0

Word = Literal["ok", "failed"]


class Live(Struct, frozen=True):
    status: Literal["ok"] = "ok"


class Ready(Struct, frozen=True, kw_only=True):
    """status is ok when every part is."""

    status: Word
    database: Word
    relay: Word


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
    """503 while the database cannot be reached or facts do not flow."""
    database: Word = "ok" if await _database_answers(ctx) else "failed"
    relay: Word = "ok" if state.relay_alive() else "failed"
    ready = database == relay == "ok"
    body = Ready(status="ok" if ready else "failed", database=database, relay=relay)
    return Response(body, status_code=200 if ready else 503, headers={"cache-control": "no-store"})


@get("/metrics", operation_id="metrics", media_type="text/plain")
async def metrics() -> Response[bytes]:
    """Prometheus text format."""
    return Response(generate_latest(), headers={"content-type": CONTENT_TYPE_LATEST}, media_type="text/plain")


async def _database_answers(ctx: Ctx) -> bool:
    try:
        async with asyncio.timeout(DATABASE_TIMEOUT_SECONDS):
            async with ctx.pool.acquire(timeout=DATABASE_TIMEOUT_SECONDS) as conn:
                return await conn.fetchval("select 1", timeout=DATABASE_TIMEOUT_SECONDS) == 1
    except Exception:
        # Whatever the reason, there is no database for us; the caller's answer says so.
        return False


router = Router(path="/", route_handlers=[livez, readyz, metrics], tags=["health"])
