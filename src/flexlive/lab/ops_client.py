"""The operations API as the lab uses it: values in, values out, DemoError for anything that is not a 2xx."""

from __future__ import annotations

from types import TracebackType
from typing import Self, TypeVar
from uuid import UUID

import httpx
import msgspec

from flexlive.lab.options import DemoError
from flexlive.protocol import ops

T = TypeVar("T")
REQUEST_TIMEOUT_SECONDS = 30.0


class OpsClient:
    """`async with OpsClient(base_url, token) as ops:`; the token is deployment-wide."""

    def __init__(self, base_url: str, token: str) -> None:
        self._http = httpx.AsyncClient(
            base_url=base_url,
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            timeout=REQUEST_TIMEOUT_SECONDS,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def create_market(self, market: ops.CreateMarket) -> ops.Market:
        return await self._send("POST", "/v1/ops/markets", market, ops.Market)

    async def create_site(self, market_id: str, site: ops.CreateSite) -> ops.Site:
        return await self._send("POST", f"/v1/ops/markets/{market_id}/sites", site, ops.Site)

    async def create_merchant(self, merchant: ops.CreateMerchant) -> ops.MerchantCreated:
        return await self._send("POST", "/v1/ops/merchants", merchant, ops.MerchantCreated)

    async def create_store(self, market_id: str, store: ops.CreateStore) -> ops.Store:
        return await self._send("POST", f"/v1/ops/markets/{market_id}/stores", store, ops.Store)

    async def put_offer_type(self, market_id: str, name: str, offer_type: ops.PutOfferType) -> ops.OfferType:
        return await self._send("PUT", f"/v1/ops/markets/{market_id}/offer-types/{name}", offer_type, ops.OfferType)

    async def put_service_level(self, market_id: str, name: str, level: ops.PutServiceLevel) -> ops.ServiceLevel:
        return await self._send("PUT", f"/v1/ops/markets/{market_id}/service-levels/{name}", level, ops.ServiceLevel)

    async def put_participation(self, market_id: str, participation: ops.PutParticipation) -> ops.Participation:
        return await self._send("PUT", f"/v1/ops/markets/{market_id}/participations", participation, ops.Participation)

    async def provision(self, market_id: str, drivers: list[ops.NewDriver]) -> list[ops.DriverProvisioned]:
        """Any number of drivers with vehicle, enrolment and token, in the order given."""
        provisioned: list[ops.DriverProvisioned] = []
        for first in range(0, len(drivers), ops.DRIVERS_MAX):
            batch = ops.ProvisionDrivers(drivers=tuple(drivers[first : first + ops.DRIVERS_MAX]))
            path = f"/v1/ops/markets/{market_id}/drivers"
            provisioned += await self._send("POST", path, batch, list[ops.DriverProvisioned])
        return provisioned

    async def markets(self) -> list[ops.Market]:
        return await self._send("GET", "/v1/ops/markets", None, list[ops.Market])

    async def sites(self, market_id: str) -> list[ops.Site]:
        return await self._send("GET", f"/v1/ops/markets/{market_id}/sites", None, list[ops.Site])

    async def stores(self, market_id: str) -> list[ops.Store]:
        return await self._send("GET", f"/v1/ops/markets/{market_id}/stores", None, list[ops.Store])

    async def create_key(self, merchant_id: UUID) -> ops.MerchantCreated:
        """Another API key of a merchant that exists."""
        return await self._send("POST", f"/v1/ops/merchants/{merchant_id}/keys", None, ops.MerchantCreated)

    async def _send(self, method: str, path: str, body: msgspec.Struct | None, answer: type[T]) -> T:
        content = b"" if body is None else msgspec.json.encode(body)
        try:
            response = await self._http.request(method, path, content=content)
        except httpx.HTTPError as error:
            raise DemoError(f"{method} {path}: {type(error).__name__}: {error}") from error
        if not response.is_success:
            raise DemoError(f"{method} {path}: HTTP {response.status_code} {response.text[:500]}")
        return msgspec.json.decode(response.content, type=answer)
