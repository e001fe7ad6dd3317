"""The market commands against a running server, from the very plan in docs/markets.md."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from flexlive import market_cli
from flexlive.market_client import MarketError, read_plan
from flexlive.protocol import ops
from flexlive.services import enrolments, tokens
from tests.support.http_server import Server, serve

DOCS = Path(__file__).parents[2] / "docs" / "markets.md"
MARKET = "springfield"


async def test_from_the_plan_in_the_document_to_the_report(
    database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [plan_text] = re.findall(r"^```json\n(.*?)^```$", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    plan = tmp_path / "springfield.json"
    plan.write_text(plan_text)
    async with serve(database_url) as server:
        token = (await tokens.issue_ops_token(server.ctx, timedelta(hours=1))).token
        asked = {"server": server.url, "token": token}

        async def run(command: Callable[..., None], *args: object, **options: object) -> str:
            await asyncio.to_thread(command, *args, **options, **asked)
            return capsys.readouterr().out

        first = await run(market_cli.open_market, plan)
        assert re.search(r"API key fl_merchant_deployment_\S{43}\n", first)
        assert re.search(r"store SPR-12 of Blue Kite Toys: hand-off code \d+", first)
        again = await run(market_cli.open_market, plan)
        assert "market springfield: there already" in again
        assert "API key" not in again
        assert await counted(server) == [1, 1, 1, 1]
        people = ops.ProvisionDrivers(drivers=tuple(ops.NewDriver(first_name=f"D{n}") for n in range(4)))
        await enrolments.provision(server.ctx, MARKET, people)
        made = await run(market_cli.pilot, MARKET, "Mall pilot", cohort_share=1.0, control_share=0.0)
        assert "4 in the cohort, 0 in the control" in made
        pilot_id = made.split()[1].rstrip(":")
        sent = await run(
            market_cli.notice,
            MARKET,
            title="Hello",
            body="A new offer type.",
            offer_type="retail_delivery",
            pilot=pilot_id,
        )
        assert "sent to 4 drivers" in sent
        assert "is stopped: 0 open offers withdrawn" in await run(market_cli.kill, MARKET, pilot_id, reason="safety")
        assert "Mall pilot is running" in await run(market_cli.resume, MARKET, pilot_id)
        told = await run(market_cli.report, MARKET, pilot_id)
        assert re.search(r"notice sent +4\nseen +0 +0%\n", told)
        assert re.search(r"earnings_cents +0\.00 \(4\) +– \(0\) +–", told)
        with pytest.raises(MarketError, match="invalid"):
            await run(market_cli.kill, MARKET, pilot_id, reason="because")
    with pytest.raises(MarketError, match="does not answer"):
        await run(market_cli.report, MARKET, pilot_id)


async def counted(server: Server) -> list[int]:
    tables = ("store", "pickup_site", "participation", "offer_type")
    return [await server.ctx.pool.fetchval(f"select count(*) from {table}") for table in tables]


def test_a_plan_with_a_mistake_is_told_by_its_place(tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text('{"market": {"market_id": "x", "name": "X", "timezone": "UTC"}}')
    with pytest.raises(MarketError, match=r"timezone.* - at `\$\.market`"):
        read_plan(plan)
    with pytest.raises(MarketError, match="No such file"):
        read_plan(tmp_path / "nothing.json")
