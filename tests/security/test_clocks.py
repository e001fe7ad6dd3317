"""Phones whose clock is wrong: refused or judged by ours, and nobody else's position is lost by it."""

from __future__ import annotations

import asyncio
import json
from uuid import uuid4

import asyncpg
import pytest

from tests.security.conftest import Live
from tests.security.phones import good_phone
from tests.security.test_socket_junk import answered, bad_phone

WRONG = [
    "1970-01-01T00:00:00Z",
    "1969-12-31T23:59:59Z",
    "0001-01-01T00:00:00+23:59",
    "2099-01-01T00:00:00Z",
    "8999-12-31T23:59:59Z",
    "9999-12-31T23:59:59-23:59",
]


@pytest.mark.parametrize("at", WRONG)
async def test_a_wrong_clock_harms_nobody(live: Live, at: str) -> None:
    here = live.cast.here
    fix = {"lat": 36.1275, "lon": -115.171, "at": at, "accuracy_m": 5}
    async with good_phone(live), bad_phone(live, here.driver_tokens[0]) as socket:
        await socket.send(json.dumps({"type": "location", "points": [fix]}))
        check_in = {"type": "check_in", "cmd": f"c-{uuid4().hex}", "stop_id": str(uuid4()), "method": "geofence"}
        await socket.send(json.dumps({**check_in, "at": at, "point": fix}))
        heard = await answered(socket, f"m-{uuid4().hex}")
        codes = {message["code"] for message in heard if message["type"] == "result"}
        assert codes <= {"invalid", "out_of_range", "not_found"}
        stored = await _stored_at(live)
        async with asyncio.timeout(10):
            while await _stored_at(live) <= stored:
                await asyncio.sleep(0.1)
    assert live.complaints() == []


async def _stored_at(live: Live) -> object:
    """When the good phone's position was last written."""
    connection = await asyncpg.connect(live.database_url, timeout=10)
    try:
        return await connection.fetchval(
            "select coalesce(max(received_at), 'epoch') from driver_position where market_id = $1 and driver_id = $2",
            live.cast.here.market_id,
            live.cast.here.driver_ids[1],
        )
    finally:
        await connection.close()
