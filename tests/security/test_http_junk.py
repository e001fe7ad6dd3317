"""Whatever arrives over HTTP gets a code from the catalogue: never a 5xx, never a traceback, never an echo."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from flexlive.domain.errors import ErrorCode
from flexlive.services import tokens
from flexlive.web.limits import HttpOptions
from tests.security import hostile
from tests.security.conftest import Live
from tests.security.endpoints import credentials, filled, values_of, writing
from tests.support.http_server import Server, serve
from tests.support.world import World, build_world

JUNK_EACH = 6
CODES = {code.value for code in ErrorCode}

JUNK: dict[str, bytes] = {
    "nothing": b"",
    "null": b"null",
    "list": b"[]",
    "number": b"1e400",
    "not a number": b'{"dropoff_lat":NaN,"lat":NaN}',
    "huge integer": b'{"tip_cents":' + b"9" * 400 + b"}",
    "2^63": b'{"tip_cents":9223372036854775808,"promise_seconds":9223372036854775808}',
    "deep": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "deep list": b"[" * 60_000,
    "twice": b'{"name":"a","name":"b"}',
    "NUL": b'{"name":"a\\u0000b","external_delivery_id":"\\u0000"}',
    "lone surrogate": b'{"name":"\\ud800"}',
    "bad UTF-8": b'{"name":"\xff\xfe"}',
    "cut short": b'{"name":"a',
    "wrong types": b'{"name":1,"drivers":{},"packages":"x","hours":[],"readiness":5,"policy":3}',
    "form": b"name=a&b=c",
}


@pytest.fixture
async def server(database_url: str) -> AsyncIterator[Server]:
    async with serve(database_url, http=HttpOptions(requests_per_minute_max=0)) as running:
        yield running


@pytest.fixture
async def world(server: Server) -> World:
    return await build_world(server.ctx)


async def ops_token(server: Server) -> str:
    return (await tokens.issue_ops_token(server.ctx, timedelta(hours=1))).token


def check(answer: Any, what: str) -> None:
    if answer.status_code in {200, 201, 202, 204}:
        return  # fields nobody knows are ignored where everything is optional
    assert 400 <= answer.status_code < 500, what
    assert answer.headers["content-type"] == "application/problem+json", what
    assert answer.json()["code"] in CODES, what
    assert "Traceback" not in answer.text


async def test_every_endpoint_refuses_every_kind_of_junk(live: Live) -> None:
    values = values_of(live.cast.here)
    async with httpx.AsyncClient(base_url=live.url, timeout=20, trust_env=False) as http:
        for endpoint in writing():
            path, headers = filled(endpoint, values), {"authorization": f"Bearer {credentials(live.cast, endpoint)}"}
            if endpoint.who is None:
                headers = {}
            for name in hostile.some_of(sorted(JUNK), JUNK_EACH, str(endpoint)):
                sent = {**headers, "content-type": "application/json"}
                answer = await http.request(endpoint.method, path, content=JUNK[name], headers=sent)
                check(answer, f"{endpoint}: {name}")
            for content_type in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"):
                # A wrong content type is no way around.
                sent = {**headers, "content-type": content_type}
                check(await http.request(endpoint.method, path, content=b"name=a&b=c", headers=sent), content_type)
    assert live.complaints() == []


async def test_credentials_are_checked_before_the_body(live: Live) -> None:
    values = values_of(live.cast.here)
    wrong = ["", "x", "Basic abc", "Bearer", "Bearer \t x", "Bearer \u00ff", f"bearer {live.cast.here.api_key[:-1]}"]
    async with httpx.AsyncClient(base_url=live.url, timeout=20, trust_env=False) as http:
        for endpoint in (each for each in writing() if each.who is not None):
            for authorization in wrong:
                answer = await http.request(
                    endpoint.method,
                    filled(endpoint, values),
                    content=b"[" * 60_000,
                    headers={"authorization": authorization.encode("latin-1")},
                )
                assert answer.status_code == 401, (str(endpoint), authorization)
                assert answer.json()["code"] == "unauthorized"
        twice = await http.get(
            f"/v1/markets/here/deliveries/{uuid4()}",
            headers=[("authorization", f"Bearer {live.cast.here.api_key}"), ("authorization", "Bearer x")],
        )
    assert twice.status_code == 401


async def test_odd_paths_are_not_found(server: Server, world: World) -> None:
    merchant, ops = server.bearer(world.api_key), server.bearer(await ops_token(server))
    for text in ("%00", "a%00b", "%ff", "..%2f..", "x" * 39, "' or 1=1 --", "%F0%9F%9A%97", "deployment"):
        for answer in (
            await server.http.get(f"/v1/markets/{text}/deliveries/{uuid4()}", headers=merchant),
            await server.http.get(f"/v1/ops/markets/{text}/stores", headers=ops),
            await server.http.get(f"/v1/ops/markets/{text}", headers=ops),
            await server.http.get(f"/v1/track/{text}"),
            await server.http.get(f"/v1/track/{text}/events", headers={"last-event-id": text}),
        ):
            check(answer, text)
            assert answer.status_code in (400, 404)


async def test_a_merchant_sees_nothing_of_another(server: Server, world: World) -> None:
    from flexlive.protocol import ops as wire
    from flexlive.services import merchants

    created = await world.order()
    stranger = await merchants.create(server.ctx, wire.CreateMerchant(name="Stranger"))
    headers = server.bearer(stranger.api_key)
    path = f"/v1/markets/{world.market_id}/deliveries/"
    foreign = await server.http.get(f"{path}{created.delivery_id}", headers=headers)
    absent = await server.http.get(f"{path}{uuid4()}", headers=headers)
    assert foreign.status_code == absent.status_code == 404
    assert foreign.content == absent.content
    body = {"readiness": "ready"}
    foreign = await server.http.post(f"{path}{created.delivery_id}/readiness", json=body, headers=headers)
    absent = await server.http.post(f"{path}{uuid4()}/readiness", json=body, headers=headers)
    assert (foreign.status_code, foreign.content) == (404, absent.content)


async def test_revoked_and_expired_credentials_stop_at_once(server: Server, world: World) -> None:
    token = await ops_token(server)
    assert (await server.http.get("/v1/ops/markets", headers=server.bearer(token))).status_code == 200
    await tokens.revoke(server.ctx, token)
    assert (await server.http.get("/v1/ops/markets", headers=server.bearer(token))).status_code == 401
    await world.add_drivers(1, online=False)
    driver = server.bearer(world.driver_tokens[0])
    assert (await server.http.post("/v1/driver/ticket", headers=driver)).status_code == 201
    await server.ctx.pool.execute("update token set expires_at = now() where kind = 'driver'")
    late = await server.http.post("/v1/driver/ticket", headers=driver)
    assert (late.status_code, late.json()["code"]) == (401, "token_expired")


async def test_a_large_body_is_cut_off(server: Server, world: World) -> None:
    ops = server.bearer(await ops_token(server))
    big = json.dumps({"drivers": [{"first_name": "x" * 90} for _ in range(1000)]}).encode()
    assert 64 * 1024 < len(big) < 1024 * 1024
    fits = await server.http.post(f"/v1/ops/markets/{world.market_id}/drivers", content=big, headers=ops)
    assert fits.status_code == 201
    for path in ("/v1/ops/markets", f"/v1/ops/markets/{world.market_id}/sites", "/v1/ops/merchants"):
        assert (await server.http.post(path, content=big, headers=ops)).status_code == 413
    huge = b" " * (1024 * 1024 + 1)
    answer = await server.http.post(f"/v1/ops/markets/{world.market_id}/drivers", content=huge, headers=ops)
    assert answer.status_code == 413
