from __future__ import annotations

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexlive.domain import cells
from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.domain.geography import Point, distance_m
from tests.unit.domain.builders import FASHION_SHOW, points

resolutions = st.integers(0, 12)
any_cell = st.builds(lambda point, resolution: cells.cell_of(*point, resolution), points, resolutions)


@given(any_cell)
def test_wire_form_reads_back(cell: int) -> None:
    text = cells.to_wire(cell)
    assert cells.from_wire(text) == cell
    assert text == text.lower()
    assert cells.from_wire(text.upper()) is None or text.isdigit()
    assert cell < 1 << 63, "must fit PostgreSQL's bigint"


@given(st.text() | st.text("0123456789abcdef", min_size=14, max_size=17))
def test_what_is_no_cell_reads_as_none(text: str) -> None:
    cell = cells.from_wire(text)
    assert cell is None or cells.to_wire(cell) == text


@given(st.integers())
def test_any_integer_may_be_asked(number: int) -> None:
    assert cells.is_valid(number) in (True, False)


@given(any_cell, st.integers(0, 3))
def test_disks_are_the_sum_of_their_rings(cell: int, k: int) -> None:
    rings = [each for step in range(k + 1) for each in cells.ring(cell, step)]
    assert sorted(rings) == list(cells.disk(cell, k))
    assert cell in cells.disk(cell, k)


@given(points, st.integers(1, 12))
def test_parents_lie_on_the_way_up(point: Point, resolution: int) -> None:
    cell = cells.cell_of(*point, resolution)
    up = cells.parent(cell, resolution - 1)
    assert cells.resolution_of(up) == resolution - 1
    assert cells.parent(cell, resolution) == cell
    with pytest.raises(ValueError, match="finer"):
        cells.parent(cell, resolution + 1)


@given(points)
def test_a_cell_is_where_its_point_is(point: Point) -> None:
    centre = Point(*cells.centre(cells.cell_of(*point, 7)))
    assert distance_m(point, centre) < 3_000


@pytest.mark.parametrize(("lat", "lon"), [(nan, 0), (0, nan), (inf, 0), (90.1, 0), (0, -180.1)])
def test_no_cell_off_the_earth(lat: float, lon: float) -> None:
    with pytest.raises(FlexliveError) as caught:
        cells.cell_of(lat, lon, 7)
    assert caught.value.code is ErrorCode.INVALID


def test_disks_have_a_limit() -> None:
    cell = cells.cell_of(*FASHION_SHOW, 7)
    for k in (-1, cells.RINGS_MAX + 1):
        with pytest.raises(ValueError, match="k must"):
            cells.disk(cell, k)
    assert len(cells.disk(cell, 8)) == 217
