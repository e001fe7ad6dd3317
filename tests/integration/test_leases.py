"""One holder at a time, a term that only rises, the database's clock."""

from __future__ import annotations

import asyncio

from flexlive.storage import leases
from flexlive.storage.pool import Pool
from tests.integration.event_world import add_market


async def _expire(pool: Pool) -> None:
    await pool.execute("update lease set expires_at = clock_timestamp() - interval '1 second'")


async def test_one_holder_at_a_time(pool: Pool) -> None:
    market_id = await add_market(pool)
    mine = await leases.acquire(pool, market_id, "relay", "me", 30)
    assert mine is not None
    assert mine.term == 1
    assert await leases.acquire(pool, market_id, "relay", "you", 30) is None
    again = await leases.acquire(pool, market_id, "relay", "me", 30)
    assert again is not None
    assert again.term == 1
    other = await leases.acquire(pool, market_id, "dispatcher", "you", 30)
    assert other is not None
    assert other.term == 1


async def test_an_expired_lease_is_taken_with_a_higher_term_and_fences_the_old_holder(pool: Pool) -> None:
    market_id = await add_market(pool)
    mine = await leases.acquire(pool, market_id, "relay", "me", 30)
    assert mine is not None
    await _expire(pool)
    yours = await leases.acquire(pool, market_id, "relay", "you", 30)
    assert yours is not None
    assert yours.term == 2
    assert await leases.renew(pool, mine, 30) is None
    await leases.release(pool, mine)
    renewed = await leases.renew(pool, yours, 60)
    assert renewed is not None
    assert renewed.expires_at > yours.expires_at
    back = await leases.acquire(pool, market_id, "relay", "me", 30)
    assert back is None


async def test_expired_but_not_taken_is_still_ours(pool: Pool) -> None:
    market_id = await add_market(pool)
    mine = await leases.acquire(pool, market_id, "relay", "me", 30)
    assert mine is not None
    await _expire(pool)
    renewed = await leases.renew(pool, mine, 30)
    assert renewed is not None
    assert renewed.term == 1


async def test_released_is_free_at_once_and_the_term_survives(pool: Pool) -> None:
    market_id = await add_market(pool)
    mine = await leases.acquire(pool, market_id, "relay", "me", 30)
    assert mine is not None
    await leases.release(pool, mine)
    yours = await leases.acquire(pool, market_id, "relay", "you", 30)
    assert yours is not None
    assert yours.term == 2


async def test_many_ask_at_once_one_gets_it(pool: Pool) -> None:
    market_id = await add_market(pool)
    asked = await asyncio.gather(*(leases.acquire(pool, market_id, "relay", f"process-{n}", 30) for n in range(20)))
    assert len([lease for lease in asked if lease is not None]) == 1


async def test_held_inside_a_transaction_it_cannot_be_taken(pool: Pool) -> None:
    market_id = await add_market(pool)
    mine = await leases.acquire(pool, market_id, "relay", "me", 30)
    assert mine is not None
    await _expire(pool)
    async with pool.acquire() as connection:
        async with connection.transaction():
            assert await leases.hold(connection, mine)
            taking = asyncio.create_task(leases.acquire(pool, market_id, "relay", "you", 30))
            await asyncio.sleep(0.1)
            assert not taking.done()
        yours = await taking
        assert yours is not None
        async with connection.transaction():
            assert not await leases.hold(connection, mine)
