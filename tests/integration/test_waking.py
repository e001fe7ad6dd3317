"""Sleeping phones are rung: once per offer and driver, whoever may want the offer and does not show it, never for work
that is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from flexlive.domain.wake_ups import Wanted
from flexlive.protocol.driver import OfferDecline
from flexlive.services import commands, offers, receipts, waking
from flexlive.services.context import Context
from flexlive.services.drivers import DriverPrincipal
from flexlive.services.wake_push import Dead, Later, Refused, Unknown
from flexlive.storage import leases
from flexlive.storage.leases import Lease
from flexlive.workers.waker import Waker
from tests.integration.sleeping import (
    EAGER,
    SECONDS_MAX,
    FakeService,
    connect,
    looked,
    register,
    rings,
    settled,
    waker,
)
from tests.support.dispatch import dispatch, open_offer_ids
from tests.support.world import World, accept_item


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
async def running(world: World, service: FakeService) -> AsyncIterator[Waker]:
    """Looks many times a second."""
    made = waker(world, service)
    made.ensure(world.market_id)
    yield made
    await made.stop()


async def sleeper(world: World, service: FakeService) -> DriverPrincipal:
    """An online driver at the site whose phone can be rung."""
    [driver] = await world.add_drivers(1)
    await register(world, service, driver)
    return driver


async def an_offer(world: World) -> UUID:
    known = set(await open_offer_ids(world.ctx, world.market_id))
    await world.order()
    await dispatch(world.ctx, world.market_id)
    [offer_id] = set(await open_offer_ids(world.ctx, world.market_id)) - known
    return offer_id


async def accept(world: World, driver: DriverPrincipal, offer_id: UUID) -> None:
    [body] = await offers.commit_accepts(world.ctx, world.market_id, [accept_item(driver, offer_id)])
    assert b'"won"' in body


async def test_a_sleeping_phone_is_rung_once_per_offer(world: World, service: FakeService, running: Waker) -> None:
    driver = await sleeper(world, service)
    await world.add_drivers(1)  # who has no phone to ring
    first = await an_offer(world)
    [ring] = await settled(world, 1)
    assert (ring["offer_id"], ring["driver_id"], ring["reason"]) == (first, driver.driver_id, "away")
    assert (ring["outcome"], ring["kind"], ring["device_id"], ring["attempts"]) == ("accepted", "fcm", "phone", 1)
    [(_, told)] = service.pushed
    valid_until = await world.ctx.pool.fetchval("select valid_until from offer")
    assert (told.offer_id, told.valid_until) == (first, valid_until)
    assert told.ttl_seconds <= (valid_until - world.ctx.clock()).total_seconds() + 1
    await looked(world)
    # Another process takes over, with no memory of it.
    await running.stop()
    other = waker(world, service, holder="two")
    other.ensure(world.market_id)
    await looked(world)
    second = await an_offer(world)
    assert [row["offer_id"] for row in await settled(world, 2)] == [first, second]
    await other.stop()
    assert [ring.offer_id for _, ring in service.pushed] == [first, second]


async def test_who_is_connected_is_rung_only_for_what_the_app_does_not_show(world: World, service: FakeService) -> None:
    shows, hides, half_open = [await sleeper(world, service) for _ in range(3)]
    for driver in (shows, hides, half_open):
        connect(world, driver.driver_id)
    world.ctx.roster.set_unreachable(world.market_id, half_open.driver_id, True)
    offer_id = await an_offer(world)
    now = world.ctx.clock()
    world.ctx.seen_offers.put(world.market_id, offer_id, shows.driver_id, now)
    world.ctx.seen_offers.put(world.market_id, offer_id, shows.driver_id, now + timedelta(seconds=5))
    # What a phone makes up about offers is ignored.
    world.ctx.seen_offers.put(world.market_id, uuid4(), shows.driver_id, now)
    assert await receipts.write(world.ctx, 500) == 2
    assert await world.ctx.pool.fetchval("select array_agg(seen_at) from offer_seen") == [now]
    looking = waker(world, service)
    looking.ensure(world.market_id)
    found = {row["driver_id"]: row["reason"] for row in await settled(world, 2)}
    await looked(world)
    await looking.stop()
    assert found == {hides.driver_id: "unseen", half_open.driver_id: "away"}
    assert len(await rings(world)) == 2


async def test_ring_for_a_taken_job(world: World, service: FakeService) -> None:
    """Named after what drivers report: the phone rings, and the work has long been another's."""
    sleeping, quick = await sleeper(world, service), (await world.add_drivers(1))[0]
    offer_id = await an_offer(world)
    lease = await held(world)
    wanted = [Wanted(offer_id, sleeping.driver_id, "away")]

    # Taken between the look and the ring.
    await accept(world, quick, offer_id)
    assert await waking.claim(world.ctx, lease, wanted, 0) == []
    assert await rings(world) == []


async def test_no_ring_while_somebody_is_accepting(world: World, service: FakeService) -> None:
    sleeping = await sleeper(world, service)
    offer_id = await an_offer(world)
    wanted = [Wanted(offer_id, sleeping.driver_id, "away")]
    lease = await held(world)
    async with world.ctx.pool.acquire() as conn, conn.transaction():
        # What an accept holds while it decides.
        await conn.fetchval("select 1 from offer where offer_id = $1 for no key update", offer_id)
        async with asyncio.timeout(SECONDS_MAX):
            assert await waking.claim(world.ctx, lease, wanted, 0) == []
    # It decided against it: the phone is rung after all.
    assert len(await waking.claim(world.ctx, lease, wanted, 0)) == 1
    assert await waking.claim(world.ctx, lease, wanted, 0) == []


