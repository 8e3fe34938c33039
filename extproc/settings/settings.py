"""The whole configuration, and where it comes from: the only reader of the TOML file and the environment."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import Final, Self, TypeVar

from pydantic import BaseModel, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings import SettingsError as SourceError

from extproc.settings.auth import Auth
from extproc.settings.environment import misspelt
from extproc.settings.envoy import Envoy
from extproc.settings.fault import explain_settings, explain_toml
from extproc.settings.mesh import Mesh
from extproc.settings.notifications import Notifications
from extproc.settings.policy import Policy
from extproc.settings.reconcile import Reconcile
from extproc.settings.rollout import Rollout
from extproc.settings.server import Admin, Server
from extproc.settings.service_account import ServiceAccount
from extproc.settings.sites import Sites
from extproc.settings.store import Store
from extproc.settings.telemetry import Telemetry

_PREFIX: Final = "GEO_EXTPROC_"
_DELIMITER: Final = "__"
Model = TypeVar("Model", bound=BaseModel)


class SettingsError(Exception):
    """A setting cannot be used. The message is one sentence that names the value and the remedy."""


class Settings(BaseSettings):
    """The whole configuration, valid once it exists."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_nested_delimiter=_DELIMITER,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )

    server: Server = Server()
    admin: Admin = Admin()
    auth: Auth
    store: Store = Store()
    policy: Policy = Policy()
    rollout: Rollout = Rollout()
    sites: Sites
    envoy: Envoy = Envoy()
    mesh: Mesh = Mesh()
    telemetry: Telemetry = Telemetry()
    notifications: Notifications = Notifications()
    service_account: ServiceAccount = ServiceAccount()
    reconcile: Reconcile = Reconcile()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.server.workers > 1 and self.store.url == "memory://":
            raise ValueError(
                f"server.workers is {self.server.workers} but store.url memory:// lives in one process: "
                "set server.workers = 1 or give a redis:// URL"
            )
        return self

    @model_validator(mode="after")
    def _in_time(self) -> Self:
        waits = 2 * self.store.budget
        if self.store.url != "memory://" and self.envoy.message_timeout <= waits:
            raise ValueError(
                f"envoy.message_timeout is {self.envoy.message_timeout:g} but a request may wait twice for the store "
                f"before the processor answers, {waits:g} s: set envoy.message_timeout above {waits:g} or lower "
                f"store.budget, which is {self.store.budget:g}"
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
        document = init_settings().get("_toml")
        if not isinstance(document, dict):
            return init_settings, env_settings
        return env_settings, InitSettingsSource(settings_cls, document)

    def handed_on(self) -> str:
        """For a process of ours, with all secrets in it: one line of JSON. See `taken`."""
        return self.model_dump_json()

    @classmethod
    def taken(cls, text: str) -> Settings:
        """What `handed_on` wrote."""
        return cls(**json.loads(text))

    @classmethod
    def load(cls, file: Path) -> Settings:
        """Read `file` and the environment. Relative paths are relative to the file's directory.

        Raises SettingsError.
        """
        fault = misspelt(
            os.environ, {name: field.annotation for name, field in cls.model_fields.items()}, _PREFIX, _DELIMITER
        )
        if fault is not None:
            raise SettingsError(fault)
        try:
            with file.open("rb") as stream:
                document = tomllib.load(stream)
        except OSError as error:
            raise SettingsError(
                f"cannot read the configuration {str(file)!r}: {error.strerror}; give its path with --config"
            ) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(explain_toml(error, file)) from error
        try:
            # The links of a mounted Secret lead elsewhere: the directory is the one that was named.
            return _resolved(cls(_toml=document), file.absolute().parent)  # type: ignore[call-arg]
        except ValidationError as error:
            raise SettingsError(explain_settings(error, file)) from error
        except SourceError as error:
            raise SettingsError(
                f"the environment cannot be used: {error}; give one variable for each key, such as "
                f"{_PREFIX}STORE__URL, or the whole table as JSON"
            ) from error


def _resolved(model: Model, directory: Path) -> Model:
    """The model with each relative path made absolute."""
    changes: dict[str, object] = {}
    for field in type(model).model_fields:
        match getattr(model, field):
            case Path() as path:
                changes[field] = directory / path
            case tuple() as values:
                changes[field] = tuple(directory / each if isinstance(each, Path) else each for each in values)
            case BaseModel() as section:
                changes[field] = _resolved(section, directory)
    return model.model_copy(update=changes)
