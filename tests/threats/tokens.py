"""Generated tokens: right ones, and wrong ones that an attacker or a careless issuer would send."""

from __future__ import annotations

import base64
import hmac
import itertools
import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Final, NamedTuple

from jwt.algorithms import get_default_algorithms

from tests.auth.issuer import AUDIENCE, ISSUER, NOW, certificate, claims, jwk, private_key, public_pem, segment

OURS: Final = ("rsa", "p256", "p384", "p521", "ed25519")
"""The issuer's keys, each with its kind as `kid`."""
SIGNED_BY: Final = {
    "rsa": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "other": ("RS256", "PS256"),
    "p256": ("ES256",),
    "p384": ("ES384",),
    "p521": ("ES512",),
    "ed25519": ("EdDSA",),
}
CLAIMED: Final = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
    *("ES256K", "HS256", "none", "None", "rs256", "", None, 5, ["RS256"]),
)
_SIGNERS: Final = get_default_algorithms()
_ABSENT: Final = ...


class Case(NamedTuple):
    """`group` says what was varied, `what` how."""

    group: str
    what: str
    token: str


def cases() -> Iterator[Case]:
    yield from _algorithms()
    yield from _symmetric()
    yield from _headers()
    yield from _times()
    yield from _parties()
    yield from _accesses()
    yield from _texts()
    yield from _spellings()


def _algorithms() -> Iterator[Case]:
    """Who signed how × what `alg` says × which `kid`."""
    signers = [(kind, algorithm) for kind, algorithms in SIGNED_BY.items() for algorithm in algorithms]
    for (kind, algorithm), claimed in itertools.product(signers, CLAIMED):
        for kid in (kind, "rsa", "p256", "unknown", _ABSENT):
            what = f"{algorithm} by {kind}, alg {claimed!r}, kid {kid!r}"
            yield Case("algorithm", what, signed(kind=kind, algorithm=algorithm, header={"alg": claimed, "kid": kid}))


def _symmetric() -> Iterator[Case]:
    """An HMAC whose secret everybody knows, for every name that it may go by."""
    secrets = {"PEM": public_pem("rsa"), "certificate": certificate("rsa"), "JWK": _json(jwk("rsa")), "nothing": b""}
    for (name, secret), alg, kid in itertools.product(
        secrets.items(), ("HS256", "hs256", "RS256", "none"), (*OURS, "unknown")
    ):
        body = f"{segment(_json({'alg': alg, 'kid': kid}))}.{segment(_json(claims()))}"
        mac = hmac.digest(secret, body.encode(), sha256)
        yield Case("symmetric", f"{alg} with {name}, kid {kid}", f"{body}.{segment(mac)}")


def _headers() -> Iterator[Case]:
    """Members that would bring a key along, call for an extension, or are of another type."""
    members: dict[str, list[object]] = {
        "jwk": [jwk("other"), jwk("rsa"), {}, "x", None],
        "x5c": [[base64.b64encode(b"x").decode()], [], "x", None],
        "jku": ["http://127.0.0.1:1/keys", "file:///etc/passwd", 5],
        "x5u": ["http://127.0.0.1:1/cert", "", []],
        "x5t": ["x", 1],
        "typ": ["JWT", "at+jwt", "JOSE+JSON", None, 7],
        "cty": ["JWT", "", {}],
        "crit": [[], ["exp"], ["b64"], ["unknown"], ["alg"], "b64", None, {}, [1]],
        "b64": [True, False, None, "false", 0],
        "zip": ["DEF"],
        "enc": ["A128GCM"],
        "iss": ["other"],
        "kid": ["", None, 5, ["rsa"], "RSA", "rsa ", "../../dev/null", "http://127.0.0.1:1/", "k" * 700, "\x00", "é"],
    }
    for member, values in members.items():
        for value, kind in itertools.product(values, ("rsa", "other", "ed25519")):
            header = {"kid": "rsa" if kind == "other" else kind, member: value}
            yield Case("header", f"{member} {str(value)[:40]!r} by {kind}", signed(kind=kind, header=header))
    for critical, value in itertools.product((["b64"], ["exp"], ["b64", "exp"]), (True, False)):
        header = {"crit": critical, "b64": value, "exp": 1}
        yield Case("header", f"crit {critical} b64 {value}", signed(header=header))


