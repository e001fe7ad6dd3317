"""The database goes away under a running server: a code and patience, no traceback, no false end."""

from __future__ import annotations

from datetime import UTC, datetime

from structlog.testing import capture_logs

from flexlive.realtime.hub import HubFact, track_channel
from tests.support.http_server import serve
from tests.support.sse import open_stream
from tests.support.tracking import token_of
from tests.support.world import build_world


async def test_everything_says_unavailable_and_streams_are_cut_without_an_end(database_url: str) -> None:
    async with serve(database_url) as server:
        world = await build_world(server.ctx)
        created = await world.order()
        async with open_stream(server.url, token_of(created)) as stream:
            await stream.expect("position", "state")
            with capture_logs() as logs:
                server.ctx.pool.terminate()
                for answer in (
                    await server.http.get(f"/v1/track/{token_of(created)}"),
                    await server.http.get(f"/v1/track/{token_of(created)}/events"),
                    await server.http.post("/v1/deliveries", json={}, headers=server.bearer(world.api_key)),
                ):
                    assert answer.status_code == 503
                    assert answer.json()["code"] == "database_unavailable"
                ready = await server.http.get("/readyz")
                assert (ready.status_code, ready.json()["database"]) == (503, "failed")
                assert (await server.http.get("/livez")).status_code == 200
                # A gap: what is missing cannot be read, so the stream is cut and the browser asks again later.
                told = HubFact(kind="track.picked_up", stream_seq=9, occurred_at=datetime.now(UTC))
                server.app.state.hub.publish(track_channel(created.delivery_id), told)
                while (event := await stream.next()) is not None:
                    assert event.name == ""
            assert [line["event"] for line in logs if line["log_level"] == "warning" and "stream" in line["event"]]
            assert not [line for line in logs if line["event"] == "request failed"]
            assert not any(created.tracking_url.rsplit("_", 1)[1] in str(line) for line in logs)
