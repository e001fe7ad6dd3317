"""How strict a run is: TEST_THOROUGH=1 on a quiet machine holds every promise to its figure and tries every value."""

from __future__ import annotations

import os
from typing import Final

THOROUGH: Final = os.environ.get("TEST_THOROUGH") == "1"
ONE_SECOND_MAX: Final = 1.0 if THOROUGH else 5.0
"""What is promised within a second. The gate may run on a machine that is busy otherwise; it looks for what hangs."""