def _times() -> Iterator[Case]:
    """`exp` × `nbf` × `iat` around the leeway of 60 s, and what is no time."""
    ends: tuple[object, ...] = (
        *(NOW - 3600, NOW - 61, NOW - 60.5, NOW - 60, NOW - 59.5, NOW - 1, NOW, NOW + 300, int(NOW) + 300),
        *(_ABSENT, None, "300", True, 0, -1, 1e15, 1e400, [NOW]),
    )
    starts: tuple[object, ...] = (
        *(NOW - 3600, NOW, NOW + 59.5, NOW + 60, NOW + 60.5, NOW + 61),
        *(_ABSENT, None, "0", False),
    )
    for exp, nbf in itertools.product(ends, starts):
        yield Case("time", f"exp {exp} nbf {nbf}", signed(claims(exp=exp, nbf=nbf)))
    for nbf, iat in itertools.product(starts, starts):
        yield Case("time", f"nbf {nbf} iat {iat}", signed(claims(nbf=nbf, iat=iat)))


def _parties() -> Iterator[Case]:
    issuers: tuple[object, ...] = (ISSUER, ISSUER.upper(), ISSUER + " ", "", "other", _ABSENT, None, [ISSUER], 1)
    audiences: tuple[object, ...] = (
        *(AUDIENCE, [AUDIENCE], ["other", AUDIENCE], [AUDIENCE, 5], "other", ["other"], [], "", _ABSENT, None),
        *({AUDIENCE: 1}, [[AUDIENCE]], AUDIENCE + "x", AUDIENCE[:-1], f"x {AUDIENCE}"),
    )
    for iss, aud in itertools.product(issuers, audiences):
        yield Case("party", f"iss {iss!r} aud {aud!r}", signed(claims(iss=iss, aud=aud)))
    for sub in ("", "reader", None, _ABSENT, 5, ["reader"]):
        yield Case("party", f"sub {sub!r}", signed(claims(sub=sub)))


def _accesses() -> Iterator[Case]:
    names: tuple[object, ...] = ("a/b", "a/*", "*", "", "A/B", "a/b/", "../a", None, 5, _ABSENT)
    actions: tuple[object, ...] = (["pull"], ["pull", "push"], ["*"], [], None, "pull", [5], [None], _ABSENT)
    for kind, name, action in itertools.product(("repository", "registry", "", None), names, actions):
        entry = {
            key: value for key, value in (("type", kind), ("name", name), ("actions", action)) if value is not _ABSENT
        }
        yield Case("access", str(entry), signed(claims(access=[entry])))
    pull = {"type": "repository", "name": "a/b", "actions": ["pull"]}
    for whole in (None, _ABSENT, [], {}, "x", [pull, {**pull, "actions": ["push"]}], [pull, "x"], [[pull]], pull):
        yield Case("access", f"whole {whole}", signed(claims(access=whole)))


