"""The only reader of FLEXLIVE_*: one frozen value, composed of the option structs that lower packages declare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import msgspec
from msgspec import Meta

from flexlive.domain.logins import LoginOptions
from flexlive.realtime.buses.nats_options import NatsOptions
from flexlive.services import push_setup, push_web
from flexlive.services.push_setup import PushSetup, PushSetupError
from flexlive.storage.group_commit import GroupCommitOptions
from flexlive.storage.pool import PoolOptions
from flexlive.storage.upload_store import UploadOptions
from flexlive.web import basemap
from flexlive.web.driver_socket import GatewayOptions
from flexlive.web.limits import HttpOptions
from flexlive.web.listening import ListenOptions
from flexlive.web.socket_door import DoorOptions, origin_of
from flexlive.workers.dispatcher import DispatcherOptions
from flexlive.workers.location_writer import LocationWriterOptions
from flexlive.workers.receipt_writer import ReceiptWriterOptions
from flexlive.workers.relay import RelayOptions
from flexlive.workers.sweeper import SweeperOptions
from flexlive.workers.waker import WakerOptions
from flexlive.workers.watch import WatchOptions

PREFIX = "FLEXLIVE_"
_NOT_SETTINGS = ("FLEXLIVE_TEST_", "FLEXLIVE_REQUIRE_")
_PATHS = frozenset(
    {
        "tls_certificate",
        "tls_key",
        "data_dir",
        "upload_dir",
        "nats_credentials",
        "nats_tls_ca",
        "nats_tls_certificate",
        "nats_tls_key",
        "fcm_credentials",
        "apns_key",
        "web_push_key",
    }
)


class SettingsError(Exception):
    """A variable is unknown or cannot be read; str() names it and says what is expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One server process. Each scalar field is the variable FLEXLIVE_<NAME>; the option groups keep their defaults.

    database_url: any PostgreSQL 15–18; None means an embedded one below data_dir.
    time_scale: divides policy durations and multiplies plausible speed; 1 in production.
    public_url: what tracking links begin with; None means http://host:port.
    upload_dir: where bytes that drivers send are kept; None means uploads/ below data_dir.
    code_sender: how login codes travel: console, none, or the URL of a gateway that is POSTed each.
    basemap: what lies under the customer's map: URL of a MapLibre style, or path of a .pmtiles file.
    tls_certificate, tls_key: PEM files; with both the server speaks TLS itself.
    trusted_proxies: addresses or networks, separated by commas, whose X-Forwarded-For and -Proto are believed.
    origins: of pages that may open driver sockets, separated by commas, besides public_url's own.
    processes: how many server processes share the port.
    nats_url: servers of one NATS cluster, separated by commas, for several processes or hosts; None means one of our
    own when processes > 1, else none. nats_credentials: a .creds file. nats_tls_*: PEM files.
    fcm_*, apns_*, web_push_*: as in services/push_setup.PushSetup; web_push_hosts separated by commas.
    """

    database_url: str | None = None
    data_dir: Path = Path(".flexlive")
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8000
    public_url: str | None = None
    upload_dir: Path | None = None
    code_sender: Annotated[str, Meta(pattern=r"^(console|none|https?://[^\s/]+\S*)(?![\s\S])")] = "console"
    time_scale: Annotated[float, Meta(gt=0, le=10_000)] = 1.0
    basemap: str | None = None
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    trusted_proxies: str | None = None
    origins: str | None = None
    unauthenticated_sockets_per_address_max: Annotated[int, Meta(ge=1)] = 50
    sockets_per_driver_max: Annotated[int, Meta(ge=2)] = 3
    processes: Annotated[int, Meta(ge=1, le=64)] = 1
    nats_url: str | None = None
    nats_credentials: Path | None = None
    nats_tls_ca: Path | None = None
    nats_tls_certificate: Path | None = None
    nats_tls_key: Path | None = None
    fcm_credentials: Path | None = None
    apns_key: Path | None = None
    apns_key_id: str | None = None
    apns_team_id: str | None = None
    apns_topic: str | None = None
    apns_sandbox: bool = False
    web_push_key: Path | None = None
    web_push_contact: str | None = None
    web_push_hosts: str = ",".join(push_web.HOSTS)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["console", "json"] = "console"
    pool: PoolOptions = field(default_factory=PoolOptions)
    relay_pool: PoolOptions = field(default_factory=lambda: PoolOptions(min_size=1, max_size=3))
    group_commit: GroupCommitOptions = field(default_factory=GroupCommitOptions)
    gateway: GatewayOptions = field(default_factory=GatewayOptions)
    listening: ListenOptions = field(default_factory=ListenOptions)
    http: HttpOptions = field(default_factory=HttpOptions)
    login: LoginOptions = field(default_factory=LoginOptions)
    uploads: UploadOptions = field(default_factory=UploadOptions)
    relay: RelayOptions = field(default_factory=RelayOptions)
    dispatcher: DispatcherOptions = field(default_factory=DispatcherOptions)
    location_writer: LocationWriterOptions = field(default_factory=LocationWriterOptions)
    receipt_writer: ReceiptWriterOptions = field(default_factory=ReceiptWriterOptions)
    sweeper: SweeperOptions = field(default_factory=SweeperOptions)
    watch: WatchOptions = field(default_factory=WatchOptions)
    waker: WakerOptions = field(default_factory=WakerOptions)
    nats: NatsOptions = field(default_factory=NatsOptions)

    @property
    def upload_root(self) -> Path:
        return self.upload_dir or self.data_dir / "uploads"

    @property
    def push(self) -> PushSetup:
        """The push services that wake sleeping phones."""
        return PushSetup(
            fcm_credentials=self.fcm_credentials,
            apns_key=self.apns_key,
            apns_key_id=self.apns_key_id,
            apns_team_id=self.apns_team_id,
            apns_topic=self.apns_topic,
            apns_sandbox=self.apns_sandbox,
            web_push_key=self.web_push_key,
            web_push_contact=self.web_push_contact,
            web_push_hosts=tuple(host.lower() for host in listed(self.web_push_hosts)),
        )

    @property
    def bus(self) -> NatsOptions | None:
        """How to reach other processes; None when there are none."""
        if self.nats_url is None:
            return None
        return replace(
            self.nats,
            servers=tuple(url for each in self.nats_url.split(",") if (url := each.strip())),
            credentials=self.nats_credentials,
            tls_ca=self.nats_tls_ca,
            tls_certificate=self.nats_tls_certificate,
            tls_key=self.nats_tls_key,
        )

    @property
    def url(self) -> str:
        """Where the world reaches this server, without a trailing slash."""
        scheme = "http" if self.tls_certificate is None else "https"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (self.public_url or f"{scheme}://{host}:{self.port}").rstrip("/")

    @property
    def door(self) -> DoorOptions:
        """Who may open driver sockets."""
        pages = (self.url, *listed(self.origins))
        return DoorOptions(
            unauthenticated_sockets_per_address_max=self.unauthenticated_sockets_per_address_max,
            sockets_per_driver_max=self.sockets_per_driver_max,
            origins=frozenset(origin for page in pages if (origin := origin_of(page)) is not None),
        )


def listed(text: str | None) -> list[str]:
    """What stands between commas."""
    return [word for each in (text or "").split(",") if (word := each.strip())]


def _check(settings: Settings) -> None:
    """What no single variable can tell of itself. Raises SettingsError."""
    if (settings.tls_certificate is None) != (settings.tls_key is None):
        raise SettingsError(f"{PREFIX}TLS_CERTIFICATE and {PREFIX}TLS_KEY belong together")
    try:
        push_setup.check(settings.push)
    except PushSetupError as error:
        raise SettingsError(f"{PREFIX}{error.field.upper()}: {error}") from None
    for proxy in listed(settings.trusted_proxies):
        try:
            ip_network(proxy)
        except ValueError:
            raise SettingsError(f"{PREFIX}TRUSTED_PROXIES: {proxy!r} is neither an address nor a network") from None
    for page in listed(settings.origins):
        if (origin := origin_of(page)) is None or origin != page.rstrip("/"):
            raise SettingsError(f"{PREFIX}ORIGINS: {page!r} is no origin such as https://drivers.example.com")


def variables() -> dict[str, str]:
    """Every variable that is read, with its field name."""
    return {PREFIX + name.upper(): name for name in _scalar_names()}


def environment(settings: Settings) -> dict[str, str]:
    """The variables from which `load` makes these settings again, but for option groups: those of another process."""
    values = {variable: getattr(settings, name) for variable, name in variables().items()}
    return {variable: str(value) for variable, value in values.items() if value is not None}


def load(environ: Mapping[str, str], **overrides: Any) -> Settings:
    """Settings from variables; overrides (not None) win. Raises SettingsError."""
    known = variables()
    values: dict[str, Any] = {}
    hints = get_type_hints(Settings, include_extras=True)
    for variable, text in environ.items():
        if not variable.startswith(PREFIX) or variable.startswith(_NOT_SETTINGS):
            continue
        name = known.get(variable)
        if name is None:
            raise SettingsError(f"{variable} is not a setting; known: {', '.join(sorted(known))}")
        try:
            values[name] = Path(text) if name in _PATHS else msgspec.convert(text, hints[name], strict=False)
        except msgspec.ValidationError as error:
            raise SettingsError(f"{variable}={text!r}: {error}") from None
    values.update({name: value for name, value in overrides.items() if value is not None})
    try:
        basemap.parse(values.get("basemap"))
    except ValueError as error:
        raise SettingsError(f"{PREFIX}BASEMAP={values['basemap']!r}: {error}") from None
    settings = Settings(**values)
    _check(settings)
    return settings


def _scalar_names() -> list[str]:
    return [f.name for f in fields(Settings) if f.default is not MISSING]
