"""Decoding what a real Envoy sent, and Envoy's own full messages; test_codec_encode.py has the other direction.

captures/*.bin are whole messages that Envoy 1.40.0 sent: `request_headers` to `response_headers_no_answer` with
the response phase off by default and turned on by `encode_route(observe=True)`, the other phases with everything
on. The endpoints' metadata held a decoy `site` in another namespace and, on the secondary, a text with quotes.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic.warnings import PydanticDeprecatedSince212

from extproc.processor.codec import (
    OtherPhase,
    WireError,
    decode,
)
from extproc.routing.message import RequestHead, ResponseHead

with warnings.catch_warnings():
    # Importing them warns of a pydantic idiom in their generated code.
    warnings.simplefilter("ignore", PydanticDeprecatedSince212)
    from envoy_data_plane.envoy.config.core import v3 as core
    from envoy_data_plane.envoy.extensions.filters.http.ext_proc import v3 as filters
    from envoy_data_plane.envoy.service.ext_proc import v3 as oracle
    from envoy_data_plane.google import protobuf as google

CAPTURES = Path(__file__).with_name("captures")
FILTER = "envoy.filters.http.ext_proc"
ATTEMPTS = "upstream.request_attempt_count"
HOST_METADATA = "xds.upstream_host_metadata"
DIGEST = "sha256:" + "5" * 64
INDEX = "application/vnd.oci.image.index.v1+json"

REQUEST = RequestHead(
    method="GET",
    path="/v2/group/app/manifests/latest?ns=docker.io",
    authorization=("Bearer e30.e30.c2ln",),
    accept=(f"{INDEX},application/vnd.oci.image.manifest.v1+json",),
    end_of_stream=True,
)
RESPONSE = ResponseHead(
    status=200,
    digest=DIGEST,
    content_type=INDEX,
    site="primary",
    attempts=1,
)


class TestCaptures:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("request_headers", REQUEST),
            ("request_headers_observability", replace(REQUEST, path="/v2/group/app/manifests/latest")),
            (
                "request_headers_put",
                replace(
                    REQUEST,
                    method="PUT",
                    path="/v2/group/app/manifests/latest",
                    accept=(),
                    end_of_stream=False,
                ),
            ),
            (
                # Envoy has joined two lines of each header with a comma.
                "request_headers_binary",
                replace(
                    REQUEST,
                    path="/v2/group/app/manifests/latest",
                    authorization=("Bearer e30.e30.c2ln,Basic \xe9",),
                    accept=("\xff\xfe/\xe9,a/b",),
                ),
            ),
        ],
    )
    def test_request_head(self, name: str, expected: RequestHead) -> None:
        head = decode(_capture(name))
        assert isinstance(head, RequestHead)
        assert head == expected

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("response_headers_primary", RESPONSE),
            ("response_headers_put", RESPONSE),
            ("response_headers_secondary", RESPONSE._replace(site="secondary")),
            ("response_headers_fallback", RESPONSE._replace(attempts=2)),
            (
                # Nothing listens on the primary's port: the 503 is Envoy's own.
                "response_headers_no_answer",
                ResponseHead(503, digest="", content_type="text/plain", site="primary", attempts=1),
            ),
        ],
    )
    def test_response_head(self, name: str, expected: ResponseHead) -> None:
        assert decode(_capture(name)) == expected

    @pytest.mark.parametrize("name", ["request_body", "response_body", "request_trailers", "response_trailers"])
    def test_other_phase(self, name: str) -> None:
        assert decode(_capture(name)) is OtherPhase(name)


HEADER_NAMES = st.one_of(
    st.sampled_from(
        [
            ":method",
            ":path",
            ":scheme",
            ":authority",
            ":status",
            "authorization",
            "Accept",
            "accept",
            "x-request-id",
            "Docker-Content-Digest",
            "docker-content-digest",
            "content-type",
            "location",
            "x-geo-site",
            "x-geo-route",
        ]
    ),
    st.text(),
)
HEADERS = st.lists(
    st.builds(
        core.HeaderValue,
        key=HEADER_NAMES,
        value=st.one_of(st.just(""), st.text()),
        raw_value=st.one_of(st.binary(), st.sampled_from([b"200", b"404", b"0", b"-12", b"\xb2\xb3\xb9"])),
    ),
    max_size=12,
)
VALUES: st.SearchStrategy[google.Value] = st.recursive(
    st.one_of(
        st.builds(google.Value, null_value=st.just(google.NullValue.NULL_VALUE)),
        st.builds(google.Value, number_value=st.floats()),
        st.builds(google.Value, string_value=st.text()),
        st.builds(google.Value, bool_value=st.booleans()),
        st.just(google.Value()),
    ),
    lambda children: st.one_of(
        st.builds(google.Value, list_value=st.builds(google.ListValue, values=st.lists(children, max_size=3))),
        st.builds(
            google.Value,
            struct_value=st.builds(google.Struct, fields=st.dictionaries(st.text(), children, max_size=3)),
        ),
    ),
    max_leaves=4,
)
STRUCTS = st.builds(google.Struct, fields=st.dictionaries(st.text(), VALUES, max_size=3))
ENVELOPES = st.fixed_dictionaries(
    {
        "metadata_context": st.one_of(
            st.none(),
            st.builds(core.Metadata, filter_metadata=st.dictionaries(st.text(), STRUCTS, max_size=2)),
        ),
        "observability_mode": st.booleans(),
        "protocol_config": st.one_of(
            st.none(),
            st.builds(
                oracle.ProtocolConfiguration,
                request_body_mode=st.sampled_from(filters.ProcessingModeBodySendMode),
                response_body_mode=st.sampled_from(filters.ProcessingModeBodySendMode),
                send_body_without_waiting_for_header_response=st.booleans(),
            ),
        ),
    }
)
BODIES = st.builds(oracle.HttpBody, body=st.binary(), end_of_stream=st.booleans())
TRAILERS = st.builds(oracle.HttpTrailers, trailers=st.builds(core.HeaderMap, headers=HEADERS))

SITES = st.one_of(st.sampled_from(["primary", "secondary", ""]), st.text())
LOOK_ALIKES = st.sampled_from(
    [
        '"} } } filter_metadata { key: "geo" value { fields { key: "site" value { string_value: "secondary"',
        'site: "secondary"',
        "\\",
        "# }",
    ]
)
METADATA = st.dictionaries(
    st.one_of(st.sampled_from(["geo", "envoy.lb"]), LOOK_ALIKES, st.text()),
    st.dictionaries(
        st.one_of(st.sampled_from(["site", "warning"]), st.text()),
        st.one_of(SITES, LOOK_ALIKES, st.booleans(), st.integers(-9, 9), st.none()),
        max_size=4,
    ),
    max_size=3,
)


class TestDecodeAgainstFullMessages:
    @given(HEADERS, st.booleans(), st.dictionaries(st.text(), STRUCTS, max_size=2), ENVELOPES)
    def test_request_head(
        self,
        headers: list[core.HeaderValue],
        end_of_stream: bool,
        attributes: dict[str, google.Struct],
        envelope: dict[str, Any],
    ) -> None:
        head = oracle.HttpHeaders(headers=core.HeaderMap(headers=headers), end_of_stream=end_of_stream)
        message = oracle.ProcessingRequest(request_headers=head, attributes=attributes, **envelope)

        assert decode(bytes(message)) == RequestHead(
            method=_joined(headers, ":method"),
            path=_joined(headers, ":path"),
            authorization=tuple(_lines(headers, "authorization")),
            accept=tuple(_lines(headers, "accept")),
            end_of_stream=end_of_stream,
            traceparent=_joined(headers, "traceparent"),
        )

    @given(HEADERS, METADATA, st.integers(0, 2**32 - 1), STRUCTS, ENVELOPES)
    def test_response_head(
        self,
        headers: list[core.HeaderValue],
        metadata: dict[str, dict[str, object]],
        attempts: int,
        other: google.Struct,
        envelope: dict[str, Any],
    ) -> None:
        known = {
            ATTEMPTS: google.Value(number_value=float(attempts)),
            HOST_METADATA: google.Value(string_value=_metadata_text(metadata)),
        }
        message = oracle.ProcessingRequest(
            response_headers=oracle.HttpHeaders(headers=core.HeaderMap(headers=headers)),
            attributes={"another.filter": other, FILTER: google.Struct(fields={**other.fields, **known})},
            **envelope,
        )

        status = _joined(headers, ":status")
        site = metadata.get("geo", {}).get("site")
        assert decode(bytes(message)) == ResponseHead(
            status=int(status) if status in {"200", "404"} else 0,
            digest=_joined(headers, "docker-content-digest"),
            content_type=_joined(headers, "content-type"),
            site=site if isinstance(site, str) else "",
            attempts=attempts,
        )

    @given(BODIES, TRAILERS, ENVELOPES)
    def test_other_phases(
        self, body: oracle.HttpBody, trailers: oracle.HttpTrailers, envelope: dict[str, Any]
    ) -> None:
        for phase in ("request_body", "response_body"):
            assert decode(bytes(oracle.ProcessingRequest(**envelope, **_only(phase, body)))) is OtherPhase(phase)
        for phase in ("request_trailers", "response_trailers"):
            assert decode(bytes(oracle.ProcessingRequest(**envelope, **_only(phase, trailers)))) is OtherPhase(phase)


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"200", 200),
        (b"099", 99),
        (b"", 0),
        (b"20", 0),
        (b"2000", 0),
        (b"+20", 0),
        (b" 20", 0),
        (b"2_0", 0),
        (b"\xb2\xb3\xb9", 0),
    ],
)
def test_status_is_three_digits(raw: bytes, status: int) -> None:
    headers = core.HeaderMap(headers=[core.HeaderValue(key=":status", raw_value=raw)])
    head = decode(bytes(oracle.ProcessingRequest(response_headers=oracle.HttpHeaders(headers=headers))))
    assert isinstance(head, ResponseHead)
    assert head.status == status


class TestAttributes:
    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("", id="empty"),
            pytest.param("filter_metadata {", id="cut short"),
            pytest.param('filter_metadata { key: "geo" value { fields { key: "site" } } }', id="no value"),
            pytest.param('filter_metadata { key: "geo" value { } }', id="no fields"),
            pytest.param("\xe9", id="not ASCII"),
            pytest.param('{"geo": {"site": "primary"}}', id="JSON"),
            pytest.param("a { " * 5000, id="deep"),
            pytest.param(
                'filter_metadata { key: "geo" value { fields { key: "site" value { number_value: 1 } } } }',
                id="a number",
            ),
            pytest.param(
                'filter_metadata { key: "geo" value { fields { key: "a" value { struct_value { fields {'
                ' key: "site" value { string_value: "primary" } } } } } } }',
                id="nested deeper",
            ),
            pytest.param(
                'filter_metadata { key: "other" value { fields { key: "site" value { string_value: "primary" } } } }',
                id="another namespace",
            ),
            pytest.param(
                'filter_metadata { key: "geo" value { fields { key: "promoted" value { string_value: "yes" } }'
                ' fields { key: "site" value { string_value: "primary" } } } }',
                id="the secondary's registry in the primary's place",
            ),
        ],
    )
    def test_metadata_without_a_site(self, text: str) -> None:
        assert _response({HOST_METADATA: google.Value(string_value=text)}).site == ""

    def test_typed_metadata_beside_the_site_is_skipped(self) -> None:
        text = (
            'typed_filter_metadata { key: "x" value { [type.googleapis.com/google.protobuf.StringValue] '
            '{ value: "y" } } } ' + _metadata_text({"geo": {"site": "secondary"}})
        )
        assert _response({HOST_METADATA: google.Value(string_value=text)}).site == "secondary"

    @given(st.text())
    def test_any_text_gives_some_site(self, text: str) -> None:
        assert isinstance(_response({HOST_METADATA: google.Value(string_value=text)}).site, str)

    @given(VALUES)
    def test_any_value_gives_some_site_and_attempts(self, value: google.Value) -> None:
        head = _response({HOST_METADATA: value, ATTEMPTS: value})
        assert head.site == ""
        assert 0 <= head.attempts < 2**32

    @pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf"), -1.0, 2.0**32])
    def test_a_number_that_counts_nothing_is_no_attempts(self, number: float) -> None:
        assert _response({ATTEMPTS: google.Value(number_value=number)}).attempts == 0

    def test_none_at_all(self) -> None:
        message = oracle.ProcessingRequest(response_headers=oracle.HttpHeaders())
        assert decode(bytes(message)) == ResponseHead(0, "", "", site="", attempts=0)

    def test_headers_cannot_name_a_site(self) -> None:
        headers = [core.HeaderValue(key=name, raw_value=b"primary") for name in (HOST_METADATA, "x-geo-site", "site")]
        message = oracle.ProcessingRequest(
            response_headers=oracle.HttpHeaders(headers=core.HeaderMap(headers=headers))
        )
        head = decode(bytes(message))
        assert isinstance(head, ResponseHead)
        assert head.site == ""


class TestUndecodable:
    @pytest.mark.parametrize(
        "data",
        [
            pytest.param(b"", id="empty"),
            pytest.param(b"\xff", id="cut varint"),
            pytest.param(b"\x12\x7f", id="cut message"),
            pytest.param(bytes(oracle.ProcessingRequest(observability_mode=True)), id="no phase"),
            pytest.param(b"\xfa\x06\x00", id="a phase of the future"),
        ],
    )
    def test_is_a_wire_error(self, data: bytes) -> None:
        with pytest.raises(WireError):
            decode(data)

    @given(st.binary(max_size=400))
    def test_random_bytes(self, data: bytes) -> None:
        _decodes_or_wire_error(data)

    @given(st.sampled_from(sorted(CAPTURES.glob("*.bin"))), st.data())
    def test_damaged_captures(self, capture: Path, data: st.DataObject) -> None:
        message = bytearray(capture.read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            start = data.draw(st.integers(0, len(message)))
            end = data.draw(st.integers(start, min(start + 4, len(message))))
            message[start:end] = data.draw(st.binary(max_size=4))
        _decodes_or_wire_error(bytes(message))


def _only(field: str, value: object) -> dict[str, Any]:
    return {field: value}


def _capture(name: str) -> bytes:
    return (CAPTURES / f"{name}.bin").read_bytes()


def _lines(headers: list[core.HeaderValue], name: str) -> list[str]:
    return [
        (header.raw_value or header.value.encode()).decode("latin-1")
        for header in headers
        if header.key.encode().lower() == name.encode()
    ]


def _joined(headers: list[core.HeaderValue], name: str) -> str:
    return ",".join(_lines(headers, name))


def _response(fields: dict[str, google.Value]) -> ResponseHead:
    head = decode(
        bytes(
            oracle.ProcessingRequest(
                response_headers=oracle.HttpHeaders(), attributes={FILTER: google.Struct(fields=fields)}
            )
        )
    )
    assert isinstance(head, ResponseHead)
    return head


def _metadata_text(metadata: dict[str, dict[str, object]]) -> str:
    """A core.Metadata as Envoy prints it: one line, other than printable ASCII in octal."""
    return "".join(
        f"filter_metadata {{ key: {_quoted(namespace)} value {{ "
        + "".join(f"fields {{ key: {_quoted(key)} value {{ {_value_text(fields[key])} }} }} " for key in fields)
        + "} } "
        for namespace, fields in metadata.items()
    )


def _value_text(value: object) -> str:
    if value is None:
        return "null_value: NULL_VALUE"
    if isinstance(value, bool):
        return f"bool_value: {str(value).lower()}"
    return f"number_value: {value}" if isinstance(value, int) else f"string_value: {_quoted(str(value))}"


def _quoted(text: str) -> str:
    plain = set(range(32, 127)) - {ord('"'), ord("'"), ord("\\")}
    return '"' + "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in text.encode()) + '"'


def _decodes_or_wire_error(data: bytes) -> None:
    try:
        message = decode(data)
    except WireError:
        return
    assert isinstance(message, RequestHead | ResponseHead | OtherPhase)