def _texts() -> Iterator[Case]:
    """JSON that readers read differently: twice the same member, other encodings, constants that are not JSON."""
    good = _json(claims()).decode()
    bodies = {
        "exp twice, the last long ago": good[:-1] + ', "exp": 1}',
        "exp twice, the last good": '{"exp": 1, ' + good[1:],
        "iss twice, the last wrong": good[:-1] + ', "iss": "other"}',
        "aud twice, the last right": '{"aud": "other", ' + good[1:],
        "access twice": good[:-1] + ', "access": []}',
        "Exp in another case": good[:-1] + ', "EXP": 1}',
        "white space": f" \n\t{good} ",
        "trailing text": good + "x",
        "two objects": good + good,
        "BOM": "\ufeff" + good,
        "NaN": good[:-1] + ', "x": NaN}',
        "exp NaN": good[:-1] + ', "exp": NaN}',
        "exp Infinity": good[:-1] + ', "exp": Infinity}',
        "exp of 400 digits": good[:-1] + ', "exp": ' + "9" * 400 + "}",
        "comment": good[:-1] + "/* */}",
        "single quotes": good.replace('"', "'"),
        "escaped name of a member": good.replace('"exp"', '"\\u0065xp"'),
        "surrogate": good.replace('"reader"', '"\\ud800"'),
        "surrogate in a name": good.replace('"a/b"', '"\\ud800"'),
        "list": "[]",
        "number": "5",
        "nothing": "",
        "deep": "[" * 3000 + "]" * 3000,
    }
    for (what, body), kind in itertools.product(bodies.items(), ("ed25519", "other")):
        for encoding in ("utf-8", "utf-16", "utf-32-le"):
            yield Case("text", f"{what} in {encoding} by {kind}", signed(body.encode(encoding), kind=kind))
    heads = {
        "alg twice": '{"alg": "none", "alg": "EdDSA", "kid": "ed25519"}',
        "alg twice, the last none": '{"alg": "EdDSA", "kid": "ed25519", "alg": "none"}',
        "kid twice": '{"alg": "EdDSA", "kid": "rsa", "kid": "ed25519"}',
        "kid twice, the last unknown": '{"alg": "EdDSA", "kid": "ed25519", "kid": "x"}',
        "white space": ' {"alg": "EdDSA", "kid": "ed25519"}\n',
        "trailing text": '{"alg": "EdDSA", "kid": "ed25519"}x',
        "NaN": '{"alg": "EdDSA", "kid": "ed25519", "x": NaN}',
        "escaped": '{"\\u0061lg": "EdDSA", "kid": "ed25519"}',
        "BOM": '\ufeff{"alg": "EdDSA", "kid": "ed25519"}',
        "list": "[]",
    }
    for what, head in heads.items():
        for encoding in ("utf-8", "utf-16"):
            yield Case("text", f"header {what} in {encoding}", signed(head=head.encode(encoding)))


def _spellings() -> Iterator[Case]:
    """A good token written otherwise, each segment in turn: padding, other alphabets, bits that nobody reads."""
    for kind in ("rsa", "ed25519", "p256"):
        good = signed(kind=kind)
        yield Case("spelling", f"{kind} unchanged", good)
        parts = good.split(".")
        for place, part in enumerate(parts):
            for what, changed in _respelled(part):
                text = ".".join((*parts[:place], changed, *parts[place + 1 :]))
                yield Case("spelling", f"{kind} segment {place}: {what}", text)
        for text in (good + ".", "." + good, good + ".x", ".".join(parts[:2]), good.replace(".", ".."), good * 2):
            yield Case("spelling", f"{kind} whole", text)


def _respelled(part: str) -> Iterator[tuple[str, str]]:
    for extra in ("=", "==", "===", "====", "A", "AA", "!", "!!!!", "\n", " ", "\t", "%3D", "-", "_", "+", "/", "~"):
        yield f"{extra!r} after", part + extra
        yield f"{extra!r} before", extra + part
        yield f"{extra!r} within", part[:5] + extra + part[5:]
    for digit in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_":
        if digit != part[-1]:
            yield f"last digit {digit}", part[:-1] + digit
    yield "empty", ""
    yield "cut", part[:-1]
    yield "halved", part[: len(part) // 2]
    yield "other case", part.swapcase()
    yield "standard alphabet", part.replace("-", "+").replace("_", "/")
    yield "reversed", part[::-1]


def signed(
    payload: Mapping[str, object] | bytes | None = None,
    *,
    kind: str = "ed25519",
    algorithm: str = "",
    header: Mapping[str, object] | None = None,
    head: bytes = b"",
) -> str:
    """Signed by the key of this kind whatever the header says; `head` is a whole header."""
    algorithm = algorithm or SIGNED_BY[kind][0]
    members = {"typ": "JWT", "alg": algorithm, "kid": kind, **(header or {})}
    first = head or _json({name: value for name, value in members.items() if value is not _ABSENT})
    body = payload if isinstance(payload, bytes) else _json(claims() if payload is None else payload)
    text = f"{segment(first)}.{segment(body)}"
    return f"{text}.{segment(_SIGNERS[algorithm].sign(text.encode(), private_key(kind)))}"


def _json(value: object) -> bytes:
    return json.dumps(value).encode()
