"""A market for load tests: street sites far from one another, one store each, drivers at their doors, orders."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from uuid import UUID, uuid4

import httpx
import msgspec

from flexlive.domain.markets import MarketPolicy
from flexlive.domain.sites import Hours
from flexlive.lab.ops_client import OpsClient
from flexlive.protocol import ops

SPACING_DEGREES = 0.2
SITES_A_ROW = 20
AGAIN_SECONDS = 0.2
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(frozen=True, slots=True, kw_only=True)
class Town:
    """places: latitude and longitude of each site's door."""

    market_id: str
    merchant_id: UUID
    places: Sequence[tuple[float, float]]
    api_key: str = field(repr=False)


async def furnish(client: OpsClient, market_id: str, sites: int, policy: MarketPolicy) -> Town:
    """A market that is always open."""
    always = msgspec.convert({day: [{"opens": "00:00:00", "closes": "00:00:00"}] for day in _DAYS}, Hours)
    await client.create_market(
        ops.CreateMarket(market_id=market_id, name=market_id.title(), time_zone="UTC", currency="USD", policy=policy)
    )
    await client.put_offer_type(market_id, "retail_delivery", ops.PutOfferType(name="Retail delivery"))
    await client.put_service_level(market_id, "express", ops.PutServiceLevel(shape="on_demand", promise_seconds=7200))
    merchant = await client.create_merchant(ops.CreateMerchant(name=f"Merchant {uuid4().hex[:8]}"))
    places = [
        (20.0 + SPACING_DEGREES * (i // SITES_A_ROW), -100.0 + SPACING_DEGREES * (i % SITES_A_ROW))
        for i in range(sites)
    ]
    for number, (lat, lon) in enumerate(places):
        site = await client.create_site(
            market_id,
            ops.CreateSite(
                kind="store",
                name=f"Site {number}",
                address=f"{number} Main Street",
                lat=lat,
                lon=lon,
                entrance=ops.Entrance("Door", lat, lon),
                hours=always,
            ),
        )
        await client.create_store(
            market_id,
            ops.CreateStore(
                merchant_id=merchant.merchant_id,
                site_id=site.site_id,
                external_store_id=_store(market_id, number),
                name=f"Store {number}",
                hours=always,
            ),
        )
        await client.put_participation(
            market_id,
            ops.PutParticipation(merchant_id=merchant.merchant_id, site_id=site.site_id, offer_type="retail_delivery"),
        )
    return Town(market_id=market_id, merchant_id=merchant.merchant_id, places=places, api_key=merchant.api_key)


async def hire(client: OpsClient, town: Town, drivers: int) -> list[ops.DriverProvisioned]:
    """Drivers who may take everything that is on offer in this town."""
    new = [ops.NewDriver(first_name=f"D{i}", offer_types=("retail_delivery",)) for i in range(drivers)]
    return await client.provision(town.market_id, new)


class Counter:
    """The merchant's side of a town. `async with Counter(base_url, town) as counter:`

    patient: asks again when nobody answers or the answer is 503, as a merchant's program does; an order is made once.
    """

    def __init__(self, base_url: str, town: Town, *, patient: bool = False) -> None:
        self._town = town
        self._patient = patient
        self._http = httpx.AsyncClient(
            base_url=base_url, trust_env=False, timeout=30, headers={"authorization": f"Bearer {town.api_key}"}
        )

    async def __aenter__(self) -> Counter:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def order(self, name: str, site: int) -> UUID:
        """One order from this site's store, a kilometre to go. Returns the delivery."""
        lat, lon = self._town.places[site]
        body = {
            "external_delivery_id": name,
            "external_store_id": _store(self._town.market_id, site),
            "service_level": "express",
            "dropoff_address": "1 Goal Lane",
            "dropoff_lat": lat + 0.01,
            "dropoff_lon": lon,
            "contact_name": "Goal",
            "packages": [{"size": "small"}],
        }
        while True:
            try:
                response = await self._http.post("/v1/deliveries", json=body)
                if not (self._patient and response.status_code == HTTPStatus.SERVICE_UNAVAILABLE):
                    break
            except httpx.TransportError:
                if not self._patient:
                    raise
            await asyncio.sleep(AGAIN_SECONDS)
        response.raise_for_status()
        return UUID(response.json()["delivery_id"])

    async def cancel(self, delivery_id: UUID) -> None:
        path = f"/v1/markets/{self._town.market_id}/deliveries/{delivery_id}/cancel"
        (await self._http.post(path, json={})).raise_for_status()


def _store(market_id: str, number: int) -> str:
    return f"{market_id}-{number}"
