"""The documents say what the code does: every name in both, every example a frame, every default the present one."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from flexlive import cli
from flexlive.app import create_app
from flexlive.domain.errors import CATALOGUE
from flexlive.domain.markets import MarketPolicy
from flexlive.domain.reasons import ReasonCode
from flexlive.lab import demo as lab_demo
from flexlive.lab.options import DemoOptions
from flexlive.lab.stats import Percentiles
from flexlive.lab.summary import DayFigures, Summary
from flexlive.protocol import customer, merchant
from flexlive.protocol import driver as wire
from flexlive.protocol.close_codes import Advice, CloseCode, advice
from flexlive.protocol.codec import BadFrame, InvalidCommand, Unknown, decode_client, decode_server
from flexlive.settings import PREFIX, Settings, variables
from tests.support.protocol_document import PROTOCOL, examples

DOCS = Path(__file__).parents[2] / "docs"
MESSAGES: tuple[type[msgspec.Struct], ...] = get_args(wire.ClientMessage) + get_args(wire.ServerMessage)
BODIES: dict[str, tuple[type[msgspec.Struct], ...]] = {
    "hello": (wire.Point, wire.Resume),
    "pickup.confirm": (wire.Missing,),
    "welcome": (wire.Limits,),
    "snapshot": (wire.PositionView, wire.InboxItem),
    "offer.open": (wire.SiteView, wire.Entrance, wire.StoreView, wire.PayView, wire.EstimateView),
    "route.update": (wire.StopView, wire.WindowView, wire.ContactView),
    "route.update deliveries": (wire.StopDeliveryView, wire.PackageView, wire.VerificationView),
}
"""In the section of which message the fields of a body are told."""


def read(name: str) -> str:
    return (DOCS / name).read_text()


def tag(message: type[msgspec.Struct]) -> str:
    return str(message.__struct_config__.tag)


def rows(text: str, first: str) -> dict[str, list[str]]:
    """Table rows whose first cell matches, by that cell without back-ticks; the other cells likewise."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("|"):
            cells = [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip("|"))]
            if re.fullmatch(first, cells[0]):
                found[cells[0].strip("`")] = [cell.strip("`") for cell in cells[1:]]
    return found


def section(text: str, heading: str) -> str:
    """From the line that starts with heading up to the next heading."""
    _, found, rest = text.partition(f"\n{heading}")
    assert found, f"no section {heading!r}"
    return re.split(r"\n##+ ", rest, maxsplit=1)[0]


