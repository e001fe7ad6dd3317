"""What handlers are handed: the context and the hub, which the composition root puts into the app's state."""

from __future__ import annotations

from typing import Annotated, TypeAlias
from uuid import UUID

from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, PathParameter, SkipValidation

from flexlive.realtime.hub import Hub
from flexlive.services.context import Context
from flexlive.services.tokens import MerchantPrincipal, OpsPrincipal
from flexlive.web.auth import merchant_of, ops_of
from flexlive.web.errors import AnyRequest
from flexlive.web.track_feeds import TrackStreams

Ctx: TypeAlias = NamedDependency[SkipValidation[Context]]
FactHub: TypeAlias = NamedDependency[SkipValidation[Hub]]
Streams: TypeAlias = NamedDependency[SkipValidation[TrackStreams]]
Merchant: TypeAlias = NamedDependency[SkipValidation[MerchantPrincipal]]
Ops: TypeAlias = NamedDependency[SkipValidation[OpsPrincipal]]

MarketPath: TypeAlias = Annotated[str, PathParameter(max_length=40, description="market id")]
IdPath: TypeAlias = FromPath[UUID]


def _ctx(state: State) -> Context:
    return state.ctx


def _hub(state: State) -> Hub:
    return state.hub


def _streams(state: State) -> TrackStreams:
    return state.track_streams


def _merchant(request: AnyRequest) -> MerchantPrincipal:
    return merchant_of(request)


def _ops(request: AnyRequest) -> OpsPrincipal:
    return ops_of(request)


dependencies = {
    "ctx": Provide(_ctx, sync_to_thread=False),
    "hub": Provide(_hub, sync_to_thread=False),
    "streams": Provide(_streams, sync_to_thread=False),
}
"""For the Litestar app as a whole."""

merchant_dependency = {"merchant": Provide(_merchant, sync_to_thread=False)}
ops_dependency = {"ops": Provide(_ops, sync_to_thread=False)}
