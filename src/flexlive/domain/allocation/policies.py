"""The dispatch policies by the name a market's offer_policy gives."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from flexlive.domain.allocation import broadcast, staged
from flexlive.domain.allocation.types import Policy

POLICIES: Final[Mapping[str, Policy]] = MappingProxyType({"staged": staged.decide, "broadcast": broadcast.decide})
