"""A market's policy: every distance, speed, limit and duration that a city may set for itself."""

from __future__ import annotations

from math import isfinite
from typing import Literal

import msgspec


class MarketPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """Stored as jsonb; a field that a stored policy lacks has the default here."""

    # Dispatch
    offer_policy: Literal["staged", "broadcast"] = "staged"
    offer_ttl_seconds: float = 120.0
    offer_lead_seconds: float = 2700.0
    ring_widen_seconds: float = 12.0
    rings_max: int = 8
    broadcast_rings: int = 1
    expected_accept_target: float = 0.95
    acceptance_prior: float = 0.87
    acceptance_km: float = 8.0
    reoffer_delay_seconds: float = 5.0
    decline_cooldown_seconds: float = 3600.0
    forfeit_cooldown_seconds: float = 86400.0
    routes_active_max: int = 1
    position_stale_seconds: float = 600.0
    # How many deliveries of one site an offer may hold, and how far apart they may be ready.
    bundle_deliveries_max: int = 1
    bundle_ready_spread_seconds: float = 900.0
    # How long after its pickup deadline an order nobody took is cancelled.
    no_driver_cancel_seconds: float = 0.0

    # At the stops
    geofence_default_radius_m: int = 150
    accuracy_slack_max_m: float = 100.0
    door_crossing_radius_m: float = 60.0
    crossing_leave_factor: float = 1.5
    wait_free_seconds: float = 300.0
    pin_attempts_max: int = 5
    code_attempts_max: int = 10
    delivery_attempts_max: int = 2
    incident_decision_seconds: float = 600.0
    # Of a delivery's pay, when it is cancelled after the check-in or taken over by a second driver.
    partial_pay_share: float = 0.5

    # Positions
    speed_mps_max: float = 70.0
    accuracy_m_max: float = 2000.0
    driver_silent_seconds: float = 300.0
    # From the alert on: then work that is not picked up goes to another driver.
    driver_gone_seconds: float = 600.0

    # Travel and what the customer sees of it
    travel_speed_mps: float = 8.3
    detour_factor: float = 1.3
    service_site_seconds: float = 600.0
    service_door_seconds: float = 180.0
    courier_imminent_seconds: float = 180.0
    eta_step_seconds: float = 60.0
    customer_cell_resolution: int = 9
    customer_exact_within_m: float = 500.0


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
