"""One play from the first process to the verdict."""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import AsyncExitStack

import msgspec

from flexlive.lab.book import Book
from flexlive.lab.cast import cast_drivers, manifest_of
from flexlive.lab.fleet_process import FleetProcess
from flexlive.lab.merchants import create_body
from flexlive.lab.ops_client import OpsClient
from flexlive.lab.options import DemoOptions
from flexlive.lab.perform import Performance
from flexlive.lab.pilot_scenario import pilot_scenario
from flexlive.lab.pilot_world import pilot_world, seed_pilot_malls
from flexlive.lab.processes import beside
from flexlive.lab.real_day import RealDayError, load_day, parse_window, within
from flexlive.lab.real_day_scenario import RecordedWindow, real_day_scenario, whole_window
from flexlive.lab.real_day_world import build_world
from flexlive.lab.scenario import Scenario
from flexlive.lab.server_process import wait_ready
from flexlive.lab.stage import Stage, open_stage
from flexlive.lab.summary_table import print_summary
from flexlive.lab.together import together
from flexlive.lab.view import View
from flexlive.lab.world import World


async def play(options: DemoOptions, view: View) -> bool:
    """Returns whether every promise was kept. Raises DemoError, RealDayError, DatabaseSetupError."""
    options.check()
    recorded = load_recorded(options)
    async with open_stage(options, view) as stage:
        world, scenario = await _furnish(options, recorded, stage, view)
        summary = await beside(stage.server, Performance(options, stage, world, scenario, view).run())
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
            world = await build_world(client, recorded.day, run, options.speed)
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
            mishap_share=options.mishap_share,
        )
        return world, scenario


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
