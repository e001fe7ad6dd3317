"""What the transcripts are about. Each scene is acted once, by `python -m tests.golden.record`; tests replay it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias
from uuid import UUID

from flexlive.protocol import driver as wire
from tests.golden.recorder import Scene
from tests.support.world import SITE

DOOR: Final = (SITE[0] + 0.018, SITE[1])
Act: TypeAlias = Callable[[Scene], Awaitable[None]]
_NOBODYS = UUID("01a1f8e5-bae1-73a7-a784-0932487102d2")


async def first_day(scene: Scene) -> None:
    """Connect, go online, be shown an offer, sync."""
    ada = await scene.comes("ada", SITE)
    await ada.does(wire.PresenceSet(cmd="1", mode="online"))
    await ada.says(wire.Location(points=(scene.point(SITE),)))
    offer = await scene.offered(ada)
    await ada.acknowledges()
    await ada.says(wire.OfferSeen(offer_id=offer.offer_id, rendered_at=scene.now()))
    await ada.says(wire.Sync())
    await ada.does(wire.OfferDecline(cmd="2", offer_id=offer.offer_id, reason="too_far"))
    await ada.does(wire.PresenceSet(cmd="3", mode="offline"))


async def accept_race(scene: Scene) -> None:
    """One row is committed, whoever asks; the loser is never told who won."""
    ada, grace = await scene.comes("ada", SITE), await scene.comes("grace", SITE)
    offer = await scene.offered(ada)
    await grace.rests()
    await ada.does(wire.OfferAccept(cmd="7", offer_id=offer.offer_id, offer_version=offer.offer_version))
    # The card is off her screen before she could press it; she was quicker.
    grace.knows()
    await grace.does(wire.OfferAccept(cmd="7", offer_id=offer.offer_id, offer_version=offer.offer_version))


async def resume(scene: Scene) -> None:
    """The link is lost, another wins meanwhile, and exactly what was missed comes: what died as `skip`."""
    ada, grace = await scene.comes("ada", SITE), await scene.comes("grace", SITE)
    await scene.offered(ada)
    await grace.rests()
    await ada.acknowledges()
    await ada.loses()
    second = await scene.offered(grace)
    await scene.told("ada", 2)
    await grace.does(wire.OfferAccept(cmd="7", offer_id=second.offer_id, offer_version=second.offer_version))
    await scene.told("ada", 3)
    await ada.comes_back()
    await ada.acknowledges()


async def lost_answer(scene: Scene) -> None:
    """An accept whose answer was lost, one that never arrived: the first is in `results`, the second is sent again."""
    ada = await scene.comes("ada", SITE)
    offer = await scene.offered(ada)
    accept = wire.OfferAccept(cmd="7", offer_id=offer.offer_id, offer_version=offer.offer_version)
    await ada.does(accept)
    await ada.acknowledges()
    await ada.loses()
    await ada.meant(accept)
    await ada.meant(wire.PresenceSet(cmd="8", mode="offline"))
    await ada.comes_back()


async def twin(scene: Scene) -> None:
    """An accept by HTTP, its facts on the socket, and the same accept on the socket: one effect, the same bytes."""
    ada = await scene.comes("ada", SITE)
    offer = await scene.offered(ada)
    accept = wire.OfferAccept(cmd="7", offer_id=offer.offer_id, offer_version=offer.offer_version)
    await ada.posts(accept)
    await ada.does(accept)
    await ada.posts(wire.PresenceSet(cmd="7", mode="offline"))


async def reset(scene: Scene) -> None:
    """Resume refused: another process, a stranger's session, facts never sent."""
    ada, grace = await scene.comes("ada", SITE), await scene.comes("grace", SITE)
    await scene.offered(ada)
    await grace.rests()
    await ada.loses()
    await grace.loses()
    ada.misremembers(epoch="00000000000000000000000000000000")
    await ada.comes_back()
    await ada.loses()
    grace.misremembers(sid="bm90LWEtc2Vzc2lvbi1vZi1ncmFjZS0wMDAwMDAwMDA")
    await grace.comes_back()
    await grace.loses()
    grace.misremembers(seq=40)
    await grace.comes_back()


async def same_command(scene: Scene) -> None:
    """One `cmd`: the same content gets the same bytes, other content `conflict`, a malformed one `invalid`."""
    ada = await scene.comes("ada", SITE)
    await ada.writes('{"type":"presence.set","cmd":"1","mode":"online"}')
    await ada.writes('{"type":"presence.set","cmd":"1","mode":"online"}')
    await ada.writes('{"mode":"online","ack":0,"cmd":"1","type":"presence.set"}')
    await ada.writes('{"type":"presence.set","cmd":"1","mode":"offline"}')
    await ada.writes('{"type":"presence.set","cmd":"2","mode":"asleep"}')
    await ada.writes('{"type":"presence.set","cmd":"2","mode":"offline"}')
    await ada.writes('{"type":"teleport","cmd":"3"}')
    await ada.writes('{"type":"teleport"}')
    await ada.writes(f'{{"type":"offer.accept","cmd":"4","offer_id":"{_NOBODYS}","offer_version":1}}')


