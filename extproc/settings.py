"""Every setting, its default and its meaning: the only reader of the TOML file and the environment.

One file, each value overridable by `GEO_EXTPROC_<SECTION>__<KEY>`. Durations are seconds, sizes bytes. A relative
path, wherever it was given, is relative to the file's directory. No message shows a password.
"""

from __future__ import annotations

import ipaddress
import json
import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings import SettingsError as SourceError

Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_PREFIX: Final = "GEO_EXTPROC_"
Model = TypeVar("Model", bound=BaseModel)


class SettingsError(Exception):
    """A setting cannot be used. The message is one sentence that names the value and the remedy."""


class Section(BaseModel):
    """A table of the TOML file: an unknown key is an error, for a typo must not become a default."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Endpoint(Section):
    """`host:port` of a TCP listener, or of a peer."""

    host: str
    """A name or an IP address."""
    port: Port
    """1 to 65535."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `host:port` or `[v6]:port`. Raises ValueError."""
        host, separator, port = text.rpartition(":")
        if not separator or not host or not (port.isascii() and port.isdecimal()):
            raise ValueError(f"{text!r} is not host:port")
        if not 1 <= int(port[:6]) <= 65535:
            raise ValueError(f"{text!r} is not host:port: a port is 1 to 65535")
        return cls(host=host.strip("[]"), port=int(port))

    @property
    def is_ip(self) -> bool:
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return False
        return True

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _endpoint(value: Any) -> Any:
    return Endpoint.parse(value) if isinstance(value, str) else value


Address = Annotated[Endpoint, BeforeValidator(_endpoint), NoDecode]
"""An endpoint written as `host:port`, which in the environment is not JSON."""


class Server(Section):
    """The processor itself."""

    workers: Annotated[int, Field(ge=1, le=256)] = 1
    """Worker processes, each with a socket of its own. More than one needs a shared store."""
    socket_dir: Path = Path("/run/geo-extproc")
    """Worker N listens on the Unix socket `worker-N.sock` in this directory (mode 0700)."""
    address: Address | None = None
    """Instead of sockets: worker N listens on this host and port + N, in plain text. Loopback or mesh only."""
    max_concurrent_streams: Annotated[int, Field(ge=1)] = 1000
    """Exchanges at once in one worker; beyond it the request goes to the primary."""
    drain: Seconds = 5.0
    """On SIGTERM: how long a worker answers NOT_SERVING before it stops taking exchanges."""
    transport: Literal["grpcio"] = "grpcio"
    """What carries the streams of Envoy."""

    @model_validator(mode="after")
    def _ports(self) -> Self:
        if self.address is not None and self.address.port + self.workers - 1 > 65535:
            raise ValueError(
                f"address {self.address} leaves no port for each of {self.workers} workers: choose a lower port"
            )
        return self

    def socket(self, worker: int) -> Path:
        return self.socket_dir / f"worker-{worker}.sock"


class Admin(Section):
    """HTTP for health, and for the copies of writes that no worker saw."""

    address: Address = Endpoint(host="127.0.0.1", port=9001)
    """Envoy's copies come here too: reachable for it, and for nobody who must not make this site forget."""


