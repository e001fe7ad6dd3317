"""The client over real sockets against scripted servers: reconnecting, resuming, retrying, giving up."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import pytest

from flexlive.client.backoff import BackoffOptions
from flexlive.client.driver_client import DriverClient
from flexlive.client.options import ClientClosedError, ClientOptions, Lagged, Silent
from flexlive.protocol.driver import Notice, Point, Snapshot
from tests.unit.client.peer import Peer, scripted_server

FAST = ClientOptions(backoff=BackoffOptions(base_seconds=0.001, cap_seconds=0.005), close_timeout_seconds=0.5)
OFFER = UUID("0199aaaa-0000-7000-8000-00000000000a")


def make_client(url: str, **options: object) -> DriverClient:
    return DriverClient(url, "fl_driver_lv_secret", "phone-1", options=FAST, **options)  # type: ignore[arg-type]


class Closings(Silent):
    def __init__(self) -> None:
        self.codes: list[int] = []
        self.openings: list[bool] = []

    def closed(self, code: int, reason: str) -> None:
        self.codes.append(code)

    def opened(self, resumed: bool) -> None:
        self.openings.append(resumed)


async def test_the_token_travels_in_the_header_and_hello_names_the_device() -> None:
    async def script(peer: Peer) -> None:
        assert peer.request is not None
        assert peer.request.headers["Authorization"] == "Bearer fl_driver_lv_secret"
        assert peer.connection.subprotocol == "flexlive.v1"
        hello = await peer.welcome()
        assert (hello["type"], hello["device_id"], hello.get("resume")) == ("hello", "phone-1", None)
        await peer.result((await peer.command())["cmd"])
        await peer.until_gone()

    async with scripted_server(script) as (url, _), make_client(url) as client:
        assert (await client.go_online()).ok


async def test_a_command_survives_the_connection_under_the_same_cmd() -> None:
    seen: list[dict[str, object]] = []

    async def swallows_it(peer: Peer) -> None:
        await peer.welcome(seq=4)
        seen.append(await peer.command())
        await peer.close(4000, "outcome unknown")

    async def answers_it(peer: Peer) -> None:
        hello = await peer.receive()
        assert hello["unacked"] == [seen[0]["cmd"]]
        assert hello["resume"] == {"sid": "s1", "epoch": "e1", "seq": 4}
        await peer.send(type="resumed", **{"from": 4}, to=4, results=[], unknown_commands=hello["unacked"])
        await peer.send(type="live")
        seen.append(await peer.command())
        await peer.result(str(seen[1]["cmd"]))
        await peer.until_gone()

    async with scripted_server(swallows_it, answers_it) as (url, _), make_client(url) as client:
        result = await client.decline(OFFER)
    assert result.ok
    assert seen[0] == seen[1]


async def test_a_stored_result_in_hello_answers_the_command_without_sending_it_again() -> None:
    cmds: list[str] = []

    async def swallows_it(peer: Peer) -> None:
        await peer.welcome()
        cmds.append((await peer.command())["cmd"])
        await peer.close(4001)

    async def knows_it(peer: Peer) -> None:
        await peer.welcome(results=({"type": "result", "cmd": cmds[0], "ok": True, "code": "ok"},), sid="s2")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(peer.command(), 0.2)
        await peer.until_gone()

    async with scripted_server(swallows_it, knows_it) as (url, _), make_client(url) as client:
        assert (await client.go_online()).ok
        await asyncio.sleep(0.3)


async def test_facts_come_once_and_in_order_across_a_resume() -> None:
    async def first(peer: Peer) -> None:
        await peer.welcome()
        await peer.notice(1)
        await peer.notice(2)
        await asyncio.sleep(0.05)
        await peer.close(4008, "slow")

    async def second(peer: Peer) -> None:
        hello = await peer.receive()
        assert hello["resume"]["seq"] == 2
        await peer.send(type="resumed", **{"from": 2}, to=3, results=[], unknown_commands=[])
        await peer.notice(3)
        await peer.send(type="live")
        await peer.notice(4)
        await peer.until_gone()

    observer = Closings()
    async with scripted_server(first, second) as (url, _), make_client(url, observer=observer) as client:
        bodies: list[str] = []
        async for message in client:
            assert not isinstance(message, Lagged)
            if isinstance(message, Notice):
                bodies.append(message.body)
            if len(bodies) == 4:
                break
    assert bodies == ["b1", "b2", "b3", "b4"]
    assert observer.openings == [False, True]
    assert observer.codes == [4008]


async def test_a_hole_in_seq_ends_the_socket_and_the_next_hello_asks_for_what_is_missing() -> None:
    async def leaves_one_out(peer: Peer) -> None:
        await peer.welcome()
        await peer.notice(2)
        await peer.until_gone()

    async def starts_afresh(peer: Peer) -> None:
        hello = await peer.welcome(sid="s2")
        assert hello["resume"] == {"sid": "s1", "epoch": "e1", "seq": 0}
        await peer.until_gone()

    async with scripted_server(leaves_one_out, starts_afresh) as (url, _), make_client(url) as client:
        snapshots = 0
        async for message in client:
            snapshots += isinstance(message, Snapshot)
            if snapshots == 2:
                break


@pytest.mark.parametrize("code", [4500, 4503, 4509, 4530])
async def test_from_4500_on_the_client_does_not_come_again(code: int) -> None:
    async def sends_away(peer: Peer) -> None:
        await peer.welcome()
        await peer.close(code, "go")

    async with scripted_server(sends_away) as (url, _), make_client(url) as client:
        with pytest.raises(ClientClosedError) as caught:
            async for _ in client:
                pass
        assert caught.value.code == code
        with pytest.raises(ClientClosedError):
            await client.go_online()


async def test_an_expired_token_is_renewed_when_that_is_possible() -> None:
    tokens = iter(["fl_driver_lv_old", "fl_driver_lv_new"])
    used: list[str] = []

    async def fresh_token() -> str:
        return next(tokens)

    async def refuses(peer: Peer) -> None:
        assert peer.request is not None
        used.append(peer.request.headers["Authorization"])
        await peer.close(4401)

    async def welcomes(peer: Peer) -> None:
        assert peer.request is not None
        used.append(peer.request.headers["Authorization"])
        await peer.welcome()
        await peer.until_gone()

    async with (
        scripted_server(refuses, welcomes) as (url, _),
        DriverClient(url, fresh_token, "phone-1", options=FAST) as client,
    ):
        async for message in client:
            if isinstance(message, Snapshot):
                break
    assert used == ["Bearer fl_driver_lv_old", "Bearer fl_driver_lv_new"]


async def test_an_expired_plain_token_ends_the_client() -> None:
    async def refuses(peer: Peer) -> None:
        await peer.close(4401)

    async with scripted_server(refuses) as (url, _), make_client(url) as client:
        with pytest.raises(ClientClosedError, match="4401"):
            async for _ in client:
                pass


async def test_rate_limited_is_tried_again_after_the_time_it_named() -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        first = await peer.command()
        await peer.result(first["cmd"], "rate_limited", retry_after_ms=50)
        begun = asyncio.get_running_loop().time()
        second = await peer.command()
        assert second == first
        assert asyncio.get_running_loop().time() - begun >= 0.045
        await peer.result(second["cmd"])
        await peer.until_gone()

    async with scripted_server(script) as (url, _), make_client(url) as client:
        assert (await client.go_online()).ok


async def test_positions_taken_offline_are_sent_later_and_bounded() -> None:
    received: list[int] = []

    async def script(peer: Peer) -> None:
        await peer.welcome()
        frame = await peer.receive()
        assert frame["type"] == "location"
        received.append(len(frame["points"]))
        await peer.until_gone()

    def fix(number: int) -> Point:
        return Point(lat=number / 1000, lon=0, at=datetime.now(UTC), accuracy_m=5)

    async with scripted_server(script) as (url, _):
        client = make_client(url)
        await client.send_location([fix(number) for number in range(150)])
        async with client:
            while not client.connected:
                await asyncio.sleep(0.005)
            await client.send_location([fix(150)])
            await asyncio.sleep(0.05)
    assert received == [100]


async def test_a_server_that_is_not_there_is_tried_again() -> None:
    observer = Closings()
    async with make_client("ws://127.0.0.1:9/v1/driver", observer=observer) as client:
        while len(observer.codes) < 3:
            await asyncio.sleep(0.005)
        assert not client.connected
    assert set(observer.codes) == {1006}


async def test_facts_are_acknowledged_within_a_second_without_anything_to_say() -> None:
    acked: list[int] = []

    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.notice(1)
        await peer.notice(2)
        frame = await asyncio.wait_for(peer.receive(), 1.5)
        assert frame["type"] == "ack"
        acked.append(frame["seq"])
        await peer.until_gone()

    async with scripted_server(script) as (url, _), make_client(url):
        await asyncio.sleep(1.2)
    assert acked == [2]


async def test_closing_fails_what_still_waits() -> None:
    async def never_answers(peer: Peer) -> None:
        await peer.welcome()
        await peer.until_gone()

    async with scripted_server(never_answers) as (url, _), make_client(url) as client:
        waiting = asyncio.create_task(client.go_online())
        await asyncio.sleep(0.05)
        await client.aclose()
        with pytest.raises(ClientClosedError, match="closed by the app"):
            await waiting
