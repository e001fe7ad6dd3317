"""What every use case is handed: the outside world as values and callables; time, ids and chance are arguments."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flexlive.realtime.bus import Bus
from flexlive.realtime.legs import Legs
from flexlive.realtime.presence import Presence
from flexlive.realtime.receipts import Receipts
from flexlive.realtime.roster import Roster
from flexlive.services.principals import PrincipalCache
from flexlive.services.rules import RulesCache
from flexlive.storage.group_commit import GroupCommit
from flexlive.storage.pool import Pool

if TYPE_CHECKING:
    from flexlive.services.offers import AcceptItem


@dataclass(frozen=True, slots=True)
class Context:
    """The world of one server process.

    roster: who is connected, here or in another process.
    clock: aware UTC now. new_id: UUIDv7. new_secret: 256 bit as 43 url-safe characters.
    committed: call with a market_id after a commit that wrote events; wakes that market's relay and dispatcher.
    market_ready: returns once this process follows the market's facts; before state of it is read for a subscriber.
    spawn: run a coroutine that handles its own errors, beside what is going on; awaited when the process stops.
    epoch: deployment id kept in the database; names the customer streams.
    time_scale: divides policy durations and multiplies plausible speed (1 in production).
    """

    pool: Pool
    rules: RulesCache
    presence: Presence
    roster: Roster
    legs: Legs
    bus: Bus
    group_commit: GroupCommit[AcceptItem, bytes]
    clock: Callable[[], datetime]
    monotonic: Callable[[], float]
    new_id: Callable[[], UUID]
    new_secret: Callable[[], str]
    committed: Callable[[str], None]
    market_ready: Callable[[str], Awaitable[None]]
    spawn: Callable[[Coroutine[Any, Any, None]], None]
    epoch: UUID
    public_url: str
    time_scale: float = 1.0
    seen_notices: Receipts = field(default_factory=Receipts)
    seen_offers: Receipts = field(default_factory=Receipts)
    principals: PrincipalCache = field(default_factory=PrincipalCache)
