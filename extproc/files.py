"""The files that the settings name: whether each can be read, and is what it must be.

For `check-config`: serving finds out by itself, or Envoy does, later and in other words. `serve` and `reconcile` look
at the password here, before they start. The issuer's keys and the store's files are not here: their readers say so at
once.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509 import Certificate, load_pem_x509_certificates

from extproc.build import build_readers_secret, build_secret
from extproc.reconcile.source import from_file
from extproc.registry.account import Account
from extproc.registry.error import RegistryError
from extproc.settings import Settings, SettingsError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes, PublicKeyTypes


def check_files(settings: Settings, *, envoy: bool = True) -> list[Path]:
    """What was looked at. `envoy`: also what only Envoy reads, which may be on another machine.

    Raises SettingsError for the first file that cannot be used.
    """
    return [*_ours(settings), *(_envoys(settings) if envoy else ())]


def check_account(settings: Settings) -> None:
    """The service account's password, where there is one: looked at before anything starts. Raises SettingsError."""
    account = settings.service_account
    if account.password_file is None:
        return
    try:
        Account(account.username, account.password_file).basic()
    except RegistryError as error:
        raise SettingsError(str(error)) from error


def _ours(settings: Settings) -> Iterator[Path]:
    if settings.notifications.secret_file is not None:
        build_secret(settings)
        yield settings.notifications.secret_file
    if settings.admin.secret_file is not None:
        build_readers_secret(settings)
        yield settings.admin.secret_file
    if settings.service_account.password_file is not None:
        check_account(settings)
        yield settings.service_account.password_file
    if settings.reconcile.names_file is not None:
        _read("reconcile.names_file", settings.reconcile.names_file)
        from_file(settings.reconcile.names_file)
        yield settings.reconcile.names_file


def _envoys(settings: Settings) -> Iterator[Path]:
    envoy = settings.envoy
    if envoy.certificate is not None and envoy.private_key is not None:
        certificate = _certificates("envoy.certificate", envoy.certificate)[0]
        if _raw(_public_key("envoy.private_key", envoy.private_key)) != _raw(certificate.public_key()):
            raise SettingsError(
                f"envoy.private_key {str(envoy.private_key)!r} is not the key of the first certificate in "
                f"{str(envoy.certificate)!r}: give the pair that belongs together, the server's own certificate first"
            )
        yield from (envoy.certificate, envoy.private_key)
    sites = settings.sites
    for name, site in (("primary", sites.primary), ("secondary", sites.secondary), ("issuer", sites.issuer)):
        if site is not None and site.ca is not None:
            _certificates(f"sites.{name}.ca", site.ca)
            yield site.ca


def _certificates(setting: str, file: Path) -> list[Certificate]:
    """One at least."""
    try:
        return load_pem_x509_certificates(_read(setting, file))
    except ValueError as error:
        raise SettingsError(f"{setting} {str(file)!r} is no certificate in PEM: give a file that is") from error


def _public_key(setting: str, file: Path) -> PublicKeyTypes:
    """Of the private key."""
    content = _read(setting, file)
    try:
        return load_pem_private_key(content, password=None).public_key()
    except TypeError as error:
        raise SettingsError(
            f"{setting} {str(file)!r} is encrypted, and Envoy is given no password: decrypt it"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SettingsError(f"{setting} {str(file)!r} is no private key in PEM: give a file that is") from error


def _raw(key: PublicKeyTypes | CertificatePublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _read(setting: str, file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise SettingsError(
            f"cannot read {setting} {str(file)!r}: {error.strerror}; correct the path or its permissions"
        ) from error