async def bad_frames(scene: Scene) -> None:
    """Four bad frames are pointed out, the fifth ends the connection."""
    ada = await scene.comes("ada", SITE)
    await ada.writes("not json")
    await ada.writes("[1,2]")
    await ada.writes('{"cmd":"1"}')
    await ada.writes('{"type":"location","points":[{"lat":91,"lon":0,"at":"2026-11-20T12:00:00Z","accuracy_m":5}]}')
    await ada.writes('{"type":"ack"}')
    await ada.is_closed()


async def violations(scene: Scene) -> None:
    """What ends a connection for good: no hello first, a second hello, an ack of a fact never sent."""
    ada = await scene.comes("ada", hello=False)
    await ada.writes('{"type":"heartbeat"}')
    await ada.is_closed()
    hello = '{"type":"hello","app_version":"1.0","device_id":"ada-pixel"}'
    await ada.dials()
    await ada.writes(hello)
    await ada.writes('{"type":"ack","seq":5}')
    await ada.is_closed()


async def rate_limit(scene: Scene) -> None:
    """Ten commands at once pass; what is beyond is refused and decided nothing."""
    ada = await scene.comes("ada", SITE)
    await ada.writes(*[f'{{"type":"teleport","cmd":"{number}"}}' for number in range(1, 13)])


async def second_phone(scene: Scene) -> None:
    """Another connection of the same driver replaces the first and may take its session over."""
    ada = await scene.comes("ada", SITE)
    await scene.offered(ada)
    await ada.acknowledges()
    tablet = await scene.comes("ada", SITE, device_id="ada-tablet", name="ada's tablet")
    await ada.is_closed()
    await tablet.rests()


async def whole_route(scene: Scene) -> None:
    """From the offer to the door: site, store, door, with a wrong code and a wrong PIN on the way."""
    ada = await scene.comes("ada", SITE)
    offer = await scene.offered(ada, dropoff_verification={"pincode": True, "photo": True})
    await ada.does(wire.OfferAccept(cmd="1", offer_id=offer.offer_id, offer_version=offer.offer_version))
    site, store, door = ada.route.stops
    [delivery] = door.deliveries
    [package] = delivery.packages
    await ada.does(wire.Depart(cmd="2", stop_id=site.stop_id))
    far, here = scene.point(DOOR), scene.point(SITE)
    await ada.does(wire.CheckIn(cmd="3", stop_id=site.stop_id, method="geofence", at=far.at, point=far))
    await ada.does(wire.CheckIn(cmd="4", stop_id=site.stop_id, method="geofence", at=here.at, point=here))
    when = scene.now()
    await ada.does(wire.PickupConfirm(cmd="5", stop_id=store.stop_id, store_code=scene.store_code))
    await ada.does(wire.Scan(cmd="6", stop_id=store.stop_id, barcode=package.barcode, occurred_at=when))
    await ada.does(wire.PickupConfirm(cmd="7", stop_id=store.stop_id, store_code="no such code"))
    await ada.does(wire.PickupConfirm(cmd="8", stop_id=store.stop_id, store_code=scene.store_code))
    await ada.acknowledges()
    await ada.does(wire.Depart(cmd="9", stop_id=door.stop_id))
    there = scene.point(DOOR)
    await ada.does(wire.CheckIn(cmd="10", stop_id=door.stop_id, method="geofence", at=there.at, point=there))
    await ada.does(
        wire.ProofAdd(cmd="11", delivery_id=delivery.delivery_id, kind="photo", sha256="55" * 32, occurred_at=when)
    )
    await ada.does(wire.Deliver(cmd="12", delivery_id=delivery.delivery_id, pincode="wrong", occurred_at=when))
    await ada.does(wire.Deliver(cmd="13", delivery_id=delivery.delivery_id, pincode=scene.pincode, occurred_at=when))
    await ada.acknowledges()


async def server_stops(scene: Scene) -> None:
    """The server asks to come back later, then closes."""
    ada = await scene.comes("ada", SITE)
    await scene.drain()
    await ada.is_closed()


SCENES: Final[dict[str, Act]] = {
    act.__name__: act
    for act in (
        first_day, accept_race, resume, lost_answer, twin, reset, same_command, bad_frames, violations, rate_limit,
        second_phone, whole_route, server_stops,
    )
}  # fmt: skip
"""In the order of docs/driver-protocol.md; `server_stops` comes last, since it ends the server."""


async def act_out(name: str, scene: Scene) -> None:
    await SCENES[name](scene)
    await scene.ends()
