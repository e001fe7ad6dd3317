"""What must hold of every frame a server writes, judged by the simulation's own knowledge and not by the server's."""

from __future__ import annotations

from uuid import UUID

import msgspec

from tests.simulation.sessions.truth import Truth
from tests.simulation.sessions.wire import Wire


class _Frame(msgspec.Struct, gc=False):
    type: str
    seq: int = 0
    sid: str = ""
    to: int = 0
    from_: int = msgspec.field(default=0, name="from")
    cmd: str = ""
    code: str = ""
    offer_id: UUID | None = None
    offer_type: str = ""
    route_id: UUID | None = None
    notice_id: UUID | None = None
    offers: tuple[_Offer, ...] = ()
    routes: tuple[_Route, ...] = ()
    results: tuple[msgspec.Raw, ...] = ()


class _Offer(msgspec.Struct, gc=False):
    offer_id: UUID
    offer_type: str


class _Route(msgspec.Struct, gc=False):
    route_id: UUID


_decode = msgspec.json.Decoder(_Frame).decode
FACTS = frozenset({"offer.open", "offer.update", "offer.gone", "route.update", "notice", "enrolment.update", "skip"})


class Laws:
    """told: what each process last heard of a driver's entitlement is added by the simulation. been: cells in which a
    driver was, as the server could know."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self.entitled_before: dict[UUID, set[str]] = {driver_id: set() for driver_id in truth.drivers}
        """Types a driver had when some process last looked, and has not been told to have lost."""
        self.declined: dict[UUID, set[UUID]] = {driver_id: set() for driver_id in truth.drivers}
        """Offers of which the process has been told that the driver declined them."""
        self.been: dict[UUID, set[int]] = {driver_id: set() for driver_id in truth.drivers}
        self._facts: dict[tuple[str, int], bytes] = {}
        self._answers: dict[tuple[UUID, str, str], bytes] = {}
        self._shown: dict[str, set[UUID]] = {}
        self.broken: list[str] = []

    def written(self, wire: Wire, payload: bytes) -> None:
        # The hub survives a subscriber that raises; the law must not be survived.
        try:
            self._judge(wire, payload)
        except AssertionError as broken:
            self.broken.append(f"{broken}: {payload.decode()}")

    def _judge(self, wire: Wire, payload: bytes) -> None:
        frame = _decode(payload)
        kind = frame.type
        if kind in FACTS:
            self._fact(wire, frame, payload)
        elif kind == "result":
            self._answer(wire, frame, payload)
        elif kind in ("welcome", "reset"):
            wire.expected_seq, wire.replay_upto = frame.seq + 1, None
            self._stored(wire, frame)
        elif kind == "resumed":
            session = wire.connection.session
            assert session is not None
            assert session.sid == wire.resumes, "another session than the phone's"
            wire.expected_seq, wire.replay_upto = frame.from_ + 1, frame.to
            self._stored(wire, frame)
        elif kind == "live":
            assert wire.replay_upto is not None
            assert wire.expected_seq == wire.replay_upto + 1, "a partial replay"
            wire.replay_upto = None
        elif kind == "snapshot":
            assert wire.expected_seq == frame.seq + 1, "a snapshot out of place"
            driver_id = wire.connection.principal.driver_id
            session = wire.connection.session
            assert session is not None
            for offer in frame.offers:
                self._offer(driver_id, offer.offer_id, offer.offer_type)
                self._shown.setdefault(session.sid, set()).add(offer.offer_id)
            for route in frame.routes:
                assert self._truth.route_owner[route.route_id] == driver_id

    def _fact(self, wire: Wire, frame: _Frame, payload: bytes) -> None:
        session = wire.connection.session
        assert session is not None
        assert wire.expected_seq == frame.seq, f"{frame.type} {frame.seq} instead of {wire.expected_seq}"
        wire.expected_seq += 1
        driver_id = wire.connection.principal.driver_id
        before = self._facts.setdefault((session.sid, frame.seq), payload)
        assert before == payload or frame.type == "skip", "another fact under the same seq"
        if frame.type in ("offer.open", "offer.update"):
            assert frame.offer_id is not None
            self._offer(driver_id, frame.offer_id, frame.offer_type)
            self._shown.setdefault(session.sid, set()).add(frame.offer_id)
        elif frame.type == "offer.gone":
            assert frame.offer_id is not None
            if frame.offer_id not in self._shown.get(session.sid, ()):
                # Opened while the phone was away, and dead when it came back: told as `skip`.
                assert self._truth.offers[frame.offer_id].cells & self.been[driver_id], "an offer of elsewhere"
            assert self._truth.winners.get(frame.offer_id) != driver_id, "the winner was told that it is gone"
        elif frame.route_id is not None:
            assert self._truth.route_owner[frame.route_id] == driver_id, "another driver's route"
        elif frame.notice_id is not None:
            assert self._truth.notices[frame.notice_id] == driver_id, "another driver's notice"

    def _offer(self, driver_id: UUID, offer_id: UUID, offer_type: str) -> None:
        driver, offer = self._truth.drivers[driver_id], self._truth.offers[offer_id]
        assert offer_type in driver.offer_types or offer_type in self.entitled_before[driver_id], "not entitled"
        assert offer_id not in self.declined[driver_id], "an offer the driver has declined"
        assert offer.cells & self.been[driver_id], "an offer of a place where the driver never was"

    def _stored(self, wire: Wire, frame: _Frame) -> None:
        for raw in frame.results:
            body = bytes(raw)
            self._answer(wire, _decode(body), body)

    def _answer(self, wire: Wire, frame: _Frame, payload: bytes) -> None:
        if frame.code == "rate_limited":
            return
        who = wire.connection.principal.driver_id, wire.connection.device_id, frame.cmd
        assert self._answers.setdefault(who, payload) == payload, "two answers to one command"
        assert self._truth.decided[who] == 1, "an answer without its effect"
        assert self._truth.results[who][1] == payload, "an answer that is not the stored one"
