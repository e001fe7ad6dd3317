"""What exists on the server once it has been furnished, as far as the players need to know."""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct

from flexlive.lab.geo import Place


class WorldSite(Struct, frozen=True, kw_only=True):
    """place: the entrance, where drivers check in."""

    market_id: str
    site_id: UUID
    name: str
    place: Place


class WorldStore(Struct, frozen=True, kw_only=True):
    """api_key: of the store's merchant. handoff_code: what the counter says when it hands parcels over."""

    market_id: str
    site_id: UUID
    merchant_id: UUID
    store_id: UUID
    external_store_id: str
    name: str
    handoff_code: str
    api_key: str


class World(Struct, frozen=True, kw_only=True):
    sites: tuple[WorldSite, ...]
    stores: tuple[WorldStore, ...]

    @property
    def markets(self) -> list[str]:
        return sorted({site.market_id for site in self.sites})
