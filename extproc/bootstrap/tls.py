"""TLS: as a server towards clients, as a client towards the sites."""

from __future__ import annotations

from pathlib import Path

from envoy_data_plane.envoy.config.core.v3 import DataSource, TransportSocket
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import (
    CertificateValidationContext,
    CommonTlsContext,
    DownstreamTlsContext,
    SubjectAltNameMatcher,
    SubjectAltNameMatcherSanType,
    TlsCertificate,
    TlsParameters,
    TlsParametersTlsProtocol,
    UpstreamTlsContext,
)
from envoy_data_plane.envoy.type.matcher.v3 import StringMatcher
from envoy_data_plane.google.protobuf import Any

from extproc.settings import Envoy, Site

SYSTEM_CA = Path("/etc/ssl/certs/ca-certificates.crt")
"""Where Debian, and with it Envoy's own image, keeps the public authorities. Envoy trusts none by itself."""


def downstream(envoy: Envoy) -> TransportSocket | None:
    """The listener's TLS, or None for plain HTTP."""
    if envoy.certificate is None or envoy.private_key is None:
        return None
    return _socket(
        DownstreamTlsContext(
            common_tls_context=CommonTlsContext(
                tls_params=_at_least_tls_1_2(),
                tls_certificates=[
                    TlsCertificate(
                        certificate_chain=DataSource(filename=str(envoy.certificate)),
                        private_key=DataSource(filename=str(envoy.private_key)),
                    )
                ],
                alpn_protocols=["h2", "http/1.1"],
            )
        )
    )


def upstream(site: Site, *, alpn: str = "http/1.1") -> TransportSocket | None:
    """TLS towards a site, or None for plain HTTP. `alpn`: the protocol that is spoken (RFC 7301).

    Envoy checks neither chain nor name unless told to: both are named here.
    """
    if not site.tls:
        return None
    endpoint = site.endpoint
    name = site.server_name or endpoint.host
    is_address = not site.server_name and endpoint.is_ip
    return _socket(
        UpstreamTlsContext(
            common_tls_context=CommonTlsContext(
                tls_params=_at_least_tls_1_2(),
                validation_context=CertificateValidationContext(
                    trusted_ca=DataSource(filename=str(site.ca or SYSTEM_CA)),
                    match_typed_subject_alt_names=[
                        SubjectAltNameMatcher(
                            san_type=SubjectAltNameMatcherSanType.IP_ADDRESS
                            if is_address
                            else SubjectAltNameMatcherSanType.DNS,
                            matcher=StringMatcher(exact=name),
                        )
                    ],
                ),
                alpn_protocols=[alpn],
            ),
            # RFC 6066, 3: a literal address is no server name.
            sni="" if is_address else name,
        )
    )


def _at_least_tls_1_2() -> TlsParameters:
    return TlsParameters(tls_minimum_protocol_version=TlsParametersTlsProtocol.TLSv1_2)


def _socket(context: DownstreamTlsContext | UpstreamTlsContext) -> TransportSocket:
    return TransportSocket(name="envoy.transport_sockets.tls", typed_config=Any.pack(context))