async def test_a_taken_job_is_not_tried_again(world: World, service: FakeService, running: Waker) -> None:
    sleeping, quick = await sleeper(world, service), (await world.add_drivers(1))[0]
    service.outcomes.extend([Later("busy")] * 3)

    async def taken_meanwhile() -> None:
        service.before = None
        [offer_id] = await open_offer_ids(world.ctx, world.market_id)
        await accept(world, quick, offer_id)

    service.before = taken_meanwhile
    await an_offer(world)
    [ring] = await settled(world, 1)
    assert (ring["driver_id"], ring["outcome"], ring["attempts"]) == (sleeping.driver_id, "too_late", 1)
    assert len(service.pushed) == 1


@pytest.mark.parametrize("change", ["expired", "soon", "declined", "offline", "suspended", "seen", "other lease"])
async def test_nobody_is_rung_for_what_they_cannot_or_will_not_have(
    world: World, service: FakeService, change: str
) -> None:
    driver = await sleeper(world, service)
    offer_id = await an_offer(world)
    ctx, lease, least = world.ctx, await held(world), 0.0
    match change:
        case "expired":
            past = "opened_at = now() - interval '2 min', valid_until = now() - interval '1 s'"
            await ctx.pool.execute(f"update offer set {past}")
        case "soon":
            least = 200.0
        case "declined":
            await commands.execute(ctx, driver, "phone", OfferDecline(cmd="d", offer_id=offer_id))
        case "offline":
            await ctx.pool.execute("update driver set presence = 'offline'")
        case "suspended":
            await ctx.pool.execute("update driver set status = 'suspended'")
        case "seen":
            ctx.seen_offers.put(world.market_id, offer_id, driver.driver_id, ctx.clock())
            await receipts.write(ctx, 500)
        case _:
            lease = replace(lease, term=lease.term + 1)
    assert await waking.claim(ctx, lease, [Wanted(offer_id, driver.driver_id, "away")], least) == []
    assert await rings(world) == []


async def test_two_processes_ring_once(world: World, service: FakeService) -> None:
    drivers = [await sleeper(world, service) for _ in range(3)]
    offer_id = await an_offer(world)
    lease = await held(world)
    wanted = [Wanted(offer_id, driver.driver_id, "away") for driver in drivers]
    rights = await asyncio.gather(*(waking.claim(world.ctx, lease, wanted, 0) for _ in range(4)))
    given = [ringing.claimed.driver_id for each in rights for ringing in each]
    assert sorted(given) == sorted(driver.driver_id for driver in drivers)


@pytest.mark.parametrize(
    ("outcomes", "expected", "pushes"),
    [
        ([Later("busy"), Later("busy")], ("accepted", 3), 3),
        ([Later("busy")] * 5, ("given_up", 3), 3),
        ([Later("busy", 3600.0)], ("given_up", 1), 1),
        # It may have rung: once too few rather than twice.
        ([Unknown("lost")], ("unknown", 1), 1),
        ([Refused("key")], ("refused", 1), 1),
        ([Dead("gone")], ("no_target", 1), 1),
    ],
)
async def test_what_becomes_of_a_ring(
    world: World, service: FakeService, running: Waker, outcomes: list[Any], expected: tuple[str, int], pushes: int
) -> None:
    await sleeper(world, service)
    service.outcomes.extend(outcomes)
    await an_offer(world)
    [ring] = await settled(world, 1)
    await looked(world)
    assert (ring["outcome"], ring["attempts"]) == expected
    assert len(service.pushed) == pushes


async def test_a_phone_that_is_gone_is_never_rung_again_and_the_next_one_is(
    world: World, service: FakeService, running: Waker
) -> None:
    [driver] = await world.add_drivers(1)
    await register(world, service, driver, "old", "old-phone")
    await register(world, service, driver, "new", "new-phone")
    service.outcomes.append(Dead("gone"))
    await an_offer(world)
    [ring] = await settled(world, 1)
    assert (ring["outcome"], ring["device_id"], service.addresses) == ("accepted", "old-phone", ["new", "old"])
    await an_offer(world)
    await settled(world, 2)
    assert service.addresses == ["new", "old", "old"]
    # Registered anew, it is alive.
    await register(world, service, driver, "new", "new-phone")
    await an_offer(world)
    await settled(world, 3)
    assert service.addresses[3:] == ["new"]


async def test_a_push_service_that_breaks_harms_nobody_else(world: World, service: FakeService, running: Waker) -> None:
    await sleeper(world, service)

    async def broken() -> None:
        raise RuntimeError("a mistake of the library's")

    service.before = broken
    await an_offer(world)
    [ring] = await settled(world, 1)
    assert ring["outcome"] == "unknown"
    service.before = None
    await an_offer(world)
    assert [row["outcome"] for row in await settled(world, 2)] == ["unknown", "accepted"]


async def test_a_crowd_is_rung_in_bites(world: World, service: FakeService) -> None:
    most = 0

    async def slow() -> None:
        nonlocal most
        most = max(most, len(few._rings))
        await asyncio.sleep(0.02)

    service.before = slow
    few = waker(world, service, replace(EAGER, rings=replace(EAGER.rings, at_once_max=4), crowded_seconds=0.01))
    for driver in await world.add_drivers(18):
        await register(world, service, driver)
    await an_offer(world)
    few.ensure(world.market_id)
    await settled(world, 18)
    await few.stop()
    assert len(set(service.addresses)) == len(service.pushed) == 18
    assert 2 <= most <= 4


async def held(world: World) -> Lease:
    ctx: Context = world.ctx
    lease = await leases.acquire(ctx.pool, world.market_id, "waker", "test", 60)
    assert lease is not None
    return lease
