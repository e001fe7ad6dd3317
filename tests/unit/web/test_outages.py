"""An outage is a warning in one line, a mistake an error with its traceback."""

from __future__ import annotations

import structlog
from structlog.testing import capture_logs

from flexlive.web.outages import log_failure


def test_an_outage_is_told_apart_from_a_mistake() -> None:
    with capture_logs() as lines:
        log_failure(structlog.get_logger(), "command failed", ConnectionRefusedError(111, "refused"), type="Scan")
        log_failure(structlog.get_logger(), "command failed", KeyError("x"), type="Scan")
    outage, mistake = lines
    assert (outage["log_level"], outage["type"], "exc_info" in outage) == ("warning", "Scan", False)
    assert (mistake["log_level"], "exc_info" in mistake) == ("error", True)
