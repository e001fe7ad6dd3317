"""A push service that cannot be used is said in one line before anything starts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from flexlive.services import push_setup
from flexlive.settings import SettingsError, load
from tests.support.push_keys import pem

EC_KEY = pem(ec.generate_private_key(ec.SECP256R1())).decode()
RSA_KEY = pem(rsa.generate_private_key(65537, 2048)).decode()
ACCOUNT = {
    "type": "service_account",
    "project_id": "p",
    "client_email": "e",
    "private_key": RSA_KEY,
    "token_uri": "https://t",
}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Variables of a server that uses all three."""
    (tmp_path / "key.pem").write_text(EC_KEY)
    (tmp_path / "rsa.pem").write_text(RSA_KEY)
    (tmp_path / "account.json").write_text(json.dumps(ACCOUNT))
    (tmp_path / "other.json").write_text(json.dumps({**ACCOUNT, "type": "authorized_user"}))
    return {
        "FLEXLIVE_FCM_CREDENTIALS": str(tmp_path / "account.json"),
        "FLEXLIVE_APNS_KEY": str(tmp_path / "key.pem"),
        "FLEXLIVE_APNS_KEY_ID": "K",
        "FLEXLIVE_APNS_TEAM_ID": "T",
        "FLEXLIVE_APNS_TOPIC": "org.example.driver",
        "FLEXLIVE_WEB_PUSH_KEY": str(tmp_path / "key.pem"),
        "FLEXLIVE_WEB_PUSH_CONTACT": "mailto:ops@example.org",
    }


def refusal(variables: dict[str, str]) -> str:
    with pytest.raises(SettingsError) as refused:
        load(variables)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_complete_settings_are_taken(files: dict[str, str]) -> None:
    setup = load(files).push
    assert setup.apns_topic == "org.example.driver"
    assert setup.web_push_hosts[0] == "fcm.googleapis.com"
    assert load({**files, "FLEXLIVE_WEB_PUSH_HOSTS": " Push.example , b.example"}).push.web_push_hosts == (
        "push.example",
        "b.example",
    )


@pytest.mark.parametrize(
    ("module", "variable", "extra"),
    [
        ("firebase_admin", "FLEXLIVE_FCM_CREDENTIALS", "flexlive[fcm]"),
        ("aioapns", "FLEXLIVE_APNS_KEY", "flexlive[apns]"),
        ("pywebpush", "FLEXLIVE_WEB_PUSH_KEY", "flexlive[web-push]"),
    ],
)
def test_a_missing_library_is_named_with_its_extra(
    files: dict[str, str], monkeypatch: pytest.MonkeyPatch, module: str, variable: str, extra: str
) -> None:
    monkeypatch.setattr(push_setup, "find_spec", lambda name: None if name == module else object())
    told = refusal(files)
    assert told.startswith(f"{variable}: ")
    assert module in told
    assert told.endswith(f"install {extra}")
    # Nobody needs what is not asked for.
    load({name: value for name, value in files.items() if name != variable})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"FLEXLIVE_APNS_KEY": "/nowhere/key.p8"}, "FLEXLIVE_APNS_KEY: cannot read"),
        ({"FLEXLIVE_APNS_TEAM_ID": ""}, "FLEXLIVE_APNS_TEAM_ID: "),
        ({"FLEXLIVE_WEB_PUSH_CONTACT": "ops"}, "FLEXLIVE_WEB_PUSH_CONTACT: "),
        ({"FLEXLIVE_APNS_KEY": "rsa.pem"}, "FLEXLIVE_APNS_KEY: "),
        ({"FLEXLIVE_WEB_PUSH_KEY": "account.json"}, "FLEXLIVE_WEB_PUSH_KEY: "),
        ({"FLEXLIVE_FCM_CREDENTIALS": "key.pem"}, "FLEXLIVE_FCM_CREDENTIALS: "),
        ({"FLEXLIVE_FCM_CREDENTIALS": "other.json"}, "FLEXLIVE_FCM_CREDENTIALS: "),
    ],
)
def test_what_is_wrong_is_named(files: dict[str, str], change: dict[str, str], named: str, tmp_path: Path) -> None:
    [(variable, value)] = change.items()
    beside = tmp_path / value
    told = refusal({**files, variable: str(beside) if value and beside.is_file() else value})
    assert told.startswith(named)
