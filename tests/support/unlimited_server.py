"""`python -m tests.support.unlimited_server`: the real server process with the limits on how often lifted, so that
thousands of bad inputs are each judged by what they say. Sizes and everything else stay as they are."""

from __future__ import annotations

import os
from dataclasses import replace

from flexlive import serving
from flexlive.protocol.session import SessionLimits
from flexlive.settings import load
from flexlive.web.driver_connection import ConnectionOptions
from flexlive.web.driver_socket import GatewayOptions
from flexlive.web.limits import HttpOptions

OFTEN = 1_000_000


def main() -> None:
    limits = SessionLimits(
        bad_frames_max=OFTEN,
        commands_burst=OFTEN,
        commands_per_minute=OFTEN,
        frames_burst=OFTEN,
        frames_per_second=OFTEN,
        refusals_per_minute_max=OFTEN,
    )
    serving.serve(
        replace(
            load(os.environ),
            http=HttpOptions(requests_per_minute_max=0),
            gateway=GatewayOptions(connection=ConnectionOptions(limits=limits)),
        )
    )


if __name__ == "__main__":
    main()
