"""The customer's page in a real browser, while a real driver moves."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from time import perf_counter
from urllib.parse import urlsplit

import pytest

from flexlive.protocol.merchant import DropoffVerification
from flexlive.services import tracking
from tests.browser.conftest import Street
from tests.support.courier import on_the_road
from tests.support.thorough import ONE_SECOND_MAX
from tests.support.world import SITE

pytestmark = pytest.mark.asyncio(loop_scope="module")

# A processor that has to draw the map besides; a phone has hardware for it.
WITH_MAP_SECONDS = 15.0
NO_WEBGL = "HTMLCanvasElement.prototype.getContext = () => null"
HALFWAY = (SITE[0] + 0.009, SITE[1])
DOOR = (SITE[0] + 0.018, SITE[1])


async def test_every_step_shows_within_a_second_and_the_map_follows_the_own_leg(street: Street) -> None:
    async with street.world() as world, on_the_road(street.server.url, world) as courier:
        created = await world.order(
            dropoff_verification=DropoffVerification(pincode="4711"), fulfilled_by="Blue Kite Toys"
        )
        customer = await street.customer()
        await customer.open(created)
        await customer.sees("Order received")
        await courier.win()
        await customer.sees("A driver is assigned")
        await courier.depart()
        await customer.sees("heading to the store")
        await courier.arrive()
        await customer.sees("at the store")
        assert await customer.page.locator("#map").count() == 0
        assert not [address for address in customer.asked if "vendor" in address]
        before = len(customer.relay.heard)
        assert "Driver0" not in customer.heard()
        await courier.pick_up()
        began = perf_counter()
        await customer.sees("On the way to you")
        assert perf_counter() - began < ONE_SECOND_MAX
        assert "Driver0" in customer.heard(before)
        await customer.page.get_by_text("4711").wait_for()
        await courier.ping(HALFWAY)
        await customer.page.locator("#map[data-drawn]").wait_for(timeout=10_000)
        drawn = await customer.page.locator("#map").get_attribute("data-drawn")
        await courier.ping((HALFWAY[0] + 0.006, HALFWAY[1]))
        await customer.page.locator(f'#map[data-drawn]:not([data-drawn="{drawn}"])').wait_for(
            timeout=2 * ONE_SECOND_MAX * 1000
        )
        await customer.sees("Almost there", WITH_MAP_SECONDS)
        await courier.arrive()
        await customer.sees("Your driver is here", WITH_MAP_SECONDS)
        await courier.deliver(pincode="4711", recipient="Ana")
        await customer.sees("Delivered", WITH_MAP_SECONDS)
        await customer.page.get_by_text("Received by Ana").first.wait_for()
        assert await customer.page.locator("#map").count() == 0
        assert await customer.page.get_by_text("Driver0").count() == 0
        assert await customer.page.get_by_text("4711").count() == 0
        hosts = {urlsplit(address).netloc for address in customer.asked if not address.startswith(("data:", "blob:"))}
        assert hosts == {f"127.0.0.1:{customer.relay.port}"}
        assert customer.faults == []


async def test_without_webgl_the_text_says_it_all_and_within_a_second(street: Street) -> None:
    async with street.world() as world, on_the_road(street.server.url, world) as courier:
        created = await world.order()
        customer = await street.customer()
        await customer.page.add_init_script(NO_WEBGL)
        await customer.open(created)
        await courier.win()
        await customer.sees("A driver is assigned")
        await courier.to_the_counter()
        await customer.sees("On the way to you")
        await courier.ping(HALFWAY)
        await customer.page.locator("#eta", has_text="–").wait_for(timeout=ONE_SECOND_MAX * 1000)
        await courier.arrive()
        await customer.sees("Your driver is here")
        assert await customer.page.locator("#map").is_hidden()
        await courier.deliver()
        await customer.sees("Delivered")
        assert not [address for address in customer.asked if "maplibre" in address]
        assert customer.faults == []


async def test_without_scripts_the_page_is_whole_and_promises_nothing_it_cannot_do(street: Street) -> None:
    async with street.world() as world, on_the_road(street.server.url, world) as courier:
        created = await world.order(dropoff_instructions="Ring twice")
        await courier.win()
        await courier.to_the_counter()
        customer = await street.customer(scripts=False)
        await customer.open(created)
        await customer.sees("On the way to you")
        for text in ("Driver0", "Ring twice", "A driver is assigned", "1 Elm St"):
            assert await customer.page.get_by_text(text).first.is_visible()
        for hidden in ("#map", "button", "textarea", "#connection"):
            assert not await customer.page.locator(hidden).first.is_visible()
        width = await customer.page.evaluate("document.documentElement.scrollWidth")
        assert width <= 360


async def test_instructions_are_changed_until_the_driver_is_at_the_door(street: Street) -> None:
    async with street.world() as world, on_the_road(street.server.url, world) as courier:
        created = await world.order()
        customer = await street.customer()
        await customer.page.add_init_script(NO_WEBGL)
        await customer.open(created)
        await courier.win()
        await customer.sees("A driver is assigned")
        page = customer.page
        await page.get_by_role("button", name="Change").click()
        await page.locator("textarea").fill("Blue door\nsecond floor")
        # What comes meanwhile does not take the draft away.
        await courier.depart()
        await customer.sees("heading to the store")
        assert await page.locator("textarea").input_value() == "Blue door\nsecond floor"
        await page.get_by_role("button", name="Save").click()
        await page.locator("#instructions p.text", has_text="second floor").wait_for(timeout=2 * ONE_SECOND_MAX * 1000)
        await courier.settled(lambda: courier.route.stops[-1].instructions == "Blue door\nsecond floor")
        await courier.arrive()
        await courier.pick_up()
        await customer.sees("On the way to you")
        await page.get_by_role("button", name="Change").click()
        await page.locator("textarea").fill("Too late")
        await courier.arrive()
        await customer.sees("Your driver is here")
        await page.locator("#instructions form").wait_for(state="detached", timeout=ONE_SECOND_MAX * 1000)
        assert await page.get_by_text("second floor").is_visible()


async def test_in_a_bundle_each_customer_hears_of_the_driver_on_the_own_leg_only(street: Street) -> None:
    """Every byte the server sends to either browser, at each stage of the route."""
    bundling = {"bundle_deliveries_max": 2, "offer_lead_seconds": 600.0}
    async with street.world(**bundling) as world, on_the_road(street.server.url, world) as courier:
        # Both are there before the first of them may be offered.
        ready = datetime.now(UTC) + timedelta(seconds=602)
        near = {"pickup_ready_at": ready, "dropoff_lat": SITE[0] + 0.01, "dropoff_lon": SITE[1]}
        far = {"pickup_ready_at": ready, "dropoff_lat": SITE[0] + 0.03, "dropoff_lon": SITE[1]}
        orders = [await world.order(**place) for place in (near, far)]
        customers = [await street.customer() for _ in orders]
        for customer, created in zip(customers, orders, strict=True):
            await customer.page.add_init_script(NO_WEBGL)
            await customer.open(created)
        await courier.win()
        assert len([stop for stop in courier.route.stops if stop.kind == "door"]) == 2
        marks = ("Driver0", '"cell"', "arrives_at", str(world.drivers[0].driver_id))
        said = [0, 0]

        def named() -> list[bool]:
            """Since the last look: who heard anything of the driver."""
            answers: list[bool] = []
            for place, customer in enumerate(customers):
                heard, said[place] = customer.heard(said[place]), len(customer.relay.heard)
                answers.append(any(mark in heard for mark in marks))
            return answers

        async def moved(at: tuple[float, float]) -> list[bool]:
            await courier.ping(at)
            await asyncio.sleep(0.4)
            return named()

        assert await moved(SITE) == [False, False]
        await courier.to_the_counter()
        await customers[0].sees("On the way to you")
        await customers[1].sees("Picked up")
        assert await moved((SITE[0] + 0.004, SITE[1])) == [True, False]
        await courier.arrive()
        await customers[0].sees("Your driver is here")
        assert await moved((SITE[0] + 0.01, SITE[1])) == [True, False]
        await courier.deliver()
        await customers[0].sees("Delivered")
        await customers[1].sees("On the way to you")
        named()
        assert await moved((SITE[0] + 0.012, SITE[1])) == [False, True]
        await courier.arrive()
        await courier.deliver()
        await customers[1].sees("Delivered")
        named()
        assert await moved((SITE[0] + 0.03, SITE[1])) == [False, False]
        for customer in customers:
            await customer.page.reload()
            assert "Driver0" not in await customer.page.content()


async def test_a_network_that_drops_or_goes_silent_is_said_and_resumed(street: Street) -> None:
    async with street.world() as world, on_the_road(street.server.url, world) as courier:
        created = await world.order()
        customer = await street.customer()
        await customer.open(created)
        lost = customer.page.locator("#connection:not([hidden])")
        await courier.win()
        await customer.sees("A driver is assigned")
        for break_it in (customer.relay.cut, customer.relay.freeze):
            break_it()
            await lost.wait_for(timeout=5000)
            heard = len(customer.relay.heard)
            await (courier.depart if break_it == customer.relay.cut else courier.arrive)()
            customer.relay.restore()
            await lost.wait_for(state="hidden", timeout=10_000)
            await customer.sees("heading" if break_it == customer.relay.cut else "at the store")
            assert '"resumed":true' in customer.heard(heard)
        await customer.page.context.set_offline(True)
        await lost.wait_for(timeout=2 * ONE_SECOND_MAX * 1000)
        await customer.page.context.set_offline(False)
        await lost.wait_for(state="hidden", timeout=10_000)


async def test_a_link_that_is_ended_stops_the_page_at_once(street: Street) -> None:
    async with street.world() as world, on_the_road(street.server.url, world) as courier:
        created = await world.order()
        customer = await street.customer()
        # No map: what it loads late would be heard as well.
        await customer.page.add_init_script(NO_WEBGL)
        await customer.open(created)
        await courier.win()
        await courier.to_the_counter()
        await customer.sees("On the way to you")
        await tracking.revoke_links(street.server.ctx, world.market_id, created.delivery_id)
        await customer.sees("This link is not valid")
        await asyncio.sleep(0.1)
        heard = len(customer.relay.heard)
        await courier.ping(HALFWAY)
        await asyncio.sleep(0.4)
        assert customer.heard(heard) == ""
        assert await customer.page.locator(".courier").count() == 0
