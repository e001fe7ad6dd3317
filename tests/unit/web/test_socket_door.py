"""Who may open a socket: origins in every spelling, counts that come back to nothing, and the settings of both."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from flexlive.settings import SettingsError, load
from flexlive.web.socket_door import DoorOptions, SocketDoor, origin_of

DRIVER = UUID(int=1)


def scope(client: str | None = "203.0.113.1", *origins: str) -> Any:
    headers = [(b"origin", origin.encode()) for origin in origins]
    return {"headers": headers, "client": None if client is None else (client, 5)}


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://a.example", "https://a.example"),
        ("https://A.example:443/x?y#z", "https://a.example"),
        ("http://a.example:443", "http://a.example:443"),
        ("http://[2001:DB8::1]:80", "http://[2001:db8::1]"),
        ("null", None),
        ("file:///x", None),
        ("https://", None),
        ("https://a.example:http", None),
        ("https://[", None),
        ("", None),
    ],
)
def test_an_origin_has_one_spelling(url: str, origin: str | None):
    assert origin_of(url) == origin


def test_two_origins_are_none():
    door = SocketDoor(DoorOptions(origins=frozenset({"https://a.example"})))
    assert door.allows_origin(scope())
    assert door.allows_origin(scope("203.0.113.1", "https://a.example"))
    assert not door.allows_origin(scope("203.0.113.1", "https://a.example", "https://a.example"))
    assert not door.allows_origin(scope("203.0.113.1", ""))


def test_counts_go_up_and_down_again():
    door = SocketDoor(DoorOptions(unauthenticated_sockets_per_address_max=2, sockets_per_driver_max=2))
    for _ in range(3):
        with (
            door.unauthenticated(scope("2001:db8::1")) as first,
            door.unauthenticated(scope("2001:db8::2")) as second,
            door.unauthenticated(scope("2001:db8::3")) as same_network,
            door.unauthenticated(scope("2001:db8:0:1::1")) as another,
            door.unauthenticated(scope(None)) as nameless,
        ):
            assert [first, second, same_network, another, nameless] == [True, True, False, True, True]
        with (
            door.driver("m", DRIVER) as first,
            door.driver("m", DRIVER) as second,
            door.driver("m", DRIVER) as third,
            door.driver("n", DRIVER) as another,
        ):
            assert [first, second, third, another] == [True, True, False, True]


@pytest.mark.parametrize(
    "environ",
    [
        {"FLEXLIVE_TLS_CERTIFICATE": "chain.pem"},
        {"FLEXLIVE_TLS_KEY": "key.pem"},
        {"FLEXLIVE_TRUSTED_PROXIES": "10.0.0.0/8, proxy.example"},
        {"FLEXLIVE_TRUSTED_PROXIES": "*"},
        {"FLEXLIVE_ORIGINS": "drivers.example.com"},
        {"FLEXLIVE_ORIGINS": "https://drivers.example.com/app"},
        {"FLEXLIVE_SOCKETS_PER_DRIVER_MAX": "1"},
        {"FLEXLIVE_UNAUTHENTICATED_SOCKETS_PER_ADDRESS_MAX": "0"},
    ],
)
def test_settings_that_cannot_be_meant_stop_the_start(environ: dict[str, str]):
    with pytest.raises(SettingsError, match=next(iter(environ))):
        load(environ)


def test_settings_of_the_door():
    settings = load(
        {
            "FLEXLIVE_PUBLIC_URL": "https://fl.example/base/",
            "FLEXLIVE_ORIGINS": "https://drivers.example.com, http://localhost:3000/",
            "FLEXLIVE_TLS_CERTIFICATE": "chain.pem",
            "FLEXLIVE_TLS_KEY": "key.pem",
            "FLEXLIVE_TRUSTED_PROXIES": "10.0.0.0/8, ::1",
        }
    )
    origins = {"https://fl.example", "https://drivers.example.com", "http://localhost:3000"}
    assert settings.door.origins == origins
    assert (settings.door.unauthenticated_sockets_per_address_max, settings.door.sockets_per_driver_max) == (50, 3)
    assert load({"FLEXLIVE_HOST": "::1"}).url == "http://[::1]:8000"
