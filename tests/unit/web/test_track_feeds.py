"""What waits for a customer is bounded: facts by a number, news by kind."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

import pytest

from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.realtime.hub import HubFact
from flexlive.services.tracking import Link
from flexlive.web.limits import HttpOptions
from flexlive.web.track_feeds import TrackFeed, TrackStreams


def told(seq: int, kind: str = "track.confirmed", body: bytes = b"{}") -> HubFact:
    return HubFact(kind=kind, stream_seq=seq, occurred_at=datetime.now(UTC), body=body)


@dataclass(frozen=True)
class Token:
    token_sha256: bytes


def link(name: bytes) -> Link:
    return cast("Link", Token(name))


async def test_too_many_facts_cut_the_stream_instead_of_filling_memory() -> None:
    feed = TrackFeed(facts_max=3)
    for seq in range(1, 4):
        feed.deliver(told(seq))
    assert not feed.overflowed
    for seq in range(4, 2000):
        feed.deliver(told(seq))
    assert feed.overflowed
    assert [fact.stream_seq for fact in feed.facts] == [1, 2, 3]
    assert await feed.wait(0)


async def test_of_news_only_the_newest_of_each_known_kind_waits() -> None:
    feed = TrackFeed(facts_max=3)
    for place in range(1000):
        feed.deliver(told(0, "courier", b"%d" % place))
        feed.deliver(told(0, f"kind {place}"))
    assert feed.news == {"courier": b"999"}
    assert not feed.overflowed


async def test_waiting_ends_when_something_comes_or_time_is_up() -> None:
    feed = TrackFeed(facts_max=3)
    assert not await feed.wait(0.01)
    feed.deliver(told(1))
    assert await feed.wait(5)
    assert not await feed.wait(0.01)
    feed.close()
    assert await feed.wait(5)


async def test_links_are_counted_one_by_one() -> None:
    streams = TrackStreams(HttpOptions(streams_per_link_max=2))
    first = streams.enter(link(b"a"))
    streams.enter(link(b"a"))
    streams.enter(link(b"b"))
    with pytest.raises(FlexliveError) as caught:
        streams.enter(link(b"a"))
    assert caught.value.code is ErrorCode.RATE_LIMITED
    streams.leave(link(b"a"), first)
    streams.leave(link(b"a"), first)
    streams.enter(link(b"a"))
    assert streams.open_count == 3


async def test_draining_closes_every_feed_and_takes_no_more() -> None:
    streams = TrackStreams()
    feeds = [streams.enter(link(b"%d" % place)) for place in range(600)]
    assert not any(feed.closing for feed in feeds)

    async def stream(place: int, feed: TrackFeed) -> None:
        await feed.wait(5)
        streams.leave(link(b"%d" % place), feed)

    running = [asyncio.create_task(stream(place, feed)) for place, feed in enumerate(feeds)]
    async with asyncio.timeout(2):
        await streams.drain()
        await asyncio.gather(*running)
    assert all(feed.closing for feed in feeds)
    assert streams.open_count == 0
    with pytest.raises(FlexliveError) as caught:
        streams.enter(link(b"new"))
    assert caught.value.code is ErrorCode.UNAVAILABLE
