"""A recorded day as a play: couriers keep their shifts, orders come and get ready when they did."""

from __future__ import annotations

from dataclasses import dataclass

from flexlive.lab.doors import Door
from flexlive.lab.people import FIRST_NAMES
from flexlive.lab.real_day import RealDay, Window
from flexlive.lab.real_day_world import SERVICE_LEVEL, place_of
from flexlive.lab.scenario import DriverPlan, Habits, OrderPlan, Scenario, Travel

SECONDS_PER_MINUTE = 60.0
THINK_SECONDS_MAX = 10.0


def whole_window(day: RealDay) -> Window:
    """From the first shift to the last order."""
    start = min((c.on_minute for c in day.couriers), default=0.0)
    return Window(int(start), int(max((o.placed_minute for o in day.orders), default=start)) + 1)


@dataclass(frozen=True, slots=True)
class RecordedWindow:
    """A day cut to a window of it."""

    day: RealDay
    window: Window


def real_day_scenario(recorded: RecordedWindow, scale: float, market_id: str) -> Scenario:
    """scale: seconds of the day per wall second."""
    day, window = recorded.day, recorded.window

    def wall_seconds(minutes: float) -> float:
        return minutes * SECONDS_PER_MINUTE / scale

    parameters = day.parameters
    pickup_half = parameters.pickup_service_minutes * SECONDS_PER_MINUTE / 2
    dropoff_half = parameters.dropoff_service_minutes * SECONDS_PER_MINUTE / 2
    return Scenario(
        name=f"{day.name} {window}",
        scale=scale,
        order_seconds=wall_seconds(window.end_minute - window.start_minute),
        travel=Travel(
            metres_per_second=parameters.metres_per_minute / SECONDS_PER_MINUTE,
            round_up_seconds=SECONDS_PER_MINUTE,
            pickup_before_seconds=pickup_half,
            pickup_after_seconds=pickup_half,
            dropoff_before_seconds=dropoff_half,
            dropoff_after_seconds=dropoff_half,
        ),
        habits=Habits(eager=True, think_seconds_min=0.0, think_seconds_max=THINK_SECONDS_MAX, returns_to_site=False),
        drivers=tuple(
            DriverPlan(
                market_id=market_id,
                first_name=FIRST_NAMES[number % len(FIRST_NAMES)],
                start=place_of(courier.x_m, courier.y_m),
                on_seconds=wall_seconds(courier.on_minute - window.start_minute),
                off_seconds=wall_seconds(courier.off_minute - window.start_minute),
            )
            for number, courier in enumerate(day.couriers)
        ),
        orders=tuple(
            OrderPlan(
                at_seconds=wall_seconds(order.placed_minute - window.start_minute),
                external_delivery_id=f"{market_id}-{order.order}",
                external_store_id=order.restaurant,
                service_level=SERVICE_LEVEL,
                prep_seconds=wall_seconds(order.ready_minute - order.placed_minute),
                door=Door(f"Door of {order.order}, recorded street", place_of(order.x_m, order.y_m)),
                contact_name=FIRST_NAMES[number % len(FIRST_NAMES)],
                pincode=True,
            )
            for number, order in enumerate(day.orders)
        ),
    )
