from dataclasses import replace

import pytest

from flexlive.protocol.client_frames import Resume
from flexlive.protocol.resume import Fresh, Refuse, Remembered, Replay, decide_resume

REMEMBERED = Remembered(sid="s", replayable_after=10, last_seq=20)
ASKED = Resume(sid="s", epoch="e", seq=15)


@pytest.mark.parametrize(
    ("resume", "remembered", "decision"),
    [
        (None, REMEMBERED, Fresh()),
        (ASKED, REMEMBERED, Replay(15, 20)),
        (Resume("s", "e", 10), REMEMBERED, Replay(10, 20)),
        (Resume("s", "e", 20), REMEMBERED, Replay(20, 20)),
        (Resume("s", "e", 9), REMEMBERED, Refuse("too_old")),
        (Resume("s", "e", 21), REMEMBERED, Refuse("too_old")),
        (ASKED, None, Refuse("unknown_session")),
        (ASKED, replace(REMEMBERED, sid="other"), Refuse("unknown_session")),
        (Resume("s", "old boot", 15), REMEMBERED, Refuse("other_epoch")),
        (Resume("sé", "e", 15), REMEMBERED, Refuse("unknown_session")),
    ],
)
def test_all_or_nothing(resume: Resume | None, remembered: Remembered | None, decision: object):
    assert decide_resume(resume, "e", remembered) == decision
