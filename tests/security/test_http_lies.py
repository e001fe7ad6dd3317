"""Every address with every lie in every field, and every header and parameter that is none: a code, never a 5xx."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from flexlive.domain.errors import CATALOGUE, ErrorCode
from tests.security import hostile
from tests.security.conftest import Live
from tests.security.endpoints import Endpoint, credentials, endpoints, filled, values_of, writing
from tests.security.phones import good_phone
from tests.security.test_floods import GROWTH_BYTES_MAX

AT_ONCE = 4
WORDS_EACH = 4
FINE = {200, 201, 202, 204, 304}
WORDS = {
    "%00", "a%00b", "%ff", "%ed%a0%80", "..%2f..", "x" * 39, "x" * 5000, "' or 1=1 --", "%F0%9F%9A%97", "deployment",
    "-1", "9223372036854775808", "1e400", "NaN", "null", "0001-01-01", "9999-12-31", "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59", "00000000-0000-0000-0000-000000000000", "{}", "[]", "%0d%0aset-cookie:x", "%E2%80%AE",
}  # fmt: skip


@asynccontextmanager
async def client(live: Live) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=live.url, timeout=20, trust_env=False) as http:
        yield http


def check(answer: httpx.Response, what: str) -> None:
    assert answer.status_code < 500, f"{what}: {answer.text}"
    if answer.status_code in FINE or answer.request.url.path.startswith("/t/"):
        # The page speaks to people, whatever the status.
        return
    assert answer.headers["content-type"] == "application/problem+json", (what, answer.status_code)
    code = ErrorCode(answer.json()["code"])
    assert answer.status_code == CATALOGUE[code].http_status, what


async def all_of(calls: list[tuple[str, dict[str, Any]]], http: httpx.AsyncClient) -> dict[int, int]:
    """Send them, a few at a time; how often each status was answered."""
    statuses: dict[int, int] = {}
    mistakes: list[str] = []
    waiting = iter(calls)

    async def one_after_another() -> None:
        for what, call in waiting:
            answer = await http.request(**call)
            try:
                check(answer, what)
            except AssertionError as error:
                mistakes.append(str(error))
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1

    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(one_after_another())
    assert mistakes == []
    return statuses


def bearer(live: Live, endpoint: Endpoint) -> dict[str, str]:
    token = credentials(live.cast, endpoint)
    return {"authorization": f"Bearer {token}"} if token else {}


async def test_every_lie_in_every_field(live: Live) -> None:
    values = values_of(live.cast.here)
    calls: list[tuple[str, dict[str, Any]]] = []
    for endpoint in writing():
        assert endpoint.body is not None
        for what, raw in hostile.messages(endpoint.body, values):
            # A lone surrogate cannot be told in UTF-8; escaped it can.
            content = raw.encode()
            headers = {**bearer(live, endpoint), "content-type": "application/json"}
            url = filled(endpoint, values)
            call = {"method": endpoint.method, "url": url, "content": content, "headers": headers}
            calls.append((f"{endpoint}: {what}", call))
    assert len(calls) > 20 * len(writing())
    async with good_phone(live), client(live) as http:
        await all_of(calls[::3], http)
        before = live.rss_bytes()
        statuses = await all_of(calls, http)
        assert live.rss_bytes() - before < GROWTH_BYTES_MAX
    assert statuses.get(400, 0) > len(calls) / 2, statuses
    assert live.complaints() == []


async def test_every_odd_word_in_every_parameter(live: Live) -> None:
    values = values_of(live.cast.here)
    calls: list[tuple[str, dict[str, Any]]] = []
    for endpoint in endpoints():
        if endpoint.path.endswith("/events"):
            continue  # answers for ever; the junk below reads it by its status alone
        for parameter in endpoint.parameters:
            for word in hostile.some_of(sorted(WORDS), WORDS_EACH, f"{endpoint} {parameter}"):
                url = filled(endpoint, {**values, parameter: word})
                calls.append((f"{endpoint} {parameter}={word}", _call(live, endpoint, url)))
        for word in hostile.some_of(sorted(WORDS), WORDS_EACH, str(endpoint)):
            query = "&".join(f"{name}={word}" for name in QUERIES)
            calls.append((f"{endpoint}?{word}", _call(live, endpoint, f"{filled(endpoint, values)}?{query}")))
    async with good_phone(live), client(live) as http:
        await all_of(calls, http)
    assert live.complaints() == []


QUERIES = (
    "after",
    "before",
    "from",
    "to",
    "until",
    "since",
    "limit",
    "day",
    "status",
    "kind",
    "sha256",
    "digest",
    "seq",
)


def _call(live: Live, endpoint: Endpoint, url: str) -> dict[str, Any]:
    call: dict[str, Any] = {"method": endpoint.method, "url": url, "headers": bearer(live, endpoint)}
    if endpoint.body is bytes:
        call["content"] = b"GIF89a not an image"
    elif endpoint.body is not None:
        call["json"] = hostile.example(endpoint.body, values_of(live.cast.here))
    return call


async def test_streams_refuse_odd_positions(live: Live) -> None:
    positions = [
        "",
        "-",
        "x",
        "0" * 300,
        "1-1",
        f"{'0' * 32}-{'9' * 30}",
        f"{'0' * 32}--1",
        f"{'0' * 32}-\u00b2",
        "-" * 64,
    ]
    async with client(live) as http:
        for token in (live.cast.here.track_token, live.cast.forged()["track"], live.cast.ops_token, "x"):
            for position in positions:
                headers = {"last-event-id": position.encode("latin-1")}
                async with http.stream("GET", f"/v1/track/{token}/events", headers=headers) as answer:
                    if answer.status_code == 200:
                        first = await anext(answer.aiter_bytes())
                        assert b"event: position" in first
                    else:
                        await answer.aread()
                        check(answer, position)
    assert live.complaints() == []


async def test_odd_methods_are_refused(live: Live) -> None:
    values = values_of(live.cast.here)
    async with client(live) as http:
        for endpoint in endpoints():
            for method in ("TRACE", "PATCH", "DELETE", "PROPFIND", "HEAD", "OPTIONS"):
                answer = await http.request(method, filled(endpoint, values), headers=bearer(live, endpoint))
                assert answer.status_code < 500, (method, endpoint)
    assert live.complaints() == []
