"""Answering hello: resumed and exactly the missing facts, or welcome (reset) and a snapshot. Nothing in between."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, assert_never

import msgspec
import structlog
from msgspec import Raw
from prometheus_client import Counter, Histogram

from flexlive.protocol import limits
from flexlive.protocol.client_frames import Hello
from flexlive.protocol.close_codes import CloseCode
from flexlive.protocol.codec import encode_server, fact_template
from flexlive.protocol.resume import Fresh, Refuse, Replay, decide_resume
from flexlive.protocol.server_frames import Limits, Live, Reset, Resumed, ServerFrame, Welcome
from flexlive.protocol.session import Send
from flexlive.protocol.views import InboxItem, PositionView, RouteView
from flexlive.realtime.hub import HubFact
from flexlive.realtime.sessions import DriverSession
from flexlive.services.drivers import DriverSnapshot, SnapshotAsk
from flexlive.web.outages import log_failure

if TYPE_CHECKING:
    from flexlive.web.driver_connection import DriverConnection

_OPENINGS = Counter("flexlive_session_openings_total", "Sessions opened, by answer", ["answer"])
_SECONDS = Histogram("flexlive_session_opening_seconds", "From hello to live", ["answer"])
_SKIP: Final = fact_template("skip", b"{}")
_LIVE: Final = encode_server(Live())
_log = structlog.get_logger(__name__)


class _SnapshotFrame(ServerFrame, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="snapshot"):
    # The wire's snapshot, with offers as the bytes the board keeps.
    seq: int
    presence: str
    routes: tuple[RouteView, ...]
    offers: tuple[Raw, ...]
    inbox: tuple[InboxItem, ...] = ()
    position: PositionView | None = None


async def open_session(connection: DriverConnection, hello: Hello) -> None:
    """Carry out a hello. Whatever fails closes the socket with 4000: the phone comes back and asks again."""
    began = connection.edge.monotonic()
    try:
        answer = await _answer(connection, hello)
    except Exception as error:
        log_failure(_log, "opening failed", error, market_id=connection.principal.market_id)
        connection.close(CloseCode.INTERNAL, "opening failed")
        return
    if answer is not None:
        _OPENINGS.labels(answer).inc()
        _SECONDS.labels(answer).observe(connection.edge.monotonic() - began)


async def send_snapshot(connection: DriverConnection, position_seq: int) -> None:
    """Answer a `sync`: the facts after position_seq wait until the snapshot is out."""
    try:
        snapshot = await _read(connection)
    except Exception as error:
        log_failure(_log, "snapshot failed", error, market_id=connection.principal.market_id)
        connection.close(CloseCode.INTERNAL, "snapshot failed")
        return
    session = connection.session
    if session is not None and not connection.closed and snapshot is not None:
        connection.send_snapshot(_snapshot_frame(connection, session, snapshot, position_seq))
        connection.release(position_seq, connection.edge.monotonic())


async def _answer(connection: DriverConnection, hello: Hello) -> str | None:
    edge, principal = connection.edge, connection.principal
    results: dict[str, bytes] = {}
    if hello.unacked:
        results = await edge.stored_results(principal, hello.device_id, hello.unacked)
    if connection.closed:
        return None
    if edge.sessions.family_ended(principal.family_id):
        # Logged out between the handshake and hello: that fact found no session of this login.
        connection.close(CloseCode.FORBIDDEN, "logged out")
        return None
    session = edge.sessions.find(principal.market_id, principal.driver_id)
    if session is not None and session.hello_at > connection.hello_at:
        # Its answers took longer to read than those of a connection made after it: that one counts, not this.
        connection.close(CloseCode.REPLACED, "another connection of this driver")
        return None
    decision = decide_resume(hello.resume, edge.sessions.epoch, None if session is None else session.remembered())
    match decision:
        case Replay():
            assert session is not None
            _replay(connection, session, hello, decision, results)
            return "resumed"
        case Fresh():
            return await _begin(connection, hello, None, results)
        case Refuse():
            return await _begin(connection, hello, decision, results)
        case _:
            assert_never(decision)


def _replay(
    connection: DriverConnection, session: DriverSession, hello: Hello, replay: Replay, results: dict[str, bytes]
) -> None:
    edge, principal = connection.edge, connection.principal
    edge.sessions.attach(session, connection, principal.family_id)
    connection.joined(session)
    session.ring.ack(replay.from_seq)
    stored, unknown = _split(hello, results)
    _send(
        connection,
        encode_server(Resumed(from_=replay.from_seq, to=replay.to_seq, results=stored, unknown_commands=unknown)),
    )
    for seq, fact in session.ring.after(replay.from_seq) or ():
        connection.link.send_fact(_SKIP if _is_dead(connection, session, fact) else fact.template or _SKIP, seq)
    _send(connection, _LIVE)
    connection.went_live(session.ring.last_seq)
    edge.sessions.entitle_as_read(
        session, principal.offer_types, principal.pilots, read_at=principal.checked_at, now=edge.clock()
    )
    if hello.position is not None:
        connection.located((hello.position,))


async def _begin(
    connection: DriverConnection, hello: Hello, refused: Refuse | None, results: dict[str, bytes]
) -> str | None:
    edge, principal = connection.edge, connection.principal
    session = edge.sessions.open(
        principal.market_id, principal.driver_id, principal.family_id, principal.offer_types, connection
    )
    connection.joined(session)
    # Position before state: what is committed from here on is in the ring, and may repeat the snapshot.
    position_seq = session.ring.last_seq
    if hello.position is not None:
        connection.located((hello.position,))
    read_at = edge.monotonic()
    snapshot = await _read(connection)
    if connection.closed or connection.session is not session:
        return None
    if snapshot is None:
        connection.close(CloseCode.FORBIDDEN, "no such driver")
        return None
    if not snapshot.active:
        # Suspended between the handshake and hello: that fact found no session to end.
        edge.sessions.end(session)
        connection.suspended()
        return None
    if not edge.sessions.claim(session, snapshot.read_at):
        return None
    edge.sessions.entitle_as_read(session, snapshot.offer_types, snapshot.pilots, read_at=read_at, now=edge.clock())
    online = session.seat.online if session.presence_known else snapshot.presence == "online"
    edge.board.place(session.seat, _whereabouts(connection, snapshot), online=online)
    _send(connection, _opening_frame(connection, hello, session, position_seq, refused, results))
    connection.send_snapshot(_snapshot_frame(connection, session, snapshot, position_seq))
    connection.went_live(position_seq)
    return "welcome" if refused is None else f"reset_{refused.reason}"


async def _read(connection: DriverConnection) -> DriverSnapshot | None:
    principal = connection.principal
    return await connection.edge.snapshot(principal.market_id, SnapshotAsk(principal.driver_id, connection.inbox_seq))


def _opening_frame(
    connection: DriverConnection,
    hello: Hello,
    session: DriverSession,
    seq: int,
    refused: Refuse | None,
    results: dict[str, bytes],
) -> bytes:
    allowed = connection.edge.options.limits
    stored, unknown = _split(hello, results)
    welcome = Welcome(
        sid=session.sid,
        epoch=connection.edge.sessions.epoch,
        seq=seq,
        server_time=connection.edge.clock(),
        heartbeat_seconds=allowed.heartbeat_seconds,
        resume_window_seconds=connection.edge.sessions.options.resume_window_seconds,
        limits=Limits(
            frame_bytes_max=limits.FRAME_BYTES_MAX,
            points_max=limits.POINTS_MAX,
            commands_burst_per_second=allowed.commands_burst,
            commands_per_minute=allowed.commands_per_minute,
            ack_delay_seconds_max=limits.ACK_DELAY_SECONDS_MAX,
        ),
        results=stored,
        unknown_commands=unknown,
    )
    if refused is None:
        return encode_server(welcome)
    return encode_server(Reset(reason=refused.reason, **msgspec.structs.asdict(welcome)))


def _snapshot_frame(connection: DriverConnection, session: DriverSession, snapshot: DriverSnapshot, seq: int) -> bytes:
    offers = connection.edge.board.render(session.seat, connection.edge.clock())
    return msgspec.json.encode(
        _SnapshotFrame(
            seq=seq,
            presence="online" if session.seat.online else "offline",
            routes=snapshot.routes,
            offers=tuple(Raw(body) for body in offers),
            inbox=snapshot.inbox,
            position=snapshot.position,
        )
    )


def _whereabouts(connection: DriverConnection, snapshot: DriverSnapshot) -> tuple[float, float] | None:
    edge, principal = connection.edge, connection.principal
    present = edge.presence.get(principal.market_id, principal.driver_id)
    if present is not None:
        return present.position.lat, present.position.lon
    stored = snapshot.position
    age_max = timedelta(seconds=edge.options.stored_position_age_seconds_max)
    if stored is None or edge.clock() - stored.at > age_max:
        return None
    return stored.lat, stored.lon


def _split(hello: Hello, results: dict[str, bytes]) -> tuple[tuple[Raw, ...], tuple[str, ...]]:
    stored = tuple(Raw(results[cmd]) for cmd in hello.unacked if cmd in results)
    return stored, tuple(cmd for cmd in hello.unacked if cmd not in results)


def _is_dead(connection: DriverConnection, session: DriverSession, fact: HubFact) -> bool:
    """Whether the offer it tells of has ended, or is no longer this driver's to see."""
    return fact.offer_id is not None and not connection.edge.board.shows(session.seat, fact.offer_id)


def _send(connection: DriverConnection, frame: bytes) -> None:
    connection.carry_out([Send(frame)], connection.edge.monotonic())
