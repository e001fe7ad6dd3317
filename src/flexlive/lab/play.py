"""One play from the first process to the verdict."""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import AsyncExitStack
from random import Random

import msgspec

from flexlive.lab.book import Book, OrderStory
from flexlive.lab.cast import cast_drivers, manifest_of
from flexlive.lab.cross_check import Committed
from flexlive.lab.customers import Customers
from flexlive.lab.fleet_process import FleetProcess
from flexlive.lab.merchants import Merchants, create_body
from flexlive.lab.ops_client import OpsClient
from flexlive.lab.options import DemoOptions
from flexlive.lab.pilot_scenario import pilot_scenario
from flexlive.lab.pilot_world import pilot_world, seed_pilot_malls
from flexlive.lab.processes import beside
from flexlive.lab.real_day import RealDayError, load_day, parse_window, within
from flexlive.lab.real_day_scenario import RecordedWindow, real_day_scenario, whole_window
from flexlive.lab.real_day_world import build_world
from flexlive.lab.scenario import Scenario
from flexlive.lab.server_process import wait_ready
from flexlive.lab.stage import Stage, open_stage
from flexlive.lab.summary import RunFacts, Summary, summarise
from flexlive.lab.summary_table import print_summary
from flexlive.lab.together import together
from flexlive.lab.view import View
from flexlive.lab.waiting import committed_state, drain
from flexlive.lab.world import World
from flexlive.storage.maintenance import refresh_statistics

SHOW_SECONDS = 0.25


