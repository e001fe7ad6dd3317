"""What handlers are handed: the context and the hub, which the composition root puts into the app's state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeAlias
from uuid import UUID

from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, PathParameter, QueryParameter, SkipValidation

from flexlive.realtime.hub import Hub
from flexlive.services.context import Context
from flexlive.services.login import LoginDesk
from flexlive.services.tokens import MerchantPrincipal, OpsPrincipal
from flexlive.services.wake_push import PushKind, PushProvider
from flexlive.storage.upload_store import UploadStore
from flexlive.web.auth import merchant_of, ops_of
from flexlive.web.basemap import Basemap
from flexlive.web.errors import AnyRequest
from flexlive.web.track_feeds import TrackStreams

Ctx: TypeAlias = NamedDependency[SkipValidation[Context]]
FactHub: TypeAlias = NamedDependency[SkipValidation[Hub]]
Streams: TypeAlias = NamedDependency[SkipValidation[TrackStreams]]
PageBasemap: TypeAlias = NamedDependency[SkipValidation[Basemap]]
Desk: TypeAlias = NamedDependency[SkipValidation[LoginDesk]]
Uploads: TypeAlias = NamedDependency[SkipValidation[UploadStore]]
Providers: TypeAlias = NamedDependency[SkipValidation[Mapping[PushKind, PushProvider]]]
Merchant: TypeAlias = NamedDependency[SkipValidation[MerchantPrincipal]]
Ops: TypeAlias = NamedDependency[SkipValidation[OpsPrincipal]]

MarketPath: TypeAlias = Annotated[str, PathParameter(max_length=40, description="market id")]
IdPath: TypeAlias = FromPath[UUID]
# Bounds of a parameter stand here: those of a msgspec type are not looked at outside a body.
_NAME_PATTERN = r"^[a-z][a-z0-9_]{0,39}(?![\s\S])"
OfferTypePath: TypeAlias = Annotated[str, PathParameter(pattern=_NAME_PATTERN, description="offer type")]
OfferTypeQuery: TypeAlias = Annotated[str, QueryParameter(pattern=_NAME_PATTERN, description="offer type")]
DocumentPath: TypeAlias = Annotated[str, PathParameter(pattern=_NAME_PATTERN, description="name of a document")]


def _ctx(state: State) -> Context:
    return state.ctx


def _hub(state: State) -> Hub:
    return state.hub


def _streams(state: State) -> TrackStreams:
    return state.track_streams


def _page_basemap(state: State) -> Basemap:
    return state.basemap


def _desk(state: State) -> LoginDesk:
    return state.login_desk


def _uploads(state: State) -> UploadStore:
    return state.upload_store


def _providers(state: State) -> Mapping[PushKind, PushProvider]:
    return state.push_providers


def _merchant(request: AnyRequest) -> MerchantPrincipal:
    return merchant_of(request)


def _ops(request: AnyRequest) -> OpsPrincipal:
    return ops_of(request)


dependencies = {
    "ctx": Provide(_ctx, sync_to_thread=False),
    "hub": Provide(_hub, sync_to_thread=False),
    "streams": Provide(_streams, sync_to_thread=False),
    "desk": Provide(_desk, sync_to_thread=False),
    "store": Provide(_uploads, sync_to_thread=False),
    "providers": Provide(_providers, sync_to_thread=False),
    "page_basemap": Provide(_page_basemap, sync_to_thread=False),
}
"""For the Litestar app as a whole."""

merchant_dependency = {"merchant": Provide(_merchant, sync_to_thread=False)}
ops_dependency = {"ops": Provide(_ops, sync_to_thread=False)}
