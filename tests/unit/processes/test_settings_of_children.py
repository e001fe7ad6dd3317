"""The processes of one server are told their settings by variables: all of them, as they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from flexlive import settings
from flexlive.settings import Settings


def test_defaults_and_flags_reach_the_children() -> None:
    told = settings.load({}, port=4711, processes=3, nats_url="nats://a:1,nats://b:2", time_scale=0.1 + 0.2)
    assert settings.load(settings.environment(told)) == told


@pytest.mark.parametrize("name", settings.variables().values())
def test_every_setting_makes_the_journey(name: str) -> None:
    before = Settings()
    value = getattr(before, name)
    other = {bool: not value, int: 7, float: 2.5, str: "debug" if name == "log_level" else "json"}.get(type(value))
    changed = replace(before, **{name: Path("/etc/some where/é.pem") if isinstance(value, Path) else other or value})
    # Not through load(): what belongs together is not the question here.
    environ = settings.environment(changed)
    assert settings.load({k: v for k, v in environ.items() if k != "FLEXLIVE_" + name.upper()}) == before
    if getattr(changed, name) is not None and name not in {"code_sender"}:
        assert getattr(settings.load(environ), name) == getattr(changed, name)


def test_servers_of_a_cluster_are_separated_by_commas() -> None:
    bus = settings.load({"FLEXLIVE_NATS_URL": "nats://a:4222, nats://u:p@b:4222,"}).bus
    assert bus is not None
    assert bus.servers == ("nats://a:4222", "nats://u:p@b:4222")
    assert settings.load({}).bus is None
