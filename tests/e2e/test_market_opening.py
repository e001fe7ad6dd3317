"""Opening an offer type on the real server: a notice on the phone, an answer, offers; then the switch."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from flexlive.domain.errors import FlexliveError
from flexlive.protocol import driver as wire
from flexlive.protocol import ops
from flexlive.services import enrolments, tokens
from tests.support.http_server import Server, serve
from tests.support.phones import Phone
from tests.support.thorough import ONE_SECOND_MAX
from tests.support.world import SITE, World, build_world

TYPE = "retail_delivery"


class Ops:
    """The operations API of one market, as an operator's tool would call it."""

    def __init__(self, server: Server, market_id: str, token: str) -> None:
        self._server, self._base = server, f"/v1/ops/markets/{market_id}"
        self._headers = server.bearer(token)

    async def get(self, path: str) -> Any:
        response = await self._server.http.get(self._base + path, headers=self._headers)
        assert response.status_code == 200, response.text
        return response.json()

    async def send(self, method: str, path: str, body: dict[str, Any]) -> Any:
        response = await self._server.http.request(method, self._base + path, json=body, headers=self._headers)
        assert response.status_code in {200, 201}, response.text
        return response.json()


async def ops_of(server: Server, world: World) -> Ops:
    issued = await tokens.issue_ops_token(server.ctx, timedelta(hours=1), world.market_id)
    return Ops(server, world.market_id, issued.token)


def in_days(days: int) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()


async def newcomers(world: World, count: int) -> list[str]:
    """Access tokens of drivers nobody has enrolled, on-line at the site."""
    asked = ops.ProvisionDrivers(drivers=tuple(ops.NewDriver(first_name=f"D{number}") for number in range(count)))
    made = await enrolments.provision(world.ctx, world.market_id, asked)
    await world.go_online([driver.driver_id for driver in made])
    world.drivers.clear()
    return [driver.access_token for driver in made]


def offer_ids(phone: Phone) -> set[UUID]:
    return set(phone.session.state.offers)


async def test_from_the_notice_to_the_first_accept_on_one_open_socket(database_url: str) -> None:
    async with serve(database_url) as server:
        world = await build_world(server.ctx)
        operator = await ops_of(server, world)
        await operator.send(
            "PUT", f"/offer-types/{TYPE}", {"name": "Retail delivery", "documents_required": ["driving_licence"]}
        )
        [token] = await newcomers(world, 1)
        await world.order()
        phone = Phone()
        async with phone.connected(server.url, token, SITE):
            await phone.read_quietly(0.3)
            assert offer_ids(phone) == set()
            body = {
                "title": "Retail delivery offers", "body": "A new offer type near you.", "offer_type": TYPE,
                "action": "enrol", "audience": {"kind": "market"}, "expires_at": in_days(7),
            }  # fmt: skip
            sent = await operator.send("POST", "/notices", body)
            notice = (await phone.until(lambda: phone.got(wire.Notice)))[0]
            assert (notice.notice_id, notice.offer_type, notice.terms_version) == (UUID(sent["notice_id"]), TYPE, 1)
            await phone.send(wire.NoticeSeen(notice_id=notice.notice_id))
            answer = wire.EnrolmentAnswer(cmd="e-1", offer_type=TYPE, accept=True, terms_version=1)
            assert (await phone.command(answer)).current == {
                "status": "documents",
                "documents_missing": ["driving_licence"],
            }
            driver_id = (await operator.get("/enrolments?offer_type=retail_delivery"))["enrolments"][0]["driver_id"]
            await operator.send("PUT", f"/drivers/{driver_id}/documents/driving_licence", {"status": "approved"})
            # The same socket: no reconnect, and what was open all the while comes now.
            [offer_id] = await phone.until(lambda: offer_ids(phone))
            assert [each.status for each in phone.got(wire.EnrolmentUpdate)] == ["documents", "active"]
            [offer] = phone.session.state.offers.values()
            accept = wire.OfferAccept(cmd="a-1", offer_id=offer_id, offer_version=offer.offer_version)
            assert (await phone.command(accept)).code == "won"
            reason = {"reason_code": "safety", "note": ""}
            # Suspended while a card is on the screen: it goes, and the next one does not come.
            await world.ctx.pool.execute("update driver set routes_active_max = 2")
            await world.order()
            await phone.until(lambda: offer_ids(phone))
            await operator.send("PUT", f"/drivers/{driver_id}/enrolments/{TYPE}", {"status": "suspended", **reason})
            await phone.until(lambda: not offer_ids(phone))
            await world.order()
            await phone.read_quietly(0.3)
            assert offer_ids(phone) == set()
            await operator.send("PUT", f"/drivers/{driver_id}/enrolments/{TYPE}", {"status": "active", **reason})
            await phone.until(lambda: len(offer_ids(phone)) == 1)
            async with asyncio.timeout(5):
                # The signal is stored within a second or so.
                while (funnel := await operator.get(f"/notices/{sent['notice_id']}/funnel"))["seen"] == 0:
                    await asyncio.sleep(0.05)
            assert [funnel[step] for step in ("sent", "seen", "opted_in", "first_accept")] == [1, 1, 1, 1]
        assert phone.violations == []


