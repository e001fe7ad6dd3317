"""What the demo and its fleet process say to each other: JSON lines, plus one manifest file. `at`: Unix seconds."""

from __future__ import annotations

from typing import TypeAlias
from uuid import UUID

from msgspec import Struct

from flexlive.lab.geo import Place
from flexlive.lab.scenario import Habits, Mishap, Travel

LINE_BYTES_MAX = 4 * 1024 * 1024


class FleetDriver(Struct, frozen=True, kw_only=True):
    """One phone. on_seconds, off_seconds: wall seconds after `Begin`; None = no end."""

    market_id: str
    driver_id: UUID
    access_token: str
    first_name: str
    start: Place
    on_seconds: float
    off_seconds: float | None
    enrolled: bool = True


class FleetSite(Struct, frozen=True, kw_only=True):
    market_id: str
    site_id: UUID
    place: Place


class Manifest(Struct, frozen=True, kw_only=True):
    """All a fleet process needs; the file holds tokens and must be readable by its owner only.

    handoff_codes: by store id, what the counter tells the driver at pick-up. mishaps: by external_delivery_id, what
    goes wrong on purpose. answer_seconds_max: how long a phone
    waits for an answer, settle_seconds_max: to see on its own screen what was answered.
    """

    url: str
    seed: int
    scale: float
    location_seconds: float
    travel: Travel
    habits: Habits
    drivers: tuple[FleetDriver, ...]
    sites: tuple[FleetSite, ...]
    handoff_codes: dict[UUID, str]
    mishaps: dict[str, Mishap]
    answer_seconds_max: float = 30.0
    settle_seconds_max: float = 10.0


class ToFleet(Struct, frozen=True, tag_field="type"):
    pass


class Begin(ToFleet, frozen=True, tag="begin"):
    """Ordering starts now: shifts count from here."""


class Pin(ToFleet, frozen=True, tag="pin"):
    """What the customer will tell whoever stands at the door."""

    external_delivery_id: str
    pincode: str


class Look(ToFleet, frozen=True, tag="look"):
    """Say `Phones`: what every phone holds now."""

    number: int


class Finish(ToFleet, frozen=True, tag="finish"):
    """Go offline, close, say `Finished` and exit. End of the pipe means the same without the report."""


DemoLine: TypeAlias = Begin | Pin | Look | Finish


class FromFleet(Struct, frozen=True, tag_field="type"):
    pass


class Online(FromFleet, frozen=True, tag="online"):
    """connected: phones with a live session, of all that the manifest names."""

    connected: int
    drivers: int


class FirstOffer(FromFleet, frozen=True, tag="first_offer"):
    at: float


class Won(FromFleet, frozen=True, tag="won"):
    offer_id: UUID
    driver_id: UUID
    at: float


class Assigned(FromFleet, frozen=True, tag="assigned"):
    """The winner's route names its deliveries."""

    offer_id: UUID
    external_delivery_ids: tuple[str, ...]


class PickedUp(FromFleet, frozen=True, tag="picked_up"):
    external_delivery_ids: tuple[str, ...]
    at: float


class Delivered(FromFleet, frozen=True, tag="delivered"):
    external_delivery_id: str
    at: float


class PhoneState(Struct, frozen=True, kw_only=True):
    """What one phone on duty holds. routes: id → version. unanswered_since: when the oldest command without an answer
    was given. answers: by cmd, SHA-256 (hex) of each answer since the last look.
    """

    market_id: str
    driver_id: UUID
    device_id: str
    on_duty: bool
    connected: bool
    unanswered_since: float | None
    place: Place
    routes: dict[UUID, int]
    offers: tuple[UUID, ...]
    answers: dict[str, str]


class Phones(FromFleet, frozen=True, tag="phones"):
    """The answer to `Look`, at the end without one."""

    number: int
    phones: tuple[PhoneState, ...]


class Tally(FromFleet, frozen=True, kw_only=True, tag="tally"):
    """Counters since the start; the sample lists hold only what is new since the last tally (milliseconds).

    late_ms: how late the fleet's own timers rang; a share of every other figure that is the lab's, not the server's.
    """

    connected: int
    online: int
    busy: int
    offers_seen: int
    offers_shown: int
    accepts_won: int
    accepts_refused: dict[str, int]
    deliveries_delivered: int
    facts: int
    reconnects: int
    errors: int
    push_ms: tuple[float, ...]
    accept_ms: tuple[float, ...]
    late_ms: tuple[float, ...]


class Trouble(FromFleet, frozen=True, tag="trouble"):
    """Something that should not happen, in words (bounded in number by the fleet)."""

    text: str


class Finished(FromFleet, frozen=True, kw_only=True, tag="finished"):
    """The last line. wins: offer → drivers whose phone said `won` (more than one is a broken promise)."""

    wins: dict[UUID, tuple[UUID, ...]]
    delivered: tuple[str, ...]
    offers_seen: tuple[UUID, ...]
    violations: tuple[str, ...]
    violation_count: int


FleetLine: TypeAlias = Online | FirstOffer | Won | Assigned | PickedUp | Delivered | Phones | Tally | Trouble | Finished
