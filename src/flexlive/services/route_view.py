"""What a driver is shown of a route: rows in, the wire body out. Pure."""

from __future__ import annotations

from typing import Any

from flexlive.protocol import views
from flexlive.storage.pool import Record
from flexlive.storage.routes import RouteSheet


def route_view(sheet: RouteSheet) -> views.RouteView:
    """The body of `route.update` and `snapshot.routes[]`."""
    route = sheet.route
    return views.RouteView(
        route_id=route["route_id"],
        version=route["version"],
        status=route["status"],
        offer_id=route["offer_id"],
        stops=tuple(_stop_view(stop, sheet) for stop in sheet.stops),
    )


def _stop_view(stop: Record, sheet: RouteSheet) -> views.StopView:
    # Until it is taken over, a delivery of another route shows at the hand-over and nowhere else.
    handover = stop["kind"] == "handover"
    deliveries = [
        delivery
        for each in stop["delivery_ids"]
        if (delivery := sheet.deliveries.get(each)) is not None
        and handover == (delivery["route_id"] != sheet.route["route_id"])
    ]
    common: dict[str, Any] = {
        "stop_id": stop["stop_id"],
        "sequence": stop["sequence"],
        "kind": stop["kind"],
        "status": stop["status"],
        "lat": stop["lat"],
        "lon": stop["lon"],
        "geofence_radius_m": stop["geofence_radius_m"],
        "site_id": stop["site_id"],
        "store_id": stop["store_id"],
        "deliveries": tuple(_delivery_view(delivery, sheet) for delivery in deliveries),
    }
    match stop["kind"]:
        case "door":
            return _door_view(deliveries[0] if deliveries else None, common)
        case "store":
            return views.StopView(
                name=stop["store_name"],
                address=", ".join(
                    part for part in (stop["store_unit"], stop["store_floor"], stop["site_address"]) if part
                ),
                contact=views.ContactView(name=stop["store_name"], phone=stop["store_phone"]),
                instructions=_sentences(
                    stop["store_instructions"], *(delivery["pickup_instructions"] for delivery in deliveries)
                ),
                window=views.WindowView(
                    ready_at=max((d["pickup_ready_at"] for d in deliveries), default=None),
                    deadline_at=min(
                        (d["pickup_deadline_at"] for d in deliveries if d["pickup_deadline_at"]), default=None
                    ),
                ),
                **common,
            )
        case "return":
            return views.StopView(
                name=stop["store_name"],
                address=", ".join(
                    part for part in (stop["store_unit"], stop["store_floor"], stop["site_address"]) if part
                ),
                contact=views.ContactView(name=stop["store_name"], phone=stop["store_phone"]),
                instructions=_sentences(f"Entrance: {stop['entrance_name']}", stop["parking_notes"]),
                **common,
            )
        case "handover":
            return views.StopView(
                name="Hand-over",
                address="",
                instructions="Meet the driver who has these packages and scan every one of them.",
                **common,
            )
        case _:
            return views.StopView(
                name=stop["site_name"],
                address=stop["site_address"],
                instructions=_sentences(f"Entrance: {stop['entrance_name']}", stop["parking_notes"]),
                **common,
            )


def _door_view(delivery: Record | None, common: dict[str, Any]) -> views.StopView:
    if delivery is None:
        # The delivery has left this route (transferred, re-offered): its door shows nothing of it any more.
        return views.StopView(name="", address="", **common)
    return views.StopView(
        name=delivery["contact_name"],
        address=", ".join(part for part in (delivery["dropoff_address"], delivery["dropoff_unit"]) if part),
        contact=views.ContactView(name=delivery["contact_name"], phone=delivery["contact_phone"]),
        instructions=delivery["dropoff_instructions"],
        window=views.WindowView(
            ready_at=delivery["dropoff_ready_at"],
            deadline_at=delivery["dropoff_deadline_at"],
        ),
        **common,
    )


def _delivery_view(delivery: Record, sheet: RouteSheet) -> views.StopDeliveryView:
    verification = delivery["dropoff_verification"]
    return views.StopDeliveryView(
        delivery_id=delivery["delivery_id"],
        external_delivery_id=delivery["external_delivery_id"],
        status=delivery["status"],
        packages=tuple(
            views.PackageView(
                package_id=package["package_id"],
                barcode=package["barcode"],
                size=package["size"],
                weight_grams=package["weight_grams"],
                must_be_upright=package["must_be_upright"],
                custody=package["custody"],
            )
            for package in sheet.packages[delivery["delivery_id"]]
        ),
        verification=views.VerificationView(
            photo=bool(verification.get("photo")),
            signature=bool(verification.get("signature")),
            pincode=bool(verification.get("pincode")),
            min_age=verification.get("min_age"),
        ),
        return_cents=delivery["pay_return_cents"],
    )


def _sentences(*parts: str) -> str:
    return " ".join(dict.fromkeys(part.strip() for part in parts if part and part.strip()))