async def test_the_switch_ends_offers_within_a_second_and_routes_finish(database_url: str) -> None:
    async with serve(database_url) as server:
        world = await build_world(server.ctx)
        operator = await ops_of(server, world)
        tokens_of = await newcomers(world, 3)
        page = await operator.get("/drivers")
        ids = [driver["driver_id"] for driver in page["drivers"]]
        reason = {"reason_code": "ops_decision", "note": "test"}
        for driver_id in ids:
            await operator.send("PUT", f"/drivers/{driver_id}/enrolments/{TYPE}", {"status": "invited", **reason})
        cohort, control, busy = Phone("a"), Phone("b"), Phone("c")
        async with (
            cohort.connected(server.url, tokens_of[0], SITE),
            control.connected(server.url, tokens_of[1], SITE),
            busy.connected(server.url, tokens_of[2], SITE),
        ):
            for phone in (cohort, control, busy):
                answer = wire.EnrolmentAnswer(cmd="e-1", offer_type=TYPE, accept=True, terms_version=1)
                assert (await phone.command(answer)).ok
            pilot = await operator.send(
                "POST",
                "/pilots",
                {
                    "name": "Fashion Show", "offer_type": TYPE, "ends_at": in_days(30),
                    "cohort": [ids[0], ids[2]], "control": [ids[1]],
                },
            )  # fmt: skip
            path = f"/pilots/{pilot['pilot_id']}"
            await world.order()
            [offer] = await busy.until(lambda: list(busy.session.state.offers.values()))
            accept = wire.OfferAccept(cmd="a-1", offer_id=offer.offer_id, offer_version=offer.offer_version)
            assert (await busy.command(accept)).code == "won"
            for _ in range(5):
                await world.order()
            await cohort.until(lambda: len(offer_ids(cohort)) >= 3)
            # Orders go on coming while the switch is thrown.
            ordering = asyncio.create_task(keep_ordering(world))
            began = asyncio.get_running_loop().time()
            killed = await operator.send("POST", f"{path}/kill", reason)
            assert killed["offers_withdrawn"] >= 3
            await cohort.until(lambda: not offer_ids(cohort))
            assert asyncio.get_running_loop().time() - began < ONE_SECOND_MAX
            frames = len(cohort.frames)
            refused = await ordering
            await cohort.read_quietly(1.5)
            assert refused == "not_participating"
            assert not [frame for frame in cohort.frames[frames:] if b'"offer.open"' in frame]
            assert await operator.get(path) == killed["pilot"]
            stranger = await tokens.issue_ops_token(server.ctx, timedelta(hours=1), "elsewhere")
            for foreign in (path, "/notices", f"/enrolments?offer_type={TYPE}", "/documents"):
                response = await server.http.get(
                    f"/v1/ops/markets/{world.market_id}{foreign}", headers=server.bearer(stranger.token)
                )
                assert (response.status_code, response.json()["code"]) == (404, "market_unknown")
            # The route goes on to the next step as if nothing had happened.
            [route] = await busy.until(lambda: list(busy.session.state.routes.values()))
            assert (await busy.command(wire.Depart(cmd="d-1", stop_id=route.stops[0].stop_id))).ok
            assert (await operator.send("POST", f"{path}/resume", reason))["status"] == "running"
            await cohort.until(lambda: offer_ids(cohort), seconds=10)
            await control.read_quietly(0.2)
            assert control.got(wire.OfferOpen) == []
            report = await operator.get(f"{path}/report")
            assert report["pilot"]["cohort_drivers"] == 2
            assert {effect["measure"] for effect in report["effects"]} == {
                "earnings_cents", "deliveries", "accept_share", "in_window_share",
            }  # fmt: skip
        assert cohort.violations == control.violations == busy.violations == []


async def keep_ordering(world: World) -> str | None:
    """Order until it is refused; the code it is refused with."""
    async with asyncio.timeout(5):
        while True:
            try:
                await world.order()
            except FlexliveError as error:
                return error.code.value
