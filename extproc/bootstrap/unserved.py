"""What the secondary refused and no primary could be asked about: 503, never the secondary's 404 (P5).

The second try goes nowhere else where the primary's name does not resolve (with `fallback = "priorities"` it then
goes to the secondary again), or where more fallbacks are under way than `max_connections`. What the secondary
says then is not known to be true. The body is `local_reply.unavailable`'s, as for every 503 of Envoy's own.
"""

from __future__ import annotations

from envoy_data_plane.envoy.extensions.filters.http.custom_response.v3 import CustomResponse
from envoy_data_plane.envoy.extensions.filters.http.header_mutation.v3 import HeaderMutation, Mutations
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.envoy.extensions.http.custom_response.local_response_policy.v3 import LocalResponsePolicy
from envoy_data_plane.envoy.type.matcher.v3 import (
    HttpResponseHeaderMatchInput,
    HttpResponseStatusCodeMatchInput,
)
from envoy_data_plane.google.protobuf import Any
from envoy_data_plane.xds.core.v3 import TypedExtensionConfig
from envoy_data_plane.xds.type.matcher.v3 import (
    Matcher,
    MatcherMatcherList,
    MatcherMatcherListFieldMatcher,
    MatcherMatcherListPredicate,
    MatcherMatcherListPredicatePredicateList,
    MatcherMatcherListPredicateSinglePredicate,
    MatcherOnMatch,
    RegexMatcher,
    RegexMatcherGoogleRe2,
    StringMatcher,
)

from extproc.bootstrap.header import remove
from extproc.bootstrap.names import GEO_SITE, SECONDARY

REFUSALS = "401|403|404|429"


def never_refused_by_the_secondary() -> HttpFilter:
    by_secondary = _predicate(
        "site", HttpResponseHeaderMatchInput(header_name=GEO_SITE), StringMatcher(exact=SECONDARY)
    )
    refused = _predicate(
        "status",
        HttpResponseStatusCodeMatchInput(),
        StringMatcher(safe_regex=RegexMatcher(google_re2=RegexMatcherGoogleRe2(), regex=REFUSALS)),
    )
    return HttpFilter(
        name="envoy.filters.http.custom_response",
        typed_config=Any.pack(
            CustomResponse(
                custom_response_matcher=Matcher(
                    matcher_list=MatcherMatcherList(
                        matchers=[
                            MatcherMatcherListFieldMatcher(
                                predicate=MatcherMatcherListPredicate(
                                    and_matcher=MatcherMatcherListPredicatePredicateList(
                                        predicate=[by_secondary, refused]
                                    )
                                ),
                                on_match=MatcherOnMatch(
                                    action=TypedExtensionConfig(
                                        name="unavailable",
                                        typed_config=Any.pack(LocalResponsePolicy(status_code=503)),
                                    )
                                ),
                            )
                        ]
                    )
                )
            )
        ),
    )


def without_site() -> HttpFilter:
    """Takes the header away that the filter above reads, where `envoy.response_headers` is off.

    Envoy does not show this filter the 503 that the other one makes: that one still carries the header.
    """
    return HttpFilter(
        name="envoy.filters.http.header_mutation",
        typed_config=Any.pack(HeaderMutation(mutations=Mutations(response_mutations=[remove(GEO_SITE)]))),
    )


def _predicate(
    name: str, input_: HttpResponseHeaderMatchInput | HttpResponseStatusCodeMatchInput, value: StringMatcher
) -> MatcherMatcherListPredicate:
    return MatcherMatcherListPredicate(
        single_predicate=MatcherMatcherListPredicateSinglePredicate(
            input=TypedExtensionConfig(name=name, typed_config=Any.pack(input_)), value_match=value
        )
    )
