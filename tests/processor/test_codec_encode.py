"""Encoding, against Envoy's own full messages."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic.warnings import PydanticDeprecatedSince212

from extproc.processor.codec import OtherPhase, decode, encode_answer, encode_continue, encode_route
from extproc.routing.message import RequestHead

with warnings.catch_warnings():
    # Importing them warns of a pydantic idiom in their generated code.
    warnings.simplefilter("ignore", PydanticDeprecatedSince212)
    from envoy_data_plane.envoy.config.core import v3 as core
    from envoy_data_plane.envoy.extensions.filters.http.ext_proc import v3 as filters
    from envoy_data_plane.envoy.service.ext_proc import v3 as oracle
    from envoy_data_plane.envoy.type import v3 as types

WRITTEN = st.lists(
    st.tuples(
        st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1),
        st.text(st.characters(max_codepoint=255)),
    ),
    max_size=5,
)
REMOVED = st.lists(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1), max_size=3)
Written = list[tuple[str, str]]


class TestEncodeAgainstFullMessages:
    @given(WRITTEN, REMOVED, st.booleans())
    def test_route(self, headers: Written, removed: list[str], observe: bool) -> None:
        expected = oracle.ProcessingResponse(
            request_headers=oracle.HeadersResponse(
                response=oracle.CommonResponse(header_mutation=_mutation(headers, removed), clear_route_cache=True)
            )
        )
        if observe:
            expected.mode_override = filters.ProcessingMode(
                response_header_mode=filters.ProcessingModeHeaderSendMode.SEND
            )
        _same(encode_route(headers, removed, observe=observe), expected)

    @pytest.mark.parametrize("phase", OtherPhase)
    @given(WRITTEN)
    def test_continue(self, phase: OtherPhase, headers: Written) -> None:
        mutation = _mutation(headers, []) if headers else None
        common = oracle.CommonResponse(header_mutation=mutation) if headers else None
        reply: oracle.HeadersResponse | oracle.BodyResponse | oracle.TrailersResponse
        if phase.value.endswith("headers"):
            reply = oracle.HeadersResponse(response=common)
        elif phase.value.endswith("body"):
            reply = oracle.BodyResponse(response=common)
        else:
            reply = oracle.TrailersResponse(header_mutation=mutation)
        _same(encode_continue(phase, headers), oracle.ProcessingResponse(**_only(phase.value, reply)))

    @given(
        st.sampled_from([status for status in types.StatusCode if status]),
        WRITTEN,
        st.binary(),
        st.text(),
    )
    def test_answer(self, status: types.StatusCode, headers: Written, body: bytes, details: str) -> None:
        expected = oracle.ProcessingResponse(
            immediate_response=oracle.ImmediateResponse(
                status=types.HttpStatus(code=status),
                headers=_mutation(headers, []),
                body=body,
                details=details,
            )
        )
        _same(encode_answer(status.value, headers, body, details), expected)

    @given(st.binary())
    def test_a_value_read_is_written_back_byte_for_byte(self, value: bytes) -> None:
        headers = [core.HeaderValue(key=":path", raw_value=value)]
        message = oracle.ProcessingRequest(
            request_headers=oracle.HttpHeaders(headers=core.HeaderMap(headers=headers))
        )
        head = decode(bytes(message))
        assert isinstance(head, RequestHead)

        reply = oracle.ProcessingResponse.parse(encode_route([(":path", head.path)], observe=False))

        assert reply.request_headers is not None
        assert reply.request_headers.response is not None
        assert reply.request_headers.response.header_mutation is not None
        option = reply.request_headers.response.header_mutation.set_headers[0]
        assert option.header == core.HeaderValue(key=":path", raw_value=value)


def _only(field: str, value: object) -> dict[str, Any]:
    return {field: value}


def _mutation(headers: Written, removed: list[str]) -> oracle.HeaderMutation:
    return oracle.HeaderMutation(
        set_headers=[
            core.HeaderValueOption(
                header=core.HeaderValue(key=name, raw_value=value.encode("latin-1")),
                append_action=core.HeaderValueOptionHeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD,
            )
            for name, value in headers
        ],
        remove_headers=removed,
    )


def _same(data: bytes, expected: oracle.ProcessingResponse) -> None:
    """Equal as messages, and no byte more: the full message knows every field that was sent."""
    assert oracle.ProcessingResponse.parse(data) == expected
    assert len(data) == len(bytes(expected))
