"""Doors stand at real ZIP codes within reach of their mall, and the same seed draws the same ones."""

from __future__ import annotations

import re
from random import Random

import pytest

from flexlive.domain.geography import Point, distance_m
from flexlive.lab.doors import draw_door, zip_areas

MALLS = {"NV": Point(36.1277, -115.1717), "AZ": Point(33.3011, -111.8988), "VA": Point(38.9177, -77.2222)}


@pytest.mark.parametrize("state", MALLS)
def test_a_hundred_doors_are_near_the_mall_and_well_addressed(state: str) -> None:
    mall, random = MALLS[state], Random(1)
    areas = zip_areas(mall, 9000)
    assert state in {area.state for area in areas}
    for _ in range(100):
        door = draw_door(areas, mall, 9000, random)
        assert distance_m(door.place, mall) <= 9000
        address = re.fullmatch(r"\d{3,4} [A-Z][A-Za-z ]+, (\d{5}) [A-Z][A-Za-z ]+, [A-Z]{2}", door.address)
        assert address, door.address
        area = next(a for a in areas if a.zip_code == address[1])
        assert distance_m(door.place, area.centre) <= 1000


def test_the_same_seed_draws_the_same_doors() -> None:
    areas = zip_areas(MALLS["AZ"], 9000)
    first, second = (
        [draw_door(areas, MALLS["AZ"], 9000, random) for _ in range(20)] for random in (Random(5), Random(5))
    )
    assert first == second
    assert len(set(first)) == 20


def test_post_office_boxes_are_nobodys_home() -> None:
    # 89125 is a ZIP code of post-office boxes in Las Vegas.
    assert "89109" in {area.zip_code for area in zip_areas(MALLS["NV"], 9000)}
    assert "89125" not in {area.zip_code for area in zip_areas(MALLS["NV"], 9000)}


def test_the_open_sea_has_no_doors() -> None:
    with pytest.raises(ValueError, match="no residential ZIP code"):
        zip_areas(Point(30.0, -50.0), 9000)
