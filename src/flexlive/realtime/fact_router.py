"""Committed facts, in order, to whoever in this process is entitled to them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import assert_never

import msgspec
import structlog
from prometheus_client import Counter

from flexlive.realtime.board import Board
from flexlive.realtime.chain import FactRow
from flexlive.realtime.facts import (
    DriverFact,
    DriverSuspended,
    EntitlementChanged,
    FamilyRevoked,
    Irrelevant,
    OfferDeclined,
    OfferEnded,
    OfferShown,
    PresenceChanged,
    TrackFact,
    meaning_of,
)
from flexlive.realtime.hub import Hub, driver_channel, track_channel
from flexlive.realtime.sessions import SessionStore

_ROUTED = Counter("flexlive_facts_routed_total", "Committed facts seen by this process", ["kind"])
_UNREADABLE = Counter("flexlive_facts_unreadable_total", "Event rows whose data is not what their kind promises")
_log = structlog.get_logger(__name__)


class FactRouter:
    """The end of the relay chain. clock: aware UTC now."""

    __slots__ = ("_board", "_clock", "_hub", "_sessions")

    def __init__(self, hub: Hub, board: Board, sessions: SessionStore, clock: Callable[[], datetime]) -> None:
        self._hub, self._board, self._sessions, self._clock = hub, board, sessions, clock

    def apply(self, row: FactRow) -> None:
        """Never blocks and never raises; the caller hands over rows in relay order, each once."""
        _ROUTED.labels(row.kind).inc()
        try:
            meaning = meaning_of(row)
        except (msgspec.MsgspecError, ValueError):
            # A row no version of this code wrote. Stopping the chain for it would stop the market.
            _UNREADABLE.inc()
            _log.exception("unreadable event", market_id=row.market_id, event_id=row.event_id, kind=row.kind)
            return
        market_id = row.market_id
        match meaning:
            case OfferShown():
                self._board.show(market_id, meaning)
            case OfferEnded():
                self._board.end(market_id, meaning)
            case OfferDeclined():
                self._board.decline(market_id, meaning)
            case DriverFact(driver_id=driver_id, fact=fact):
                self._hub.publish(driver_channel(driver_id), fact)
            case TrackFact(delivery_id=delivery_id, fact=fact):
                self._hub.publish(track_channel(delivery_id), fact)
            case PresenceChanged(driver_id=driver_id, online=online):
                self._sessions.presence_changed(market_id, driver_id, online, self._clock())
            case FamilyRevoked(driver_id=driver_id, family_id=family_id):
                self._sessions.family_revoked(market_id, driver_id, family_id)
            case DriverSuspended(driver_id=driver_id):
                self._sessions.suspended(market_id, driver_id)
            case EntitlementChanged(driver_id=driver_id, offer_types=offer_types, pilots=pilots, fact=fact):
                # Told first: the app then knows why cards come or go.
                if fact is not None:
                    self._hub.publish(driver_channel(driver_id), fact)
                self._sessions.entitled(market_id, driver_id, offer_types, pilots, self._clock())
            case Irrelevant():
                pass
            case _:
                assert_never(meaning)
