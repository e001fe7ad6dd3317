"""What a driver can do, one method each; every one waits for its result and numbers its own command."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from flexlive.protocol.driver import (
    CheckIn,
    CheckInMethod,
    Command,
    Deliver,
    Depart,
    EnrolmentAnswer,
    IncidentReport,
    Missing,
    OfferAccept,
    OfferDecline,
    OfferView,
    PickupConfirm,
    Point,
    PresenceSet,
    ProofAdd,
    ProofKind,
    Result,
    ReturnConfirm,
    RouteForfeit,
    Scan,
)


class DriverCommands(ABC):
    """Mixed into the client. Times are aware datetimes: when it happened, which may be before it can be sent."""

    @abstractmethod
    async def command(self, command: Command) -> Result: ...

    @abstractmethod
    def next_cmd(self) -> str: ...

    async def go_online(self) -> Result:
        return await self.command(PresenceSet(cmd=self.next_cmd(), mode="online"))

    async def go_offline(self) -> Result:
        return await self.command(PresenceSet(cmd=self.next_cmd(), mode="offline"))

    async def accept(self, offer: OfferView) -> Result:
        """Code `won` means a committed row; `taken`, `expired`, `withdrawn`, `conflict`, `not_eligible` mean no."""
        return await self.command(
            OfferAccept(cmd=self.next_cmd(), offer_id=offer.offer_id, offer_version=offer.offer_version)
        )

    async def decline(self, offer_id: UUID, reason: str | None = None) -> Result:
        return await self.command(OfferDecline(cmd=self.next_cmd(), offer_id=offer_id, reason=reason))

    async def depart(self, stop_id: UUID) -> Result:
        """Setting off towards this stop."""
        return await self.command(Depart(cmd=self.next_cmd(), stop_id=stop_id))

    async def check_in(
        self, stop_id: UUID, point: Point, *, method: CheckInMethod = "geofence", code: str | None = None
    ) -> Result:
        """Arrived at the stop, by this fix."""
        return await self.command(
            CheckIn(
                cmd=self.next_cmd(),
                stop_id=stop_id,
                method=method,
                at=point.at,
                point=point,
                accuracy_m=point.accuracy_m,
                code=code,
            )
        )

    async def scan(self, stop_id: UUID, barcode: str, occurred_at: datetime) -> Result:
        return await self.command(Scan(cmd=self.next_cmd(), stop_id=stop_id, barcode=barcode, occurred_at=occurred_at))

    async def confirm_pickup(self, stop_id: UUID, store_code: str, missing: Sequence[Missing] = ()) -> Result:
        """store_code: what the counter says when it hands the parcels over."""
        return await self.command(
            PickupConfirm(cmd=self.next_cmd(), stop_id=stop_id, store_code=store_code, missing=tuple(missing))
        )

    async def add_proof(
        self, delivery_id: UUID, kind: ProofKind, sha256: str, occurred_at: datetime, upload_id: str | None = None
    ) -> Result:
        """sha256: lowercase hex of the picture's or signature's bytes, which travel by HTTP."""
        return await self.command(
            ProofAdd(
                cmd=self.next_cmd(),
                delivery_id=delivery_id,
                kind=kind,
                sha256=sha256,
                upload_id=upload_id,
                occurred_at=occurred_at,
            )
        )

    async def deliver(
        self,
        delivery_id: UUID,
        occurred_at: datetime,
        *,
        pincode: str | None = None,
        recipient: str | None = None,
        left_at: str | None = None,
    ) -> Result:
        return await self.command(
            Deliver(
                cmd=self.next_cmd(),
                delivery_id=delivery_id,
                pincode=pincode,
                recipient=recipient,
                left_at=left_at,
                occurred_at=occurred_at,
            )
        )

    async def report_incident(self, delivery_id: UUID, reason_code: str, note: str | None = None) -> Result:
        """It cannot be delivered now; what follows is in the route update."""
        return await self.command(
            IncidentReport(cmd=self.next_cmd(), delivery_id=delivery_id, reason_code=reason_code, note=note)
        )

    async def confirm_return(self, stop_id: UUID, store_code: str) -> Result:
        """The store has taken back what was scanned at this stop."""
        return await self.command(ReturnConfirm(cmd=self.next_cmd(), stop_id=stop_id, store_code=store_code))

    async def answer_enrolment(self, offer_type: str, *, accept: bool, terms_version: int) -> Result:
        return await self.command(
            EnrolmentAnswer(cmd=self.next_cmd(), offer_type=offer_type, accept=accept, terms_version=terms_version)
        )

    async def forfeit(self, route_id: UUID, reason: str) -> Result:
        return await self.command(RouteForfeit(cmd=self.next_cmd(), route_id=route_id, reason=reason))
