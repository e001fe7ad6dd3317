"""From an invitation to work and back, on the real database: answers, papers, suspension, and what each entitles to."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import msgspec
import pytest

from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.domain.ids import DEPLOYMENT
from flexlive.domain.reasons import ReasonCode
from flexlive.protocol import ops, ops_market
from flexlive.protocol.driver import EnrolmentAnswer, Result
from flexlive.services import commands, documents, enrolment_steps, enrolments, markets, offers
from flexlive.services.drivers import DriverPrincipal, authenticate
from flexlive.services.tokens import OpsPrincipal
from tests.support.dispatch import dispatch, open_offer_ids
from tests.support.world import World, accept_item

OPS = OpsPrincipal(uuid4(), DEPLOYMENT)
TYPE = "retail_delivery"
LICENCE, INSURANCE = "driving_licence", "insurance"


async def newcomer(world: World) -> DriverPrincipal:
    """A driver nobody has enrolled, on-line at the site."""
    asked = ops.ProvisionDrivers(drivers=(ops.NewDriver(first_name="Ada"),))
    [made] = await enrolments.provision(world.ctx, world.market_id, asked)
    await world.go_online([made.driver_id])
    principal = await authenticate(world.ctx, made.access_token)
    assert isinstance(principal, DriverPrincipal)
    return principal


async def answer(world: World, driver: DriverPrincipal, accept: bool = True, terms: int = 1) -> Result:
    command = EnrolmentAnswer(cmd=uuid4().hex, offer_type=TYPE, accept=accept, terms_version=terms)
    body = await commands.execute(world.ctx, driver, "phone", command)
    return msgspec.json.decode(body, type=Result)


async def put(world: World, driver: DriverPrincipal, status: str) -> ops_market.Enrolment:
    request = msgspec.convert(
        {"status": status, "reason_code": ReasonCode.SAFETY, "note": "as agreed"}, ops_market.PutEnrolment
    )
    return await enrolment_steps.put(world.ctx, OPS, world.market_id, driver.driver_id, TYPE, request)


async def decide(world: World, driver: DriverPrincipal, document: str, **fields: object) -> None:
    request = msgspec.convert({"status": "approved", **fields}, ops_market.PutDocument)
    await documents.decide(world.ctx, OPS, world.market_id, driver.driver_id, document, request)


async def require_papers(world: World, *names: str, terms: int = 1) -> None:
    request = ops.PutOfferType(name="Retail delivery", documents_required=names, terms_version=terms)
    await markets.put_offer_type(world.ctx, world.market_id, TYPE, request)


async def standing(world: World, driver: DriverPrincipal) -> ops_market.Enrolment:
    [found] = await enrolment_steps.of_driver(world.ctx, world.market_id, driver.driver_id)
    return found


async def told(world: World, driver: DriverPrincipal) -> list[tuple[frozenset[str], str | None]]:
    """What the driver's own stream said of offer types, and the status it told, in order."""
    rows = await world.ctx.pool.fetch(
        "select data from event where stream = $1 and kind = 'driver.enrolment' order by seq",
        f"driver:{driver.driver_id}",
    )
    return [(frozenset(row["data"]["offer_types"]), row["data"].get("enrolment", {}).get("status")) for row in rows]


async def accept_answer(world: World, driver: DriverPrincipal) -> Result:
    [offer_id] = await open_offer_ids(world.ctx, world.market_id)
    return msgspec.json.decode(await offers.accept(world.ctx, accept_item(driver, offer_id, uuid4().hex)), type=Result)


async def test_the_last_paper_approved_opens_the_way_and_its_expiry_ends_it(world: World) -> None:
    await require_papers(world, LICENCE, INSURANCE)
    ada = await newcomer(world)
    assert (await answer(world, ada)).current == {"reason": "not_invited"}
    await put(world, ada, "invited")
    assert (await answer(world, ada, terms=7)).current == {"terms_version": 1}
    assert (await answer(world, ada)).current == {"status": "documents", "documents_missing": [LICENCE, INSURANCE]}
    assert (await answer(world, ada, accept=False)).code == "illegal_transition"
    await decide(world, ada, LICENCE)
    await decide(world, ada, INSURANCE, status="rejected", reason="not readable")
    assert (await standing(world, ada)).status == "documents"
    soon = world.ctx.clock() + timedelta(hours=1)
    await decide(world, ada, INSURANCE, expires_at=soon)
    after = await standing(world, ada)
    assert (after.status, after.eligible, after.documents_missing) == ("active", True, ())
    assert (await told(world, ada))[-1] == (frozenset({TYPE}), "active")

    await world.order()
    await dispatch(world.ctx, world.market_id)
    # The paper lapses while the offer is on the phone.
    await world.ctx.pool.execute("update driver_document set expires_at = now() where document = $1", INSURANCE)
    late = await accept_answer(world, ada)
    assert (late.code, late.current) == ("not_eligible", {"reason": "not_enrolled"})
    lapsed = await standing(world, ada)
    assert (lapsed.status, lapsed.eligible, lapsed.documents_missing) == ("active", False, (INSURANCE,))
    await decide(world, ada, INSURANCE)
    assert (await accept_answer(world, ada)).code == "won"


