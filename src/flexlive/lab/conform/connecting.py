"""Who gets in, and how who does not is told."""

from __future__ import annotations

import httpx

from flexlive.lab.conform.bench import Bench
from flexlive.lab.conform.heard import Broken, expect
from flexlive.lab.conform.scenario import Scenarios
from flexlive.protocol.limits import HELLO_DEADLINE_SECONDS, SUBPROTOCOL

_SLACK_SECONDS = 4.0
"""Beyond a deadline of the protocol: servers look at their clocks now and then, and networks take time."""

connecting = Scenarios("Connect")


@connecting()
async def no_token(bench: Bench) -> None:
    """Without a token the handshake is accepted and then closed 4503."""
    async with bench.stranger() as phone:
        await phone.ended(4503)


@connecting()
async def unknown_token(bench: Bench) -> None:
    """A token that was never issued is accepted and then closed 4503."""
    async with bench.stranger(headers={"Authorization": "Bearer fl_driver_nowhere_" + "A" * 43}) as phone:
        await phone.ended(4503)


@connecting()
async def made_up_ticket(bench: Bench) -> None:
    """A ticket that was never issued is accepted and then closed, 4401 or 4503."""
    async with bench.stranger(query={"ticket": "fl_ticket_" + "A" * 43}) as phone:
        await phone.ended(4401, 4503)


@connecting()
async def no_subprotocol(bench: Bench) -> None:
    """A client that does not offer flexlive.v1 is accepted and then closed 4526."""
    async with bench.socket(protocols=()) as phone:
        await phone.ended(4526)
    async with bench.socket(protocols=("flexlive.v0",)) as phone:
        await phone.ended(4526)


@connecting()
async def subprotocol(bench: Bench) -> None:
    """Of several offered subprotocols the server chooses flexlive.v1, and no compression."""
    async with bench.socket(protocols=("flexlive.v999", SUBPROTOCOL), compression="deflate") as phone:
        expect(phone.connection.subprotocol == SUBPROTOCOL, f"the server chose {phone.connection.subprotocol}")
        extensions = (
            phone.connection.response.headers.get("sec-websocket-extensions") if phone.connection.response else None
        )
        expect(extensions is None, f"the server chose {extensions}")
        await phone.hello()


@connecting()
async def plain_request(bench: Bench) -> None:
    """A plain HTTP request to the socket's address gets 426."""
    try:
        answer = await bench.http.get("/v1/driver")
    except httpx.HTTPError as error:
        raise Broken(f"GET /v1/driver: {type(error).__name__}") from None
    expect(answer.status_code == 426, f"answered {answer.status_code}")


@connecting()
async def ticket(bench: Bench) -> None:
    """A ticket opens one socket without a header; the second time it is closed 4401."""
    headers = {"authorization": f"Bearer {bench.token()}"}
    try:
        answer = await bench.http.post("/v1/driver/ticket", headers=headers)
    except httpx.HTTPError as error:
        raise Broken(f"POST /v1/driver/ticket: {type(error).__name__}") from None
    expect(answer.status_code == 201, f"POST /v1/driver/ticket is answered {answer.status_code}")
    query = {"ticket": str(answer.json()["ticket"])}
    async with bench.stranger(query=query) as phone:
        await phone.hello()
    async with bench.stranger(query=query) as phone:
        await phone.ended(4401)


@connecting(slow=True)
async def hello_deadline(bench: Bench) -> None:
    """A socket on which no hello comes within 5 s is closed 4009."""
    async with bench.socket() as phone:
        await phone.ended(4009, seconds=HELLO_DEADLINE_SECONDS + _SLACK_SECONDS)


@connecting()
async def hello_first(bench: Bench) -> None:
    """A first frame other than hello closes 4500."""
    for message in ({"type": "heartbeat"}, {"type": "sync"}, bench.online()):
        async with bench.socket() as phone:
            await phone.send(message)
            await phone.ended(4500)


@connecting()
async def hello_once(bench: Bench) -> None:
    """A second, different hello on a connection closes 4500."""
    async with bench.live() as (phone, _):
        await phone.send(phone.greeting(app_version="another"))
        await phone.ended(4500)
