"""Every number of `flexlive.v1`: both sides of the wire read them here."""

SUBPROTOCOL = "flexlive.v1"

FRAME_BYTES_MAX = 16 * 1024
CMD_CHARS_MAX = 64
POINTS_MAX = 100
UNACKED_CMDS_MAX = 100
MISSING_PACKAGES_MAX = 200

SEQ_DIGITS = 10
SEQ_MAX = 10**SEQ_DIGITS - 1
"""The widest `seq` a fact template has room for; no session lives long enough to reach it."""

VERSION_MAX = 2**31 - 1
"""What the database has room for."""

HELLO_DEADLINE_SECONDS = 5.0
HEARTBEAT_SECONDS = 25.0
HEARTBEATS_MISSED_MAX = 2
UNACKED_UNREACHABLE_SECONDS = 3.0
UNACKED_CLOSE_SECONDS = 15.0
ACK_DELAY_SECONDS_MAX = 1.0

RING_FACTS_MAX = 64
RING_BYTES_MAX = 64 * 1024
RESUME_WINDOW_SECONDS = 120.0

BAD_FRAMES_MAX = 5
COMMANDS_BURST_PER_SECOND = 10
COMMANDS_PER_MINUTE = 120
RATE_LIMITED_ANSWERS_MAX = 30
"""So many refused commands within a minute are abuse: close 4029."""
FRAMES_BURST = 100
FRAMES_PER_SECOND = 20
"""location, ack and heartbeat together: far above any honest phone."""
