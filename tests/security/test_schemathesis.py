"""Schemathesis against the running server, bounded; docs/testing.md has the long run."""

from __future__ import annotations

from tests.security.conftest import Live
from tests.security.http_fuzz import Attack

EXAMPLES = 2


def test_no_request_made_from_the_description_breaks_the_server(live: Live) -> None:
    found = Attack(live.url, live.cast, EXAMPLES).run()
    assert found.mistakes == []
    assert len(found.operations) >= 25
    # Good credentials get in: more is tried than the door.
    assert found.statuses[200] + found.statuses[201] > 25, found.statuses
    assert found.statuses[400] > 50, found.statuses
    assert live.complaints() == []
