"""Thousands of raw phones in one process: dialling, acknowledging, coming back, and what is measured about them."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self

import msgspec

from flexlive.client.backoff import BackoffOptions, full_jitter
from flexlive.protocol.driver import Result
from flexlive.protocol.limits import ACK_DELAY_SECONDS_MAX, HEARTBEAT_SECONDS, SUBPROTOCOL
from load_tests.frames import upgrade_request
from load_tests.raw_phone import RawPhone

TICK_SECONDS: Final = 0.05
_ACK_SLOTS: Final = int(ACK_DELAY_SECONDS_MAX / TICK_SECONDS) + 1
_HEARTBEAT_TICKS: Final = int(HEARTBEAT_SECONDS * 0.8 / TICK_SECONDS)
DIAL_TIMEOUT_SECONDS: Final = 10.0


class Fleet:
    """All phones of one process, on one server.

    seen: Unix seconds at which each measured phone was shown an offer, by offer. opened_at: monotonic seconds at which
    each phone last went live. answered_at: of each handshake, when it was
    answered. comes_back: whether a lost phone dials again by itself.
    """

    def __init__(self, host: str, port: int, backoff: BackoffOptions | None = None, seed: int = 1) -> None:
        self.phones: list[RawPhone] = []
        self.seen: defaultdict[bytes, array[float]] = defaultdict(lambda: array("d"))
        self.measured: set[int] = set()
        self.opened_at: dict[int, float] = {}
        self.refused: Counter[str] = Counter()
        self.answered_at: list[float] = []
        self.comes_back = False
        self.host, self.port = host, port
        self._backoff = backoff or BackoffOptions()
        self._random = random.Random(seed)
        self._acks: list[list[RawPhone]] = [[] for _ in range(_ACK_SLOTS)]
        self._tick_count = 0
        self._dialling: set[asyncio.Task[None]] = set()
        self._failures: Counter[int] = Counter()
        self._ticking: asyncio.Task[None] | None = None
        self._small: set[int] = set()

    async def __aenter__(self) -> Self:
        self._ticking = asyncio.create_task(self._tick())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.comes_back = False
        for task in (self._ticking, *self._dialling):
            if task is not None:
                task.cancel()
        for phone in self.phones:
            phone.cut()
        await asyncio.sleep(0)

    def add(self, tokens: Sequence[str], places: Sequence[tuple[float, float]]) -> None:
        """Phones that are not connected yet; neighbours in the list stand at different doors."""
        first = len(self.phones)
        self.phones += [
            RawPhone(number, token, places[number % len(places)], self) for number, token in enumerate(tokens, first)
        ]

    def small_windows(self, phones: Iterable[RawPhone]) -> None:
        """These phones take little before they block the sender, so that the rest piles up at the server."""
        self._small = {phone.number for phone in phones}

    async def connect_all(self, a_second: float, seconds_max: float) -> None:
        """Dials at this rate, sets everybody on line, returns when all are. Whoever is turned away comes again."""
        comes_back, self.comes_back = self.comes_back, True
        for phone in self.phones:
            self._dial(phone, 0.0)
            if phone.number % 20 == 0:
                await asyncio.sleep(20 / a_second)
        try:
            await self.until(
                lambda: all(phone.live and phone.presence == "online" for phone in self.phones), seconds_max
            )
        except TimeoutError:
            live = sum(phone.live for phone in self.phones)
            online = sum(phone.presence == "online" for phone in self.phones)
            raise TimeoutError(f"{live} live, {online} on line of {len(self.phones)}; {dict(self.refused)}") from None
        finally:
            self.comes_back = comes_back

    def dial_all(self, jitter_seconds: float) -> None:
        """Everybody without a socket dials within so long."""
        for phone in self.phones:
            if phone.transport is None:
                self._dial(phone, self._random.uniform(0, jitter_seconds))

    def dial(self, phone: RawPhone) -> None:
        if phone.transport is None:
            self._dial(phone, 0.0)

    def cut_all(self) -> None:
        for phone in self.phones:
            phone.cut()

    async def until(self, happened: Callable[[], bool], seconds_max: float) -> None:
        """TimeoutError when it does not."""
        async with asyncio.timeout(seconds_max):
            while not happened():
                await asyncio.sleep(TICK_SECONDS)

    def openings(self) -> list[int]:
        """How often each phone has been opened so far."""
        return [len(phone.answers) for phone in self.phones]

    @property
    def broken(self) -> list[str]:
        return [text for phone in self.phones for text in phone.broken]

    # What phones tell

    def request(self, token: str) -> bytes:
        return upgrade_request(f"{self.host}:{self.port}", "/v1/driver", token, SUBPROTOCOL)

    def upgraded(self) -> None:
        self.answered_at.append(time.monotonic())

    def now_text(self) -> str:
        return datetime.now(UTC).isoformat().replace("+00:00", "Z")

    def offered(self, phone: RawPhone, offer_id: bytes) -> None:
        if phone.number in self.measured:
            self.seen[offer_id].append(time.time())

    def opened(self, phone: RawPhone) -> None:
        self.opened_at[phone.number] = time.monotonic()
        self._failures[phone.number] = 0
        if phone.presence != "online":
            phone.send({"type": "presence.set", "cmd": f"online-{len(phone.answers)}", "mode": "online"})

    def answered(self, phone: RawPhone, payload: bytes) -> None:
        if msgspec.json.decode(payload, type=Result).ok:
            phone.presence = "online"

    def lost(self, phone: RawPhone, code: int, *, was_live: bool) -> None:
        if not was_live:
            self.refused[str(code)] += 1
        if self.comes_back:
            self._failures[phone.number] += 1
            attempt = self._failures[phone.number] - 1
            self._dial(phone, full_jitter(attempt, self._backoff, self._random.random))

    def plan_ack(self, phone: RawPhone) -> None:
        slot = (self._tick_count + 1 + self._random.randrange(_ACK_SLOTS - 1)) % _ACK_SLOTS
        self._acks[slot].append(phone)

    def _dial(self, phone: RawPhone, after_seconds: float) -> None:
        task = asyncio.create_task(self._connect(phone, after_seconds))
        self._dialling.add(task)
        task.add_done_callback(self._dialling.discard)

    async def _connect(self, phone: RawPhone, after_seconds: float) -> None:
        await asyncio.sleep(after_seconds)
        loop = asyncio.get_running_loop()
        own = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            own.setblocking(False)
            own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if phone.number in self._small:
                own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            # An address a phone: one would run out of ports, and the server counts sockets by address.
            own.bind((address(phone.number), 0))
            async with asyncio.timeout(DIAL_TIMEOUT_SECONDS):
                await loop.sock_connect(own, (self.host, self.port))
            await loop.create_connection(lambda: phone, sock=own)
        except OSError as error:
            own.close()
            self.refused[type(error).__name__] += 1
            self.lost(phone, 0, was_live=True)

    async def _tick(self) -> None:
        beaten = 0
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._tick_count += 1
            slot = self._tick_count % _ACK_SLOTS
            due, self._acks[slot] = self._acks[slot], []
            for phone in due:
                phone.acknowledge()
            # Everybody once in a heartbeat's time, spread evenly.
            upto = len(self.phones) * (self._tick_count % _HEARTBEAT_TICKS + 1) // _HEARTBEAT_TICKS
            for phone in self.phones[beaten if beaten < upto else 0 : upto]:
                phone.heartbeat()
            beaten = upto


def address(number: int) -> str:
    """A loopback address of its own for each phone."""
    return f"127.{1 + number // 62_500}.{number // 250 % 250}.{1 + number % 250}"
