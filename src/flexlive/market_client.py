"""A running server's operations API as the command line uses it: a plan in, a market open; a question in, lines out."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import msgspec
from msgspec import Struct, field

from flexlive.protocol import ops, ops_market

REQUEST_TIMEOUT_SECONDS = 60.0


class MarketError(Exception):
    """The server refused or could not be asked; str() says what and why."""


class PlannedStore(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A counter; merchant: the name of one of the plan's merchants. The rest as in `ops.CreateStore`."""

    merchant: str
    external_store_id: str
    name: str
    unit: str = ""
    floor: str = ""
    phone: str = ""
    pickup_instructions: str = ""
    hours: Any = None
    prep_seconds_default: int = 600
    carry_weight_grams_max: int = 20_000


class PlannedSite(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    site: ops.CreateSite
    stores: tuple[PlannedStore, ...] = ()


class MarketPlan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A market as one file. Every merchant takes part with its stores, in every offer type of the plan."""

    market: ops.CreateMarket
    offer_types: dict[str, ops.PutOfferType] = field(default_factory=dict[str, ops.PutOfferType])
    service_levels: dict[str, ops.PutServiceLevel] = field(default_factory=dict[str, ops.PutServiceLevel])
    merchants: tuple[ops.CreateMerchant, ...] = ()
    sites: tuple[PlannedSite, ...] = ()


class MarketClient:
    """One operator at one server."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """The answer's JSON; MarketError for anything that is not a 2xx."""
        answer, problem = self._send(method, path, body)
        if problem is not None:
            raise MarketError(f"{method} {path}: {problem.get('code')}: {problem.get('detail')}")
        return answer

    def ensure(self, path: str, body: object) -> tuple[Any, bool]:
        """(what was created, True), or (what a 409 says is there already, False)."""
        answer, problem = self._send("POST", path, body)
        if problem is not None and problem.get("code") != "conflict":
            raise MarketError(f"POST {path}: {problem.get('code')}: {problem.get('detail')}")
        return (answer, True) if problem is None else (problem, False)

    def open(self, plan: MarketPlan, say: Callable[[str], None]) -> None:
        """Create what the plan names and the server lacks; run again after a failure or an addition."""
        market_id = plan.market.market_id
        base = f"/v1/ops/markets/{market_id}"
        _, fresh = self.ensure("/v1/ops/markets", plan.market)
        say(f"market {market_id}: {'created' if fresh else 'there already'}")
        for name, offer_type in plan.offer_types.items():
            self.ask("PUT", f"{base}/offer-types/{name}", offer_type)
            say(f"offer type {name}: terms {offer_type.terms_version}")
        for name, level in plan.service_levels.items():
            self.ask("PUT", f"{base}/service-levels/{name}", level)
        merchants: dict[str, str] = {}
        for merchant in plan.merchants:
            made, fresh = self.ensure("/v1/ops/merchants", merchant)
            merchants[merchant.name] = made["merchant_id"]
            key = f"API key {made['api_key']}" if fresh else "there already; keys are shown once"
            say(f"merchant {merchant.name}: {key}")
        for planned in plan.sites:
            made, _ = self.ensure(f"{base}/sites", planned.site)
            say(f"site {planned.site.name}: {made['site_id']}")
            self._open_stores(base, planned, made["site_id"], merchants, list(plan.offer_types), say)

    def _open_stores(
        self,
        base: str,
        planned: PlannedSite,
        site_id: str,
        merchants: dict[str, str],
        offer_types: list[str],
        say: Callable[[str], None],
    ) -> None:
        for store in planned.stores:
            merchant_id = merchants.get(store.merchant)
            if merchant_id is None:
                raise MarketError(f"store {store.external_store_id} names {store.merchant}, no merchant of the plan")
            columns = {key: value for key, value in msgspec.structs.asdict(store).items() if key != "merchant"}
            hours = store.hours or msgspec.to_builtins(planned.site.hours)
            made, fresh = self.ensure(
                f"{base}/stores", {**columns, "hours": hours, "merchant_id": merchant_id, "site_id": site_id}
            )
            said = f"hand-off code {made['handoff_code']}" if fresh else "there already"
            say(f"store {store.external_store_id} of {store.merchant}: {said}")
            for offer_type in offer_types:
                taking_part = {"merchant_id": merchant_id, "site_id": site_id, "offer_type": offer_type}
                self.ask("PUT", f"{base}/participations", taking_part)

    def _send(self, method: str, path: str, body: object) -> tuple[Any, dict[str, Any] | None]:
        try:
            content = b"" if body is None else msgspec.json.encode(body)
            response = self._http.request(method, path, content=content)
        except httpx.HTTPError as error:
            raise MarketError(
                f"{self._http.base_url} does not answer ({type(error).__name__}); is it served?"
            ) from error
        try:
            answer = response.json()
        except ValueError:
            raise MarketError(f"{method} {path}: HTTP {response.status_code}, not from a flexlive server") from None
        return (answer, None) if response.is_success else (None, answer)


@contextmanager
def connect(server: str, token: str | None) -> Generator[MarketClient]:
    """MarketError without a token."""
    if not token:
        raise MarketError("needs an operator's token: --token, or the variable OPS (flexlive token ops issues one)")
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    with httpx.Client(base_url=server, headers=headers, timeout=REQUEST_TIMEOUT_SECONDS, trust_env=False) as http:
        yield MarketClient(http)


def read_plan(path: Path) -> MarketPlan:
    """MarketError names what is wrong with the file."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=MarketPlan)
    except OSError as error:
        raise MarketError(f"{path}: {error.strerror}") from None
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise MarketError(f"{path}: {error}") from None


def audience(
    cells: list[str] | None, drivers: list[UUID] | None, pilot: UUID | None, arm: ops_market.ArmName
) -> ops_market.Audience:
    """Whom a notice names: at most one of them, else everybody. MarketError for two."""
    if sum(each is not None for each in (cells, drivers, pilot)) > 1:
        raise MarketError("a notice goes to cells, to drivers or to a pilot's arm: name one of them, or none for all")
    if cells:
        return ops_market.Audience(kind="cells", cells=tuple(cells))
    if drivers:
        return ops_market.Audience(kind="drivers", driver_ids=tuple(drivers))
    if pilot is not None:
        return ops_market.Audience(kind="pilot", pilot_id=pilot, arm=arm)
    return ops_market.Audience(kind="market")


def funnel_lines(funnel: ops_market.Funnel) -> Iterator[str]:
    """One line a step: how many, of how many before, and how soon."""
    medians = {
        "seen": funnel.seen_seconds_median,
        "opted in": funnel.opted_in_seconds_median,
        "first accept": funnel.first_accept_seconds_median,
    }
    yield f"notice sent   {funnel.sent:>6}"
    before = funnel.sent
    for (name, median), count in zip(medians.items(), (funnel.seen, funnel.opted_in, funnel.first_accept), strict=True):
        share = f"{count / before:5.0%}" if before else "    –"
        soon = "" if median is None else f"   median {median:,.1f} s after the notice"
        yield f"{name:<13} {count:>6}  {share}{soon}"
        before = count


def effect_lines(report: ops_market.PilotReport) -> Iterator[str]:
    """A table: measure, both means, the difference and its interval."""
    head = f"{report.effects[0].confidence:.0%} interval" if report.effects else ""
    yield f"{'per driver':<18}{'cohort':>12}{'control':>12}{'difference':>14}   {head}"
    for each in report.effects:
        interval = "–" if each.low is None or each.high is None else f"[{each.low:,.2f}, {each.high:,.2f}]"
        means = [f"{_number(arm.mean)} ({arm.drivers})" for arm in (each.cohort, each.control)]
        yield f"{each.measure:<18}{means[0]:>12}{means[1]:>12}{_number(each.difference):>14}   {interval}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.2f}"
