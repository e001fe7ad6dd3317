"""The relay: committed events of each market, in order, onto the bus. One leader per market, by lease.

Published before the position is stored, so every fact goes out at least once; receivers drop what they know. After a
crash the last second or so goes out again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable

import msgspec
import structlog
from prometheus_client import Counter, Gauge, Histogram

from flexlive.realtime import chain
from flexlive.realtime.bus import Bus
from flexlive.storage import leases, relay
from flexlive.storage.leases import Lease
from flexlive.storage.pool import Pool
from flexlive.storage.relay import FinalEvents, StoredPosition
from flexlive.workers.fact_source import fact_rows
from flexlive.workers.relay_term import RelayOptions, Term

__all__ = ["Relay", "RelayOptions"]

_log = structlog.get_logger()
_facts = Counter("flexlive_relay_facts_total", "Facts published", ["market_id"])
_failures = Counter("flexlive_relay_failures_total", "Rounds that ended in an error", ["market_id"])
_leading = Gauge(
    "flexlive_relay_leading", "1 while a process holds the relay's lease", ["market_id"], multiprocess_mode="livesum"
)
_withheld = Gauge(
    "flexlive_relay_withheld",
    "1 while committed facts wait for an older transaction",
    ["market_id"],
    multiprocess_mode="livemax",
)
_xmin_age = Gauge(
    "flexlive_relay_xmin_age_seconds",
    "How long the oldest transaction of the cluster has held up others",
    ["market_id"],
    multiprocess_mode="livemax",
)
_wake_to_publish = Histogram(
    "flexlive_relay_wake_to_publish_seconds",
    "From the wake after a commit to the publication",
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0),
)


class Relay:
    """The relays of all markets of this process. holder is unique per process start; it names us in the lease."""

    def __init__(self, pool: Pool, bus: Bus, holder: str, options: RelayOptions | None = None) -> None:
        self._pool = pool
        self._bus = bus
        self._holder = holder
        self._options = options or RelayOptions()
        self._markets: dict[str, _MarketRelay] = {}
        self._stopped = False

    def start(self, market_ids: Iterable[str]) -> None:
        for market_id in market_ids:
            self.ensure(market_id)

    def ensure(self, market_id: str) -> None:
        """Relay this market too; twice is harmless. Needs the running event loop."""
        if self._stopped or market_id in self._markets:
            return
        self._markets[market_id] = _MarketRelay(market_id, self._pool, self._bus, self._holder, self._options)

    def wake(self, market_id: str) -> None:
        """Something was committed; many wakes become one round. Tells the leader if it is another process."""
        market = self._markets.get(market_id)
        if market is not None:
            market.wake()
        if market is None or not market.leading:
            self._bus.publish(chain.wake_topic(market_id), b"")

    def leads(self, market_id: str) -> bool:
        market = self._markets.get(market_id)
        return market is not None and market.leading

    async def stop(self) -> None:
        """Publish what is final, store positions, give the leases back; cut off after stop_timeout_seconds."""
        self._stopped = True
        markets = list(self._markets.values())
        for market in markets:
            market.request_stop()
        await asyncio.gather(*(market.ended(self._options.stop_timeout_seconds) for market in markets))
        self._markets.clear()


class _MarketRelay:
    def __init__(self, market_id: str, pool: Pool, bus: Bus, holder: str, options: RelayOptions) -> None:
        self.leading = False
        self._market_id = market_id
        self._pool = pool
        self._bus = bus
        self._holder = holder
        self._options = options
        self._clock = asyncio.get_running_loop().time
        self._wake = asyncio.Event()
        self._stop = asyncio.Event()
        self._woken_at: float | None = None
        self._failures = 0
        self._xmin = 0
        self._xmin_since = 0.0
        self._task = asyncio.create_task(self._run(), name=f"relay:{market_id}")

    def wake(self) -> None:
        if self._woken_at is None:
            self._woken_at = self._clock()
        self._wake.set()

    def request_stop(self) -> None:
        self._stop.set()
        self._wake.set()

    async def ended(self, timeout_seconds: float) -> None:
        done, _ = await asyncio.wait([self._task], timeout=timeout_seconds)
        if not done:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while not self._stop.is_set():
            try:
                lease = await leases.acquire(
                    self._pool, self._market_id, "relay", self._holder, self._options.lease_seconds
                )
                if lease is None:
                    self._failures = 0
                    await _wait(self._stop, self._options.standby_seconds)
                else:
                    await self._lead(lease)
            except Exception as error:
                _failures.labels(self._market_id).inc()
                delay_seconds = min(
                    self._options.failure_delay_max_seconds,
                    self._options.failure_delay_min_seconds * 2 ** min(self._failures, 16),
                )
                self._failures += 1
                _log.warning("relay_failed", market_id=self._market_id, error=repr(error), retry_seconds=delay_seconds)
                await _wait(self._stop, delay_seconds)

    async def _lead(self, lease: Lease) -> None:
        """Until the lease is lost or a stop is asked for; errors of the database end it too."""
        stored = await relay.ensure_position(self._pool, self._market_id)
        term = Term.begin(lease, stored, self._clock())
        unsubscribe = self._bus.subscribe(chain.wake_topic(self._market_id), lambda _: self.wake())
        self._set_leading(True)
        _log.info("relay_leads", market_id=self._market_id, term=lease.term)
        try:
            while await self._keep(term):
                await self._round(term)
                if self._stop.is_set():
                    await self._store(term)
                    await leases.release(self._pool, term.lease)
                    return
                await _wait(self._wake, term.delay_seconds(self._clock(), self._options))
        finally:
            unsubscribe()
            self._set_leading(False)
        _log.warning("relay_lost_lease", market_id=self._market_id, term=lease.term)

    async def _keep(self, term: Term) -> bool:
        """Renew the lease and store the position when due; False when another holder has taken over."""
        now = self._clock()
        if now - term.renewed_at >= self._options.lease_seconds / 3:
            renewed = await leases.renew(self._pool, term.lease, self._options.lease_seconds)
            if renewed is None:
                return False
            term.lease, term.renewed_at = renewed, now
        if now - term.stored_at >= self._options.store_seconds and term.end != term.stored:
            term.stored_at = now
            return await self._store(term)
        return True

    async def _store(self, term: Term) -> bool:
        position = StoredPosition(
            term.sign_of_life.system_identifier, term.lease.term, (term.end.xid, term.end.event_id)
        )
        term.stored = term.end
        return await relay.store_position(self._pool, self._market_id, position)

    async def _round(self, term: Term) -> None:
        """One read, and its publication before the session goes back to the pool (giving it back is a round trip)."""
        self._wake.clear()
        woken_at, self._woken_at = self._woken_at, None
        async with self._pool.acquire() as connection:
            batch = await relay.final_events(connection, self._market_id, term.scanned, self._options.page_events_max)
            now = self._clock()
            if batch.events:
                self._publish(term, batch, now)
                if woken_at is not None:
                    _wake_to_publish.observe(now - woken_at)
            elif now - term.published_at >= self._options.sign_of_life_seconds:
                self._bus.publish(chain.facts_topic(self._market_id), chain.encode(term.sign_of_life))
                term.published_at = now
        self._failures = 0
        term.note(batch, self._options)
        self._observe(batch, now)

    def _publish(self, term: Term, batch: FinalEvents, now: float) -> None:
        topic = chain.facts_topic(self._market_id)
        for message in chain.link(
            term.sign_of_life,
            fact_rows(self._market_id, batch.events),
            message_bytes_max=self._options.message_bytes_max,
            message_facts_max=self._options.message_facts_max,
        ):
            self._bus.publish(topic, chain.encode(message))
            term.sign_of_life = msgspec.structs.replace(message, after=message.upto, facts=())
        term.published_at = now
        _facts.labels(self._market_id).inc(len(batch.events))

    def _observe(self, batch: FinalEvents, now: float) -> None:
        if batch.xmin != self._xmin or not batch.held:
            self._xmin, self._xmin_since = batch.xmin, now
        _xmin_age.labels(self._market_id).set(now - self._xmin_since)
        _withheld.labels(self._market_id).set(batch.withheld)

    def _set_leading(self, leading: bool) -> None:
        self.leading = leading
        _leading.labels(self._market_id).set(leading)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    """Until the event is set, at most this long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
