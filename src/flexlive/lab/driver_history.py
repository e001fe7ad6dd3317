"""What one phone has seen, checked as it comes: the client's side of the guarantees."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Hashable
from typing import TypeVar
from uuid import UUID

import msgspec

from flexlive.protocol.driver import (
    Command,
    DeliveryUpdate,
    FactMessage,
    Live,
    OfferGone,
    OfferOpen,
    OfferUpdate,
    Reset,
    Result,
    Resumed,
    RouteUpdate,
    ServerMessage,
    Snapshot,
    Welcome,
)

REMEMBERED_MAX = 2048
VIOLATIONS_MAX = 20

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


def _remember(memory: OrderedDict[K, V], key: K, value: V) -> None:
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > REMEMBERED_MAX:
        memory.popitem(last=False)


class DriverHistory:
    """Feed every frame in the order the socket gave it; `violations` names each broken promise in words.

    Bounded: it keeps the last REMEMBERED_MAX ids of each kind and the first VIOLATIONS_MAX texts (all are counted).
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.violations: list[str] = []
        self.violation_count = 0
        self.facts = 0
        self._seq: int | None = None
        self._replay_to: int | None = None
        self._dead_offers: OrderedDict[UUID, int] = OrderedDict()
        self._offers: OrderedDict[UUID, int] = OrderedDict()
        self._won: OrderedDict[UUID, bool] = OrderedDict()
        self._routes: OrderedDict[UUID, int] = OrderedDict()
        self._deliveries: OrderedDict[UUID, int] = OrderedDict()
        self._commands: OrderedDict[str, Command] = OrderedDict()
        self._answers: OrderedDict[str, bytes] = OrderedDict()
        self._unanswered: OrderedDict[str, float] = OrderedDict()
        self._new_answers: dict[str, str] = {}

    @property
    def unanswered_since(self) -> float | None:
        """Unix seconds of the oldest command that has no answer yet."""
        return next(iter(self._unanswered.values()), None)

    def route_came(self, offer_id: UUID) -> bool:
        """Whether the phone has ever been told of the route of an offer it won."""
        return self._won.get(offer_id, False)

    def take_answers(self) -> dict[str, str]:
        """By cmd, SHA-256 (hex) of each decided answer since the last call."""
        answers, self._new_answers = self._new_answers, {}
        return answers

    def sent(self, command: Command) -> None:
        """A command as it leaves, retries included."""
        known = self._commands.get(command.cmd)
        if known is not None and known != command:
            self._broken(f"cmd {command.cmd} was used for two different commands")
        _remember(self._commands, command.cmd, command)
        if command.cmd not in self._answers:
            self._unanswered.setdefault(command.cmd, time.time())

    def received(self, message: ServerMessage, raw: bytes) -> None:
        """A frame as it arrives; raw: its bytes, compared when a result comes twice."""
        match message:
            case Welcome() | Reset():
                self._seq, self._replay_to = message.seq, None
                self._embedded(message.results)
            case Resumed():
                self._resumed(message)
                self._embedded(message.results)
            case Live():
                if self._replay_to is not None and self._seq != self._replay_to:
                    self._broken(f"live at seq {self._seq}, but the replay was announced up to {self._replay_to}")
                self._replay_to = None
            case Snapshot():
                self._snapshot(message)
            case Result():
                self._result(message, raw)
            case _:
                if isinstance(message, FactMessage):
                    self._fact(message)

    def finish(self) -> None:
        """Call when nothing more will come: each command has had its answer, each win its route."""
        for cmd in self._commands.keys() - self._answers.keys():
            self._broken(f"command {cmd} ({type(self._commands[cmd]).__name__}) was never answered")
        for offer_id, has_route in self._won.items():
            if not has_route:
                self._broken(f"offer {offer_id} was won and no route ever came")

    def _broken(self, text: str) -> None:
        self.violation_count += 1
        if len(self.violations) < VIOLATIONS_MAX:
            self.violations.append(f"{self.name}: {text}")

    def _resumed(self, message: Resumed) -> None:
        if self._seq is None:
            self._broken("resumed without a session")
        elif message.from_ != self._seq:
            self._broken(f"resumed from seq {message.from_}, but the phone was at {self._seq}")
        self._replay_to = message.to

    def _snapshot(self, message: Snapshot) -> None:
        if self._seq is None:
            self._broken("snapshot before welcome")
        elif message.seq > self._seq:
            self._broken(f"snapshot speaks of seq {message.seq}, the phone has only {self._seq}")
        for offer in message.offers:
            self._offer(offer.offer_id, offer.offer_version, "snapshot")
        for route in message.routes:
            self._route(route.route_id, route.version, route.offer_id)

    def _fact(self, message: FactMessage) -> None:
        self.facts += 1
        if self._seq is None:
            self._broken("fact before welcome")
        elif message.seq != self._seq + 1:
            self._broken(f"fact seq {message.seq} after {self._seq}")
        self._seq = message.seq
        match message:
            case OfferOpen() | OfferUpdate():
                self._offer(message.offer_id, message.offer_version, "fact")
            case OfferGone():
                if message.reason == "taken" and message.offer_id in self._won:
                    self._broken(f"offer {message.offer_id} was won here, then gone as taken")
                _remember(self._dead_offers, message.offer_id, self._offers.get(message.offer_id, 0))
            case RouteUpdate():
                self._route(message.route_id, message.version, message.offer_id)
            case DeliveryUpdate():
                known = self._deliveries.get(message.delivery_id, 0)
                if message.version < known:
                    self._broken(f"delivery {message.delivery_id} went from version {known} to {message.version}")
                _remember(self._deliveries, message.delivery_id, max(known, message.version))
            case _:
                pass

    def _offer(self, offer_id: UUID, version: int, source: str) -> None:
        dead = self._dead_offers.get(offer_id)
        if dead is not None and version <= dead:
            self._broken(f"offer {offer_id} version {version} came back ({source}) after it was gone")
        known = self._offers.get(offer_id, 0)
        if version < known:
            self._broken(f"offer {offer_id} went from version {known} to {version}")
        _remember(self._offers, offer_id, max(known, version))

    def _route(self, route_id: UUID, version: int, offer_id: UUID | None) -> None:
        known = self._routes.get(route_id, 0)
        if version < known:
            self._broken(f"route {route_id} went from version {known} to {version}")
        _remember(self._routes, route_id, max(known, version))
        if offer_id is not None and offer_id in self._won:
            self._won[offer_id] = True

    def _embedded(self, results: tuple[msgspec.Raw, ...]) -> None:
        for raw in results:
            self._result(msgspec.json.decode(raw, type=Result), bytes(raw))

    def _result(self, result: Result, raw: bytes) -> None:
        command = self._commands.get(result.cmd)
        if command is None:
            self._broken(f"result for a command never sent: {result.cmd}")
            return
        self._unanswered.pop(result.cmd, None)
        if result.code == "rate_limited":
            return
        digest = hashlib.sha256(raw).digest()
        earlier = self._answers.get(result.cmd)
        if earlier is not None and earlier != digest:
            self._broken(f"command {result.cmd} got a second, different answer: {result.code}")
        _remember(self._answers, result.cmd, digest)
        self._new_answers[result.cmd] = digest.hex()
        if result.code == "won" and hasattr(command, "offer_id"):
            offer_id: UUID = getattr(command, "offer_id")  # noqa: B009 - only accepts can win
            self._won.setdefault(offer_id, False)
