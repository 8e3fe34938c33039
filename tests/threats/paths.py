"""Ways to write the path of real content otherwise: some mean the same, some another name, some nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

NAMES: Final = (
    *("a/b", "a", "b", "a/b/c", "blobs", "a/blobs", "manifests", "a/manifests/b", "tags", "a/tags/list", "uploads"),
    *("a/blobs/uploads", "v2", "v2/a", "list", "a--b/c.d_e"),
)
"""Many hold a word of the API; some are another's beginning or end."""


class Target(NamedTuple):
    """A path of real content: `/v2/<name>/<shape>/<last>`."""

    name: str
    shape: str
    last: str

    @property
    def path(self) -> str:
        return f"/v2/{self.name}/{self.shape}/{self.last}"


def mutations(of: Target, host: str) -> Iterator[bytes]:
    """Request targets as they stand on the wire; the plain path comes first."""
    yield of.path.encode()
    for text in (*_escapes(of), *_segments(of), *_words(of), *_queries(of), *_ends(of)):
        yield text.encode("utf-8")
    yield from _bytes(of)
    yield from _forms(of, host)


def _escapes(of: Target) -> Iterator[str]:
    name, shape, last = of
    lower = "".join(f"%{ord(letter):02x}" for letter in name)
    upper = "".join(f"%{ord(letter):02X}" for letter in name)
    escaped = f"%{ord(last[0]):02x}{last[1:]}"
    yield from (f"/v2/{lower}/{shape}/{last}", f"/v2/{upper}/{shape}/{last}")
    yield f"/v2/%{ord(name[0]):02x}{name[1:]}/{shape}/{last}"
    yield f"/v2/%25{ord(name[0]):02x}{name[1:]}/{shape}/{last}"
    yield f"/v2/{name}/{shape}/{escaped}"
    yield f"/v2/{name}/%{ord(shape[0]):02x}{shape[1:]}/{last}"
    yield f"/%762/{name}/{shape}/{last}"
    for slash in (
        "%2f",
        "%2F",
        "%252f",
        "%252F",
        "%c0%af",
        "%C0%AF",
        "%e0%80%af",
        "%5c",
        "%u002f",
        "／",
        "%ef%bc%8f",
    ):
        yield f"/v2/{name}{slash}{shape}/{last}"
        yield f"/v2/{name}/{shape}{slash}{last}"
        yield f"/v2{slash}{name}/{shape}/{last}"
    for colon in ("%3a", "%3A", "%253a", "：", "-", "::", ": ", "%20:"):
        yield f"/v2/{name}/{shape}/{last.replace(':', colon) if ':' in last else last + colon + 'x'}"
    for broken in (
        "%",
        "%2",
        "%zz",
        "%%",
        "%25",
        "%00",
        "%0a",
        "%0d%0a",
        "%20",
        "%09",
        "%7f",
        "%80",
        "%ff",
        "%23",
        "%3f",
        "%3b",
    ):
        yield f"{of.path}{broken}"
        yield f"/v2/{name}{broken}/{shape}/{last}"


def _segments(of: Target) -> Iterator[str]:
    name, shape, last = of
    for empty in ("//", "///", "/./", "/././", "/%2e/", "/.//"):
        yield f"{empty}v2/{name}/{shape}/{last}"
        yield f"/v2{empty}{name}/{shape}/{last}"
        yield f"/v2/{name}{empty}{shape}/{last}"
        yield f"/v2/{name}/{shape}{empty}{last}"
    for up in (
        "..",
        "%2e%2e",
        "%2E%2E",
        ".%2e",
        "%2e.",
        "%252e%252e",
        "%c0%ae%c0%ae",
        "..;",
        "..;x=y",
        "...",
        "..%00",
        "..\\",
    ):
        yield f"/x/{up}/v2/{name}/{shape}/{last}"
        yield f"/v2/x/{up}/{name}/{shape}/{last}"
        yield f"/v2/{name}/x/{up}/{shape}/{last}"
        yield f"/v2/{name}/{shape}/x/{up}/{last}"
        yield f"/v2/{name}/{shape}/{last}/{up}"
        yield f"/v2/b/manifests/latest/{up}/{up}/{up}/{name}/{shape}/{last}"
    for up in ("..%2f", "..%5c", "%2e%2e%2f", "..%252f", "..\\"):
        yield f"/v2/x/{up}{name}/{shape}/{last}"
        yield f"/v2/{name}/{shape}/x/{up}{last}"
    for way in ("/../v2/", "/../../v2/", "/gitlab/v1/../../v2/", "/gitlab/v1/%2e%2e/%2e%2e/v2/", "/v2/../../v2/"):
        yield f"{way}{name}/{shape}/{last}"