async def play(options: DemoOptions, view: View) -> bool:
    """Returns whether every promise was kept. Raises DemoError, RealDayError, DatabaseSetupError."""
    options.check()
    recorded = load_recorded(options)
    async with open_stage(options, view) as stage:
        world, scenario = await _furnish(options, recorded, stage, view)
        summary = await beside(stage.server, _perform(options, stage, world, scenario, view))
        print_summary(view.console, summary)
        if options.json_path is not None:
            options.json_path.write_bytes(msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n")
            view.step(f"summary written to {options.json_path}")
        if options.serve:
            await beside(stage.server, _serve_on(options, stage, world, scenario, view))
        return summary.ok


def load_recorded(options: DemoOptions) -> RecordedWindow | None:
    """The recorded day that is asked for, before anything is started. Raises RealDayError."""
    if options.day is None:
        if options.window is not None:
            raise RealDayError("--window belongs to a recorded day: give --day too")
        return None
    day = load_day(options.day)
    window = whole_window(day) if options.window is None else parse_window(options.window)
    return RecordedWindow(within(day, window), window)


async def _furnish(
    options: DemoOptions, recorded: RecordedWindow | None, stage: Stage, view: View
) -> tuple[World, Scenario]:
    """A city to play in and what will be played there."""
    run = secrets.token_hex(3)
    ready = wait_ready(stage.server, stage.base_url, options.start_seconds_max)
    async with OpsClient(stage.base_url, stage.ops_token) as client:
        if recorded is not None:
            await ready
            orders, couriers = len(recorded.day.orders), len(recorded.day.couriers)
            view.step(f"server ready; building the city of {recorded.day.name}: {orders} orders, {couriers} couriers")
            world = await build_world(client, recorded.day, run)
            return world, real_day_scenario(recorded, options.speed, world.markets[0])
        await together(ready, seed_pilot_malls(stage.dsn, stage.directory / "seed.log"))
        world = await pilot_world(client)
        view.step(f"server ready; {len(world.sites)} pilot malls with {len(world.stores)} stores")
        scenario = pilot_scenario(
            world,
            drivers=options.drivers,
            orders=options.orders,
            seconds=options.seconds,
            scale=options.speed,
            seed=options.seed,
            run=run,
        )
        return world, scenario


async def _perform(options: DemoOptions, stage: Stage, world: World, scenario: Scenario, view: View) -> Summary:
    """Drivers on, orders placed, everything drained, everybody home, judged."""
    book, begun_at = Book(), time.monotonic()
    async with AsyncExitStack() as stack:
        async with OpsClient(stage.base_url, stage.ops_token) as client:
            drivers = await cast_drivers(client, scenario)
        await refresh_statistics(stage.pool)
        view.step(f"{len(drivers)} drivers signed up; bringing their phones online")
        manifest = manifest_of(options, stage.base_url, world, scenario, drivers)
        fleet = await FleetProcess.start(manifest, stage.directory, book, view)
        stack.push_async_callback(fleet.stop)
        customers = Customers(stage.base_url, book, Random(options.seed))
        stack.push_async_callback(customers.aclose)
        pins: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

        def placed(order: OrderStory, pincode: str | None) -> None:
            if not any(o.tracking_url for o in book.orders.values() if o is not order):
                view.step(f"first order; its tracking page: {order.tracking_url}")
            customers.follow(order)
            if pincode is not None:
                pins.put_nowait((order.external_delivery_id, pincode))

        merchants = Merchants(stage.base_url, {s.external_store_id: s.api_key for s in world.stores}, book, placed)
        stack.push_async_callback(merchants.aclose)
        stack.push_async_callback(_cancel, asyncio.create_task(_tell_pins(fleet, pins)))
        await fleet.wait_online(sum(d.on_seconds <= 0 for d in scenario.drivers), options.start_seconds_max)
        view.step(f"{fleet.online} drivers online; ordering begins")
        await fleet.begin()
        begin_at = time.time()
        stack.push_async_callback(_cancel, asyncio.create_task(_show(view, begin_at, scenario, book, fleet)))
        stack.callback(view.panel_ends)
        view.panel_begins()
        await merchants.run(scenario.orders, begin_at)
        await drain(stage, book, fleet, world.markets, options.drain_seconds_max)
        finished = await fleet.finish()
        driver_ids = {driver.driver_id for driver in drivers}
        committed: Committed = await committed_state(stage, book, world.markets, driver_ids)
        run = RunFacts(
            scenario=scenario.name,
            drivers=len(drivers),
            seed=options.seed,
            speed=options.speed,
            wall_seconds=time.monotonic() - begun_at,
            first_offer_seconds=fleet.first_offer_seconds,
            page_reconnects=customers.reconnects,
        )
        return summarise(run, book, fleet.samples, finished, committed)


async def _show(view: View, begin_at: float, scenario: Scenario, book: Book, fleet: FleetProcess) -> None:
    while True:
        ordering = time.time() < begin_at + scenario.order_seconds
        view.show("ordering" if ordering else "draining", book, fleet.samples)
        await asyncio.sleep(SHOW_SECONDS)


async def _tell_pins(fleet: FleetProcess, pins: asyncio.Queue[tuple[str, str]]) -> None:
    while True:
        await fleet.pin(*await pins.get())


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _serve_on(options: DemoOptions, stage: Stage, world: World, scenario: Scenario, view: View) -> None:
    """The server stays, and drivers come back, until Ctrl-C."""
    async with AsyncExitStack() as stack:
        async with OpsClient(stage.base_url, stage.ops_token) as client:
            drivers = await cast_drivers(client, scenario)
        manifest = manifest_of(options, stage.base_url, world, scenario, drivers)
        fleet = await FleetProcess.start(manifest, stage.directory, Book(), view)
        stack.push_async_callback(fleet.stop)
        await fleet.begin()
        view.step(f"still serving: API description {stage.base_url}/schema, health {stage.base_url}/readyz")
        view.step(f"operations token: {stage.ops_token}")
        if scenario.orders:
            view.step(f"an order of your own:\n{order_command(stage.base_url, world, scenario)}")
        view.step("Ctrl-C ends everything")
        await asyncio.Event().wait()


def order_command(base_url: str, world: World, scenario: Scenario) -> str:
    """A shell command that orders what the play's first customer ordered, once more."""
    plan = msgspec.structs.replace(
        scenario.orders[0], external_delivery_id=f"by-hand-{secrets.token_hex(3)}", pincode=False
    )
    key = next(store.api_key for store in world.stores if store.external_store_id == plan.external_store_id)
    body = create_body(plan, time.time()).decode().replace("'", "")
    return (
        f"curl -sS {base_url}/v1/deliveries -H 'Authorization: Bearer {key}' "
        f"-H 'Content-Type: application/json' -d '{body}'"
    )
