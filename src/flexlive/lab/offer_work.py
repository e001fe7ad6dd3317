"""How a driver deals with offers: look at the nearest, think, take it or leave it."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import OrderedDict
from typing import TYPE_CHECKING
from uuid import UUID

from flexlive.domain.geography import distance_m
from flexlive.lab.geo import Place
from flexlive.protocol.driver import OfferView, RouteView

if TYPE_CHECKING:
    from flexlive.lab.driver_bot import DriverBot

DECLINES_OF_REFUSALS = 0.5
ROUTE_WAIT_SECONDS_MAX = 15.0
# After an answer that means "not you" or "not like this": do not hammer on.
REFUSED_PAUSE_SECONDS = 1.0
PAUSE_AFTER = frozenset({"invalid", "not_found", "conflict", "not_eligible"})
DECIDED_MAX = 512


class OfferWork:
    """Remembers what was decided, so that an offer is looked at again only in a new version."""

    def __init__(self, bot: DriverBot) -> None:
        self._bot = bot
        self._decided: OrderedDict[UUID, int] = OrderedDict()

    def choose(self) -> OfferView | None:
        """The nearest open offer not decided on in its present version."""
        offers = self._bot.client.state.offers.values()
        fresh = [offer for offer in offers if self._decided.get(offer.offer_id, 0) < offer.offer_version]
        return min(fresh, key=self._pickup_m, default=None)

    async def consider(self, offer: OfferView) -> None:
        """Thinks about it, then accepts, declines or looks away."""
        bot, habits = self._bot, self._bot.manifest.habits
        await bot.clock.sleep(bot.random.uniform(habits.think_seconds_min, habits.think_seconds_max))
        current = bot.client.state.offers.get(offer.offer_id)
        if current is None or bot.off.is_set():
            return
        self._decide(current)
        pickup_km = self._pickup_m(current) / 1000
        willing = bot.random.uniform(habits.accept_low, 1) * math.exp(-pickup_km / habits.accept_km)
        if habits.eager or bot.random.random() < willing:
            await self._accept(current)
        elif bot.random.random() < DECLINES_OF_REFUSALS:
            await bot.client.decline(current.offer_id)

    async def _accept(self, offer: OfferView) -> None:
        bot = self._bot
        begun = bot.clock.now()
        answer = await bot.client.accept(offer)
        bot.report.answered((bot.clock.now() - begun) * 1000)
        if answer.code == "won":
            bot.report.won(offer.offer_id, bot.driver.driver_id, bot.clock.unix())
            route = await self._route_comes(offer.offer_id)
            # After an outage the answer may come when the work is already somebody else's: then that was told too.
            if route is None and not bot.history.route_came(offer.offer_id):
                bot.report.trouble(f"{bot.history.name}: won {offer.offer_id}, but no route came")
            elif route is not None:
                bot.report.assigned(route)
            return
        bot.report.refuse(answer.code)
        if answer.code in PAUSE_AFTER:
            await asyncio.sleep(REFUSED_PAUSE_SECONDS)

    async def _route_comes(self, offer_id: UUID) -> RouteView | None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ROUTE_WAIT_SECONDS_MAX):
                while True:
                    for route in self._bot.client.state.routes.values():
                        if route.offer_id == offer_id:
                            return route
                    if self._bot.history.route_came(offer_id):
                        return None
                    await self._bot.news()
        return None

    def _pickup_m(self, offer: OfferView) -> float:
        return distance_m(Place(offer.site.entrance.lat, offer.site.entrance.lon), self._bot.place())

    def _decide(self, offer: OfferView) -> None:
        self._decided[offer.offer_id] = offer.offer_version
        if len(self._decided) > DECIDED_MAX:
            self._decided.popitem(last=False)
