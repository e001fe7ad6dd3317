"""Per market of one server process: rules read, chain followed, board filled, workers started – once, also for a
market that appears while we run."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Final
from uuid import UUID

import msgspec
import structlog

from flexlive.protocol.views import RouteView
from flexlive.realtime.board import Board
from flexlive.realtime.chain import FactRow
from flexlive.realtime.fact_router import FactRouter
from flexlive.realtime.facts import offer_on_board
from flexlive.realtime.hub import Hub, HubFact, track_channel
from flexlive.realtime.receiver import ChainSubscriber
from flexlive.services import offers
from flexlive.services.context import Context
from flexlive.services.courier_news import CourierNews, positions_topic, told
from flexlive.services.principals import ENDING_KINDS
from flexlive.services.route_view import route_view
from flexlive.storage import policies, routes
from flexlive.workers.dispatcher import WAKING_KINDS, Dispatcher
from flexlive.workers.fact_source import DatabaseFacts
from flexlive.workers.relay import Relay
from flexlive.workers.sweeper import Sweeper
from flexlive.workers.waker import RINGING_KINDS, Waker
from flexlive.workers.watch import Watch

NEW_MARKETS_POLL_SECONDS: Final = 5.0
_log = structlog.get_logger()


class _RouteFact(msgspec.Struct, frozen=True):
    driver_id: UUID
    route: RouteView


class _Follower:
    """Holds back facts while the state they may already be part of is being read: an offer taken in that moment
    would otherwise be ended first and shown afterwards."""

    def __init__(self, apply: Callable[[FactRow], None]) -> None:
        self._apply = apply
        self._held: list[FactRow] | None = []

    def apply(self, row: FactRow) -> None:
        if self._held is None:
            self._apply(row)
        else:
            self._held.append(row)

    def release(self) -> None:
        held, self._held = self._held or [], None
        for row in held:
            self._apply(row)


class MarketsRuntime:
    """`flowing`: whether every market's facts come, be it by polling. `heard`: whether none has to be polled for."""

    def __init__(
        self,
        ctx: Context,
        hub: Hub,
        board: Board,
        router: FactRouter,
        relay: Relay,
        dispatcher: Dispatcher,
        sweeper: Sweeper,
        watch: Watch,
        waker: Waker,
        on_replaced: Callable[[], None],
    ) -> None:
        self._ctx = ctx
        self._hub = hub
        self._board = board
        self._router = router
        self._relay = relay
        self._dispatcher = dispatcher
        self._sweeper = sweeper
        self._watch = watch
        self._waker = waker
        self._on_replaced = on_replaced
        self._chains: dict[str, ChainSubscriber] = {}
        self._opening: dict[str, asyncio.Task[None]] = {}

    async def start(self) -> None:
        for market_id in await policies.market_ids(self._ctx.pool):
            await self.ensure(market_id)

    async def run(self) -> None:
        """Looks for markets that another process created, until cancelled."""
        while True:
            await asyncio.sleep(NEW_MARKETS_POLL_SECONDS)
            try:
                await self.start()
            except Exception as error:
                _log.warning("markets_poll_failed", error=repr(error))

    async def stop(self) -> None:
        for task in self._opening.values():
            task.cancel()
        for chain in self._chains.values():
            await chain.stop()

    @property
    def flowing(self) -> bool:
        return all(chain.flowing for chain in self._chains.values())

    @property
    def heard(self) -> bool:
        return not any(chain.silent for chain in self._chains.values())

    def knows(self, market_id: str) -> bool:
        return market_id in self._chains

    async def ensure(self, market_id: str) -> None:
        """Return once this process follows the market. FlexliveError(market_unknown) when there is none."""
        if market_id in self._chains:
            return
        task = self._opening.get(market_id)
        if task is None:
            task = self._opening[market_id] = asyncio.create_task(self._open(market_id))
            task.add_done_callback(lambda _: self._opening.pop(market_id, None))
        # Shielded: the first asker hanging up must not leave the others without a market.
        await asyncio.shield(task)

    async def _open(self, market_id: str) -> None:
        ctx = self._ctx
        rules = await ctx.rules.get(ctx.pool, market_id, ctx.monotonic())
        ctx.presence.configure(market_id, presence_resolution=rules.presence_resolution)
        self._board.configure(market_id, offer_resolution=rules.offer_resolution)
        follower = _Follower(self._apply)
        chain = ChainSubscriber(
            market_id,
            ctx.bus,
            DatabaseFacts(ctx.pool, market_id),
            follower.apply,
            on_replaced=self._on_replaced,
        )
        ctx.bus.subscribe(positions_topic(market_id), partial(_courier_news, self._hub))
        ctx.roster.follow(market_id)
        # Position before state: a fact after this line may repeat what is read below, none can be missed.
        await chain.start()
        try:
            for offer in await offers.open_offers(ctx, market_id):
                shown = offer_on_board(msgspec.json.encode(offer.data))
                self._board.show(market_id, msgspec.structs.replace(shown, excluded=frozenset(offer.declined_by)))
            for sheet in await routes.all_active(ctx.pool, market_id):
                ctx.legs.apply(market_id, sheet.route["driver_id"], route_view(sheet))
        except BaseException:
            await chain.stop()
            raise
        follower.release()
        self._chains[market_id] = chain
        self._relay.ensure(market_id)
        self._dispatcher.ensure(market_id)
        self._sweeper.ensure(market_id)
        self._watch.ensure(market_id)
        self._waker.ensure(market_id)

    def _apply(self, row: FactRow) -> None:
        if row.kind in ENDING_KINDS:
            # Before the sockets close: who comes back at once is looked up anew.
            with contextlib.suppress(ValueError):
                driver_id = UUID(row.stream.partition(":")[2])
                self._ctx.principals.end(row.market_id, driver_id, self._ctx.monotonic())
        self._router.apply(row)
        if row.stream.startswith("route:"):
            with contextlib.suppress(msgspec.MsgspecError):
                fact = msgspec.json.decode(row.data, type=_RouteFact)
                self._ctx.legs.apply(row.market_id, fact.driver_id, fact.route)
        if row.kind in WAKING_KINDS:
            self._dispatcher.wake(row.market_id)
        if row.kind in RINGING_KINDS:
            self._waker.wake(row.market_id)


def _courier_news(hub: Hub, payload: bytes) -> None:
    """An ephemeral word about a courier, to that courier's next customer if connected here."""
    with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
        news = msgspec.json.decode(payload, type=CourierNews)
        now = datetime.now(UTC)
        for kind, body in told(news):
            hub.publish(track_channel(news.delivery_id), HubFact(kind, 0, now, body))
