"""The performance itself: drivers on, orders placed, faults made, everything drained, everybody home, judged."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from random import Random

from flexlive.lab.book import Book, OrderStory
from flexlive.lab.cast import cast_drivers, manifest_of
from flexlive.lab.chaos import Chaos, plan_strikes
from flexlive.lab.convergence import Convergence
from flexlive.lab.customers import Customers
from flexlive.lab.fleet_messages import FleetDriver
from flexlive.lab.fleet_process import FleetProcess
from flexlive.lab.merchants import Merchants
from flexlive.lab.operators import Operators
from flexlive.lab.ops_client import OpsClient
from flexlive.lab.options import DemoError, DemoOptions
from flexlive.lab.pilot_play import PilotFigures, PilotPlay, pilot_figures, set_up
from flexlive.lab.scenario import Scenario
from flexlive.lab.stage import Stage
from flexlive.lab.summary import RunFacts, Summary, summarise
from flexlive.lab.together import together
from flexlive.lab.view import View
from flexlive.lab.waiting import committed_state, converge, drain
from flexlive.lab.world import World
from flexlive.storage.maintenance import refresh_statistics

SHOW_SECONDS = 0.25


class Performance:
    """One run of a scenario on a stage that is furnished."""

    def __init__(self, options: DemoOptions, stage: Stage, world: World, scenario: Scenario, view: View) -> None:
        self._options, self._stage, self._world, self._scenario, self._view = options, stage, world, scenario, view
        self._book = Book()
        self._chaos = _chaos(options, stage, view)
        self._convergence: Convergence | None = None
        self._pilot: PilotPlay | None = None

    async def run(self) -> Summary:
        """Raises DemoError when it cannot be played to its end."""
        stage, view, book, begun_at = self._stage, self._view, self._book, time.monotonic()
        async with AsyncExitStack() as stack:
            async with OpsClient(stage.base_url, stage.ops_token) as client:
                drivers = await cast_drivers(client, self._scenario)
            await refresh_statistics(stage.pool)
            view.step(f"{len(drivers)} drivers signed up; bringing their phones online")
            manifest = manifest_of(self._options, stage.base_url, self._world, self._scenario, drivers)
            fleet = await FleetProcess.start(manifest, stage.directory, book, view)
            stack.push_async_callback(fleet.stop)
            customers = Customers(stage.base_url, book, Random(self._options.seed))
            stack.push_async_callback(customers.aclose)
            merchants = self._merchants(stack, fleet, customers)
            desk = await stack.enter_async_context(OpsClient(stage.base_url, stage.ops_token))
            operators = Operators(desk, fleet, book, self._world.markets)
            stack.push_async_callback(_cancel, asyncio.create_task(operators.run()))
            present = sum(driver.on_seconds <= 0 for driver in self._scenario.drivers)
            await fleet.wait_online(present, self._options.start_seconds_max)
            view.step(f"{fleet.online} drivers online; ordering begins")
            await fleet.begin()
            begin_at = time.time()
            if self._scenario.pilot:
                self._pilot = await set_up(desk, self._world, self._scenario, secrets.token_hex(3))
            stack.push_async_callback(_cancel, asyncio.create_task(self._show(begin_at, fleet)))
            stack.callback(view.panel_ends)
            view.panel_begins()
            await together(merchants.run(self._scenario.orders, begin_at), self._strikes(begin_at, fleet))
            await drain(stage, book, fleet, self._world.markets, self._options.drain_seconds_max)
            pilot = None if self._pilot is None else await pilot_figures(desk, self._pilot)
            return await self._judged(fleet, customers, operators, drivers, begun_at, pilot)

    def _merchants(self, stack: AsyncExitStack, fleet: FleetProcess, customers: Customers) -> Merchants:
        book, view = self._book, self._view
        pins: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

        def placed(order: OrderStory, pincode: str | None) -> None:
            if not any(o.tracking_url for o in book.orders.values() if o is not order):
                view.step(f"first order; its tracking page: {order.tracking_url}")
            customers.follow(order)
            if pincode is not None:
                pins.put_nowait((order.external_delivery_id, pincode))

        keys = {store.external_store_id: store.api_key for store in self._world.stores}
        merchants = Merchants(self._stage.base_url, keys, book, placed)
        stack.push_async_callback(merchants.aclose)
        stack.push_async_callback(_cancel, asyncio.create_task(_tell_pins(fleet, pins)))
        return merchants

    async def _strikes(self, begin_at: float, fleet: FleetProcess) -> None:
        """The faults, and how long clients take to get over the last of them."""
        if self._chaos is None:
            return
        await self._chaos.run(plan_strikes(self._scenario.order_seconds, self._options.seed), begin_at)
        quiet_since = self._chaos.last_strike_at
        if quiet_since is not None:
            self._convergence = await converge(self._stage, self._book, fleet, self._world.markets, quiet_since)
            self._view.step(f"every client looked at {time.time() - quiet_since:.1f} s after the last kill")

    async def _show(self, begin_at: float, fleet: FleetProcess) -> None:
        while True:
            ordering = time.time() < begin_at + self._scenario.order_seconds
            self._view.show("ordering" if ordering else "draining", self._book, fleet.samples)
            await asyncio.sleep(SHOW_SECONDS)

    async def _judged(
        self,
        fleet: FleetProcess,
        customers: Customers,
        operators: Operators,
        drivers: Sequence[FleetDriver],
        begun_at: float,
        pilot: PilotFigures | None,
    ) -> Summary:
        finished = await fleet.finish()
        for line in self._stage.server.errors():
            self._book.troubles.add(f"the server's log: {line}")
        committed = await committed_state(self._stage, self._book, fleet, self._world.markets, drivers)
        run = RunFacts(
            scenario=self._scenario.name,
            drivers=len(drivers),
            seed=self._options.seed,
            speed=self._options.speed,
            wall_seconds=time.monotonic() - begun_at,
            first_offer_seconds=fleet.first_offer_seconds,
            page_reconnects=customers.reconnects,
            server_kills=self._chaos.server_kills if self._chaos is not None else 0,
            database_kills=self._chaos.database_kills if self._chaos is not None else 0,
            convergence=self._convergence,
            decisions=dict(operators.decisions),
            pilot=pilot,
            answers_checked=sum(len(device.by_cmd) for device in fleet.answers.values()),
        )
        return summarise(run, self._book, fleet.samples, finished, committed)


def _chaos(options: DemoOptions, stage: Stage, view: View) -> Chaos | None:
    if not options.chaos:
        return None
    if stage.postgres is None:
        raise DemoError("--chaos needs a PostgreSQL of its own")
    return Chaos(stage.server, stage.postgres, view.step)


async def _tell_pins(fleet: FleetProcess, pins: asyncio.Queue[tuple[str, str]]) -> None:
    while True:
        await fleet.pin(*await pins.get())


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
