"""A driver's account over real HTTP: log in, stay in, log out, and what becomes of the open socket."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest
import pytest_asyncio
from structlog.testing import capture_logs
from websockets.exceptions import ConnectionClosed

from flexlive.client.driver_client import DriverClient
from flexlive.client.login import Login, LoginRefusedError
from flexlive.protocol import ops
from flexlive.protocol.driver_http import DriverTokens
from flexlive.services import enrolments
from flexlive.services.code_sender import ConsoleSender
from flexlive.services.login import LoginDesk
from tests.conftest import with_database
from tests.support.http_server import Server, serve
from tests.support.phones import Phone
from tests.support.world import SITE, build_world

PHONE, STRANGER = "+17025550123", "+17025550199"
CLOSED_SECONDS_MAX = 2.0

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def started(postgres_dsn: str, database_stock: Any) -> AsyncIterator[Server]:
    """One server for all of them; each test has a market of its own."""
    name = await database_stock.take()
    async with serve(with_database(postgres_dsn, name)) as running:
        yield running
    await database_stock.give_back(name)


@pytest_asyncio.fixture(loop_scope="module")
async def server(started: Server, market_id: str) -> Server:
    """With a driver of that market who has a phone."""
    await build_world(started.ctx, market_id=market_id)
    new = ops.NewDriver(first_name="Ada", phone=PHONE, offer_types=("retail_delivery",))
    await enrolments.provision(started.ctx, market_id, ops.ProvisionDrivers(drivers=(new,)))
    return started


@pytest.fixture
def market_id() -> str:
    return f"town-{uuid4().hex[:8]}"


@pytest.fixture
def terminal(server: Server) -> io.StringIO:
    """What the person at the server's console reads."""
    written = io.StringIO()
    desk: LoginDesk = server.app.state.login_desk
    server.app.state.login_desk = LoginDesk(ConsoleSender(written.write), desk.options)
    return written


async def post(server: Server, path: str, body: dict[str, Any]) -> Any:
    return await server.http.post(f"/v1/driver/{path}", json=body)


async def logged_in(server: Server, market_id: str, terminal: io.StringIO) -> dict[str, Any]:
    asked = await post(server, "login/code", {"market_id": market_id, "phone": PHONE})
    assert asked.status_code == 202
    assert asked.json() == {"expires_in_seconds": 600, "resend_after_seconds": 60}
    async with asyncio.timeout(5):
        while not terminal.getvalue():
            await asyncio.sleep(0.01)
    words = terminal.getvalue().split()
    answer = await post(server, "login", {"market_id": market_id, "phone": PHONE, "code": words[2]})
    assert answer.status_code == 200
    return answer.json()


async def test_logging_out_closes_the_socket(server: Server, market_id: str, terminal: io.StringIO) -> None:
    with capture_logs() as logs:
        tokens = await logged_in(server, market_id, terminal)
        phone = Phone()
        async with phone.connected(server.url, tokens["access_token"], SITE):
            began = asyncio.get_running_loop().time()
            out = await server.http.post("/v1/driver/logout", headers=server.bearer(tokens["access_token"]))
            assert out.status_code == 204
            code, _ = await phone.closed()
            seconds = asyncio.get_running_loop().time() - began
        assert code == 4503
        assert seconds < CLOSED_SECONDS_MAX
        with pytest.raises(ConnectionClosed) as refused:
            async with phone.connected(server.url, tokens["access_token"]):
                pass
        assert refused.value.rcvd is not None
        assert refused.value.rcvd.code == 4503
        assert (await post(server, "refresh", {"refresh_token": tokens["refresh_token"]})).status_code == 401
    written = json.dumps(logs, default=str)
    for secret in (PHONE, PHONE[1:], tokens["access_token"], tokens["refresh_token"], terminal.getvalue().split()[2]):
        assert secret not in written
    # The console shows the code, not whose phone it went to.
    assert PHONE not in terminal.getvalue()


async def test_a_stolen_refresh_token_closes_the_socket(server: Server, market_id: str, terminal: io.StringIO) -> None:
    tokens = await logged_in(server, market_id, terminal)
    fresh = (await post(server, "refresh", {"refresh_token": tokens["refresh_token"], "attempt": "r-1"})).json()
    phone = Phone()
    async with phone.connected(server.url, fresh["access_token"], SITE):
        began = asyncio.get_running_loop().time()
        again = await post(server, "refresh", {"refresh_token": tokens["refresh_token"]})
        assert (again.status_code, again.json()["code"]) == (401, "unauthorized")
        assert (await phone.closed())[0] == 4503
        assert asyncio.get_running_loop().time() - began < CLOSED_SECONDS_MAX


