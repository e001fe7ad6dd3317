"""A driver's app as a library: `flexlive.v1` with everything a phone must get right. See docs/client.md."""

from flexlive.client.access import Token, TokenSource
from flexlive.client.backoff import BackoffOptions
from flexlive.client.driver_client import DriverClient
from flexlive.client.login import Login, LoginRefusedError
from flexlive.client.messages import Message
from flexlive.client.offline_store import OfflineStore, StoreError
from flexlive.client.options import ClientClosedError, ClientOptions, Lagged, Observer, Silent
from flexlive.client.outbox import LateAnswer
from flexlive.protocol.client_effects import PendingFull
from flexlive.protocol.driver_state import DriverState

__all__ = [
    "BackoffOptions",
    "ClientClosedError",
    "ClientOptions",
    "DriverClient",
    "DriverState",
    "Lagged",
    "LateAnswer",
    "Login",
    "LoginRefusedError",
    "Message",
    "Observer",
    "OfflineStore",
    "PendingFull",
    "Silent",
    "StoreError",
    "Token",
    "TokenSource",
]
