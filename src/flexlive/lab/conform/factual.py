"""Facts: counted without a gap, replayed whole or not at all, and never a dead offer. They need offers."""

from __future__ import annotations

import asyncio

from flexlive.lab.conform.bench import Bench, dropped, resume_of
from flexlive.lab.conform.heard import Broken, Ended, Message, expect
from flexlive.lab.conform.phone import Phone
from flexlive.lab.conform.scenario import Scenarios
from flexlive.protocol.limits import UNACKED_CLOSE_SECONDS

_SLACK_SECONDS = 6.0
_RECEIVE_BUFFER_BYTES = 4 * 1024
_STALL_OFFERS = 5
_STALL_SECONDS_MAX = 45.0
_SYNC_SECONDS = 0.45
_SETTLE_SECONDS = 2.0
_AGAIN_SECONDS = 0.3

facts = Scenarios("Facts")
offers = Scenarios("Offers on your screen")
pressure = Scenarios("Frames and limits")


@facts("offers")
async def counted(bench: Bench) -> None:
    """Facts count on by one from the snapshot, and a snapshot after them knows what they said."""
    async with bench.live() as (phone, opening):
        assert opening.snapshot is not None
        await bench.go_online(phone)
        before = phone.seq
        made = [await _offered(bench, phone) for _ in range(2)]
        expect(phone.seq is not None and before is not None and phone.seq >= before + 2, "facts did not count")
        await phone.send({"type": "sync"})
        shown = {offer["offer_id"] for offer in (await phone.type("snapshot"))["offers"]}
        expect(shown >= {offer["offer_id"] for offer in made}, "a snapshot lacks an offer that a fact has opened")


@facts("offers")
async def ack_ahead(bench: Bench) -> None:
    """An ack of a fact never sent closes 4500."""
    async with bench.live() as (phone, _):
        await phone.send({"type": "ack", "seq": (phone.seq or 0) + 1_000})
        await phone.ended(4500)


@facts("offers")
async def replayed_whole(bench: Bench) -> None:
    """Facts missed are replayed exactly, again when the answer was lost, and a second loss is recovered as well."""
    async with bench.live() as (phone, opening):
        await bench.go_online(phone)
        known = resume_of(opening, phone)
        await dropped(phone)
    for _ in range(2):
        await bench.make_offer()
        replay, after = await bench.replayed(known, "offer.open")
        async with bench.live(resume=known) as (_, again):
            expect(again.kind == "resumed", f"asked again from the same seq, the answer is {again.kind}")
            wanted = [heard.raw for heard in replay.facts]
            got = [heard.raw for heard in again.facts][: len(wanted)]
            same = all(a == b or b'"skip"' in b for a, b in zip(wanted, got, strict=True))
            expect(len(got) == len(wanted) and same, "the second replay of the same facts is another one")
        known = after


@facts("offers")
async def acknowledged_is_gone(bench: Bench) -> None:
    """What was acknowledged is not replayed; who asks for it nevertheless is reset, not given a part."""
    async with bench.live() as (phone, opening):
        await bench.go_online(phone)
        known = resume_of(opening, phone)
        await bench.offer_on(phone)
        await phone.acknowledge()
        await phone.alive()
        later = resume_of(opening, phone)
        await dropped(phone)
    async with bench.live(resume=later) as (_, again):
        expect(again.kind == "resumed", f"resumed from the acknowledged fact, the answer is {again.kind}")
        expect(len(again.facts) == 0, "an acknowledged fact was replayed")
    async with bench.live(resume=known) as (_, again):
        expect(again.kind == "reset", f"asked for acknowledged facts, the answer is {again.kind}")


@facts("offers")
async def going_online(bench: Bench) -> None:
    """Who goes online is shown the offers that are open already."""
    async with bench.live() as (phone, _):
        await bench.go_online(phone)
        offer = await bench.offer_on(phone)
        await phone.command(bench.online("offline"))
    async with bench.live() as (phone, _):
        await bench.go_online(phone)
        if offer["offer_id"] not in await _shown(phone):
            raise Broken("an open offer is not shown after going online")


@facts("offers", slow=True)
async def unacknowledged(bench: Bench) -> None:
    """A fact not acknowledged for 15 s while later frames were written closes 4008."""
    async with bench.live() as (phone, _):
        await bench.go_online(phone)
        await bench.offer_on(phone)
        deadline = asyncio.get_running_loop().time() + UNACKED_CLOSE_SECONDS + _SLACK_SECONDS
        try:
            while asyncio.get_running_loop().time() < deadline:
                await phone.send(bench.unknown_offer())
                await phone.silence(1.0)
        except Ended as end:
            expect(end.code == 4008, f"closed {end.code}, 4008 was due")
            return
        raise Broken(f"not closed within {UNACKED_CLOSE_SECONDS + _SLACK_SECONDS:g} s")


@offers("offers")
async def declined(bench: Bench) -> None:
    """A declined offer is not shown again, a stale version is a conflict with the present one."""
    async with bench.live() as (phone, _):
        await bench.go_online(phone)
        offer = await bench.offer_on(phone)
        stale = await phone.command(_accept(bench, offer, version=offer["offer_version"] + 100))
        expect(stale.message["code"] == "conflict", f"a version never shown is answered {stale.message['code']}")
        expect("offer_version" in stale.message.get("current", {}), "the conflict does not name the present version")
        answer = await phone.command({"type": "offer.decline", "cmd": bench.cmd(), "offer_id": offer["offer_id"]})
        expect(answer.message["ok"], f"a decline is answered {answer.message['code']}")
        expect(offer["offer_id"] not in await _shown(phone), "a declined offer is in the snapshot")