async def test_refreshing_leaves_the_socket_alone(server: Server, market_id: str, terminal: io.StringIO) -> None:
    tokens = await logged_in(server, market_id, terminal)
    phone = Phone()
    async with phone.connected(server.url, tokens["access_token"], SITE):
        fresh = await post(server, "refresh", {"refresh_token": tokens["refresh_token"]})
        assert fresh.status_code == 200
        await phone.read_quietly(0.3)
    # The new token goes on with the same session.
    async with phone.connected(server.url, fresh.json()["access_token"], SITE):
        assert phone.resumed is True
    assert phone.violations == []


async def test_refusals_are_alike_and_from_the_catalogue(server: Server, market_id: str, terminal: io.StringIO) -> None:
    for phone in (PHONE, STRANGER):
        assert (await post(server, "login/code", {"market_id": market_id, "phone": phone})).status_code == 202
    answers = [
        [
            await post(server, "login", {"market_id": market_id, "phone": phone, "code": "x"}),
            await post(server, "login/code", {"market_id": market_id, "phone": phone}),
            await post(server, "login/code", {"market_id": "nowhere", "phone": phone}),
        ]
        for phone in (PHONE, STRANGER)
    ]
    for driver, stranger in zip(*answers, strict=True):
        assert driver.status_code == stranger.status_code
        assert {**driver.json(), "retry_after_seconds": 0} == {**stranger.json(), "retry_after_seconds": 0}
        assert driver.headers.keys() == stranger.headers.keys()
    assert [answer.json()["code"] for answer in answers[0]] == ["invalid", "rate_limited", "market_unknown"]
    for number in ("7025550123", "+0123456789", "+1", "+" + "1" * 16, "+1702555012\n", "+1702-5550123", ""):
        assert (await post(server, "login/code", {"market_id": market_id, "phone": number})).status_code == 400
    for body in ({}, {"refresh_token": 5}, {"refresh_token": "x" * 129}, {"refresh_token": "x", "attempt": "a b"}):
        assert (await post(server, "refresh", body)).status_code == 400
    big = await server.http.post("/v1/driver/login", content=b'{"market_id":"' + b"x" * 5000)
    assert big.status_code == 413
    for authorization in ("", "Bearer x", "Bearer " + f"fl_driver_{market_id}_" + "A" * 43):
        out = await server.http.post("/v1/driver/logout", headers={"authorization": authorization})
        assert (out.status_code, out.json()["code"]) == (401, "unauthorized")


async def test_an_app_stays_logged_in_though_an_answer_is_lost(
    server: Server, market_id: str, terminal: io.StringIO
) -> None:
    class Tunnel(httpx.AsyncHTTPTransport):
        """Loses the answer to the first refresh, which the server has carried out."""

        lost = 0

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            answer = await super().handle_async_request(request)
            if request.url.path.endswith("/refresh") and not self.lost:
                self.lost += 1
                await answer.aread()
                raise httpx.ReadError("the tunnel", request=request)
            return answer

    disk: list[tuple[DriverTokens | None, str | None]] = []
    tunnel = Tunnel()
    app = Login(server.url, market_id, transport=tunnel, changed=lambda tokens, attempt: disk.append((tokens, attempt)))
    first = msgspec.convert(await logged_in(server, market_id, terminal), DriverTokens)
    app.tokens = msgspec.structs.replace(first, access_expires_at=datetime.now(UTC))
    token, again = await asyncio.gather(app.token(), app.token())
    assert token == again != first.access_token
    assert tunnel.lost == 1
    # The attempt was on disk before it was sent, and gone when it had its answer.
    assert [attempt is None for _, attempt in disk] == [False, True]
    async with DriverClient(server.url.replace("http", "ws") + "/v1/driver", app.token, "phone-1") as client:
        assert (await client.go_online()).ok
    await app.log_out()
    assert disk[-1] == (None, None)
    with pytest.raises(LoginRefusedError) as refused:
        await app.token()
    assert refused.value.code == "unauthorized"
    with pytest.raises(LoginRefusedError) as refused:
        await app.log_in(PHONE, "000000")
    assert refused.value.code == "wrong_code"
    await app.close()
