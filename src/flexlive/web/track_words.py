"""What the customer's page says: one headline and one sentence for every status, and why something went wrong."""

from __future__ import annotations

from typing import Final, Literal

from flexlive.domain.deliveries import DeliveryStatus as S
from flexlive.domain.readiness import Readiness
from flexlive.domain.reasons import ReasonCode as R
from flexlive.protocol.customer import TrackState

Tone = Literal["going", "here", "done", "trouble", "over"]

HEADLINES: Final = {
    S.CREATED: "Order received",
    S.CONFIRMED: "A driver is assigned",
    S.ENROUTE_TO_PICKUP: "Driver is heading to the store",
    S.ARRIVED_AT_PICKUP: "Driver is at the store",
    S.PICKED_UP: "Picked up",
    S.ENROUTE_TO_DROPOFF: "On the way to you",
    S.ARRIVED_AT_DROPOFF: "Your driver is here",
    S.DELIVERED: "Delivered",
    S.UNDELIVERABLE: "Could not be handed over",
    S.ENROUTE_TO_RETURN: "On its way back to the store",
    S.ARRIVED_AT_RETURN: "On its way back to the store",
    S.RETURNED: "Returned to the store",
    S.DISPOSED: "Could not be delivered",
    S.CANCELLED: "Order cancelled",
    S.LOST: "Could not be delivered",
}

ANOTHER_DRIVER: Final = "Looking for another driver"
"""What a second `created` means."""

_TONES: Final[dict[S, Tone]] = {
    S.ARRIVED_AT_DROPOFF: "here",
    S.DELIVERED: "done",
    S.UNDELIVERABLE: "trouble",
    S.ENROUTE_TO_RETURN: "trouble",
    S.ARRIVED_AT_RETURN: "trouble",
    S.RETURNED: "over",
    S.DISPOSED: "over",
    S.CANCELLED: "over",
    S.LOST: "over",
}

_AT_THE_STORE: Final = {
    Readiness.PENDING: "{store} has your order and will pack it soon.",
    Readiness.PREPARING: "{store} is packing your order.",
    Readiness.READY: "Your order is packed at {store} and waits for a driver.",
    Readiness.DELAYED: "{store} needs a little longer to pack your order.",
}

_SENTENCES: Final = {
    S.CONFIRMED: "It will be picked up at {store}.",
    S.ENROUTE_TO_PICKUP: "It will be picked up at {store}.",
    S.ARRIVED_AT_PICKUP: "{store} is handing your order over.",
    S.PICKED_UP: "Your order has left {store}. You will see the driver here when yours is the next stop.",
    S.ENROUTE_TO_DROPOFF: "Yours is the next stop.",
    S.ARRIVED_AT_DROPOFF: "Please come to the door.",
    S.DELIVERED: "Enjoy!",
    S.UNDELIVERABLE: "We are working out what happens next. This page will say.",
    S.ENROUTE_TO_RETURN: "Nobody needs to wait at the door any more.",
    S.ARRIVED_AT_RETURN: "Nobody needs to wait at the door any more.",
    S.RETURNED: "Please ask {brand} about a refund or another delivery.",
    S.DISPOSED: "It could not be kept any longer. Please ask {brand} about a refund or another order.",
    S.CANCELLED: "Nothing will be brought. Please ask {brand} if you have questions.",
    S.LOST: "Your order got lost on the way. We are sorry. Please ask {brand} about a refund or another order.",
}

_REASONS: Final = {
    R.MERCHANT_NOT_READY: "The store could not get your order ready in time.",
    R.MERCHANT_CLOSED: "The store is closed.",
    R.MERCHANT_CANCELLED: "The store cancelled it.",
    R.ITEM_MISSING: "The store does not have what you ordered.",
    R.ITEM_TOO_LARGE: "It does not fit into a car.",
    R.PACKAGE_DAMAGED: "A package was damaged.",
    R.CUSTOMER_UNAVAILABLE: "Nobody could be reached at the door.",
    R.CUSTOMER_REFUSED: "It was not accepted at the door.",
    R.CUSTOMER_CANCELLED: "It was cancelled at your request.",
    R.ADDRESS_PROBLEM: "The address could not be found.",
    R.ACCESS_PROBLEM: "The driver could not get to the door.",
    R.AGE_NOT_VERIFIED: "The age check at the door could not be done.",
    R.ATTEMPTS_EXHAUSTED: "The PIN was wrong too often.",
    R.VEHICLE_PROBLEM: "The vehicle broke down.",
    R.NO_DRIVER_FOUND: "No driver was free to bring it in time.",
}
"""Reasons that are nobody's business but ours have no sentence."""


def tone(status: S) -> Tone:
    """The colour of the page."""
    return _TONES.get(status, "going")


def headline(state: TrackState) -> str:
    if state.status == S.CREATED and sum(entry.status == S.CREATED for entry in state.timeline) > 1:
        return ANOTHER_DRIVER
    if state.courier_imminent and state.status == S.ENROUTE_TO_DROPOFF:
        return "Almost there"
    return HEADLINES[S(state.status)]


def sentences(state: TrackState) -> list[str]:
    """What the headline means for the customer; plain text, still to be escaped."""
    status = S(state.status)
    names = {"store": state.store_name, "brand": state.fulfilled_by}
    said = [_REASONS[R(state.reason_code)]] if state.reason_code in _REASONS else []
    if status is S.CREATED:
        said.append(_AT_THE_STORE.get(Readiness(state.readiness), "").format(**names))
    elif status is S.DELIVERED:
        said.append(_handed_over(state))
    else:
        said.append(_SENTENCES[status].format(**names))
    return [each for each in said if each]


def _handed_over(state: TrackState) -> str:
    if state.left_at:
        return f"Left for you: {state.left_at}"
    return f"Received by {state.recipient}" if state.recipient else _SENTENCES[S.DELIVERED]