class Auth(Section):
    """The registry token (distribution token specification)."""

    mode: Literal["token", "passthrough"] = "token"
    """passthrough: for registries without a token issuer; both registries judge alone."""
    realm: str = ""
    """The token endpoint's URL, as clients reach it: `https://gitlab.example.com/jwt/auth`."""
    service: str = "container_registry"
    """The audience of tokens and the challenge's `service`."""
    issuer: str = "gitlab-issuer"
    """The `iss` claim that tokens must carry."""
    keys: Annotated[tuple[Path, ...], NoDecode] = ()
    """Files: PEM certificates, PEM public keys, or a JWKS. In the environment separated by commas, or as JSON."""
    leeway: Annotated[float, Field(ge=0, le=300)] = 60.0
    """Allowed clock difference on `exp` and `nbf`."""
    cache_size: Annotated[int, Field(ge=1)] = 10_000
    """Verified tokens remembered by a worker."""

    @field_validator("keys", mode="before")
    @classmethod
    def _keys(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if value.lstrip().startswith("["):
            try:
                return json.loads(value)
            except ValueError as error:
                raise ValueError(f"keys {value!r} is not JSON: {error}; give a list of paths") from error
        return [part for path in value.split(",") if (part := path.strip())]

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.mode == "token":
            if not self.keys:
                raise ValueError(
                    'keys is empty: name the file with the issuer\'s public key, or set mode = "passthrough"'
                )
            if not (
                self.realm.startswith(("http://", "https://")) and self.realm.isascii() and self.realm.isprintable()
            ):
                raise ValueError(f"realm {self.realm!r} is not a URL: give the token endpoint as clients reach it")
            if not (self.service and self.service.isascii() and self.service.isprintable()):
                raise ValueError(f"service {self.service!r} is not printable ASCII: give the audience of tokens")
        return self


class Store(Section):
    """Where evidence is kept."""

    url: str = "memory://"
    """memory:// (one process), redis://host:port/db, rediss://… or unix:///path."""
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")] = "geo"
    """Begins every key; one for each site that shares a Redis."""
    username: str = ""
    """The Redis user; its `default` when empty."""
    password_file: Path | None = None
    """A file with the password alone."""
    ca: Path | None = None
    """For rediss://: CA certificates; the system's when not given."""
    budget: Seconds = 0.05
    """How long a request waits for the store. Then the primary serves it."""
    breaker_failures: Annotated[int, Field(ge=1)] = 10
    """Failures in a row after which the store is left alone."""
    breaker_pause: Seconds = 0.5
    """How long it is left alone before one request probes it again."""
    name_ttl: Seconds = 7 * 86400.0
    """A name without traffic expires after this, but never before its marks and tombstones."""

    @field_validator("url")
    @classmethod
    def _scheme(cls, url: str) -> str:
        if url != "memory://" and not url.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError(f"url {_public(url)!r} is not memory://, redis://…, rediss://… or unix://…")
        return url

    @model_validator(mode="after")
    def _tls(self) -> Self:
        if self.ca is not None and not self.url.startswith("rediss://"):
            raise ValueError(f"ca is given but url {self.public_url!r} has no TLS: remove ca or use rediss://")
        return self

    @property
    def public_url(self) -> str:
        """`url` without user, password and options: the form for messages."""
        return _public(self.url)


class Policy(Section):
    """What the decision may do with evidence."""

    max_staleness: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 60.0
    """Longest age of a tag's lease. 0: tags always ask the primary, bytes still come from here."""
    unknown_digests: Literal["secondary", "primary"] = "secondary"
    """secondary: ask it, fall back to the primary in the same request. primary: serve only what is known present;
    only answers of the secondary teach that so far, so that with it nothing new is served here."""
    absent_ttl: Seconds = 2.0
    """How long a digest that the secondary did not serve goes to the primary at once."""
    present_recheck: Seconds = 60.0
    """A present digest is looked at again after this, so one lost to garbage collection is noticed."""
    write_timeout: Seconds = 120.0
    """Longest life of a manifest PUT or a DELETE; Envoy ends it then, and its mark a little later."""


class Site(Section):
    """One registry, as Envoy reaches it."""

    url: str
    """`http://host:port` or `https://host:port`."""
    host: str = ""
    """Host header towards this site; empty keeps the client's (the unified name)."""
    ca: Path | None = None
    """CA certificates for https; Envoy's system bundle when not given."""
    server_name: str = ""
    """SNI and the DNS name that the certificate must carry; the URL's host when empty."""

    @field_validator("url")
    @classmethod
    def _url(cls, url: str) -> str:
        scheme, separator, rest = url.partition("://")
        authority = rest.rstrip("/")
        if scheme not in {"http", "https"} or not separator or not authority or set("/?#@") & set(authority):
            raise ValueError(f"url {_public(url)!r} is not http://host:port or https://host:port")
        url = f"{scheme}://{authority}"
        _authority(url)
        return url

    @property
    def tls(self) -> bool:
        return self.url.startswith("https://")

    @property
    def endpoint(self) -> Endpoint:
        return _authority(self.url)


class Sites(Section):
    """The two registries and, where the unified host carries it, the issuer."""

    primary: Site
    """Where everything is written, and what replication reads."""
    secondary: Site
    """The registry beside this Envoy."""
    issuer: Site | None = None
    """When given, /jwt/auth on the listener is routed here, past the processor."""


class Envoy(Section):
    """What `geo-extproc envoy-config` renders."""

    listen: Address = Endpoint(host="0.0.0.0", port=5000)  # noqa: S104 - the public entry
    """Where clients come in: the unified URL leads here."""
    admin: Address = Endpoint(host="127.0.0.1", port=9901)
    """Envoy's own admin interface."""
    certificate: Path | None = None
    """PEM chain for TLS on the listener; plain HTTP when not given."""
    private_key: Path | None = None
    """PEM key of `certificate`."""
    fallback: Literal["composite", "priorities"] = "composite"
    """How a read falls back: Envoy's composite cluster (Envoy 1.40 or later), or priorities of one cluster."""
    message_timeout: Seconds = 0.2
    """How long Envoy waits for the processor. Then the request goes to the primary, unseen."""
    per_try_timeout: Seconds = 5.0
    """How long the secondary may take to send response headers before the primary is asked."""
    connect_timeout: Seconds = 1.0
    """For a TCP connection to a site."""
    idle_timeout: Seconds = 3600.0
    """A stream with no byte moving for this long is closed."""
    max_connections: Annotated[int, Field(ge=1)] = 4096
    """Connections and requests in flight to each site."""
    health_interval: Seconds = 5.0
    """Between two looks at a site."""
    health_path: str = "/v2/"
    """What is asked of a site to see that it lives; a 401 counts as life."""
    response_headers: bool = True
    """Add x-geo-site and x-geo-reason to responses."""
    access_log: str = "/dev/stdout"
    """File for the JSON access log; empty for none."""
    xff_num_trusted_hops: Annotated[int, Field(ge=0)] = 0
    """Proxies in front whose X-Forwarded-* headers are kept."""

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.certificate is None) != (self.private_key is None):
            raise ValueError("certificate and private_key go together: give both or neither")
        return self