@offers("offers")
async def won(bench: Bench) -> None:
    """An accept is answered won once and for all; a route follows, and the offer is no more."""
    async with bench.live() as (phone, _):
        await bench.go_online(phone)
        offer = await bench.offer_on(phone)
        accept = _accept(bench, offer)
        first = await phone.command(accept)
        expect(first.message["code"] == "won", f"the only accept is answered {first.message['code']}")
        await phone.type("route.update")
        expect((await phone.command(accept)).raw == first.raw, "the repeated accept has other bytes")
        again = await phone.command(_accept(bench, offer))
        expect(again.message["code"] == "won", f"accepting what one has won is answered {again.message['code']}")
        expect(offer["offer_id"] not in await _shown(phone), "an offer that was won is in the snapshot")


@offers("offers", "second driver")
async def one_winner(bench: Bench) -> None:
    """Two drivers accept at once: one is answered won, the other taken; the card of the other is taken away."""
    async with bench.live() as (first, _), bench.live(2) as (second, _):
        await bench.go_online(first)
        await bench.go_online(second)
        offer = await bench.offer_on(first)
        accepts = [_accept(bench, offer), _accept(bench, offer)]
        answers = await asyncio.gather(first.command(accepts[0]), second.command(accepts[1]))
        codes = sorted(str(heard.message["code"]) for heard in answers)
        expect(codes == ["taken", "won"], f"the two accepts are answered {codes}")
        winner, loser = (first, second) if answers[0].message["code"] == "won" else (second, first)
        expect(offer["offer_id"] not in await _shown(loser), "an offer that was taken is in the loser's snapshot")
        await winner.type("route.update")
    await bench.clean(2, offers=False)


@offers("offers", "second driver")
async def dead_offer(bench: Bench) -> None:
    """An offer that died while its driver was away is not on the screen after the resume."""
    async with bench.live() as (phone, opening):
        await bench.go_online(phone)
        known = resume_of(opening, phone)
        offer = await bench.offer_on(phone)
        await dropped(phone)
    async with bench.live(2) as (other, _):
        await bench.go_online(other)
        answer = await other.command(_accept(bench, offer))
        expect(answer.message["code"] == "won", f"the other driver's accept is answered {answer.message['code']}")
    deadline = asyncio.get_running_loop().time() + bench.target.answer_seconds_max
    while await _on_screen_after(bench, known, offer["offer_id"]):
        if asyncio.get_running_loop().time() > deadline:
            raise Broken("after the replay a dead offer is on the screen")
        await asyncio.sleep(_AGAIN_SECONDS)
    await bench.clean(2, offers=False)


@pressure("offers", slow=True)
async def not_reading(bench: Bench) -> None:
    """A phone that stops reading is closed (4008), or served in full once it reads; nothing is lost either way."""
    async with bench.live() as (phone, _):
        await bench.go_online(phone)
        made = [await _offered(bench, phone) for _ in range(_STALL_OFFERS)]
    async with bench.live(receive_buffer_bytes=_RECEIVE_BUFFER_BYTES) as (phone, opening):
        phone.connection.transport.pause_reading()
        await _sync_without_reading(phone)
        await bench.make_offer()
        await asyncio.sleep(_SETTLE_SECONDS)
        phone.connection.transport.resume_reading()
        await _read_all(phone)
        known = resume_of(opening, phone)
        await dropped(phone)
    async with bench.live(resume=known) as (phone, again):
        expect(again.kind in ("resumed", "reset"), f"the phone comes back and is answered by {again.kind}")
        shown = await _shown(phone)
        expect(len(shown) > len(made), "after the stall an offer is missing")
        await bench.decline(phone, *shown)


async def _on_screen_after(bench: Bench, known: Message, offer_id: str) -> bool:
    async with bench.live(resume=known) as (_, again):
        expect(again.kind == "resumed", f"answered by {again.kind}")
        facts_of_it = [heard.type for heard in again.facts if heard.message.get("offer_id") == offer_id]
        return bool(facts_of_it) and facts_of_it[-1] in ("offer.open", "offer.update")


async def _sync_without_reading(phone: Phone) -> None:
    deadline = asyncio.get_running_loop().time() + _STALL_SECONDS_MAX
    while asyncio.get_running_loop().time() < deadline and not phone.connection.transport.is_closing():
        await phone.send({"type": "sync"})
        await asyncio.sleep(_SYNC_SECONDS)


async def _read_all(phone: Phone) -> None:
    # A server that did not close must have kept every fact; one that closed says 4008, or nothing any more.
    try:
        while await phone.silence(_SETTLE_SECONDS):
            pass
        await phone.alive()
    except Ended as end:
        expect(end.code in (4008, 1006), f"closed {end.code}, 4008 was due")


async def _shown(phone: Phone) -> set[str]:
    """The open offers by a fresh snapshot."""
    phone.forget("snapshot")
    await phone.send({"type": "sync"})
    return {str(offer["offer_id"]) for offer in (await phone.type("snapshot"))["offers"]}


async def _offered(bench: Bench, phone: Phone) -> Message:
    offer = await bench.offer_on(phone)
    await phone.acknowledge()
    return offer


def _accept(bench: Bench, offer: Message, version: int | None = None) -> Message:
    return {
        "type": "offer.accept",
        "cmd": bench.cmd(),
        "offer_id": offer["offer_id"],
        "offer_version": offer["offer_version"] if version is None else version,
    }