async def test_a_suspension_ends_work_until_it_is_lifted_and_is_audited(world: World) -> None:
    [ada] = await world.add_drivers(1)
    await world.order()
    await dispatch(world.ctx, world.market_id)
    assert (await put(world, ada, "suspended")).reason == "safety"
    assert (await accept_answer(world, ada)).code == "not_eligible"
    assert (await answer(world, ada)).current == {"reason": "suspended"}
    with pytest.raises(FlexliveError) as refused:
        await put(world, ada, "invited")
    assert refused.value.code is ErrorCode.ILLEGAL_TRANSITION
    await put(world, ada, "active")
    assert (await accept_answer(world, ada)).code == "won"
    assert await told(world, ada) == [(frozenset(), "suspended"), (frozenset({TYPE}), "active")]
    rows = await world.ctx.pool.fetch(
        "select ops_id, reason_code, note, subject_id from ops_action order by created_at"
    )
    assert [tuple(row) for row in rows] == [(OPS.subject_id, "safety", "as agreed", str(ada.driver_id))] * 2


async def test_a_driver_may_leave_and_come_back(world: World) -> None:
    [ada] = await world.add_drivers(1)
    assert (await answer(world, ada, accept=False)).current == {"status": "suspended", "documents_missing": []}
    assert (await answer(world, ada)).current == {"status": "active", "documents_missing": []}


async def test_new_terms_are_accepted_before_the_next_offer_and_open_sockets_learn(world: World) -> None:
    [ada] = await world.add_drivers(1)
    await require_papers(world, terms=2)
    assert await told(world, ada) == [(frozenset(), None)]
    await world.order()
    await dispatch(world.ctx, world.market_id)
    assert (await accept_answer(world, ada)).code == "not_eligible"
    assert (await answer(world, ada, terms=2)).ok
    assert (await accept_answer(world, ada)).code == "won"
    assert (await told(world, ada))[-1] == (frozenset({TYPE}), "active")


async def test_whoever_is_provisioned_may_work_at_once_also_where_papers_are_asked_for(world: World) -> None:
    await require_papers(world, LICENCE)
    [ada] = await world.add_drivers(1)
    assert ada.offer_types == {TYPE}
    [paper] = await documents.of_driver(world.ctx, world.market_id, ada.driver_id)
    assert (paper.document, paper.status, paper.reviewed_by) == (LICENCE, "approved", "provisioning")


async def test_a_paper_is_handed_in_by_upload_and_an_approved_one_is_not_lost_by_it(world: World) -> None:
    await require_papers(world, LICENCE)
    ada = await newcomer(world)
    request = ops_market.SubmitDocument(upload_id="u-1")
    with pytest.raises(FlexliveError) as missing:
        await documents.submit(world.ctx, ada, LICENCE, request)
    assert missing.value.code is ErrorCode.NOT_FOUND
    await upload(world, ada.driver_id, "u-1")
    assert (await documents.submit(world.ctx, ada, LICENCE, request)).status == "submitted"
    assert [row.upload_id for row in await documents.in_market(world.ctx, world.market_id, "submitted")] == ["u-1"]
    await decide(world, ada, LICENCE)
    with pytest.raises(FlexliveError) as holds:
        await documents.submit(world.ctx, ada, LICENCE, request)
    assert holds.value.code is ErrorCode.CONFLICT


async def upload(world: World, driver_id: UUID, upload_id: str) -> None:
    await world.ctx.pool.execute(
        "insert into upload (market_id, driver_id, upload_id, sha256, media_type, size_bytes, created_at) "
        "values ($1, $2, $3, $4, 'image/png', 1, now())",
        world.market_id,
        driver_id,
        upload_id,
        bytes(32),
    )
