"""What a token may not see or do, tried at every address: nobody acts outside the own market, order or phone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from websockets.asyncio.client import ClientConnection

from flexlive.protocol import driver as wire
from tests.security import hostile
from tests.security.conftest import Live
from tests.security.endpoints import Endpoint, endpoints, filled, values_of
from tests.security.test_socket_junk import bad_phone
from tests.support.phones import Phone
from tests.support.world import SITE

OPS = [each for each in endpoints() if each.who == "ops"]
OF_A_MARKET = [each for each in OPS if "market_id" in each.parameters]
KEYED = [each for each in endpoints() if each.who is not None]


@pytest.fixture
async def http(live: Live) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=live.url, timeout=20, trust_env=False) as client:
        yield client


async def ask(http: httpx.AsyncClient, endpoint: Endpoint, token: str, values: dict[str, str]) -> httpx.Response:
    call: dict[str, Any] = {"headers": {"authorization": f"Bearer {token}".strip().encode("latin-1")}}
    if endpoint.body is bytes:
        call["content"] = b"\x89PNG\r\n\x1a\n"
    elif endpoint.body is not None:
        call["json"] = hostile.example(endpoint.body, values)
    return await http.request(endpoint.method, filled(endpoint, values), **call)


async def test_nobody_gets_in_with_a_token_that_is_not_theirs(live: Live, http: httpx.AsyncClient) -> None:
    cast = live.cast
    real = {
        "ops": cast.ops_token,
        "merchant": cast.here.api_key,
        "driver": cast.here.driver_tokens[0],
        "track": cast.here.track_token,
    }
    for endpoint in KEYED:
        others = [token for who, token in real.items() if who != endpoint.who]
        for token in (*others, *cast.forged().values(), *cast.expired.values(), "", "x", "\u00ff", "null", "a" * 5000):
            answer = await ask(http, endpoint, token, values_of(cast.here))
            if endpoint.path.endswith("/logout") and token == cast.expired["driver"]:
                continue  # who goes may go late
            assert answer.status_code == 401, (str(endpoint), token[:20], answer.text)
            assert answer.json()["code"] in {"unauthorized", "token_expired"}
    assert live.complaints() == []


async def test_an_operator_of_one_market_finds_nothing_in_another(live: Live, http: httpx.AsyncClient) -> None:
    here, there = live.cast.here, live.cast.there
    assert len(OF_A_MARKET) >= 12
    for endpoint in OF_A_MARKET:
        foreign = await ask(http, endpoint, here.ops_token, values_of(there))
        absent = await ask(http, endpoint, here.ops_token, {**values_of(there), "market_id": "nowhere"})
        assert (foreign.status_code, foreign.content) == (404, absent.content), str(endpoint)
        assert foreign.json()["code"] == "market_unknown"
    assert live.complaints() == []


async def test_an_operator_of_one_market_may_not_name_things_of_another(live: Live, http: httpx.AsyncClient) -> None:
    here, there = live.cast.here, live.cast.there
    for endpoint in OF_A_MARKET:
        ids = set(endpoint.parameters) - {"market_id", "offer_type", "service_level", "document", "upload_id"}
        if not ids:
            continue
        mixed = {**values_of(there), "market_id": here.market_id}
        answer = await ask(http, endpoint, here.ops_token, mixed)
        # A list of what a stranger has here is empty; everything else is not found.
        assert answer.status_code in ({200, 404} if endpoint.method == "GET" else {400, 404}), (
            str(endpoint),
            answer.text,
        )
        _holds_nothing_of(live, answer, str(endpoint))
    assert live.complaints() == []


async def test_what_is_not_of_one_market_needs_a_token_for_all(live: Live, http: httpx.AsyncClient) -> None:
    here = live.cast.here
    for endpoint in OPS:
        if "market_id" in endpoint.parameters:
            continue
        answer = await ask(http, endpoint, here.ops_token, values_of(here))
        if endpoint.method != "GET":
            assert answer.status_code == 403, (str(endpoint), answer.text)
            continue
        _holds_nothing_of(live, answer, str(endpoint))


async def test_lists_of_a_market_hold_nothing_of_another(live: Live, http: httpx.AsyncClient) -> None:
    for endpoint in OF_A_MARKET:
        if endpoint.method == "GET":
            answer = await ask(http, endpoint, live.cast.here.ops_token, values_of(live.cast.here))
            _holds_nothing_of(live, answer, str(endpoint))


def _holds_nothing_of(live: Live, answer: httpx.Response, what: str) -> None:
    there = live.cast.there
    secrets = {there.delivery_id, there.store_id, there.site_id, there.offer_id, there.merchant_id, *there.driver_ids}
    assert not [each for each in secrets if str(each) in answer.text], what


async def test_a_merchant_finds_nothing_of_another(live: Live, http: httpx.AsyncClient) -> None:
    here, there = live.cast.here, live.cast.there
    for endpoint in (each for each in endpoints() if each.who == "merchant" and "delivery_id" in each.parameters):
        foreign = await ask(http, endpoint, here.api_key, values_of(there))
        absent = await ask(http, endpoint, here.api_key, {**values_of(there), "delivery_id": str(UUID(int=1))})
        assert (foreign.status_code, foreign.content) == (404, absent.content), str(endpoint)


async def test_a_driver_moves_nothing_of_another(live: Live) -> None:
    """Every command with ids of another driver, of another market and of nobody: the same answer for all three."""
    here, there = live.cast.here, live.cast.there
    theirs = await _ids_of(live, there.driver_tokens[0])
    nobody = dict.fromkeys(theirs, str(UUID(int=7)))
    kinds = [kind for kind in wire.Command.__args__ if kind is not wire.PresenceSet]
    async with bad_phone(live, here.driver_tokens[1]) as socket:
        for kind in kinds:
            codes = set[str]()
            for number, ids in enumerate((theirs, nobody)):
                command = {**hostile.example(kind, {**ids, "barcode": "A1"}), "cmd": f"s-{kind.__name__}-{number}"}
                del command["ack"]
                await socket.send(json.dumps(command))
                codes.add(await _code_of(socket, command["cmd"]))
            assert len(codes) == 1, (kind.__name__, codes)
            assert codes & {"not_found", "invalid", "not_eligible", "illegal_transition"}, (kind.__name__, codes)
    assert live.complaints() == []


async def _code_of(socket: ClientConnection, cmd: str) -> str:
    async with asyncio.timeout(5):
        while True:
            message = json.loads(await socket.recv())
            if message.get("cmd") == cmd:
                return message["code"]


async def _ids_of(live: Live, token: str) -> dict[str, str]:
    """Of the route this driver has, won here when there is none."""
    place = live.cast.there
    phone = Phone("there")
    async with phone.connected(live.url, token, SITE):
        await phone.command(wire.PresenceSet(cmd="p-1", mode="online"))
        for offer in phone.got(wire.Snapshot)[-1].offers:
            await phone.command(wire.OfferAccept(cmd="a-1", offer_id=offer.offer_id, offer_version=1))
        await phone.send(wire.Sync())
        await phone.until(lambda: len(phone.got(wire.Snapshot)) > 1)
        routes = phone.got(wire.Snapshot)[-1].routes
    ids = {"delivery_id": str(place.delivery_id), "offer_id": str(place.offer_id)}
    if routes:
        ids |= {"route_id": str(routes[0].route_id), "stop_id": str(routes[0].stops[0].stop_id)}
    return ids
