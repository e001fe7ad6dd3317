"""Who is connected, in whichever process, and which process a driver belongs to.

A driver belongs to the connection that opened last, by the database's clock: a process that opens or resumes a session
*claims* the driver, and whoever holds an older claim ends its session. Claims are told at once and repeated with the
list of connected drivers, so a word that was lost is made up for within seconds. Nothing here is the truth: what
another process said is forgotten when it is not repeated.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, nextafter
from uuid import UUID

from prometheus_client import Counter

from flexlive.realtime.bus import Bus
from flexlive.realtime.roster_market import RosterMarket
from flexlive.realtime.roster_words import CONNECTED, UNREACHABLE, decode, encode, speaker

_LOST = Counter("flexlive_sessions_taken_over_total", "Sessions that ended because another process has the driver now")
_UNREADABLE = Counter("flexlive_roster_unreadable_total", "Messages of other processes that are no word")


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterOptions:
    """coalesce_seconds: how long a change waits for others. forget_seconds: how long another process' word holds."""

    gossip_seconds: float = 2.0
    coalesce_seconds: float = 0.1
    forget_seconds: float = 8.0
    entries_per_message_max: int = 500


class Roster:
    """One per process, touched from its event loop only. process: hex id of this process. now: monotonic seconds."""

    def __init__(self, bus: Bus, process: str, now: Callable[[], float], options: RosterOptions | None = None) -> None:
        self.process = process
        self._bus, self._now = bus, now
        self._me = UUID(hex=process).bytes
        self._options = options or RosterOptions()
        self._markets: dict[str, RosterMarket] = {}
        self._on_lost: Callable[[str, UUID], None] = _nobody
        self._number = 0
        self._wake = asyncio.Event()

    def bind(self, on_lost: Callable[[str, UUID], None]) -> None:
        """on_lost(market_id, driver_id): called when another process has a newer claim than this one."""
        self._on_lost = on_lost

    def follow(self, market_id: str) -> None:
        """Hear other processes of this market. Idempotent."""
        market = self._market(market_id)
        if not market.unsubscribe:
            market.unsubscribe = [
                self._bus.subscribe(topic, lambda payload: self._hear(market_id, payload))
                for topic in (roster_topic(market_id), claims_topic(market_id))
            ]

    # Asked by anybody

    def connected(self, market_id: str) -> frozenset[UUID]:
        """Drivers of this market with an open, answered connection in any process."""
        return self._market(market_id).connected()

    def is_connected(self, market_id: str, driver_id: UUID) -> bool:
        return self._market(market_id).is_connected(driver_id.bytes)

    def unreachable(self, market_id: str) -> frozenset[UUID]:
        """Connected drivers whose phones leave facts unacknowledged, wherever they are connected."""
        return self._market(market_id).unreachable()

    def newest_claim_elsewhere(self, market_id: str, driver_id: UUID) -> float:
        """Epoch seconds of the newest claim another process is known to have on the driver; -inf when none has."""
        return self._market(market_id).newest_claim(driver_id.bytes)[0]

    # Told by the sessions of this process

    def claim(self, market_id: str, driver_id: UUID, claimed_at: float) -> bool:
        """The driver has a connection here since claimed_at (epoch seconds of the database's clock). False: another
        process has a newer claim; then nothing has changed."""
        market, driver = self._market(market_id), driver_id.bytes
        if market.newest_claim(driver) > (claimed_at, self._me):
            return False
        market.claimed(driver, claimed_at)
        self._publish(market, claims_topic(market_id), [driver])
        return True

    def disconnected(self, market_id: str, driver_id: UUID) -> None:
        """The socket is gone; the session, and the claim, wait for another. Idempotent."""
        self._set(market_id, driver_id, 0)

    def released(self, market_id: str, driver_id: UUID) -> None:
        """The session has ended. Idempotent."""
        market, driver = self._market(market_id), driver_id.bytes
        if market.own.pop(driver, None) is not None:
            self._note(market, driver)

    def set_unreachable(self, market_id: str, driver_id: UUID, unreachable: bool) -> None:
        """Whether the phone connected here leaves facts unacknowledged. No effect for a driver not connected here."""
        own = self._market(market_id).own.get(driver_id.bytes)
        if own is not None and own.bits:
            self._set(market_id, driver_id, CONNECTED | UNREACHABLE if unreachable else CONNECTED)

    # Between processes

    async def run(self) -> None:
        """Tells changes soon and everything every gossip_seconds, until cancelled."""
        due = self._now() + self._options.gossip_seconds
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, due - self._now())):
                    await self._wake.wait()
                await asyncio.sleep(self._options.coalesce_seconds)
            self.tell_changes()
            if self._now() >= due:
                self.tell_all()
                due = self._now() + self._options.gossip_seconds

    def tell_changes(self) -> None:
        """Publish what has changed since the last word about it."""
        self._wake.clear()
        for market_id, market in self._markets.items():
            if market.changed:
                changed = list(market.changed)
                market.changed.clear()
                self._publish(market, roster_topic(market_id), changed)

    def tell_all(self) -> None:
        """Publish everybody who is connected here."""
        for market_id, market in self._markets.items():
            self._publish(market, roster_topic(market_id), [driver for driver, own in market.own.items() if own.bits])

    def _publish(self, market: RosterMarket, topic: str, drivers: Sequence[bytes]) -> None:
        entries_max = self._options.entries_per_message_max
        for start in range(0, len(drivers), entries_max):
            self._number += 1
            entries = [(driver, *market.told(driver)) for driver in drivers[start : start + entries_max]]
            self._bus.publish(topic, encode(self._me, self._number, entries))

    def _hear(self, market_id: str, payload: bytes) -> None:
        if speaker(payload) == self._me:
            return
        word = decode(payload)
        if word is None:
            _UNREADABLE.inc()
            return
        market = self._market(market_id)
        for driver, claimed_at in market.hear(word, self._now()):
            own = market.own.get(driver)
            if own is None:
                continue
            if (own.claimed_at, self._me) < (claimed_at, word.process):
                _LOST.inc()
                self._on_lost(market_id, UUID(bytes=driver))
            else:
                # The other has not heard ours yet.
                self._publish(market, claims_topic(market_id), [driver])

    def _set(self, market_id: str, driver_id: UUID, bits: int) -> None:
        market, driver = self._market(market_id), driver_id.bytes
        own = market.own.get(driver)
        if own is not None and own.bits != bits:
            own.bits = bits
            self._note(market, driver)

    def _note(self, market: RosterMarket, driver: bytes) -> None:
        market.note(driver)
        self._wake.set()

    def _market(self, market_id: str) -> RosterMarket:
        market = self._markets.get(market_id)
        if market is None:
            market = self._markets[market_id] = RosterMarket()
        market.forget(self._now(), self._options.forget_seconds)
        return market


def roster_topic(market_id: str) -> str:
    return f"roster.{market_id}"


def claims_topic(market_id: str) -> str:
    return f"claims.{market_id}"


def after_claim(claimed_at: float) -> float:
    """The smallest claim that is newer than this one."""
    return nextafter(claimed_at, inf)


def _nobody(market_id: str, driver_id: UUID) -> None:
    pass
