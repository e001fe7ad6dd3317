"""From an order to a sleeping phone and back, on the real server; and where phones are registered, over real HTTP."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import http_ece
import httpx
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import ec

from flexlive.domain.wake_ups import WakeRules
from flexlive.protocol import driver as wire
from flexlive.workers.waker import WakerOptions
from tests.conftest import with_database
from tests.support.http_server import Server, serve
from tests.support.phones import Phone
from tests.support.push_keys import AUTH, BROWSER, browser_keys, pem
from tests.support.push_services import PushServices, push_services
from tests.support.world import SITE, World, build_world

PATH = "/v1/driver/push-target"
RING_SECONDS_MAX = 30.0


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def push(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PushServices]:
    async with push_services(tmp_path_factory.mktemp("push")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(postgres_dsn: str, database_stock: Any, push: PushServices) -> AsyncIterator[Server]:
    """One for all of them; each test has a market of its own."""
    name = await database_stock.take()
    key = push.authority.with_name("vapid.pem")
    key.write_bytes(pem(ec.generate_private_key(ec.SECP256R1())))
    waker = WakerOptions(interval_seconds=0.1, rules=WakeRules(away_seconds=0.5))
    push_settings: dict[str, Any] = {"web_push_key": key, "web_push_contact": "mailto:ops@example.org"}
    with pytest.MonkeyPatch.context() as patch:
        # Whom the server trusts, as on any machine.
        patch.setenv("SSL_CERT_FILE", str(push.authority))
        async with serve(
            with_database(postgres_dsn, name), waker=waker, web_push_hosts="localhost", **push_settings
        ) as running:
            yield running
    await database_stock.give_back(name)


@pytest_asyncio.fixture(loop_scope="module")
async def world(server: Server) -> World:
    await server.ctx.pool.execute("delete from push_target")
    return await build_world(server.ctx, drivers=2, market_id=f"town-{uuid4().hex[:8]}")


async def put(server: Server, token: str, **body: object) -> httpx.Response:
    return await server.http.put(PATH, json={"device_id": "phone-1", **body}, headers=server.bearer(token))


async def listed(server: Server, token: str) -> dict[str, Any]:
    return (await server.http.get(PATH, headers=server.bearer(token))).json()


async def test_a_sleeping_phone_rings_opens_and_wins(server: Server, world: World, push: PushServices) -> None:
    asleep, awake = world.driver_tokens
    registered = await put(server, asleep, kind="web_push", address=f"{push.url}/push/asleep", keys=browser_keys())
    assert registered.status_code == 200, registered.text
    assert (await put(server, awake, kind="web_push", address=f"{push.url}/push/awake", keys=browser_keys())).is_success

    async with Phone("phone-2").connected(server.url, awake, SITE) as other:
        await world.order()
        shown = await other.until(lambda: next(iter(other.session.state.offers.values()), None))
        await other.send(wire.OfferSeen(offer_id=shown.offer_id, rendered_at=datetime.now(UTC)))
        async with asyncio.timeout(RING_SECONDS_MAX):
            while not push.requests or not await server.ctx.pool.fetchval("select count(*) from offer_seen"):
                await asyncio.sleep(0.05)
        [request] = push.requests
        assert request.path == "/push/asleep"
        told = json.loads(http_ece.decrypt(request.body, private_key=BROWSER, auth_secret=AUTH))
        assert told.keys() == {"offer_id", "valid_until"}

        # The ring is all the phone has; it opens, and the offer is there.
        async with Phone("phone-1").connected(server.url, asleep, SITE) as woken:
            offer = woken.session.state.offers[shown.offer_id]
            assert str(offer.offer_id) == told["offer_id"]
            accept = wire.OfferAccept(cmd="a-1", offer_id=offer.offer_id, offer_version=offer.offer_version)
            assert (await woken.command(accept)).code == "won"
    assert [request.path for request in push.requests] == ["/push/asleep"]
    assert await server.ctx.pool.fetchval("select outcome from wake_ring") == "accepted"


async def test_a_device_has_one_address_and_an_address_one_driver(server: Server, world: World) -> None:
    ada, grace = world.driver_tokens
    empty = await listed(server, ada)
    assert (empty["targets"], empty["kinds"]) == ([], ["log", "web_push"])
    # What a browser subscribes with: an uncompressed point on P-256.
    assert len(base64.urlsafe_b64decode(empty["web_push_public_key"] + "=")) == 65

    for address in ("first", "second", "second"):
        assert (await put(server, ada, kind="log", address=address)).json()["alive"]
    assert await addresses(server) == ["second"]
    # The phone is lent: whoever logs in there last is rung there.
    await put(server, grace, kind="log", address="second", device_id="phone-9")
    assert await addresses(server) == ["second"]
    assert (await listed(server, ada))["targets"] == []
    assert [each["device_id"] for each in (await listed(server, grace))["targets"]] == ["phone-9"]

    for number in range(7):
        await put(server, ada, kind="log", address=f"a{number}", device_id=f"d{number}")
    assert [each["device_id"] for each in (await listed(server, ada))["targets"]] == ["d6", "d5", "d4", "d3", "d2"]

    for _ in range(2):
        gone = await server.http.delete(PATH, params={"device_id": "d6"}, headers=server.bearer(ada))
        assert gone.status_code == 204
    assert (await listed(server, ada))["targets"][0]["device_id"] == "d5"


async def test_a_login_takes_its_phones_with_it(server: Server, world: World) -> None:
    token = world.driver_tokens[0]
    await put(server, token, kind="log", address="mine")
    await put(server, world.driver_tokens[1], kind="log", address="another's")
    assert (await server.http.post("/v1/driver/logout", headers=server.bearer(token))).status_code == 204
    assert await addresses(server) == ["another's"]
    assert (await put(server, token, kind="log", address="mine")).status_code == 401


async def test_what_cannot_be_rung_is_refused(server: Server, world: World, push: PushServices) -> None:
    token, keys = world.driver_tokens[0], browser_keys()
    good = f"{push.url}/push/1"
    refused: list[dict[str, object]] = [
        {"kind": "fcm", "address": "token"},
        {"kind": "apns", "address": "a1"},
        {"kind": "pager", "address": "1"},
        {"kind": "log", "address": ""},
        {"kind": "log", "address": "two words"},
        {"kind": "log", "address": "x" * 2001},
        {"kind": "log", "address": "x", "keys": keys},
        {"kind": "log", "address": "x", "device_id": "no spaces"},
        {"kind": "web_push", "address": good},
        {"kind": "web_push", "address": good, "keys": {**keys, "auth": "short"}},
        # Not a push service: a driver must not say whom this server talks to.
        {"kind": "web_push", "address": "https://127.0.0.1/push", "keys": keys},
        {"kind": "web_push", "address": "https://internal.example/push", "keys": keys},
    ]
    for body in refused:
        answer = await put(server, token, **body)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid"), body
    assert await addresses(server) == []
    assert (await server.http.put(PATH, json={})).status_code == 401
    assert (await server.http.delete(PATH, headers=server.bearer(token))).status_code == 400


async def addresses(server: Server) -> list[str]:
    rows = await server.ctx.pool.fetch("select address from push_target order by address")
    return [row["address"] for row in rows]
