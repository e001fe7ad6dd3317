"""Children of the demo: they end when asked, or are made to, and take their own children along."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flexlive.lab.options import DemoError, DemoOptions
from flexlive.lab.play import load_recorded
from flexlive.lab.processes import Child, ChildDiedError, ChildOptions, beside, free_port, port_is_free
from flexlive.lab.real_day import RealDayError
from flexlive.lab.stage import choose_port
from flexlive.lab.together import together
from tests.support.processes import alive, descendants

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
PARENT = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {DEAF!r}]).wait()"


async def start(code: str, tmp_path: Path, stop_seconds: float = 5.0) -> Child:
    options = ChildOptions(name="the child", log=tmp_path / "log", stop_seconds=stop_seconds)
    return await Child.start(["-c", code], options)


async def says_up(child: Child, seconds_max: float = 10.0) -> None:
    deadline = time.monotonic() + seconds_max
    while "up" not in child.log_tail():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_a_polite_child_ends_with_sigterm(tmp_path: Path) -> None:
    child = await start("print('up', flush=True); import time; time.sleep(60)", tmp_path)
    await says_up(child)
    assert await child.stop() == -15
    assert not child.running
    assert await child.stop() == -15, "stopping twice does no harm"


async def test_a_deaf_grandchild_does_not_survive(tmp_path: Path) -> None:
    child = await start(PARENT, tmp_path, stop_seconds=0.3)
    await says_up(child)
    family = descendants(child.pid)
    assert len(family) == 1
    await child.stop()
    await asyncio.sleep(0.05)
    assert alive(family) == []


async def test_a_child_that_fell_over_is_quoted(tmp_path: Path) -> None:
    child = await start("raise SystemExit('the reason')", tmp_path)
    assert await child.wait(10) == 1
    with pytest.raises(ChildDiedError, match=r"the child ended with code 1\nthe reason"):
        child.require_running()


async def test_a_child_that_takes_too_long_is_told_apart_from_one_that_ended(tmp_path: Path) -> None:
    child = await start("import time; time.sleep(60)", tmp_path)
    assert await child.wait(0.05) is None
    await child.stop()


async def test_a_log_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match="cannot start the child"):
        await start("pass", tmp_path / "nowhere")


def test_a_wanted_port_that_is_taken_is_said_and_the_default_gives_way() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        taken = listener.getsockname()[1]
        assert not port_is_free(taken)
        with pytest.raises(DemoError, match=f"port {taken} is taken"):
            choose_port(taken)
    assert choose_port(0) != 0
    assert port_is_free(free_port())


async def test_together_fails_as_one_of_them_would() -> None:
    async def fails() -> int:
        raise DemoError("no")

    async def waits() -> int:
        await asyncio.sleep(60)
        return 1

    async def gives(number: int) -> int:
        return number

    with pytest.raises(DemoError, match="no"):
        await together(waits(), fails())
    assert await together(gives(1), gives(2)) == [1, 2]


@pytest.mark.parametrize(
    "options",
    [
        DemoOptions(speed=0),
        DemoOptions(seconds=-1),
        DemoOptions(drivers=0),
        DemoOptions(orders=-1),
        DemoOptions(json_path=Path("/no/such/folder/out.json")),
    ],
)
def test_what_cannot_work_is_said_before_anything_starts(options: DemoOptions) -> None:
    with pytest.raises(DemoError):
        options.check()


def test_a_window_without_a_day_is_a_mistake() -> None:
    DemoOptions().check()
    assert load_recorded(DemoOptions()) is None
    with pytest.raises(RealDayError, match="--day"):
        load_recorded(DemoOptions(window="10:00-10:30"))


async def test_work_ends_at_once_when_the_child_it_depends_on_dies(tmp_path: Path) -> None:
    child = await Child.start(["-c", "import time; time.sleep(60)"], ChildOptions(name="it", log=tmp_path / "log"))
    working = asyncio.create_task(beside(child, asyncio.sleep(60)))
    await asyncio.sleep(0.1)
    child.kill()
    with pytest.raises(ChildDiedError, match="it ended with code -9"):
        await asyncio.wait_for(working, 5)


async def test_work_that_ends_first_gives_its_result_and_cancelling_cancels_it(tmp_path: Path) -> None:
    child = await Child.start(["-c", "import time; time.sleep(60)"], ChildOptions(name="it", log=tmp_path / "log"))
    assert await beside(child, asyncio.sleep(0, "done")) == "done"
    cancelled = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    working = asyncio.create_task(beside(child, work()))
    await asyncio.sleep(0.1)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert cancelled.is_set()
    await child.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells a child of its parent's death on Linux only")
def test_a_child_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys, pathlib\n"
        "from flexlive.lab.processes import Child, ChildOptions\n"
        "async def main():\n"
        "    options = ChildOptions(name='it', log=pathlib.Path('log'))\n"
        "    child = await Child.start(['-c', 'import time; time.sleep(60)'], options)\n"
        "    print(child.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{pid}").exists()
