"""The operators of a play: they look at what is alerted, and decide as people at a desk would."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any
from uuid import UUID

from flexlive.domain.alerts import AlertKind
from flexlive.domain.geography import distance_m
from flexlive.domain.reasons import ReasonCode
from flexlive.lab.book import Book
from flexlive.lab.fleet_messages import PhoneState
from flexlive.lab.fleet_process import FleetProcess
from flexlive.lab.ops_client import OpsClient, OpsRefusedError, OpsUnreachableError
from flexlive.protocol import ops_actions

LOOK_SECONDS = 0.5
NOTE = "decided by the desk of the demo"


class Operators:
    """One desk for all markets. decisions: how often what was done, by action."""

    def __init__(self, client: OpsClient, fleet: FleetProcess, book: Book, markets: Sequence[str]) -> None:
        self._client, self._fleet, self._book, self._markets = client, fleet, book, markets
        self.decisions: Counter[str] = Counter()
        self._transferred: set[UUID] = set()
        self._unfit: set[tuple[UUID, UUID]] = set()

    async def run(self) -> None:
        """Until cancelled. A server that is away is asked again; what it refuses has changed meanwhile."""
        while True:
            for market_id in self._markets:
                try:
                    for alert in (await self._client.alerts(market_id)).alerts:
                        await self._decide(market_id, alert)
                except OpsUnreachableError:
                    pass
                except OpsRefusedError as error:
                    if error.status_code not in OpsRefusedError.MEANWHILE:
                        self._book.troubles.add(f"operators: {error}")
            await asyncio.sleep(LOOK_SECONDS)

    async def _decide(self, market_id: str, alert: ops_actions.Alert) -> None:
        match alert.kind:
            case AlertKind.INCIDENT if alert.delivery_id is not None:
                await self._incident(market_id, alert)
            case AlertKind.LATE_COMMAND | AlertKind.ATTEMPTS_EXHAUSTED:
                await self._client.resolve_alert(market_id, alert.alert_id, _why(alert))
                self.decisions["seen and done"] += 1
            case _:
                # Silent drivers come back, or the system gives their work to others.
                pass

    async def _incident(self, market_id: str, alert: ops_actions.Alert) -> None:
        reason = alert.detail.get("reason_code")
        if reason == ReasonCode.VEHICLE_PROBLEM:
            await self._transfer(market_id, alert)
            return
        wish = "retry" if alert.detail.get("suggested") == "retry" else "return_to_pickup"
        body = ops_actions.ResolveIncident(resolution=wish, reason_code=ReasonCode.OPS_DECISION, note=NOTE)
        assert alert.delivery_id is not None
        await self._client.resolve_incident(market_id, alert.delivery_id, body, str(alert.alert_id))
        self.decisions[wish] += 1

    async def _transfer(self, market_id: str, alert: ops_actions.Alert) -> None:
        """The nearest free driver takes everything over; nobody free: the next look, or the rule, decides."""
        phones = await self._fleet.look()
        stranded = next((p for p in phones if p.driver_id == alert.driver_id), None)
        free = [
            phone
            for phone in phones
            if _free(phone)
            and phone.market_id == market_id
            and phone.driver_id != alert.driver_id
            and (alert.alert_id, phone.driver_id) not in self._unfit
        ]
        if stranded is None or not free or alert.delivery_id is None or alert.alert_id in self._transferred:
            return
        nearest = min(free, key=lambda p: distance_m(p.place, stranded.place))
        body = ops_actions.Transfer(
            driver_id=nearest.driver_id,
            lat=stranded.place.lat,
            lon=stranded.place.lon,
            everything_on_board=True,
            reason_code=ReasonCode.VEHICLE_PROBLEM,
            note=NOTE,
        )
        # A driver who is taken meanwhile is refused; the next look tries another, so the key names the driver too.
        key = f"{alert.alert_id.hex[:24]}-{nearest.driver_id.hex[:24]}"
        try:
            await self._client.transfer(market_id, alert.delivery_id, body, key)
        except OpsRefusedError as error:
            if error.status_code not in OpsRefusedError.MEANWHILE | {HTTPStatus.FORBIDDEN}:
                raise
            # Taken meanwhile, or not enrolled for this: the next look asks somebody else.
            self._unfit.add((alert.alert_id, nearest.driver_id))
            return
        self._transferred.add(alert.alert_id)
        self.decisions["transfer"] += 1


def _free(phone: PhoneState) -> bool:
    return phone.on_duty and phone.connected and not phone.routes


def _why(alert: ops_actions.Alert) -> ops_actions.Reasoned:
    return ops_actions.Reasoned(reason_code=ReasonCode.OPS_DECISION, note=f"{NOTE}: {_short(alert.detail)}")


def _short(detail: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in detail.items())[:100]
