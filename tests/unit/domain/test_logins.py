"""One-time codes and refresh tokens: every combination of what may have happened before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from flexlive.domain.logins import (
    CodeSent,
    CodeWrong,
    LoginOptions,
    RefreshToken,
    judge_code,
    judge_refresh,
    seconds_until_next_code,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
OPTIONS = LoginOptions()
_AGES = st.integers(-100_000, 100_000).map(lambda seconds: timedelta(seconds=seconds))
_INSTANTS = _AGES.map(lambda age: NOW + age)
codes_sent = st.builds(CodeSent, st.integers(0, 8), st.integers(1, 12), _INSTANTS, _INSTANTS, _INSTANTS)
refresh_tokens = st.builds(
    RefreshToken,
    _INSTANTS,
    st.none() | _INSTANTS.filter(lambda at: at <= NOW),
    st.none() | _INSTANTS,
    st.none() | st.sampled_from([b"a", b"b"]),
    st.booleans(),
)


@given(st.none() | codes_sent, st.booleans())
def test_only_a_matching_living_code_with_attempts_left_opens(sent: CodeSent | None, matches: bool) -> None:
    verdict = judge_code(sent, matches=matches, now=NOW, options=OPTIONS)
    living = sent is not None and sent.expires_at > NOW
    assert (verdict == "right") == (
        living and sent is not None and matches and sent.attempts < OPTIONS.attempts_per_code_max
    )
    assert (verdict == "dead") == (not living)
    if isinstance(verdict, CodeWrong):
        assert sent is not None
        assert verdict.attempts_left == OPTIONS.attempts_per_code_max - 1 - sent.attempts >= 0


@given(codes_sent)
def test_the_wait_is_over_when_it_says_so(sent: CodeSent) -> None:
    wait = seconds_until_next_code(sent, NOW, OPTIONS)
    assert wait >= 0
    later = NOW + timedelta(seconds=wait)
    assert seconds_until_next_code(sent, later, OPTIONS) == 0
    if wait == 0:
        assert sent.created_at + timedelta(seconds=OPTIONS.code_resend_seconds) <= NOW


@given(refresh_tokens, st.none() | st.sampled_from([b"a", b"b"]))
def test_a_token_gives_new_ones_once_or_to_the_attempt_that_lost_its_answer(
    token: RefreshToken, attempt: bytes | None
) -> None:
    verdict = judge_refresh(token, attempt, NOW, OPTIONS)
    fresh = token.used_at is None and token.revoked_at is None
    assert (verdict in ("rotate", "expired")) == fresh
    if verdict == "rotate":
        assert token.expires_at > NOW
    if verdict == "repeat":
        assert attempt == token.spent_by_sha256 is not None
        assert token.revoked_at is None
        assert not token.successor_used
        assert token.used_at is not None
        assert NOW - token.used_at <= timedelta(seconds=OPTIONS.refresh_retry_seconds)
