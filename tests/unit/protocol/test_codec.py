import json
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flexlive.protocol import codec, driver
from flexlive.protocol.codec import BadFrame, InvalidCommand, Unknown, decode_client, decode_server
from flexlive.protocol.limits import FRAME_BYTES_MAX, SEQ_MAX

ID = UUID("0198f000-0000-7000-8000-000000000001")
NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
tags = st.sampled_from(sorted(codec._CLIENT_TAGS))  # pyright: ignore[reportPrivateUsage]
fields = st.sampled_from(
    ["cmd", "ack", "seq", "points", "offer_id", "offer_version", "mode", "stop_id", "at", "method", "reason", "unacked"]
)
almost_frames = st.builds(
    lambda tag, body: json.dumps({"type": tag} | body).encode(), tags, st.dictionaries(fields, json_values, max_size=5)
)


@given(st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()) | almost_frames)
@example(b'{"type":"heartbeat","x":' + b"[" * 16_000)
@example(b'{"type":"heartbeat","x":' + b"[" * 5_000 + b"]" * 5_000 + b"}")
@example(b'{"type":"heart\xff"}')
@example(b"")
def test_no_bytes_make_the_decoder_raise(frame: bytes):
    decoded = decode_client(frame)
    if isinstance(decoded, BadFrame | InvalidCommand):
        assert decoded.message


@given(st.text(max_size=200))
@example('{"type":"\ud800"}')
def test_no_text_makes_the_decoder_raise(frame: str):
    decode_client(frame)


def _location(lat: str = "1", lon: str = "1") -> bytes:
    point = f'{{"lat":{lat},"lon":{lon},"at":"2026-05-01T12:00:00Z","accuracy_m":5}}'
    return f'{{"type":"location","points":[{point}]}}'.encode()


@pytest.mark.parametrize(
    "frame",
    [
        _location(lat="NaN"),
        _location(lat="Infinity"),
        _location(lat="-1e999"),
        _location(lat="90.001"),
        _location(lon="180.001"),
        _location(lat='"1"'),
        b'{"type":"location","points":[' + b",".join([b"{}"] * 101) + b"]}",
        b'{"type":"ack","seq":-1}',
        b'{"type":"ack","seq":1e30}',
        b'{"type":"heartbeat","ack":1.5}',
        b'{"type":"offer.accept","cmd":"","offer_id":"%b","offer_version":1}' % str(ID).encode(),
        b'{"type":"offer.accept","cmd":"%b","offer_id":"%b","offer_version":1}' % (b"x" * 65, str(ID).encode()),
        b'{"type":"offer.accept","cmd":"a\\n","offer_id":"%b","offer_version":1}' % str(ID).encode(),
        b'{"type":"hello","app_version":"1","device_id":"d","unacked":[%b]}' % b",".join([b'"c"'] * 101),
        b'{"type":"hello","app_version":"a\\u0000","device_id":"d"}',
        b'[{"type":"heartbeat"}]',
        b"null",
    ],
)
def test_what_is_out_of_bounds_is_a_bad_frame(frame: bytes):
    assert isinstance(decode_client(frame), BadFrame)
    assert isinstance(decode_client(frame.decode()), BadFrame)


def test_a_command_out_of_bounds_can_still_be_answered():
    decoded = decode_client(b'{"type":"offer.accept","cmd":"c-1","offer_id":"no","offer_version":0}')
    assert decoded == InvalidCommand("c-1", "Invalid UUID - at `$.offer_id`")
    nul = b'{"type":"offer.decline","cmd":"c-2","offer_id":"%b","reason":"a\\u0000b"}' % str(ID).encode()
    assert isinstance(decode_client(nul), InvalidCommand)


def test_answers_repeat_nothing_a_phone_sent():
    decoded = decode_client(b'{"type":"presence.set","cmd":"c","mode":"my home address"}')
    assert isinstance(decoded, InvalidCommand)
    assert "home" not in decoded.message


def test_types_of_a_later_version_are_told_apart():
    assert decode_client(b'{"type":"mood","x":1}') == Unknown("mood")
    assert decode_client(b'{"type":"mood.set","cmd":"c"}') == InvalidCommand("c", "unknown command")
    assert decode_server(b'{"type":"mood","x":1}') == Unknown("mood")
    assert isinstance(decode_server(b'{"type":"result"}'), BadFrame)


@pytest.mark.parametrize("filler", ["x", "é"])
def test_the_frame_is_capped_in_bytes_before_it_is_parsed(filler: str):
    def frame(size_bytes: int) -> str:
        head, tail = '{"type":"heartbeat","x":"', '"}'
        count = (size_bytes - len(head) - len(tail)) // len(filler.encode())
        return head + filler * count + tail

    assert isinstance(decode_client(frame(FRAME_BYTES_MAX)), driver.Heartbeat)
    too_large = frame(FRAME_BYTES_MAX + 2)
    assert decode_client(too_large) == decode_client(too_large.encode())
    assert decode_client(too_large).code == "frame_too_large"  # pyright: ignore[reportAttributeAccessIssue]


def test_of_repeated_keys_the_last_one_wins():
    assert decode_client(b'{"type":"ack","seq":1,"seq":2}') == driver.Ack(seq=2)


def test_times_are_aware_and_leave_as_utc_with_z():
    naive = b'{"type":"offer.seen","offer_id":"%b","rendered_at":"2026-05-01T12:00:00"}' % str(ID).encode()
    assert isinstance(decode_client(naive), BadFrame)
    aware = driver.OfferSeen(offer_id=ID, rendered_at=NOW)
    assert b'"2026-05-01T12:00:00Z"' in codec.encode_client(aware)
    assert decode_client(codec.encode_client(aware)) == aware


@given(seq=st.integers(0, SEQ_MAX), reason=st.text(max_size=300))
def test_splicing_a_seq_into_a_template_equals_encoding_the_fact(seq: int, reason: str):
    body = msgspec.json.encode({"offer_id": str(ID), "reason": reason})
    template = codec.fact_template("offer.gone", body)
    frame = codec.splice_seq(template, seq)
    assert decode_server(frame) == driver.OfferGone(seq=seq, offer_id=ID, reason=reason)
    assert json.loads(frame)["seq"] == seq
    framed = codec.splice_framed(template, seq)
    assert framed.endswith(frame)
    assert framed[: -len(frame)] == codec.text_frame_header(len(frame))


def test_templates_take_only_facts_that_are_objects():
    assert decode_server(codec.splice_seq(codec.fact_template("skip", b"{}"), 7)) == driver.Skip(seq=7)
    for type_, body in (("welcome", b"{}"), ("skip", b"[]"), ("skip", b"")):
        with pytest.raises(ValueError):
            codec.fact_template(type_, body)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 70_000])
def test_frame_headers_are_those_of_the_websockets_library(size: int):
    from websockets.frames import Frame, Opcode

    frame = Frame(Opcode.TEXT, b"x" * size).serialize(mask=False)
    assert frame == codec.text_frame_header(size) + b"x" * size


def test_results_are_the_same_bytes_every_time():
    body = codec.encode_result("c", ok=False, code="conflict", current={"offer_version": 2})
    assert body == codec.encode_server(driver.Result(cmd="c", ok=False, code="conflict", current={"offer_version": 2}))
    assert decode_server(body) == driver.Result(cmd="c", ok=False, code="conflict", current={"offer_version": 2})