def words(text: str) -> set[str]:
    """Every word that stands in back-ticks, alone or inside `{a, b}`."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return {word for quoted in re.findall(r"`([^`\n]+)`", text) for word in re.findall(r"[A-Za-z0-9_.-]+", quoted)}


def table_words(text: str) -> set[str]:
    return words("\n".join(line for line in text.splitlines() if line.startswith("|")))


def fields_of(struct: type[msgspec.Struct]) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(struct)}


def sections_of_messages() -> dict[str, str]:
    """Tag → the sections whose heading names it."""
    found: dict[str, str] = {}
    for heading, body in re.findall(r"^### ([^\n]*)\n(.*?)(?=^##|\Z)", PROTOCOL, re.MULTILINE | re.DOTALL):
        for name in re.findall(r"`([^`]+)`", heading):
            found[name] = found.get(name, "") + body
    return found


# driver-protocol.md


def test_every_message_has_a_section_with_all_its_fields() -> None:
    sections = sections_of_messages()
    assert sections.keys() == {tag(message) for message in MESSAGES}
    # `ack` may ride on any client frame and is told of once.
    for message in MESSAGES:
        assert not fields_of(message) - {"ack"} - table_words(sections[tag(message)]), tag(message)
    assert "ack" in words(section(PROTOCOL, "### Facts"))


@pytest.mark.parametrize("name", BODIES)
def test_every_field_of_a_body_is_in_a_table(name: str) -> None:
    told = table_words(sections_of_messages()[name.split()[0]])
    assert not set[str]().union(*map(fields_of, BODIES[name])) - told


@pytest.mark.parametrize(
    ("direction", "decode", "union"),
    [("client→server", decode_client, wire.ClientMessage), ("server→client", decode_server, wire.ServerMessage)],
)
def test_every_message_has_an_example_that_the_other_side_takes(
    direction: str, decode: Callable[[str], object], union: object
) -> None:
    decoded = [decode(text) for text in examples(direction)]
    assert not [each for each in decoded if isinstance(each, BadFrame | InvalidCommand | Unknown)]
    assert {type(each) for each in decoded} == set(get_args(union))


def test_no_json_block_is_left_unchecked() -> None:
    marks = set(re.findall(r"^```json(.*)$", PROTOCOL, re.MULTILINE))
    assert marks == {" client→server", " server→client"}


def test_the_welcome_in_the_document_has_todays_limits() -> None:
    [welcome] = [each for text in examples("server→client") if isinstance(each := decode_server(text), wire.Welcome)]
    assert welcome.heartbeat_seconds == wire.HEARTBEAT_SECONDS
    assert welcome.resume_window_seconds == wire.RESUME_WINDOW_SECONDS
    assert welcome.limits == wire.Limits(
        frame_bytes_max=wire.FRAME_BYTES_MAX,
        points_max=wire.POINTS_MAX,
        commands_burst_per_second=wire.COMMANDS_BURST_PER_SECOND,
        commands_per_minute=wire.COMMANDS_PER_MINUTE,
        ack_delay_seconds_max=wire.ACK_DELAY_SECONDS_MAX,
    )


def test_result_codes() -> None:
    table = rows(section(PROTOCOL, "### Result codes"), "`.*`")
    assert table.keys() == set(get_args(wire.ResultCode))
    used = {each.code for text in examples("server→client") if isinstance(each := decode_server(text), wire.Result)}
    assert used <= table.keys()


def test_close_codes_and_what_they_advise() -> None:
    table = rows(section(PROTOCOL, "## Close codes"), r"4\d\d\d")
    assert {int(code): row[0] for code, row in table.items()} == {
        each.value: each.name.lower().replace("_", " ") for each in CloseCode
    }
    told = {
        int(code): Advice.STOP
        if not retry.startswith("yes")
        else Advice.REFRESH_TOKEN
        if login.startswith("yes")
        else Advice.RESUME
        for code, (_, _, retry, resume, login) in table.items()
        if retry.split(",")[0] == resume.split(",")[0]
    }
    assert told == {each.value: advice(each) for each in CloseCode}


def test_reasons() -> None:
    assert words(section(PROTOCOL, "## Reason codes")) == {reason.value for reason in ReasonCode}
    resets = section(PROTOCOL, "### `welcome`, `reset`")
    assert set(get_args(wire.ResetReason)) <= words(resets)
    assert set(get_args(wire.GoneReason)) <= words(section(PROTOCOL, "### `offer.gone`"))


# customer-stream.md


def test_customer_stream_names_every_field_and_event() -> None:
    text = read("customer-stream.md")
    state = section(text, "## State")
    documented = {name for cell in rows(state, "`.*`") for name in re.findall(r"[a-z_]+", cell)}
    assert documented == fields_of(customer.TrackState)
    assert rows(section(text, "## Events"), "`.*`").keys() == set(get_args(customer.StreamEventName))
    [example] = re.findall(r"^```json\n(.*?)^```$", state, re.MULTILINE | re.DOTALL)
    shown = msgspec.json.decode(example, type=customer.TrackState)
    assert fields_of(customer.TrackState) == json.loads(example).keys()
    assert shown.courier is not None
    for struct in (customer.Courier, customer.DeliveryWindow, customer.TimelineEntry, customer.StreamPosition):
        assert fields_of(struct) <= words(text)
    assert set(get_args(customer.ResetReason)) <= words(text)


# http.md


def test_errors_of_http() -> None:
    table = rows(section(read("http.md"), "## Errors"), "`.*`")
    assert {code: tuple(row) for code, row in table.items()} == {
        code.value: (
            str(entry.http_status),
            entry.title,
            entry.result_code or "–",
            str(entry.close_code) if entry.close_code else "–",
        )
        for code, entry in CATALOGUE.items()
    }


def test_addresses_of_http() -> None:
    paths: dict[str, Any] = create_app(Settings(), "", lambda: None).openapi_schema.to_schema()["paths"]
    described = {f"{method.upper()} {path}" for path, operations in paths.items() for method in operations}
    table = "\n".join(line for line in read("http.md").splitlines() if line.startswith("| `"))
    assert set(re.findall(r"`((?:GET|POST|PUT|DELETE) [^`?]+)`", table)) == described


def test_fields_of_an_order() -> None:
    order = section(read("http.md"), "### Order")
    structs = (merchant.CreateDelivery, merchant.PackageRequest, merchant.DropoffVerification)
    assert not set[str]().union(*map(fields_of, structs)) - words(order)


def test_policy_of_a_market() -> None:
    table = rows(section(read("http.md"), "### Policy"), "`.*`")
    assert {name: row[0] for name, row in table.items()} == {
        field.name: str(field.default) for field in msgspec.structs.fields(MarketPolicy)
    }


# settings.md


def test_settings() -> None:
    text = read("settings.md")
    told = rows(text, f"`{PREFIX}.*`")
    assert {variable: row[1] for variable, row in told.items()} == {
        variable: "–" if (default := getattr(Settings(), name)) is None else str(default)
        for variable, name in variables().items()
    }
    named = set(re.findall(rf"{PREFIX}[A-Z_]+", "".join(path.read_text() for path in DOCS.glob("*.md")))) - {PREFIX}
    # What the tests demand of a machine is no setting of the server.
    assert {each for each in named if not each.startswith(f"{PREFIX}REQUIRE_")} <= variables().keys()


def test_option_groups() -> None:
    settings = Settings()
    groups = {field.name for field in fields(Settings) if field.default is MISSING}
    table = re.findall(r"^\| `(\w+)` \| `(\w+)` \| `([^`]+)` \|", read("settings.md"), re.MULTILINE)
    assert {group for group, _, _ in table} == groups
    wrong = [
        (group, option, told)
        for group, option, told in table
        if str(getattr(getattr(settings, group), option, "no such option")) != told
    ]
    assert not wrong
    assert all(is_dataclass(getattr(settings, group)) for group in groups)


# demo.md


def test_flags_of_the_demo() -> None:
    text = read("demo.md")
    flags = {
        "--" + name.replace("_", "-"): parameter.default
        for name, parameter in inspect.signature(cli.demo).parameters.items()
    }
    told = {flag: row[0] for flag, row in rows(text, "`--.*`").items()}
    assert told == {
        flag: "–" if default is None else "off" if default is False else str(default) for flag, default in flags.items()
    }
    named = {"json_path" if flag == "--json" else flag[2:].replace("-", "_") for flag in flags}
    fixed = {field.name: field.default for field in fields(DemoOptions) if field.name not in named}
    assert {name: re.search(rf"`{name}` (\d+) s", text) is not None for name in fixed} == dict.fromkeys(fixed, True)
    assert all(f"`{name}` {default:g} s" in text for name, default in fixed.items() if isinstance(default, float))


def test_fields_of_the_summary() -> None:
    summary = section(read("demo.md"), "## The summary")
    assert {name for cell in rows(summary, "`.*`") for name in re.findall(r"[a-z_]+", cell)} == fields_of(Summary)
    assert fields_of(Percentiles) | fields_of(DayFigures) <= words(summary)


def test_exit_codes_of_the_demo() -> None:
    codes = {value for name, value in vars(lab_demo).items() if name.startswith("EXIT_")}
    assert {int(code) for code in rows(section(read("demo.md"), "## Exit codes"), r"\d+")} == codes
