"""A city is opened, a store takes an order and its customer follows it, all over real HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from flexlive.services import tokens
from tests.support.http_server import Server, serve
from tests.support.world import ALWAYS_OPEN

LOGGING_IN = {"askForLoginCode", "logIn", "refreshLogin"}


@pytest.fixture
async def server(database_url: str) -> AsyncIterator[Server]:
    async with serve(database_url) as running:
        yield running


@pytest.fixture
async def ops(server: Server) -> dict[str, str]:
    return server.bearer((await tokens.issue_ops_token(server.ctx, timedelta(hours=1))).token)


async def open_city(server: Server, ops: dict[str, str], market_id: str = "reno") -> dict[str, Any]:
    """What an operator does on the first day; answers what came back."""
    http, base = server.http, f"/v1/ops/markets/{market_id}"
    market = {"market_id": market_id, "name": market_id.title(), "time_zone": "America/Los_Angeles"}
    assert (await http.post("/v1/ops/markets", json=market, headers=ops)).status_code == 201
    site = await http.post(
        f"{base}/sites",
        headers=ops,
        json={
            "kind": "mall", "name": "Mall", "address": "1 Mall Way", "lat": 39.5, "lon": -119.8,
            "entrance": {"name": "South", "lat": 39.5, "lon": -119.8}, "hours": ALWAYS_OPEN,
        },
    )  # fmt: skip
    assert site.status_code == 201
    merchant = await http.post("/v1/ops/merchants", json={"name": f"Shop {market_id}"}, headers=ops)
    assert merchant.status_code == 201
    ids = {"merchant_id": merchant.json()["merchant_id"], "site_id": site.json()["site_id"]}
    assert (
        await http.put(f"{base}/offer-types/retail_delivery", json={"name": "Retail"}, headers=ops)
    ).status_code == 200
    level = {"shape": "on_demand", "promise_seconds": 3600}
    assert (await http.put(f"{base}/service-levels/express", json=level, headers=ops)).status_code == 200
    store = await http.post(
        f"{base}/stores",
        json={**ids, "external_store_id": f"{market_id}-1", "name": "Counter", "hours": ALWAYS_OPEN},
        headers=ops,
    )
    assert store.status_code == 201
    part = {**ids, "offer_type": "retail_delivery"}
    assert (await http.put(f"{base}/participations", json=part, headers=ops)).status_code == 200
    return {"merchant": merchant.json(), "site": site.json(), "store": store.json()}


def order(**changes: Any) -> dict[str, Any]:
    return {
        "external_delivery_id": "o-1",
        "external_store_id": "reno-1",
        "service_level": "express",
        "dropoff_address": "5 Pine St",
        "dropoff_lat": 39.52,
        "dropoff_lon": -119.81,
        "contact_name": "Ana",
        "packages": [{"size": "small", "weight_grams": 800}],
        "dropoff_verification": {"pincode": True},
        **changes,
    }


async def test_a_city_opens_and_an_order_comes_in_once(server: Server, ops: dict[str, str]) -> None:
    http = server.http
    city = await open_city(server, ops)
    key = server.bearer(city["merchant"]["api_key"])

    first = await http.post("/v1/deliveries", json=order(), headers=key)
    assert first.status_code == 201
    body = first.json()
    assert body["tracking_url"].startswith(f"{server.url}/t/fl_track_reno_")
    assert len(body["pincode"]) == 4

    # The same order, written differently: other key order, white space, defaults spelled out.
    rewritten = json.dumps(dict(reversed([*order(tip_cents=0).items()])), indent=3)
    again = await http.post("/v1/deliveries", content=rewritten, headers={**key, "content-type": "application/json"})
    assert again.status_code == 200
    assert again.content == first.content
    other = await http.post("/v1/deliveries", json=order(tip_cents=5), headers=key)
    assert other.status_code == 409
    assert other.json()["code"] == "conflict"
    assert other.json()["delivery_id"] == body["delivery_id"]

    path = f"/v1/markets/reno/deliveries/{body['delivery_id']}"
    assert (await http.get(path, headers=key)).json()["status"] == "created"
    said = await http.post(f"{path}/readiness", json={"readiness": "preparing"}, headers=key)
    assert said.json()["readiness"] == "preparing"
    back = await http.post(f"{path}/readiness", json={"readiness": "handed_over"}, headers=key)
    assert back.status_code == 200
    wrong = await http.post(f"{path}/readiness", json={"readiness": "preparing"}, headers=key)
    assert (wrong.status_code, wrong.json()["code"]) == (409, "illegal_transition")
    token = body["tracking_url"].rsplit("/", 1)[1]
    tracked = await http.get(f"/v1/track/{token}")
    assert tracked.json()["readiness"] == "handed_over"
    assert tracked.headers["cache-control"] == "no-store"
    assert tracked.headers["referrer-policy"] == "no-referrer"
    assert (await http.get(f"/v1/ops/markets/reno/deliveries/{body['delivery_id']}", headers=ops)).status_code == 200


async def test_twenty_twins_over_twenty_connections(server: Server, ops: dict[str, str]) -> None:
    city = await open_city(server, ops)
    key = server.bearer(city["merchant"]["api_key"])
    answers = await asyncio.gather(*(server.http.post("/v1/deliveries", json=order(), headers=key) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    assert len({answer.content for answer in answers}) == 1


async def test_every_refusal_is_a_problem_with_a_stable_code(server: Server, ops: dict[str, str]) -> None:
    http = server.http
    city = await open_city(server, ops)
    key = server.bearer(city["merchant"]["api_key"])
    unknown = uuid4()
    cases = [
        (await http.post("/v1/deliveries", json=order()), 401, "unauthorized"),
        (await http.post("/v1/deliveries", json=order(), headers=ops), 401, "unauthorized"),
        (await http.post("/v1/deliveries", json={}, headers=key), 400, "invalid"),
        (await http.post("/v1/deliveries", json=order(external_store_id="x"), headers=key), 404, "store_unknown"),
        (await http.post("/v1/deliveries", json=order(offer_type="x"), headers=key), 422, "not_participating"),
        (await http.post("/v1/deliveries", content=b" " * 70_000, headers=key), 413, "too_large"),
        (await http.get(f"/v1/markets/reno/deliveries/{unknown}", headers=key), 404, "not_found"),
        (await http.get(f"/v1/markets/none/deliveries/{unknown}", headers=key), 404, "not_found"),
        (await http.get("/v1/markets/reno/deliveries/not-a-uuid", headers=key), 404, "not_found"),
        (await http.get("/v1/ops/markets", headers=key), 401, "unauthorized"),
        (await http.get("/v1/ops/markets/none/sites", headers=ops), 404, "market_unknown"),
        (await http.get("/v1/ops/markets/reno/drivers?after=x", headers=ops), 400, "invalid"),
        (await http.put("/v1/ops/markets/reno/service-levels/now", json={}, headers=ops), 400, "invalid"),
        (await http.put("/v1/ops/markets/reno/offer-types/A%00b", json={}, headers=ops), 400, "invalid"),
        (await http.post("/v1/driver/ticket", headers=key), 401, "unauthorized"),
        (await http.get("/v1/track/nonsense"), 404, "not_found"),
        (await http.get("/v1/track/nonsense/events"), 404, "not_found"),
        (await http.get("/nowhere"), 404, "not_found"),
        (await http.request("DELETE", "/v1/deliveries", headers=key), 405, "method_not_allowed"),
    ]
    for answer, status, code in cases:
        what = f"{answer.request.method} {answer.request.url.path}"
        assert answer.status_code == status, what
        assert answer.headers["content-type"] == "application/problem+json", what
        body = answer.json()
        assert body["code"] == code, what
        assert {"type", "title", "status", "detail"} <= set(body)
        assert body["status"] == status
        assert ("www-authenticate" in answer.headers) is (status == 401)


async def test_an_operator_of_one_market_sees_no_other(server: Server, ops: dict[str, str]) -> None:
    await open_city(server, ops, "reno")
    await open_city(server, ops, "tahoe")
    issued = await tokens.issue_ops_token(server.ctx, timedelta(hours=1), "tahoe")
    local = server.bearer(issued.token)
    assert [market["market_id"] for market in (await server.http.get("/v1/ops/markets", headers=local)).json()] == [
        "tahoe"
    ]
    assert (await server.http.get("/v1/ops/markets/tahoe/stores", headers=local)).status_code == 200
    foreign = await server.http.get("/v1/ops/markets/reno/stores", headers=local)
    absent = await server.http.get("/v1/ops/markets/absent/stores", headers=local)
    assert (foreign.status_code, foreign.json()) == (404, absent.json())
    new = {"market_id": "third", "name": "Third", "time_zone": "UTC"}
    refused = await server.http.post("/v1/ops/markets", json=new, headers=local)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")


async def test_drivers_get_tokens_and_tokens_get_tickets(server: Server, ops: dict[str, str]) -> None:
    await open_city(server, ops)
    asked = {"drivers": [{"first_name": "Ana", "offer_types": ["retail_delivery"]}, {"first_name": "Bo"}]}
    made = await server.http.post("/v1/ops/markets/reno/drivers", json=asked, headers=ops)
    assert made.status_code == 201
    assert len(made.json()) == 2
    page = (await server.http.get("/v1/ops/markets/reno/drivers", headers=ops)).json()
    assert [driver["first_name"] for driver in page["drivers"]] == ["Ana", "Bo"]
    bearer = server.bearer(made.json()[0]["access_token"])
    ticket = await server.http.post("/v1/driver/ticket", headers=bearer)
    assert ticket.status_code == 201
    assert ticket.json()["ticket"].startswith("fl_ticket_reno_")
    # A ticket opens a socket; it does not buy another ticket.
    again = await server.http.post("/v1/driver/ticket", headers=server.bearer(ticket.json()["ticket"]))
    assert again.status_code == 401


async def test_health_says_what_it_knows(server: Server) -> None:
    assert (await server.http.get("/livez")).json() == {"status": "ok"}
    ready = await server.http.get("/readyz")
    assert ready.status_code in (200, 503)
    assert ready.json()["database"] == "ok"
    server.app.state.relay_alive = lambda: False
    sick = await server.http.get("/readyz")
    said = {"status": "failed", "database": "ok", "relay": "failed", "bus": "ok"}
    assert (sick.status_code, {**sick.json(), **said}) == (503, sick.json())
    server.app.state.relay_alive = lambda: True
    assert (await server.http.get("/readyz")).status_code == 200
    metrics = await server.http.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    assert "flexlive_hub_deliveries_total" in metrics.text


async def test_the_schema_is_complete(server: Server) -> None:
    operations = {
        operation["operationId"]: (path, operation)
        for path, methods in server.schema["paths"].items()
        for operation in methods.values()
    }
    assert {"createDelivery", "streamTracking", "issueTicket", "createMarket", "provisionDrivers"} <= set(operations)
    assert set(server.schema["components"]["securitySchemes"]) == {"ops", "merchant", "driver"}
    for name, (path, operation) in operations.items():
        # Who logs in has no token yet: the body proves who asks.
        secured = path.startswith(("/v1/ops", "/v1/deliveries", "/v1/markets", "/v1/driver")) and name not in LOGGING_IN
        assert bool(operation.get("security")) is secured, name
        if name in LOGGING_IN:
            continue
        assert ("401" in operation["responses"]) is secured, name
        for status, described in operation["responses"].items():
            if int(status) >= 400 and not path.endswith("z"):
                assert set(described["content"]) == {"application/problem+json"}, (name, status)
    created = server.schema["components"]["schemas"]["CreateDelivery"]
    assert set(created["required"]) == {
        "external_delivery_id", "external_store_id", "service_level", "dropoff_address", "dropoff_lat", "dropoff_lon",
        "contact_name", "packages",
    }  # fmt: skip


async def test_too_many_requests_are_told_when_to_come_back(database_url: str) -> None:
    from flexlive.web.limits import HttpOptions

    async with serve(database_url, http=HttpOptions(requests_per_minute_max=5)) as server:
        answers = [await server.http.get("/v1/track/x") for _ in range(8)]
        assert {answer.status_code for answer in answers[:4]} == {404}
        assert answers[-1].status_code == 429
        assert answers[-1].json()["code"] == "rate_limited"
        assert "retry-after" in answers[-1].headers or "ratelimit-reset" in answers[-1].headers
        # A made-up token is no client of its own; probes are never limited.
        assert (await server.http.get("/v1/track/x", headers=server.bearer("somebody"))).status_code == 429
        assert (await server.http.get("/livez")).status_code == 200
