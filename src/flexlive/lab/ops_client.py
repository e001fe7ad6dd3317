"""The operations API as the lab uses it: values in, values out, DemoError for anything that is not a 2xx."""

from __future__ import annotations

from http import HTTPStatus
from types import TracebackType
from typing import Self, TypeVar
from uuid import UUID

import httpx
import msgspec

from flexlive.lab.options import DemoError
from flexlive.protocol import ops, ops_actions, ops_market

T = TypeVar("T")
REQUEST_TIMEOUT_SECONDS = 30.0


class OpsUnreachableError(DemoError):
    """No answer, or one that says to ask again later."""


class OpsRefusedError(DemoError):
    """The server answered and said no."""

    # What was asked for is no longer so: taken, done, gone.
    MEANWHILE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY})

    def __init__(self, text: str, status_code: int) -> None:
        super().__init__(text)
        self.status_code = status_code


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

    async def alerts(self, market_id: str) -> ops_actions.AlertPage:
        """The open ones."""
        return await self._send("GET", f"/v1/ops/markets/{market_id}/alerts", None, ops_actions.AlertPage)

    async def resolve_alert(self, market_id: str, alert_id: UUID, why: ops_actions.Reasoned) -> ops_actions.Action:
        path = f"/v1/ops/markets/{market_id}/alerts/{alert_id}/resolve"
        return await self._send("POST", path, why, ops_actions.Action, key=str(alert_id))

    async def resolve_incident(
        self, market_id: str, delivery_id: UUID, decision: ops_actions.ResolveIncident, key: str
    ) -> ops_actions.Action:
        """key: the same decision under the same key is taken once."""
        path = f"/v1/ops/markets/{market_id}/deliveries/{delivery_id}/resolve"
        return await self._send("POST", path, decision, ops_actions.Action, key=key)

    async def transfer(
        self, market_id: str, delivery_id: UUID, transfer: ops_actions.Transfer, key: str
    ) -> ops_actions.Action:
        path = f"/v1/ops/markets/{market_id}/deliveries/{delivery_id}/transfer"
        return await self._send("POST", path, transfer, ops_actions.Action, key=key)

    async def create_pilot(self, market_id: str, pilot: ops_market.CreatePilot) -> ops_market.Pilot:
        return await self._send("POST", f"/v1/ops/markets/{market_id}/pilots", pilot, ops_market.Pilot)

    async def send_notice(self, market_id: str, notice: ops_market.CreateNotice) -> ops_market.Notice:
        return await self._send("POST", f"/v1/ops/markets/{market_id}/notices", notice, ops_market.Notice)

    async def funnel(self, market_id: str, notice_id: UUID) -> ops_market.Funnel:
        path = f"/v1/ops/markets/{market_id}/notices/{notice_id}/funnel"
        return await self._send("GET", path, None, ops_market.Funnel)

    async def pilot_report(self, market_id: str, pilot_id: UUID) -> ops_market.PilotReport:
        path = f"/v1/ops/markets/{market_id}/pilots/{pilot_id}/report"
        return await self._send("GET", path, None, ops_market.PilotReport)

    async def _send(
        self, method: str, path: str, body: msgspec.Struct | None, answer: type[T], key: str | None = None
    ) -> T:
        content = b"" if body is None else msgspec.json.encode(body)
        headers = {} if key is None else {"Idempotency-Key": key}
        try:
            response = await self._http.request(method, path, content=content, headers=headers)
        except httpx.HTTPError as error:
            raise OpsUnreachableError(f"{method} {path}: {type(error).__name__}: {error}") from error
        text = f"{method} {path}: HTTP {response.status_code} {response.text[:500]}"
        if response.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
            raise OpsUnreachableError(text)
        if not response.is_success:
            raise OpsRefusedError(text, response.status_code)
        return msgspec.json.decode(response.content, type=answer)
