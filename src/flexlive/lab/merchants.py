"""Shops that order on time whatever the server does (open loop), repeat themselves, and call parcels ready."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus

import httpx
import msgspec
import stamina

from flexlive.lab.book import Book, OrderStory
from flexlive.lab.scenario import Mishap, OrderPlan
from flexlive.protocol.merchant import (
    CancelDelivery,
    CreateDelivery,
    DeliveryCreated,
    DropoffVerification,
    PackageRequest,
    SetReadiness,
    StoreReadiness,
)

REPEATS_ONE_IN = 10
ATTEMPTS_MAX = 60
RETRY_SECONDS_MAX = 90.0
# Of the time until it is ready: by then a driver is usually on the way.
CANCEL_AFTER_SHARE = 0.6


class ServerTroubleError(Exception):
    """HTTP 5xx: worth the same request again."""


def create_body(plan: OrderPlan, intended_at: float) -> bytes:
    """The request for an order; times count from when it should have been sent."""
    return msgspec.json.encode(
        CreateDelivery(
            external_delivery_id=plan.external_delivery_id,
            external_store_id=plan.external_store_id,
            service_level=plan.service_level,
            dropoff_address=plan.door.address,
            dropoff_lat=plan.door.place.lat,
            dropoff_lon=plan.door.place.lon,
            contact_name=plan.contact_name,
            packages=tuple(PackageRequest(weight_grams=800) for _ in range(plan.packages)),
            pickup_ready_at=datetime.fromtimestamp(intended_at + plan.prep_seconds, UTC),
            tip_cents=plan.tip_cents,
            undeliverable_action=plan.undeliverable_action,
            dropoff_verification=DropoffVerification(photo=plan.photo, pincode=plan.pincode),
        )
    )


class Merchants:
    """api_keys: by external_store_id. placed: called once per created order, with its PIN if it has one."""

    def __init__(
        self,
        base_url: str,
        api_keys: Mapping[str, str],
        book: Book,
        placed: Callable[[OrderStory, str | None], None],
    ) -> None:
        self._api_keys, self._book, self._placed = api_keys, book, placed
        self._http = httpx.AsyncClient(
            base_url=base_url, timeout=10.0, limits=httpx.Limits(max_connections=64), trust_env=False
        )

    async def run(self, orders: tuple[OrderPlan, ...], begin_at: float) -> None:
        """Places every order at its time; returns when each has been called ready. begin_at: Unix seconds."""
        async with asyncio.TaskGroup() as group:
            for number, plan in enumerate(sorted(orders, key=lambda o: o.at_seconds)):
                await asyncio.sleep(max(0.0, begin_at + plan.at_seconds - time.time()))
                story = OrderStory(plan, intended_at=begin_at + plan.at_seconds)
                self._book.orders[plan.external_delivery_id] = story
                group.create_task(self._order(story, repeat=number % REPEATS_ONE_IN == REPEATS_ONE_IN - 1))

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _order(self, story: OrderStory, repeat: bool) -> None:
        try:
            await self._place(story, repeat)
            if story.created:
                await self._prepare(story)
        except (httpx.HTTPError, ServerTroubleError, msgspec.MsgspecError) as error:
            self._book.troubles.add(f"order {story.external_delivery_id}: {type(error).__name__}: {error}")

    async def _place(self, story: OrderStory, repeat: bool) -> None:
        body = create_body(story.plan, story.intended_at)
        response = await self._post("/v1/deliveries", story.plan, body)
        if response.status_code not in (HTTPStatus.CREATED, HTTPStatus.OK):
            self._book.troubles.add(f"order {story.external_delivery_id}: {response.status_code} {response.text[:200]}")
            return
        created = msgspec.json.decode(response.content, type=DeliveryCreated)
        story.created, story.delivery_id, story.market_id = True, created.delivery_id, created.market_id
        story.tracking_url = created.tracking_url
        self._placed(story, created.pincode)
        if repeat:
            again = await self._post("/v1/deliveries", story.plan, body)
            if again.status_code != HTTPStatus.OK or again.content != response.content:
                self._book.troubles.add(
                    f"order {story.external_delivery_id}: the repeated request was answered otherwise"
                )

    async def _prepare(self, story: OrderStory) -> None:
        await self._readiness(story, "preparing")
        if story.plan.mishap is Mishap.MERCHANT_CANCELS:
            await asyncio.sleep(story.plan.prep_seconds * CANCEL_AFTER_SHARE)
            await self._cancel(story)
            if story.cancelled:
                return
        await asyncio.sleep(max(0.0, story.ready_at - time.time()))
        await self._readiness(story, "ready")

    async def _cancel(self, story: OrderStory) -> None:
        path = f"/v1/markets/{story.market_id}/deliveries/{story.delivery_id}/cancel"
        response = await self._post(path, story.plan, msgspec.json.encode(CancelDelivery("customer_cancelled")))
        story.cancelled = response.status_code == HTTPStatus.OK
        # 409: it has just left the store.
        if not story.cancelled and response.status_code != HTTPStatus.CONFLICT:
            text = f"{response.status_code} {response.text[:200]}"
            self._book.troubles.add(f"cancelling {story.external_delivery_id}: {text}")

    async def _readiness(self, story: OrderStory, readiness: StoreReadiness) -> None:
        path = f"/v1/markets/{story.market_id}/deliveries/{story.delivery_id}/readiness"
        response = await self._post(path, story.plan, msgspec.json.encode(SetReadiness(readiness)))
        # 409: a driver who came at the same moment has already been handed the parcel.
        if response.status_code == HTTPStatus.OK:
            story.readiness = readiness
        elif response.status_code != HTTPStatus.CONFLICT:
            self._book.troubles.add(
                f"{readiness} of {story.external_delivery_id}: {response.status_code} {response.text[:200]}"
            )

    async def _post(self, path: str, plan: OrderPlan, body: bytes) -> httpx.Response:
        """The same bytes until an answer below 500 comes: requests are idempotent."""
        headers = {
            "Authorization": f"Bearer {self._api_keys[plan.external_store_id]}",
            "Content-Type": "application/json",
        }
        async for attempt in stamina.retry_context(
            on=(httpx.TransportError, ServerTroubleError),
            attempts=ATTEMPTS_MAX,
            timeout=RETRY_SECONDS_MAX,
            wait_initial=0.1,
            wait_max=3.0,
        ):
            with attempt:
                response = await self._http.post(path, content=body, headers=headers)
                if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    raise ServerTroubleError(f"{response.status_code} {response.text[:200]}")
                return response
        raise AssertionError("retry_context ends by return or raise")
