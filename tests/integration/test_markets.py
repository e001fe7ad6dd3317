"""Opening a market on a real database: places, promises, retailers, drivers – and the pilots as seed."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from uuid import uuid4

import pytest

from flexlive.domain import sites
from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.domain.markets import MarketPolicy
from flexlive.domain.pay import PayRule
from flexlive.protocol import ops
from flexlive.services import drivers, enrolments, markets, merchants, pilot_malls, seeds, tokens
from flexlive.services.context import Context
from flexlive.services.drivers import DriverPrincipal
from tests.support.world import World, hours


async def refusal(work: object) -> FlexliveError:
    with pytest.raises(FlexliveError) as caught:
        await work  # type: ignore[misc]
    return caught.value


async def test_a_market_is_kept_as_it_was_asked_for(ctx: Context) -> None:
    asked = ops.CreateMarket(
        market_id="reno", name="Reno", time_zone="America/Los_Angeles", policy=MarketPolicy(offer_ttl_seconds=90)
    )
    made = await markets.create(ctx, asked)
    assert made.policy.offer_ttl_seconds == 90
    assert made.policy_version == 1
    assert await markets.get(ctx, "reno") == made
    assert await markets.every(ctx) == [made]
    error = await refusal(markets.create(ctx, asked))
    assert (error.code, error.fields["market_id"]) == (ErrorCode.CONFLICT, "reno")


async def test_a_policy_is_numbered_when_it_changes(world: World) -> None:
    policy = MarketPolicy(rings_max=3)
    assert (await markets.set_policy(world.ctx, world.market_id, policy)).policy_version == 2
    assert (await markets.set_policy(world.ctx, world.market_id, policy)).policy_version == 2
    assert (await markets.get(world.ctx, world.market_id)).policy.rings_max == 3


@pytest.mark.parametrize(
    ("market_id", "time_zone"), [("reno", "America/Nowhere"), ("reno", "../etc/passwd"), ("deployment", "UTC")]
)
async def test_an_impossible_market_is_invalid(ctx: Context, market_id: str, time_zone: str) -> None:
    error = await refusal(markets.create(ctx, ops.CreateMarket(market_id=market_id, name="X", time_zone=time_zone)))
    assert error.code is ErrorCode.INVALID


async def test_everything_in_an_unknown_market_is_unknown(ctx: Context) -> None:
    for work in (
        markets.get(ctx, "nowhere"),
        markets.get(ctx, "NO\x00WHERE"),
        markets.sites(ctx, "nowhere"),
        markets.offer_types(ctx, "nowhere"),
        markets.service_levels(ctx, "nowhere"),
        markets.participations(ctx, "nowhere"),
        markets.set_policy(ctx, "nowhere", MarketPolicy()),
        merchants.stores(ctx, "nowhere"),
        enrolments.drivers(ctx, "nowhere", None),
    ):
        assert (await refusal(work)).code is ErrorCode.MARKET_UNKNOWN


async def test_a_site_is_unique_by_name_and_may_have_a_parent(world: World) -> None:
    [mall] = await markets.sites(world.ctx, world.market_id)
    asked = ops.CreateSite(
        kind="store",
        name="Corner",
        address="2 Mall Way",
        lat=36.0,
        lon=-115.0,
        entrance=ops.Entrance("Door", 36.0001, -115.0001),
        hours=sites.daily(time(9), time(17)),
        parent_site_id=mall.site_id,
    )
    made = await markets.create_site(world.ctx, world.market_id, asked)
    assert made.parent_site_id == mall.site_id
    assert made.hours == asked.hours
    assert made.check_in_code.isdigit()
    error = await refusal(markets.create_site(world.ctx, world.market_id, asked))
    assert (error.code, error.fields["site_id"]) == (ErrorCode.CONFLICT, made.site_id)


async def test_a_store_keeps_its_hours_and_holidays_apart_and_gives_them_back(world: World) -> None:
    asked = ops.CreateStore(
        merchant_id=world.merchant.merchant_id,
        site_id=world.site.site_id,
        external_store_id="two",
        name="Two",
        hours=sites.Hours(monday=(sites.Interval(time(9), time(17)),), holidays=(sites.Holiday(date(2026, 12, 25)),)),
    )
    made = await merchants.create_store(world.ctx, world.market_id, asked)
    listed = {store.store_id: store for store in await merchants.stores(world.ctx, world.market_id)}
    assert listed[made.store_id] == made
    assert made.hours == asked.hours
    error = await refusal(merchants.create_store(world.ctx, world.market_id, asked))
    assert error.code is ErrorCode.CONFLICT
    assert error.fields == {"market_id": world.market_id, "store_id": made.store_id}


async def test_putting_twice_replaces(world: World) -> None:
    ctx, market_id = world.ctx, world.market_id
    rule = PayRule(base_cents=900)
    await markets.put_offer_type(ctx, market_id, "retail_delivery", ops.PutOfferType(name="New", pay_rule=rule))
    [offer_type] = await markets.offer_types(ctx, market_id)
    assert (offer_type.name, offer_type.pay_rule.base_cents) == ("New", 900)
    level = ops.PutServiceLevel(shape="wave", promise_seconds=600, cutoff_local=time(15), days_of_week=(7, 1, 1))
    put = await markets.put_service_level(ctx, market_id, "express", level)
    assert (put.shape, put.cutoff_local, put.days_of_week) == ("wave", time(15), (1, 7))
    assert await markets.service_levels(ctx, market_id) == [put]


async def test_participation_names_things_that_exist(world: World) -> None:
    good = {
        "merchant_id": world.merchant.merchant_id,
        "site_id": world.site.site_id,
        "offer_type": "retail_delivery",
    }
    for wrong in ({"merchant_id": uuid4()}, {"site_id": uuid4()}, {"offer_type": "grocery"}):
        request = ops.PutParticipation(**{**good, **wrong})
        assert (await refusal(markets.put_participation(world.ctx, world.market_id, request))).code is (
            ErrorCode.NOT_FOUND
        )
    now = world.ctx.clock()
    backwards = ops.PutParticipation(**good, valid_from=now, valid_until=now - timedelta(days=1))
    assert (await refusal(markets.put_participation(world.ctx, world.market_id, backwards))).code is ErrorCode.INVALID
    [known] = await markets.participations(world.ctx, world.market_id)
    assert known.active


async def test_drivers_are_signed_up_in_bulk_and_may_work_at_once(world: World) -> None:
    asked = ops.ProvisionDrivers(
        drivers=tuple(
            ops.NewDriver(
                first_name=f"Driver {index}",
                vehicle=ops.Vehicle(kind="bike" if index % 2 else "van", packages_max=7 if index == 0 else None),
                offer_types=("retail_delivery", "retail_delivery"),
                routes_active_max=2,
            )
            for index in range(600)
        )
    )
    made = await enrolments.provision(world.ctx, world.market_id, asked)
    assert len({driver.driver_id for driver in made}) == 600
    principal = await drivers.authenticate(world.ctx, made[-1].access_token)
    assert isinstance(principal, DriverPrincipal)
    assert principal.driver_id == made[-1].driver_id
    assert principal.offer_types == {"retail_delivery"}
    first = await enrolments.drivers(world.ctx, world.market_id, None)
    rest = await enrolments.drivers(world.ctx, world.market_id, first.next_after)
    assert [driver.first_name for driver in (*first.drivers, *rest.drivers)] == [f"Driver {i}" for i in range(600)]
    assert rest.next_after is None
    van, bike = first.drivers[0].vehicle, first.drivers[1].vehicle
    assert van is not None
    assert bike is not None
    assert (van.kind, van.packages_max, van.carries_upright) == ("van", 7, True)
    assert (bike.kind, bike.packages_max, bike.carries_upright) == ("bike", 2, False)


async def test_an_unknown_offer_type_signs_nobody_up(world: World) -> None:
    asked = ops.ProvisionDrivers(
        drivers=(ops.NewDriver(first_name="Ana"), ops.NewDriver(first_name="Bo", offer_types=("grocery",)))
    )
    error = await refusal(enrolments.provision(world.ctx, world.market_id, asked))
    assert error.code is ErrorCode.NOT_FOUND
    assert (await enrolments.drivers(world.ctx, world.market_id, None)).drivers == ()


async def test_a_merchant_is_unique_by_name_and_may_have_more_keys(ctx: Context) -> None:
    made = await merchants.create(ctx, ops.CreateMerchant(name="Shop", brand="SHOP!"))
    error = await refusal(merchants.create(ctx, ops.CreateMerchant(name="Shop")))
    assert (error.code, error.fields["merchant_id"]) == (ErrorCode.CONFLICT, made.merchant_id)
    second = await merchants.add_key(ctx, made.merchant_id)
    for key in (made.api_key, second.api_key):
        assert (await tokens.verify_merchant(ctx, key)).merchant_id == made.merchant_id
    [listed] = await merchants.every(ctx)
    assert listed.brand == "SHOP!"
    assert (await refusal(merchants.add_key(ctx, uuid4()))).code is ErrorCode.NOT_FOUND


async def test_the_pilots_are_seeded_once(ctx: Context) -> None:
    report = await seeds.pilot_malls(ctx)
    assert [(mall.market_id, len(mall.stores)) for mall in report.malls] == [
        ("las-vegas", 5),
        ("chandler", 5),
        ("tysons", 5),
    ]
    assert all(merchant.api_key for merchant in report.merchants)
    assert all(store.handoff_code for mall in report.malls for store in mall.stores)
    again = await seeds.pilot_malls(ctx)
    assert again.malls == report.malls
    assert all(merchant.api_key is None for merchant in again.merchants)
    zones = {market.market_id: market.time_zone for market in await markets.every(ctx)}
    assert zones == {
        "las-vegas": "America/Los_Angeles",
        "chandler": "America/Phoenix",
        "tysons": "America/New_York",
    }


async def test_a_seed_leaves_what_operators_decided(ctx: Context) -> None:
    await seeds.pilot_malls(ctx)
    [first, *_] = await markets.participations(ctx, "tysons")
    off = ops.PutParticipation(
        merchant_id=first.merchant_id, site_id=first.site_id, offer_type=first.offer_type, active=False
    )
    await markets.put_participation(ctx, "tysons", off)
    await ctx.pool.execute("update offer_type set name = 'Renamed' where market_id = 'tysons'")
    await seeds.pilot_malls(ctx)
    assert not (await markets.participations(ctx, "tysons"))[0].active
    assert (await markets.offer_types(ctx, "tysons"))[0].name == "Renamed"


def test_the_pilots_open_in_local_time_and_the_demo_variant_always() -> None:
    four_am_utc = datetime(2026, 11, 20, 4, 30, tzinfo=UTC)  # 20:30 in Las Vegas, 21:30 in Chandler, 23:30 in Tysons
    open_now = {
        plan.market.market_id: sites.is_open(plan.site.hours, plan.market.time_zone, four_am_utc)
        for plan in pilot_malls.malls()
    }
    assert open_now == {"las-vegas": True, "chandler": False, "tysons": False}
    for plan in pilot_malls.malls(always_open=True):
        assert sites.is_open(plan.site.hours, plan.market.time_zone, four_am_utc)
        assert all(sites.is_open(store.hours, plan.market.time_zone, four_am_utc) for store in plan.stores)
        assert all(level.cutoff_local is None for level in plan.service_levels.values())
    assert hours() == sites.ALWAYS_OPEN
