"""What a relay knows while it leads a market, and when what is due; pure but for the values handed in."""

from __future__ import annotations

from dataclasses import dataclass

from flexlive.realtime.chain import ChainMessage, Position
from flexlive.storage.leases import Lease
from flexlive.storage.relay import Cursor, FinalEvents, StoredPosition


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayOptions:
    """withheld_delay_*: how soon to look again when committed facts wait for an older transaction, which may end
    without anyone waking us."""

    poll_seconds: float = 0.5
    sign_of_life_seconds: float = 0.5
    lease_seconds: float = 5.0
    standby_seconds: float = 1.0
    store_seconds: float = 1.0
    withheld_delay_min_seconds: float = 0.001
    withheld_delay_max_seconds: float = 0.02
    failure_delay_min_seconds: float = 0.1
    failure_delay_max_seconds: float = 5.0
    stop_timeout_seconds: float = 5.0
    page_events_max: int = 500
    message_facts_max: int = 200
    message_bytes_max: int = 512 * 1024


@dataclass(slots=True)
class Term:
    """What one term of leading a market knows: its lease, the end of the chain, and what is due when."""

    lease: Lease
    sign_of_life: ChainMessage
    scanned: Cursor
    stored: Position
    renewed_at: float
    stored_at: float
    published_at: float = 0.0
    full: bool = False
    withheld_delay_seconds: float | None = None

    @staticmethod
    def begin(lease: Lease, stored: StoredPosition, now: float) -> Term:
        end = Position(*stored.cursor)
        sign_of_life = ChainMessage(
            market_id=lease.market_id,
            system_identifier=stored.system_identifier,
            term=lease.term,
            after=end,
            upto=end,
            facts=(),
        )
        return Term(lease, sign_of_life, stored.cursor, end, renewed_at=now, stored_at=now)

    @property
    def end(self) -> Position:
        return self.sign_of_life.upto

    def note(self, batch: FinalEvents, options: RelayOptions) -> None:
        self.scanned, self.full = batch.scanned, batch.full
        if not batch.withheld:
            self.withheld_delay_seconds = None
        elif self.withheld_delay_seconds is None or batch.events:
            self.withheld_delay_seconds = options.withheld_delay_min_seconds
        else:
            self.withheld_delay_seconds = min(options.withheld_delay_max_seconds, self.withheld_delay_seconds * 2)

    def delay_seconds(self, now: float, options: RelayOptions) -> float:
        """How long to wait for a wake."""
        if self.full:
            return 0.0
        look_again = options.poll_seconds if self.withheld_delay_seconds is None else self.withheld_delay_seconds
        return max(0.0, min(look_again, self.published_at + options.sign_of_life_seconds - now))
