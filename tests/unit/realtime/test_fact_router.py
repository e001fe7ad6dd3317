from uuid import UUID

import msgspec

from flexlive.realtime.board import Board
from flexlive.realtime.chain import FactRow
from flexlive.realtime.fact_router import FactRouter
from flexlive.realtime.hub import Hub, HubFact, track_channel
from flexlive.realtime.sessions import SessionStore

from .board_world import MARKET, NOW, POINTS, offer_data, offer_id

DRIVER, DELIVERY, FAMILY = UUID(int=1), UUID(int=2), UUID(int=3)


class Socket:
    def __init__(self) -> None:
        self.kinds: list[str] = []
        self.ended = False

    def push(self, seq: int, fact: HubFact, now: float) -> None:
        self.kinds.append(fact.kind)

    def replaced(self) -> None:
        self.ended = True

    def logged_out(self) -> None:
        self.ended = True


class Customer:
    def __init__(self) -> None:
        self.seqs: list[int] = []

    def deliver(self, fact: HubFact, /) -> None:
        self.seqs.append(fact.stream_seq)


def row(stream: str, kind: str, data: object) -> FactRow:
    raw = msgspec.Raw(data if isinstance(data, bytes) else msgspec.json.encode(data))
    return FactRow(MARKET, 1, 1, stream, 7, kind, NOW, raw)


def test_every_meaning_finds_its_way_and_nonsense_stops_nothing():
    hub = Hub(lambda callback: callback())
    board = Board(hub)
    store = SessionStore(hub, board, epoch="e", now=lambda: 0.0, new_sid=lambda: "s")
    router = FactRouter(hub, board, store, lambda: NOW)
    socket, customer = Socket(), Customer()
    session = store.open(MARKET, DRIVER, FAMILY, frozenset({"retail_delivery"}), socket)
    board.place(session.seat, POINTS[0], online=False)
    hub.subscribe(track_channel(DELIVERY), customer)

    update = {"delivery_id": DELIVERY, "status": "confirmed", "readiness": "pending", "version": 2}
    route = {"route_id": FAMILY, "version": 1, "status": "active", "stops": []}
    for fact in (
        row(f"offer:{offer_id(1)}", "offer.opened", offer_data(1)),
        row(f"driver:{DRIVER}", "driver.presence", {"mode": "online"}),
        row("offer:x", "offer.opened", b"{}"),
        row("driver:nobody", "driver.presence", {"mode": "online"}),
        row(f"driver:{DRIVER}", "driver.declined", {"offer_id": offer_id(1)}),
        row("route:x", "route.created", {"driver_id": DRIVER, "route": route}),
        row("delivery:x", "delivery.confirmed", {"driver_id": DRIVER, "update": update}),
        row(f"offer:{offer_id(1)}", "offer.expired", {"offer_id": offer_id(1)}),
        row(f"track:{DELIVERY}", "track.confirmed", {"status": "confirmed"}),
        row("weather:x", "weather.rain", {}),
    ):
        router.apply(fact)
    assert socket.kinds == ["offer.open", "route.update", "delivery.update", "offer.gone"]
    assert customer.seqs == [7]
    assert board.render(session.seat, NOW) == []
    router.apply(row(f"driver:{DRIVER}", "driver.family_revoked", {"family_id": FAMILY}))
    assert socket.ended
    assert len(store) == 0
