"""A market's policy: every distance, speed, limit and duration that a city may set for itself."""

from __future__ import annotations

from math import isfinite
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

# The bounds keep a typing mistake from stopping a market: whatever is inside them can be computed with.
Seconds = Annotated[float, Meta(ge=0, le=30 * 86_400)]
Positive = Annotated[float, Meta(gt=0, le=30 * 86_400)]
Metres = Annotated[float, Meta(ge=0, le=100_000)]
GeofenceRadius = Annotated[int, Meta(ge=20, le=5000)]
Kilometres = Annotated[float, Meta(gt=0, le=1000)]
Speed = Annotated[float, Meta(gt=0, le=1e9)]
Factor = Annotated[float, Meta(ge=1, le=100)]
Probability = Annotated[float, Meta(gt=0, lt=1)]
Share = Annotated[float, Meta(ge=0, le=1)]
Rings = Annotated[int, Meta(ge=0, le=40)]
Routes = Annotated[int, Meta(ge=1, le=8)]
BundleSize = Annotated[int, Meta(ge=1, le=50)]
Attempts = Annotated[int, Meta(ge=1, le=1000)]
CellResolution = Annotated[int, Meta(ge=5, le=12)]


class MarketPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """Stored as jsonb; a field that a stored policy lacks has the default here."""

    # Dispatch
    offer_policy: Literal["staged", "broadcast"] = "staged"
    offer_ttl_seconds: Positive = 120.0
    offer_lead_seconds: Seconds = 2700.0
    ring_widen_seconds: Positive = 12.0
    rings_max: Rings = 8
    broadcast_rings: Rings = 1
    expected_accept_target: Probability = 0.95
    acceptance_prior: Probability = 0.87
    acceptance_km: Kilometres = 8.0
    reoffer_delay_seconds: Seconds = 5.0
    position_stale_seconds: Seconds = 600.0
    # How many deliveries of one site an offer may hold, and how far apart they may be ready.
    bundle_deliveries_max: BundleSize = 1
    bundle_ready_spread_seconds: Seconds = 900.0
    # How long after its pickup deadline an order nobody took is cancelled.
    no_driver_cancel_seconds: Seconds = 0.0

    # At the stops
    geofence_default_radius_m: GeofenceRadius = 150
    accuracy_slack_max_m: Metres = 100.0
    door_crossing_radius_m: Metres = 60.0
    wait_free_seconds: Seconds = 300.0
    pin_attempts_max: Attempts = 5
    code_attempts_max: Attempts = 10
    delivery_attempts_max: Attempts = 2
    incident_decision_seconds: Seconds = 600.0
    # Of a delivery's pay, when it is cancelled after the check-in or taken over by a second driver.
    partial_pay_share: Share = 0.5

    # Positions
    speed_mps_max: Speed = 70.0
    accuracy_m_max: Metres = 2000.0
    driver_silent_seconds: Seconds = 300.0
    # From the alert on: then work that is not picked up goes to another driver.
    driver_gone_seconds: Seconds = 600.0

    # Travel and what the customer sees of it
    travel_speed_mps: Speed = 8.3
    detour_factor: Factor = 1.3
    service_site_seconds: Seconds = 600.0
    service_door_seconds: Seconds = 180.0
    courier_imminent_seconds: Seconds = 180.0
    eta_step_seconds: Seconds = 60.0
    customer_cell_resolution: CellResolution = 9
    customer_exact_within_m: Metres = 500.0


_DURATION = ("_seconds",)
_SPEED = ("_mps", "_mps_max")


def scaled(policy: MarketPolicy, time_scale: float) -> MarketPolicy:
    """The policy of a world that runs time_scale times faster: durations divided, speeds multiplied.

    ValueError unless time_scale is a positive number."""
    if not (isfinite(time_scale) and time_scale > 0):
        raise ValueError("time_scale must be a positive number")
    changes: dict[str, float] = {}
    for name in MarketPolicy.__struct_fields__:
        if name.endswith(_DURATION):
            changes[name] = getattr(policy, name) / time_scale
        elif name.endswith(_SPEED):
            changes[name] = getattr(policy, name) * time_scale
    return msgspec.structs.replace(policy, **changes)


def policy_from(stored: object) -> MarketPolicy:
    """The policy of a market row's jsonb; msgspec.ValidationError when it has a wrong type."""
    return msgspec.convert(stored, MarketPolicy)
