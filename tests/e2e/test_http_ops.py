"""Operators at work over real HTTP, with a phone on a real socket beside them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from flexlive.domain.markets import MarketPolicy
from flexlive.protocol import driver as wire
from flexlive.services import markets, merchants, tokens
from tests.support.http_server import Server, serve
from tests.support.on_the_road import OnTheRoad
from tests.support.phones import Phone
from tests.support.world import SITE, World, build_world, open_test_context

WHY = {"reason_code": "ops_decision", "note": "called them"}


@pytest.fixture
async def server(database_url: str) -> AsyncIterator[Server]:
    async with open_test_context(database_url) as ctx:
        await build_world(ctx, drivers=0)
    async with serve(database_url) as running:
        yield running


@pytest.fixture
async def world(server: Server) -> World:
    """The market the server runs, with the server's own context."""
    ctx = server.ctx
    [site] = await markets.sites(ctx, "testville")
    [store] = await merchants.stores(ctx, "testville")
    key = await merchants.add_key(ctx, store.merchant_id)
    merchant = await tokens.verify_merchant(ctx, key.api_key)
    return World(ctx, "testville", merchant, store, site, api_key=key.api_key)


class Ops:
    def __init__(self, server: Server, token: str) -> None:
        self.http, self.headers = server.http, server.bearer(token)

    async def post(self, path: str, key: str | None = None, **body: Any) -> httpx.Response:
        headers = self.headers if key is None else {**self.headers, "Idempotency-Key": key}
        return await self.http.post(f"/v1/ops/markets/testville{path}", json={**WHY, **body}, headers=headers)

    async def get(self, path: str) -> Any:
        answer = await self.http.get(f"/v1/ops/markets/testville{path}", headers=self.headers)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
async def ops(server: Server) -> Ops:
    return Ops(server, (await tokens.issue_ops_token(server.ctx, timedelta(hours=1))).token)


async def test_from_the_first_step_in_to_the_story(server: Server, world: World, ops: Ops) -> None:
    [driver, spare] = await world.add_drivers(2)
    delivery_id = (await world.order()).delivery_id
    path = f"/deliveries/{delivery_id}"
    phone = Phone()
    async with phone.connected(server.url, world.driver_tokens[0], SITE):
        assigned = await ops.post(f"{path}/assign", "once", driver_id=str(driver.driver_id))
        assert assigned.status_code == 200, assigned.text
        again = await ops.post(f"{path}/assign", "once", driver_id=str(driver.driver_id))
        assert again.content == assigned.content
        await phone.until(lambda: phone.got(wire.RouteUpdate))
        route = phone.got(wire.RouteUpdate)[-1]
        assert route.offer_id is None

        later = await ops.post(f"{path}/extend", dropoff_deadline_at="2020-01-01T00:00:00Z")
        assert (later.status_code, later.json()["code"]) == (422, "pickup_window_invalid")
        arrived = await ops.post(f"/stops/{route.stops[0].stop_id}/check-in")
        assert arrived.status_code == 200, arrived.text
        await phone.until(lambda: phone.got(wire.DeliveryUpdate)[-1].status == "arrived_at_pickup")

        key = server.bearer(world.api_key)
        cancelled = await server.http.post(
            f"/v1/markets/testville{path}/cancel", json={"reason_code": "customer_cancelled"}, headers=key
        )
        assert cancelled.json()["status"] == "cancelled"
        await phone.until(lambda: phone.got(wire.RouteUpdate)[-1].status != "active")

        suspended = await ops.post(f"/drivers/{driver.driver_id}/suspend")
        assert suspended.json()["result"]["changed"] is True
        assert (await phone.closed())[0] == 4530
    with pytest.raises(ConnectionClosed) as refused:
        async with Phone().connected(server.url, world.driver_tokens[0]):
            pass
    assert refused.value.rcvd is not None
    assert refused.value.rcvd.code == 4530
    assert (await ops.post(f"/drivers/{driver.driver_id}/reinstate")).status_code == 200
    async with Phone().connected(server.url, world.driver_tokens[0], SITE):
        pass

    paid = await ops.post(f"/drivers/{driver.driver_id}/adjustments", "bonus", amount_cents=500)
    assert paid.json()["result"]["amount_cents"] == 500
    keyless = await ops.post(f"/drivers/{driver.driver_id}/adjustments", amount_cents=500)
    assert (keyless.status_code, keyless.json()["code"]) == (400, "invalid")
    assert (await ops.post(f"{path}/revoke-link")).json()["result"] == {"links": 1}

    story = await ops.get(f"{path}/story")
    assert [each["action"] for each in story["actions"]] == ["assign", "check_in", "revoke_link"]
    assert story["delivery"]["status"] == "cancelled"
    assert {entry["kind"] for entry in story["ledger"]} == {"partial"}
    assert [each["action"] for each in await ops.get(f"/actions?subject_id={driver.driver_id}")] == [
        "suspend", "reinstate", "adjust",
    ]  # fmt: skip
    assert spare.driver_id


async def test_a_phone_suspended_between_handshake_and_hello_gets_no_session(
    server: Server, world: World, ops: Ops
) -> None:
    [driver] = await world.add_drivers(1)
    late = Phone()
    async with connect(
        server.url.replace("http://", "ws://") + "/v1/driver",
        additional_headers=server.bearer(world.driver_tokens[0]),
        subprotocols=[Subprotocol(wire.SUBPROTOCOL)],
        proxy=None,
    ) as socket:
        assert (await ops.post(f"/drivers/{driver.driver_id}/suspend")).status_code == 200
        # Long enough for the fact to have passed.
        await asyncio.sleep(0.3)
        await socket.send(late.session.open(None, late.now).decode())
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_code == 4530


