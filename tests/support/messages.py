"""Messages of a stream in Envoy's own full types: an independent oracle for our minimal ones."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Final

from pydantic.warnings import PydanticDeprecatedSince212

with warnings.catch_warnings():
    # Importing them warns of a pydantic idiom in their generated code.
    warnings.simplefilter("ignore", PydanticDeprecatedSince212)
    from envoy_data_plane.envoy.config.core import v3 as core
    from envoy_data_plane.envoy.extensions.filters.http.ext_proc import v3 as filters
    from envoy_data_plane.envoy.service.ext_proc import v3 as oracle
    from envoy_data_plane.google import protobuf as google

__all__ = ["OTHERS", "PRIMARY", "Reply", "head_of", "oracle", "request_head", "response_head"]

PRIMARY: Final = "primary"
OTHERS: Final = {
    "request_body": bytes(oracle.ProcessingRequest(request_body=oracle.HttpBody(body=b"x", end_of_stream=True))),
    "response_body": bytes(oracle.ProcessingRequest(response_body=oracle.HttpBody(body=b"x"))),
    "request_trailers": bytes(oracle.ProcessingRequest(request_trailers=oracle.HttpTrailers())),
    "response_trailers": bytes(oracle.ProcessingRequest(response_trailers=oracle.HttpTrailers())),
}
"""The phases that we never ask for."""


def request_head(method: str, path: str, *pairs: tuple[str, str]) -> bytes:
    return head_of((":method", method), (":path", path), *pairs)


def head_of(*pairs: tuple[str, str]) -> bytes:
    """A request's head of these headers alone, in latin-1."""
    return bytes(oracle.ProcessingRequest(request_headers=_headers(*pairs)))


def response_head(status: int, *pairs: tuple[str, str], site: str = "", attempts: int = 1) -> bytes:
    """`site` in the metadata of the endpoint that answered, as Envoy prints it."""
    metadata = (
        f'filter_metadata {{ key: "geo" value {{ fields {{ key: "site" value {{ string_value: "{site}" }} }} }} }}'
    )
    fields = {
        "xds.upstream_host_metadata": google.Value(string_value=metadata),
        "upstream.request_attempt_count": google.Value(number_value=attempts),
    }
    return bytes(
        oracle.ProcessingRequest(
            response_headers=_headers((":status", str(status)), *pairs),
            attributes={"envoy.filters.http.ext_proc": google.Struct(fields=fields)},
        )
    )


def _headers(*pairs: tuple[str, str]) -> oracle.HttpHeaders:
    return oracle.HttpHeaders(
        headers=core.HeaderMap(
            headers=[core.HeaderValue(key=key, raw_value=value.encode("latin-1")) for key, value in pairs]
        )
    )


@dataclass(frozen=True)
class Reply:
    """One reply, taken apart."""

    message: oracle.ProcessingResponse

    @classmethod
    def of(cls, data: object) -> Reply:
        assert isinstance(data, bytes)
        return cls(oracle.ProcessingResponse.parse(data))

    @property
    def kind(self) -> str:
        names = ("immediate_response", "request_headers", "response_headers", *OTHERS)
        (kind,) = (name for name in names if getattr(self.message, name) is not None)
        return kind

    @property
    def set_headers(self) -> dict[str, str]:
        """Of an answer of ours, or of the request's head; each name once."""
        answer, forwarded = self.message.immediate_response, self.message.request_headers
        if answer is not None:
            mutation = answer.headers
        else:
            assert forwarded is not None
            assert forwarded.response is not None
            mutation = forwarded.response.header_mutation
        assert mutation is not None
        assert not mutation.remove_headers
        found = [option.header for option in mutation.set_headers if option.header is not None]
        assert len({header.key for header in found}) == len(found)
        return {header.key: header.raw_value.decode("latin-1") for header in found}

    @property
    def observes(self) -> bool:
        """Whether the response's head is asked for."""
        mode = self.message.mode_override
        return mode is not None and mode.response_header_mode == filters.ProcessingModeHeaderSendMode.SEND

    @property
    def status(self) -> int:
        """Of an answer of ours."""
        answer = self.message.immediate_response
        assert answer is not None
        assert answer.status is not None
        return int(answer.status.code)

    @property
    def body(self) -> bytes:
        answer = self.message.immediate_response
        assert answer is not None
        return answer.body
