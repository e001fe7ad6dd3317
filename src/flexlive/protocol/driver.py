"""The front page of `flexlive.v1`, the driver protocol: every frame, body and limit under one name.

Commands carry `cmd` and are answered by exactly one `result`; signals are not answered; facts carry a gap-free
`seq`; state is newest-wins; control frames steer the session. On the wire: times RFC 3339 `Z`, ids UUIDs, cells
lowercase hex, money integer cents, distances metres, durations seconds.
"""

# The wire has some eighty names; listing them here a second time would only be a list to forget one in.
from flexlive.protocol.client_frames import *  # noqa: F403
from flexlive.protocol.limits import *  # noqa: F403
from flexlive.protocol.server_frames import *  # noqa: F403
from flexlive.protocol.views import *  # noqa: F403
from flexlive.protocol.wire_types import *  # noqa: F403