async def test_an_incident_is_seen_and_decided(server: Server, world: World, ops: Ops) -> None:
    [driver, helper] = await world.add_drivers(2)
    delivery_id = (await world.order()).delivery_id
    path = f"/deliveries/{delivery_id}"
    assert (await ops.post(f"{path}/assign", driver_id=str(driver.driver_id))).status_code == 200
    phone = OnTheRoad(world, driver)
    await phone.pick_up()
    moved = await ops.post(f"{path}/transfer", driver_id=str(helper.driver_id), lat=SITE[0], lon=SITE[1])
    assert moved.status_code == 200, moved.text
    assert (await ops.post(f"{path}/transfer/cancel")).status_code == 200
    await phone.send(wire.IncidentReport, delivery_id=delivery_id, reason_code="address_problem")
    [alert] = (await ops.get("/alerts"))["alerts"]
    assert (alert["kind"], alert["delivery_id"]) == ("incident", str(delivery_id))
    assert (await ops.get("/alerts?kind=driver_silent"))["alerts"] == []
    undecided = await ops.post(f"/alerts/{alert['alert_id']}/resolve")
    assert (undecided.status_code, undecided.json()["delivery_status"]) == (409, "undeliverable")
    decided = await ops.post(f"{path}/resolve", resolution="return_to_pickup")
    assert decided.json()["result"]["status"] == "enroute_to_return"
    assert (await ops.get("/alerts"))["alerts"] == []
    [past] = (await ops.get("/alerts?open_only=false"))["alerts"]
    assert past["resolution"] == "return_to_pickup"
    assert (await ops.post(f"{path}/lost")).json()["result"]["status"] == "lost"


async def test_the_watch_runs_in_a_server(server: Server, world: World, ops: Ops) -> None:
    [driver] = await world.add_drivers(1)
    delivery_id = (await world.order()).delivery_id
    assert (await ops.post(f"/deliveries/{delivery_id}/assign", driver_id=str(driver.driver_id))).status_code == 200
    pool = server.ctx.pool
    # Silence counts from the start of the server at the earliest, and this one has only just begun.
    await markets.set_policy(server.ctx, "testville", MarketPolicy(driver_silent_seconds=0.5))
    await pool.execute("update route set created_at = created_at - interval '1 hour'")
    await pool.execute("update driver_position set received_at = received_at - interval '1 hour'")
    async with asyncio.timeout(10):
        while not (await ops.get("/alerts"))["alerts"]:
            await asyncio.sleep(0.1)
    async with Phone().connected(server.url, world.driver_tokens[0], SITE):
        async with asyncio.timeout(10):
            while (await ops.get("/alerts"))["alerts"]:
                await asyncio.sleep(0.1)


async def test_what_is_refused_has_a_code_and_leaves_no_trace(server: Server, world: World, ops: Ops) -> None:
    delivery_id, unknown = (await world.order()).delivery_id, uuid4()
    merchant = server.bearer(world.api_key)
    base = "/v1/ops/markets/testville"
    http = server.http
    foreign = server.bearer((await tokens.issue_ops_token(server.ctx, timedelta(hours=1), "elsewhere")).token)
    cases = [
        (await http.post(f"{base}/deliveries/{delivery_id}/cancel", json=WHY), 401, "unauthorized"),
        (await http.post(f"{base}/deliveries/{delivery_id}/cancel", json=WHY, headers=merchant), 401, "unauthorized"),
        (await http.post(f"{base}/deliveries/{delivery_id}/cancel", json=WHY, headers=foreign), 404, "market_unknown"),
        (await http.post(f"{base}/deliveries/{delivery_id}/cancel", json={}, headers=ops.headers), 400, "invalid"),
        (await ops.post(f"/deliveries/{delivery_id}/cancel", reason_code="because"), 400, "invalid"),
        (await ops.post(f"/deliveries/{delivery_id}/cancel", typo=1), 400, "invalid"),
        (await ops.post(f"/deliveries/{delivery_id}/cancel", "two words"), 400, "invalid"),
        (await ops.post(f"/deliveries/{unknown}/cancel"), 404, "not_found"),
        (await ops.post(f"/deliveries/{unknown}/assign", driver_id=str(unknown)), 404, "not_found"),
        (await ops.post(f"/deliveries/{delivery_id}/assign", driver_id=str(unknown)), 404, "not_found"),
        (await ops.post(f"/deliveries/{delivery_id}/unassign"), 409, "illegal_transition"),
        (await ops.post(f"/deliveries/{delivery_id}/transfer", driver_id=str(unknown)), 409, "illegal_transition"),
        (await ops.post(f"/deliveries/{delivery_id}/resolve", resolution="magic"), 400, "invalid"),
        (await ops.post(f"/drivers/{unknown}/suspend"), 404, "not_found"),
        (await ops.post(f"/drivers/{unknown}/adjustments", "k", amount_cents=1), 404, "not_found"),
        (await ops.post(f"/stops/{unknown}/check-in"), 404, "not_found"),
        (await ops.post(f"/alerts/{unknown}/resolve"), 404, "not_found"),
        (await http.get(f"{base}/alerts?kind=x", headers=ops.headers), 400, "invalid"),
        (await http.get(f"{base}/deliveries/{unknown}/story", headers=ops.headers), 404, "not_found"),
        (await http.get("/v1/ops/markets/none/alerts", headers=ops.headers), 404, "market_unknown"),
    ]
    for answer, http_status, code in cases:
        assert (answer.status_code, answer.json()["code"]) == (http_status, code), answer.request.url
    assert await server.ctx.pool.fetchval("select count(*) from ops_action") == 0