class Telemetry(Section):
    """Logs, spans and metrics."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important lines that are written, to standard error."""
    log_format: Literal["json", "text"] = "json"
    """json: one object a line. text: for reading at a terminal."""
    trace_ratio: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Share of decisions traced where the caller's trace context does not decide."""
    exporter: Literal["none", "console"] = "none"
    """Where spans and metrics go. console: standard error."""


class Settings(BaseSettings):
    """The whole configuration, valid once it exists."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )

    server: Server = Server()
    admin: Admin = Admin()
    auth: Auth
    store: Store = Store()
    policy: Policy = Policy()
    sites: Sites
    envoy: Envoy = Envoy()
    telemetry: Telemetry = Telemetry()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.server.workers > 1 and self.store.url == "memory://":
            raise ValueError(
                f"server.workers is {self.server.workers} but store.url memory:// lives in one process: "
                "set server.workers = 1 or give a redis:// URL"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        file = init_settings().get("_toml")
        if not isinstance(file, Path):
            return init_settings, env_settings
        return env_settings, TomlConfigSettingsSource(settings_cls, file)

    @classmethod
    def load(cls, file: Path) -> Settings:
        """Read `file` and the environment. Relative paths are relative to the file's directory.

        Raises SettingsError.
        """
        _check_environment(frozenset(cls.model_fields))
        try:
            with file.open("rb") as stream:
                tomllib.load(stream)
        except OSError as error:
            raise SettingsError(
                f"cannot read the configuration {str(file)!r}: {error.strerror}; give its path with --config"
            ) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"the configuration {str(file)!r} is not TOML: {error}; correct that line") from error
        try:
            # The links of a mounted Secret lead elsewhere: the directory is the one that was named.
            return _resolved(cls(_toml=file), file.absolute().parent)  # type: ignore[call-arg]
        except ValidationError as error:
            raise SettingsError(_explain(error, file)) from error
        except SourceError as error:
            raise SettingsError(
                f"the environment cannot be used: {error}; give one variable for each key, such as "
                f"{_PREFIX}STORE__URL, or the whole table as JSON"
            ) from error


def _public(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    return scheme + separator + rest.partition("?")[0].rpartition("@")[2]


def _authority(url: str) -> Endpoint:
    scheme, _, authority = url.partition("://")
    if ":" not in authority.rpartition("]")[2]:
        authority += ":443" if scheme == "https" else ":80"
    return Endpoint.parse(authority)


def _check_environment(sections: frozenset[str]) -> None:
    """A misspelt table; a misspelt key of a table is the model's to find. Raises SettingsError.

    Kubernetes sets GEO_EXTPROC_SERVICE_HOST and the like for a Service named geo-extproc: not ours, no `__`.
    """
    for variable in sorted(os.environ):
        table, separator, _ = variable.upper().partition("__")
        if separator and table.startswith(_PREFIX) and table.removeprefix(_PREFIX).lower() not in sections:
            raise SettingsError(
                f"the environment variable {variable} is not a setting; check its spelling or remove it "
                f"(tables: {', '.join(sorted(sections))})"
            )


def _resolved(model: Model, directory: Path) -> Model:
    """The model with each relative path made absolute."""
    changes: dict[str, object] = {}
    for field in type(model).model_fields:
        match getattr(model, field):
            case Path() as path:
                changes[field] = directory / path
            case tuple() as paths:
                changes[field] = tuple(directory / path for path in paths)
            case BaseModel() as section:
                changes[field] = _resolved(section, directory)
    return model.model_copy(update=changes)


def _explain(error: ValidationError, file: Path) -> str:
    """The first finding in words, and how many more there are."""
    first, *more = error.errors()
    where = ".".join(str(part) for part in first["loc"]) or "the file"
    message = ": " + first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        message = " is required but not set"
    elif first["type"] == "extra_forbidden":
        message = " is not a setting; check its spelling or remove it"
    elif first["type"] != "value_error" and isinstance(first["input"], str | int | float):
        # Messages of ours name the value themselves, without its password.
        message = f": {first['input']!r}{message}"
    rest = f" ({len(more)} more)" if more else ""
    return f"{where} in {str(file)!r} (or the environment){message}{rest}"
