"""Customers' streams over real sockets: position, state, live facts, exact resume, and an end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter
from uuid import UUID

import httpx
import pytest

from flexlive.domain.deliveries import DeliveryStatus as S
from flexlive.protocol.merchant import DropoffVerification
from flexlive.realtime.hub import Hub, HubFact, track_channel
from flexlive.services import tracking
from flexlive.web.limits import HttpOptions
from flexlive.web.track_feeds import TrackStreams
from tests.support.http_server import Server, serve
from tests.support.sse import open_stream
from tests.support.thorough import ONE_SECOND_MAX
from tests.support.tracking import THE_WAY, move, token_of
from tests.support.world import World, build_world

OPTIONS = HttpOptions(stream_heartbeat_seconds=0.4, streams_per_link_max=3, requests_per_minute_max=0)


@dataclass
class Followed:
    """A server with one order that somebody follows."""

    server: Server
    world: World
    delivery_id: UUID
    driver_id: UUID
    token: str

    @property
    def streams(self) -> TrackStreams:
        return self.server.app.state.track_streams

    @property
    def hub(self) -> Hub:
        return self.server.app.state.hub

    async def all_gone(self) -> None:
        async with asyncio.timeout(5):
            while self.streams.open_count:
                await asyncio.sleep(0.02)

    async def move(self, *steps: S) -> None:
        for step in steps:
            await move(self.world, self.delivery_id, step, self.driver_id)


@pytest.fixture
async def followed(database_url: str) -> AsyncIterator[Followed]:
    async with serve(database_url, http=OPTIONS) as server:
        world = await build_world(server.ctx)
        [driver] = await world.add_drivers(1)
        created = await world.order(dropoff_verification=DropoffVerification(pincode=True))
        yield Followed(server, world, created.delivery_id, driver.driver_id, token_of(created))


async def test_a_customer_sees_every_step_as_it_happens(followed: Followed) -> None:
    async with open_stream(followed.server.url, followed.token) as stream:
        assert stream.response.headers["content-type"].startswith("text/event-stream")
        assert stream.response.headers["cache-control"] == "no-store"
        assert stream.response.headers["x-accel-buffering"] == "no"
        assert stream.response.headers["referrer-policy"] == "no-referrer"
        position, state = await stream.expect("position", "state")
        epoch = followed.server.ctx.epoch.hex
        assert position.data == {"epoch": epoch, "seq": 1, "resumed": False}
        assert position.id is None
        assert (state.id, state.data["status"]) == (f"{epoch}-1", "created")
        # Silence is filled with heartbeats.
        beat = await stream.next(2)
        assert beat is not None
        assert beat.name == ""
        for place, step in enumerate(THE_WAY, start=2):
            await followed.move(step)
            began = perf_counter()
            [fact] = await stream.expect("fact")
            assert perf_counter() - began < ONE_SECOND_MAX
            assert (fact.id, fact.data["status"]) == (f"{epoch}-{place}", step.value)
            assert (fact.data["courier"] is not None) is (step in (S.ENROUTE_TO_DROPOFF, S.ARRIVED_AT_DROPOFF))
        [end] = await stream.expect("end")
        assert end.data == {"status": "delivered"}
        assert await stream.ended()


async def test_resuming_brings_exactly_what_was_missed(followed: Followed) -> None:
    epoch = followed.server.ctx.epoch.hex
    await followed.move(S.CONFIRMED, S.ENROUTE_TO_PICKUP, S.ARRIVED_AT_PICKUP)
    async with open_stream(followed.server.url, followed.token, f"{epoch}-2") as stream:
        position, *facts = await stream.expect("position", "fact", "fact")
        assert position.data == {"epoch": epoch, "seq": 2, "resumed": True}
        assert [fact.id for fact in facts] == [f"{epoch}-3", f"{epoch}-4"]
        await followed.move(S.PICKED_UP)
        [live] = await stream.expect("fact")
        assert live.id == f"{epoch}-5"
    # Nothing missed: nothing but the position.
    async with open_stream(followed.server.url, followed.token, f"{epoch}-5") as stream:
        await stream.expect("position")
        await followed.move(S.ENROUTE_TO_DROPOFF)
        [fact] = await stream.expect("fact")
        assert fact.id == f"{epoch}-6"


async def test_a_position_of_another_life_gets_a_fresh_state(followed: Followed) -> None:
    epoch = followed.server.ctx.epoch.hex
    for asked, reason in (
        (f"{'0' * 32}-1", "other_epoch"),
        (f"{epoch}-99", "unknown_position"),
        (f"{epoch}--1", "unknown_position"),
        ("garbage", "unknown_position"),
        ("9" * 190, "unknown_position"),
    ):
        async with open_stream(followed.server.url, followed.token, asked) as stream:
            position, reset, state = await stream.expect("position", "reset", "state")
            assert position.data["resumed"] is False
            assert reset.data == {"reason": reason}
            assert state.data["seq"] == 1
        await followed.all_gone()


async def test_resuming_after_the_end_still_ends(followed: Followed) -> None:
    epoch = followed.server.ctx.epoch.hex
    await followed.move(*THE_WAY)
    async with open_stream(followed.server.url, followed.token, f"{epoch}-7") as stream:
        _, fact, end = await stream.expect("position", "fact", "end")
        assert (fact.data["status"], end.data["status"]) == ("delivered", "delivered")
        assert await stream.ended()
    async with open_stream(followed.server.url, followed.token) as stream:
        await stream.expect("position", "state", "end")
        assert await stream.ended()


def fact(seq: int, kind: str = "track.confirmed", body: bytes = b'{"status":"confirmed"}') -> HubFact:
    return HubFact(kind=kind, stream_seq=seq, occurred_at=datetime.now(UTC), body=body)


async def test_lost_facts_are_read_and_doubled_ones_told_once(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel, epoch = track_channel(followed.delivery_id), followed.server.ctx.epoch.hex
    really = Hub.publish
    lost: list[int] = []

    def lossy(hub: Hub, to: str, told: HubFact) -> int:
        if to == channel and told.stream_seq in (2, 3):
            lost.append(told.stream_seq)
            return 0
        if to == channel:
            really(hub, to, told)
        return really(hub, to, told)

    monkeypatch.setattr(Hub, "publish", lossy)
    async with open_stream(followed.server.url, followed.token) as stream:
        await stream.expect("position", "state")
        await followed.move(S.CONFIRMED, S.ENROUTE_TO_PICKUP, S.ARRIVED_AT_PICKUP, S.PICKED_UP)
        facts = await stream.expect(*["fact"] * 4)
        assert [each.id for each in facts] == [f"{epoch}-{seq}" for seq in (2, 3, 4, 5)]
        assert lost == [2, 3]
        await followed.move(S.ENROUTE_TO_DROPOFF)
        [after] = await stream.expect("fact")
        assert after.id == f"{epoch}-6"


async def test_news_of_the_courier_passes_only_on_the_own_leg(followed: Followed) -> None:
    channel = track_channel(followed.delivery_id)
    news = fact(0, "courier", b'{"cell":"89"}')
    async with open_stream(followed.server.url, followed.token) as stream:
        await stream.expect("position", "state")
        followed.hub.publish(channel, news)
        await followed.move(S.CONFIRMED)
        await stream.expect("fact")
        followed.hub.publish(channel, news)
        await followed.move(S.ENROUTE_TO_DROPOFF)
        await stream.expect("fact")
        followed.hub.publish(channel, news)
        [courier] = await stream.expect("courier")
        assert (courier.id, courier.data) == (None, {"cell": "89"})
        followed.hub.publish(channel, fact(0, "eta", b'{"arrives_at":"2026-11-20T12:00:00Z"}'))
        await stream.expect("eta")
        await followed.move(S.DELIVERED)
        await stream.expect("fact", "end")


async def test_a_link_has_a_few_streams_and_gives_them_back(followed: Followed) -> None:
    opened = [open_stream(followed.server.url, followed.token) for _ in range(3)]
    streams = [await each.__aenter__() for each in opened]
    for stream in streams:
        await stream.expect("position", "state")
    refused = await followed.server.http.get(f"/v1/track/{followed.token}/events")
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    for each in opened:
        await each.__aexit__(None, None, None)
    await followed.all_gone()
    assert followed.hub.channel_count() == 0
    async with open_stream(followed.server.url, followed.token) as stream:
        await stream.expect("position", "state")


async def test_a_revoked_link_ends_its_open_streams_at_once(followed: Followed) -> None:
    async with open_stream(followed.server.url, followed.token) as stream:
        await stream.expect("position", "state")
        await tracking.revoke_links(followed.server.ctx, followed.world.market_id, followed.delivery_id)
        await followed.move(S.CONFIRMED)
        await stream.expect("end")
        assert await stream.ended()
    answer = await followed.server.http.get(f"/v1/track/{followed.token}")
    assert answer.status_code == 404


async def test_a_process_that_stops_lets_streams_go_without_an_end(followed: Followed) -> None:
    async with open_stream(followed.server.url, followed.token) as stream:
        await stream.expect("position", "state")
        await asyncio.wait_for(followed.streams.drain(), 2)
        event = await stream.next()
        assert event is None or event.name == ""
        assert followed.streams.open_count == 0
    refused = await followed.server.http.get(f"/v1/track/{followed.token}/events")
    assert refused.status_code == 503


async def test_wrong_links_are_answered_alike(followed: Followed) -> None:
    token = followed.token
    answers: list[httpx.Response] = []
    for wrong in ("x", token[:-2] + "__", token.replace("testville", "elsewhere"), followed.world.driver_tokens[0]):
        answers.append(await followed.server.http.get(f"/v1/track/{wrong}"))
        answers.append(await followed.server.http.get(f"/v1/track/{wrong}/events"))
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1


async def test_many_streams_live_side_by_side(followed: Followed) -> None:
    orders = [await followed.world.order() for _ in range(60)]
    opened = [open_stream(followed.server.url, token_of(created)) for created in orders]
    streams = await asyncio.gather(*(each.__aenter__() for each in opened))
    for stream in streams:
        await stream.expect("position", "state")
    for created in orders:
        await move(followed.world, created.delivery_id, S.CONFIRMED, followed.driver_id)
    facts = await asyncio.gather(*(stream.expect("fact") for stream in streams))
    assert {json.dumps(each[0].data["status"]) for each in facts} == {'"confirmed"'}
    await asyncio.gather(*(each.__aexit__(None, None, None) for each in opened))


async def test_the_page_is_private_and_complete_without_a_script(followed: Followed) -> None:
    await followed.move(S.CONFIRMED, S.PICKED_UP)
    page = await followed.server.http.get(f"/t/{followed.token}")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert "noindex" in page.headers["x-robots-tag"]
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert "unsafe" not in page.headers["content-security-policy"]
    assert "<h1>Picked up</h1>" in page.text
    assert "1 Elm St" in page.text
    assert "style=" not in page.text
    assert "Driver0" not in page.text
    for name, media_type in (("track.css", "text/css"), ("track.js", "text/javascript")):
        asset = await followed.server.http.get(f"/static/{name}")
        assert asset.headers["content-type"].startswith(media_type)
        again = await followed.server.http.get(f"/static/{name}", headers={"if-none-match": asset.headers["etag"]})
        assert again.status_code == 304
    for name in ("../errors.py", "..%2Ferrors.py", "nothing"):
        assert (await followed.server.http.get(f"/static/{name}")).status_code == 404
    gone = await followed.server.http.get("/t/wrong")
    assert gone.status_code == 404
    assert "not valid" in gone.text


async def test_instructions_over_http(followed: Followed) -> None:
    http, address = followed.server.http, f"/v1/track/{followed.token}/instructions"
    async with open_stream(followed.server.url, followed.token) as stream:
        await stream.expect("position", "state")
        answer = await http.put(address, json={"dropoff_instructions": "Blue door"})
        assert (answer.status_code, answer.json()) == (200, {"dropoff_instructions": "Blue door"})
        assert answer.headers["cache-control"] == "no-store"
        [fact] = await stream.expect("fact")
        assert fact.data["status"] == "created"
        assert "Blue door" not in str(fact.data)
    for body in (
        {},
        {"dropoff_instructions": 5},
        {"dropoff_instructions": "x" * 501},
        {"dropoff_instructions": "\x00"},
    ):
        assert (await http.put(address, json=body)).status_code == 400
    assert (await http.put(address, content=b"x" * 9000)).status_code in (400, 413, 415)
    await followed.move(S.ARRIVED_AT_DROPOFF)
    late = await http.put(address, json={"dropoff_instructions": "Blue door, really"})
    assert (late.status_code, late.json()["code"]) == (409, "illegal_transition")
    assert (await http.put("/v1/track/x/instructions", json={"dropoff_instructions": ""})).status_code == 404
