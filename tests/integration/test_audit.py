"""The audit on a real database: silent after real work, each kind of damage turns it red, the command line says so."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from flexlive.cli import main
from flexlive.storage import audit
from flexlive.storage.errors import DatabaseSetupError
from tests.conftest import with_database
from tests.support.dispatch import dispatch, open_offer_ids
from tests.support.world import World, accept_item, build_world, open_test_context

_ONE_EVENT = "(select event_id from event where stream like 'route:%' limit 1)"
_ROUTE = "(select route_id from route limit 1)"

DAMAGES = [
    (
        "drop index route_one_per_offer_key; insert into route (market_id, route_id, driver_id, offer_id, status, "
        "created_at, ended_at) select market_id, gen_random_uuid(), driver_id, offer_id, 'cancelled', now(), now() "
        "from route",
        "offers_with_several_routes",
    ),
    ("update offer set driver_id = gen_random_uuid() where status = 'accepted'", "offers_apart_from_routes"),
    ("update offer set status = 'completed', ended_at = now() where status = 'accepted'", "offers_apart_from_routes"),
    ("delete from route", "offers_apart_from_routes"),
    ("update offer set status = 'open', driver_id = null where status = 'accepted'", "offers_of_what_is_not_theirs"),
    ("delete from event where stream like 'offer:%' and seq = 1", "streams_with_gaps"),
    (
        "insert into wake_ring (market_id, offer_id, driver_id, reason, rung_at) select market_id, offer_id, "
        "driver_id, 'away', accepted_at + interval '1 ms' from offer where status = 'accepted'",
        "rings_for_what_was_taken",
    ),
    ("update event set seq = seq + 100 where stream like 'track:%'", "streams_with_gaps"),
    ("update delivery set track_seq = track_seq + 1", "counters_apart_from_streams"),
    ("delete from event where stream like 'route:%'", "counters_apart_from_streams"),
    ("update package set custody = 'held'", "packages_apart_from_deliveries"),
    ("update delivery set status = 'delivered'", "packages_apart_from_deliveries"),
    ("delete from package where delivery_id in (select delivery_id from offer_delivery)", "packages_apart_from_offers"),
    ("delete from package", "deliveries_without_packages"),
    (
        "update event set data = jsonb_set(data, '{update,status}', '\"picked_up\"') "
        "where stream like 'delivery:%' and kind = 'delivery.confirmed'",
        "statuses_off_the_table",
    ),
    (
        "update event set actor_type = 'customer' where stream like 'delivery:%' and kind = 'delivery.confirmed'",
        "statuses_off_the_table",
    ),
    ("update delivery set status = 'lost'", "statuses_apart_from_events"),
    ("update route set driver_id = gen_random_uuid()", "deliveries_apart_from_routes"),
    ("update delivery set driver_id = null, route_id = null", "deliveries_apart_from_routes"),
    ("update stop set status = 'done', done_at = now()", "deliveries_without_a_stop"),
    (f"update delivery set transfer_route_id = {_ROUTE} where status = 'confirmed'", "transfers_without_an_end"),
    ("update slot set active = false", "slots_apart_from_routes"),
    ("update slot set driver_id = gen_random_uuid()", "slots_apart_from_routes"),
    ("update route set status = 'completed', ended_at = now()", "slots_apart_from_routes"),
    (
        "insert into ledger_entry select market_id, gen_random_uuid(), driver_id, route_id, delivery_id, 'wait', 5, "
        "currency, 0, now() from delivery where driver_id is not null",
        "money_without_its_event",
    ),
    (
        "insert into ledger_entry select market_id, gen_random_uuid(), driver_id, route_id, delivery_id, 'base', 5, "
        f"currency, {_ONE_EVENT}, now() from delivery where driver_id is not null",
        "money_apart_from_deliveries",
    ),
    (
        "update delivery set status = 'delivered', pay_base_cents = 700 where status = 'confirmed'",
        "money_apart_from_deliveries",
    ),
    (
        "update delivery set status = 'delivered' where status = 'confirmed'; "
        "update offer set status = 'completed', ended_at = now() where status = 'accepted'",
        "money_apart_from_offers",
    ),
    (
        "drop index alert_open_key; insert into alert (market_id, alert_id, kind, subject_id, opened_at) "
        "select market_id, gen_random_uuid(), 'incident', market_id_digest, now() from (select market_id, "
        "md5(market_id)::uuid as market_id_digest from market) m, generate_series(1, 2)",
        "alerts_open_twice",
    ),
    (
        "insert into driver_inbox select market_id, driver_id, 7, 'notice', '{}', now(), now() from driver",
        "inboxes_past_their_counter",
    ),
    (
        "insert into proof select market_id, gen_random_uuid(), delivery_id, 'photo', sha256('a'), 'u', now(), now() "
        "from delivery where driver_id is not null; insert into upload select market_id, driver_id, 'u', sha256('b'), "
        "'image/png', 1, now() from delivery where driver_id is not null",
        "proofs_apart_from_uploads",
    ),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(postgres_dsn: str, database_stock) -> AsyncIterator[str]:
    yield with_database(postgres_dsn, await database_stock.take())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def city(url: str) -> AsyncIterator[World]:
    """One order won by a driver, one on offer."""
    async with open_test_context(url) as ctx:
        world = await build_world(ctx, drivers=1)
        await world.order()
        await dispatch(world.ctx, world.market_id)
        [offer_id] = await open_offer_ids(world.ctx, world.market_id)
        item = accept_item(world.drivers[0], offer_id)
        await world.ctx.group_commit.submit(world.market_id, world.drivers[0].driver_id, item)
        await world.order()
        await dispatch(world.ctx, world.market_id)
        yield world


@pytest.mark.asyncio(loop_scope="module")
async def test_real_work_leaves_nothing_to_find(city: World) -> None:
    pool = city.ctx.pool
    assert await audit.markets(pool) == [city.market_id]
    assert await audit.findings(pool, city.market_id) == []
    assert len(await audit.offers_opened(pool, city.market_id)) == 2
    [winner] = (await audit.wins(pool, city.market_id)).values()
    assert winner == city.drivers[0].driver_id
    first, second = await audit.deliveries(pool, city.market_id)
    assert (first.status, first.route_status, first.offer_status) == ("confirmed", "active", "accepted")
    assert (second.status, second.route_status, second.offer_status, second.track_seq) == ("created", None, "open", 1)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("statements", "check"), DAMAGES)
async def test_each_kind_of_damage_is_found(city: World, statements: str, check: str) -> None:
    async with city.ctx.pool.acquire() as conn:
        damage = conn.transaction()
        await damage.start()
        try:
            # Constraints would refuse it: whoever damages a database has gone around them.
            await conn.execute("set local session_replication_role = replica")
            for dropped in ("delivery_check", "delivery_check1"):
                await conn.execute(f"alter table delivery drop constraint if exists {dropped}")
            await conn.execute("alter table offer drop constraint if exists offer_check")
            await conn.execute(statements)
            result = await audit.run_check(conn, check, [city.market_id])
            assert result.count > 0
            assert all(finding.row for finding in result.findings)
        finally:
            await damage.rollback()


def test_every_check_has_its_damage() -> None:
    assert {check for _, check in DAMAGES} == set(audit.CHECKS)


@pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens")
@pytest.mark.asyncio(loop_scope="module")
async def test_the_command_line_tells_clean_from_broken_from_impossible(
    city: World, url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def run(database_url: str) -> tuple[int | str | None, str]:
        monkeypatch.setattr(sys, "argv", ["flexlive", "audit", "--database-url", database_url])
        with pytest.raises(SystemExit) as ended:
            await asyncio.to_thread(main)
        told = capsys.readouterr()
        return ended.value.code, told.out + told.err

    code, told = await run(url)
    assert (code, "Clean:" in told, "I9" in told) == (0, True, True), told
    await city.ctx.pool.execute("update delivery set track_seq = track_seq + 1")
    code, told = await run(url)
    await city.ctx.pool.execute("update delivery set track_seq = track_seq - 1")
    assert (code, "Not clean:" in told) == (1, True), told
    code, told = await run("postgresql://nobody@127.0.0.1:1/nothing")
    assert (code, "cannot audit" in told) == (2, True), told


async def test_an_older_schema_is_not_audited(empty_database_url: str) -> None:
    with pytest.raises(DatabaseSetupError, match="flexlive migrate"):
        await audit.audit_database(empty_database_url)
