from __future__ import annotations

from math import inf, nan

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexlive.domain.markets import MarketPolicy, policy_from, scaled

scales = st.floats(0.01, 1000)


@given(scales)
def test_only_time_and_speed_scale(scale: float) -> None:
    before, after = msgspec.structs.asdict(MarketPolicy()), msgspec.structs.asdict(scaled(MarketPolicy(), scale))
    for name, value in before.items():
        if name.endswith("_seconds"):
            assert after[name] == pytest.approx(value / scale)
        elif name in ("speed_mps_max", "travel_speed_mps"):
            assert after[name] == pytest.approx(value * scale)
        else:
            assert after[name] == value


@given(scales)
def test_scaling_undoes_itself(scale: float) -> None:
    back = scaled(scaled(MarketPolicy(), scale), 1 / scale)
    assert msgspec.structs.astuple(back)[1:] == pytest.approx(msgspec.structs.astuple(MarketPolicy())[1:])


@given(scales)
def test_a_drive_covers_the_same_ground(scale: float) -> None:
    policy = scaled(MarketPolicy(), scale)
    ground = policy.travel_speed_mps * policy.service_site_seconds
    assert ground == pytest.approx(MarketPolicy().travel_speed_mps * MarketPolicy().service_site_seconds)


@pytest.mark.parametrize("scale", [0, -1, nan, inf])
def test_time_does_not_stop_or_run_backwards(scale: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        scaled(MarketPolicy(), scale)


def test_a_stored_policy_has_defaults_and_types() -> None:
    assert policy_from({}) == MarketPolicy()
    assert policy_from({"offer_policy": "broadcast", "rings_max": 3, "of_a_later_version": 1}).rings_max == 3
    assert policy_from(msgspec.to_builtins(MarketPolicy())) == MarketPolicy()
    with pytest.raises(msgspec.ValidationError):
        policy_from({"rings_max": "three"})
    with pytest.raises(msgspec.ValidationError):
        policy_from({"offer_policy": "lottery"})


def test_limits_say_their_unit() -> None:
    units = (
        "_seconds",
        "_km",
        "_m",
        "_mps",
        "_max",
        "_rings",
        "_factor",
        "_share",
        "_target",
        "_prior",
        "_policy",
        "_resolution",
    )
    assert [name for name in MarketPolicy.__struct_fields__ if not name.endswith(units)] == []