def _words(of: Target) -> Iterator[str]:
    name, shape, last = of
    for word in (
        "blobs",
        "manifests",
        "tags",
        "tags/list",
        "uploads",
        "blobs/uploads",
        "_catalog",
        "referrers",
        "v2",
        "list",
    ):
        yield f"/v2/{name}/{word}/{shape}/{last}"
        yield f"/v2/{word}/{name}/{shape}/{last}"
        yield f"/v2/{name}/{shape}/{word}/{last}"
        yield f"/v2/{name}/{shape}/{last}/{word}"
        yield f"/v2/{name}/{word}/{last}"
        yield f"/v2/{name}/{word}"
        yield f"/v2/{name}/{word}/"
    for other in NAMES[:4]:
        yield f"/v2/{other}/{name}/{shape}/{last}"
        yield f"/v2/{name}/{other}/{shape}/{last}"
        yield f"/v2/{other}/{shape}/{last}"
    for start in ("/V2/", "/v2", "/v1/", "/v2/v2/", "/", "/v02/", "/v2./", "/v2;/"):
        yield f"{start}{name}/{shape}/{last}"
    yield f"/v2/{name.upper()}/{shape}/{last}"
    yield f"/v2/{name.title()}/{shape}/{last}"
    yield f"/v2/{name}/{shape.upper()}/{last}"
    yield f"/v2/{name}/{shape.title()}/{last}"
    yield f"/v2/{name}/{shape}/{last.upper()}"
    yield f"/v2/{name}/{shape}/{last.swapcase()}"
    yield f"/v2/{name}/{shape}/{last[:-1]}"
    yield f"/v2/{name[:-1] or 'x'}/{shape}/{last}"
    yield f"/v2/{name}x/{shape}/{last}"
    yield f"/v2/x{name}/{shape}/{last}"
    yield f"/v2/{name.replace('/', '')}/{shape}/{last}"
    yield f"/v2/{name.replace('/', '//')}/{shape}/{last}"
    yield f"/v2/{name.replace('a', 'а')}/{shape}/{last}"


def _queries(of: Target) -> Iterator[str]:
    path = of.path
    for query in (
        "",
        "ns=docker.io",
        "a=/../",
        "?",
        "%2f..",
        ";x",
        "/v2/b/manifests/latest",
        "n=1&last=x",
        "a=%00",
        "tag=x",
    ):
        yield f"{path}?{query}"
    for odd in (
        "#x",
        "#/v2/b/manifests/latest",
        "#?x",
        "&x",
        "=x",
        "+",
        "@x",
        "!",
        "~",
        "'",
        '"',
        "<x>",
        "{x}",
        "|",
        "^",
        "`",
        "$",
        "*",
        "(x)",
        ",",
    ):
        yield f"{path}{odd}"
    yield f"/v2/b/manifests/latest?x=/../../../{of.name}/{of.shape}/{of.last}"
    yield f"/v2/b/manifests/latest#/../../../{of.name}/{of.shape}/{of.last}"
    yield f"{path}?{'a' * 8000}"


def _ends(of: Target) -> Iterator[str]:
    name, shape, last = of
    for end in (
        "/",
        "//",
        "/.",
        "/./",
        ".",
        "..",
        ";",
        ";x",
        ";x=y",
        "/;",
        "\\",
        "\\x",
        "/\\",
        " ",
        "a" * 200,
        ":x",
        "@" + "sha256:" + "0" * 64,
    ):
        yield f"{of.path}{end}"
        yield f"/v2/{name}{end}/{shape}/{last}"
        yield f"/v2/{name}/{shape}{end}/{last}"
    yield f"/v2/{name}/{shape}\\{last}"
    yield f"/v2\\{name}\\{shape}\\{last}"
    yield f"\\v2\\{name}\\{shape}\\{last}"
    yield f"/v2/{'./' * 1000}{name}/{shape}/{last}"
    yield f"/v2/{'x/../' * 500}{name}/{shape}/{last}"
    yield f"/v2/{'long/' * 60}{name}/{shape}/{last}"
    yield f"/v2/{name}/{shape}/{last}{'x' * 62_000}"


def _bytes(of: Target) -> Iterator[bytes]:
    """What no URL may hold, as it is. No line feed: that would be another request."""
    name, shape, last = (part.encode() for part in of)
    for odd in (
        b"\0",
        b"\t",
        b"\x01",
        b"\x0b",
        b"\x1f",
        b"\x7f",
        b"\x80",
        b"\xe9",
        b"\xff",
        b"\xc0\xaf",
        b"\xef\xbb\xbf",
    ):
        yield b"/v2/" + name + b"/" + shape + b"/" + last + odd
        yield b"/v2/" + name + odd + b"/" + shape + b"/" + last
        yield b"/v2" + odd + b"/" + name + b"/" + shape + b"/" + last


def _forms(of: Target, host: str) -> Iterator[bytes]:
    path = of.path
    for start in (
        *(f"http://{host}", f"HTTP://{host}", f"https://{host}", "http://other.example", f"http://user@{host}"),
        *(f"http://{host}/", f"http://{host}/x/..", f"//{host}", f"http:/{host}", "http:", f"ftp://{host}", "x", ""),
    ):
        yield f"{start}{path}".encode()
    yield path[1:].encode()
    yield f"http://{host}?{path}".encode()
    yield f"http://{host}#{path}".encode()


def catalogs() -> Sequence[bytes]:
    """Spellings of the listing of all names."""
    return [
        *(b"/v2/_catalog", b"/v2/_catalog/", b"/v2/_catalog?n=5", b"/v2/_catalog%3fn=5", b"/v2/_catalog;x"),
        *(b"/v2/%5fcatalog", b"/v2/%5Fcatalog", b"/v2/_%63atalog", b"/%762/_catalog", b"/v2//_catalog"),
        *(b"//v2/_catalog", b"/v2/./_catalog", b"/v2/a/../_catalog", b"/v2/a/%2e%2e/_catalog", b"/v2/_Catalog"),
        *(b"/V2/_catalog", b"/v2/_CATALOG", b"/v2\\_catalog", b"/v2/_catalog\\", b"/v2/_catalog\0", b"/v2/_catalog."),
        *(b"/v2/_catalog#x", b"/v2/_catalog%00", b"/v2/_catalog%20", b"/v2/x/../_catalog/.", b"/v2%2f_catalog"),
        *(b"/v2/_catalog/..", b"/v2/_catalog/manifests/latest", b"/v2/a/_catalog", b"/v2/_catalog/tags/list"),
    ]
