"""The lists in sql/schema.sql are the enums of the domain."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args

import pytest

from flexlive.domain.actors import ActorType
from flexlive.domain.alerts import AlertKind
from flexlive.domain.allocation.types import Action
from flexlive.domain.check_in import CheckInMethod
from flexlive.domain.deliveries import CUSTODY, TERMINAL, DeliveryStatus, Readiness, UndeliverableAction
from flexlive.domain.drivers import SLOTS_MAX, DriverStatus, Presence, VehicleKind
from flexlive.domain.enrolments import DocumentStatus, EnrolmentStatus
from flexlive.domain.ids import DEPLOYMENT, TokenKind
from flexlive.domain.offers import OfferRule, OfferShape, OfferStatus
from flexlive.domain.packages import PackageCustody, PackageSize
from flexlive.domain.pay import LedgerKind
from flexlive.domain.pilots import PilotArm
from flexlive.domain.proofs import ProofKind
from flexlive.domain.service_levels import ServiceLevelName
from flexlive.domain.sites import SiteKind
from flexlive.domain.stops import RouteStatus, StopKind, StopStatus
from flexlive.protocol.push_targets import PushKind
from flexlive.storage.leases import LeaseName
from flexlive.storage.wake_rings import RingOutcome, RingReason

SCHEMA = (Path(__file__).parents[3] / "sql" / "schema.sql").read_text()
TABLES = dict(re.findall(r"^create table (\w+) \((.*?)^\)", SCHEMA, re.MULTILINE | re.DOTALL))
LISTS = {
    (table, column): frozenset(re.findall(r"'([^']*)'", values))
    for table, body in TABLES.items()
    for column, values in re.findall(r"^  (\w+) text\b[^;]*?check \(\1 in \(([^)]*)\)\)", body, re.MULTILINE)
}
ENUMS: dict[tuple[str, str], type[StrEnum]] = {
    ("pickup_site", "kind"): SiteKind,
    ("service_level", "service_level"): ServiceLevelName,
    ("service_level", "shape"): OfferShape,
    ("driver", "status"): DriverStatus,
    ("driver", "presence"): Presence,
    ("vehicle", "kind"): VehicleKind,
    ("enrolment", "status"): EnrolmentStatus,
    ("delivery", "status"): DeliveryStatus,
    ("delivery", "readiness"): Readiness,
    ("delivery", "undeliverable_action"): UndeliverableAction,
    ("package", "size"): PackageSize,
    ("package", "custody"): PackageCustody,
    ("offer", "shape"): OfferShape,
    ("offer", "rule"): OfferRule,
    ("offer", "status"): OfferStatus,
    ("route", "status"): RouteStatus,
    ("stop", "kind"): StopKind,
    ("stop", "status"): StopStatus,
    ("check_in", "method"): CheckInMethod,
    ("proof", "kind"): ProofKind,
    ("event", "actor_type"): ActorType,
    ("ledger_entry", "kind"): LedgerKind,
    ("dispatch_decision", "action"): Action,
    ("alert", "kind"): AlertKind,
    ("driver_document", "status"): DocumentStatus,
    ("pilot_member", "arm"): PilotArm,
}
WORDS: dict[tuple[str, str], Any] = {
    ("lease", "name"): LeaseName,
    ("push_target", "kind"): PushKind,
    ("wake_ring", "reason"): RingReason,
    ("wake_ring", "outcome"): RingOutcome,
}
# A merchant's key has its own table.
ELSEWHERE = {("token", "kind")}


@pytest.mark.parametrize(("table", "column"), ENUMS)
def test_the_check_lists_the_enum(table: str, column: str) -> None:
    assert LISTS[table, column] == {member.value for member in ENUMS[table, column]}


@pytest.mark.parametrize(("table", "column"), WORDS)
def test_the_check_lists_the_words(table: str, column: str) -> None:
    assert LISTS[table, column] == set(get_args(WORDS[table, column]))


def test_no_list_is_forgotten() -> None:
    assert set(LISTS) - set(ENUMS) - set(WORDS) == ELSEWHERE
    assert LISTS["token", "kind"] == {kind.value for kind in TokenKind} - {TokenKind.MERCHANT.value}
    assert len(re.findall(r"^  \w+ text\b[^;]*?check \(\w+ in \(", SCHEMA, re.MULTILINE)) >= len(ENUMS)


def test_the_index_of_moving_deliveries_leaves_out_what_has_ended() -> None:
    listed = re.search(r"delivery_moving_idx.*?not in \(([^)]*)\)", SCHEMA, re.DOTALL)
    assert listed is not None
    assert set(re.findall(r"'(\w+)'", listed[1])) == TERMINAL | {DeliveryStatus.CREATED}


def test_custody_is_never_unknown() -> None:
    listed = re.search(r"check \(status in \(([^)]*)\) or driver_id is not null\)", SCHEMA)
    assert listed is not None
    assert not CUSTODY & set(re.findall(r"'(\w+)'", listed[1]))


def test_slots_and_reserved_names() -> None:
    assert f"check (slot between 1 and {SLOTS_MAX})" in SCHEMA
    assert f"check (routes_active_max between 1 and {SLOTS_MAX})" in SCHEMA
    assert f"market_id <> '{DEPLOYMENT}'" in SCHEMA
