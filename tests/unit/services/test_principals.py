"""How long an answer about a token holds: against a model that remembers when everything happened."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from flexlive.services.drivers import DriverPrincipal
from flexlive.services.principals import PrincipalCache, PrincipalOptions

MARKET = "m"
KEEP_SECONDS = 120.0
TOKENS = st.integers(0, 3)


def principal(token: int, checked_at: float) -> DriverPrincipal:
    """Tokens 0 and 1 are the first driver's, 2 and 3 the second's."""
    return DriverPrincipal(
        market_id=MARKET,
        driver_id=UUID(int=token // 2),
        family_id=UUID(int=token),
        token_sha256=bytes([token]) * 32,
        expires_at=datetime(2100, 1, 1, tzinfo=UTC),
        offer_types=frozenset(),
        checked_at=checked_at,
    )


class Caching(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.cache = PrincipalCache(PrincipalOptions(keep_seconds=KEEP_SECONDS))
        self.ended_at = {UUID(int=0): -1.0, UUID(int=1): -1.0}
        self.open: list[DriverPrincipal] = []
        self.lost_at: dict[int, float] = {}

    @rule(seconds=st.sampled_from([0.5, 5.0, 59.0, 61.0, 119.0, 121.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(token=TOKENS, reading_seconds=st.sampled_from([0.0, 0.4, 6.0]))
    def connect(self, token: int, reading_seconds: float) -> None:
        found = self.cache.get(bytes([token]) * 32, self.now) or principal(token, self.now - reading_seconds)
        self.cache.connected(found, self.now)
        self.open.append(found)

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 100))
    def lose(self, which: int) -> None:
        gone = self.open.pop(which % len(self.open))
        self.lost_at[gone.token_sha256[0]] = self.now
        self.cache.lost(gone, self.now)

    @rule(driver=st.integers(0, 1))
    def a_fact_comes(self, driver: int) -> None:
        self.ended_at[UUID(int=driver)] = self.now
        self.cache.end(MARKET, UUID(int=driver), self.now)

    @invariant()
    def nothing_older_than_a_fact_or_the_window_is_known(self) -> None:
        for token in range(4):
            known = self.cache.get(bytes([token]) * 32, self.now)
            if known is None:
                continue
            assert known.checked_at > self.ended_at[known.driver_id]
            connected = any(each.token_sha256 == known.token_sha256 for each in self.open)
            assert connected or self.now - self.lost_at[token] < KEEP_SECONDS

    @invariant()
    def a_token_just_lost_is_known_when_no_fact_came(self) -> None:
        for each in self.open:
            if each.checked_at > self.ended_at[each.driver_id]:
                assert self.cache.get(each.token_sha256, self.now) is not None


TestCaching = Caching.TestCase
TestCaching.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_the_number_of_idle_tokens_is_bounded():
    cache = PrincipalCache(PrincipalOptions(tokens_max=2))
    for token in range(4):
        who = principal(token, 0.0)
        cache.connected(who, 0.0)
        cache.lost(who, 0.0)
    assert len(cache) == 2
    assert cache.get(bytes([0]) * 32, 0.0) is None
    assert cache.get(bytes([3]) * 32, 0.0) is not None
