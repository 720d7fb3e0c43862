"""Loads a file into a frozen configuration, or says everything that is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from snowgate.config.checks import check_config, check_policy, check_settings
from snowgate.config.policy import PolicyShape
from snowgate.config.reader import MAX_BYTES, Document, Location, read_document
from snowgate.config.shape import (
    ApiShape,
    ConfigShape,
    CredentialShape,
    IssuerShape,
    ListenShape,
    UpstreamShape,
)
from snowgate.config.source import Source
from snowgate.config.translate import validate
from snowgate.config.values import (
    Api,
    Catalog,
    Config,
    Credential,
    Limits,
    Listen,
    PolicyFile,
    Tls,
    Upstream,
)
from snowgate.errors import ConfigError, ConfigErrors
from snowgate.identity.settings import Claim, ClaimRule, IssuerSettings, RoleMapping

_SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"


T = TypeVar("T", bound=Config | PolicyFile)
# Keys by which a file is more than a policy.
_OF_CONFIG = frozenset(ConfigShape.model_fields) - frozenset(PolicyShape.model_fields)


@dataclass(frozen=True, slots=True)
class Examined(Generic[T]):
    """A file and everything that is to be said of it.

    Attributes:
        path: The file, as it was named.
        value: What it holds; None where it is wrong.
        errors: Its mistakes, in the order of the file.
        warnings: What is allowed and probably not meant.
        source: Where its parts stand; None where it could not be read.
    """

    path: str
    value: T | None
    errors: tuple[ConfigError, ...] = ()
    warnings: tuple[ConfigError, ...] = ()
    source: Source | None = None

    def loaded(self) -> T:
        """What it holds.

        Raises:
            ConfigError: It is wrong; `ConfigErrors` where in more than one place.
        """
        if self.value is not None:
            return self.value
        raise self.errors[0] if len(self.errors) == 1 else ConfigErrors(self.errors)


def load_config(path: str | Path, *, files: bool = True) -> Config:
    """Load a whole configuration.

    Args:
        path: The file. Relative paths in it start at its folder.
        files: Whether the files it names must be readable now. False judges the text alone, as
            where the secrets are not at hand.

    Raises:
        ConfigError: It is wrong; `ConfigErrors` where in more than one place.
    """
    return _examine_config(read_file(path), files).loaded()


def load_policy(path: str | Path, known_tags: Collection[str] = ()) -> PolicyFile:
    """Load a file that holds `tags:` and `rules:` only. Groups are taken as written.

    Args:
        path: The file.
        known_tags: Tags that rules may name without `tags:`, since a catalog brings them.

    Raises:
        ConfigError: It is wrong; `ConfigErrors` where in more than one place.
    """
    return _examine_policy(read_file(path), known_tags).loaded()


def examine(
    path: str | Path, *, files: bool = True, known_tags: Collection[str] = ()
) -> Examined[Config] | Examined[PolicyFile]:
    """Read a file of either kind, and everything that is wrong with it.

    A file is a configuration if it has any key that no policy has.

    Args:
        path: The file.
        files: As in `load_config`.
        known_tags: As in `load_policy`.
    """
    try:
        document = read_file(path)
    except ConfigError as error:
        unread: Examined[PolicyFile] = Examined(str(path), None, (error,))
        return unread
    if _OF_CONFIG.isdisjoint(document.root.entries or {}):
        return _examine_policy(document, known_tags)
    return _examine_config(document, files)


def _examine_config(document: Document, files: bool) -> Examined[Config]:
    shape = validate(document, ConfigShape)
    config: Config | None = None
    if shape is not None:
        check_config(document, shape)
        config = _Builder(document, files).build(shape)
        check_settings(document, config.issuers)
    return _examined(document, config)


def _examine_policy(document: Document, known_tags: Collection[str]) -> Examined[PolicyFile]:
    shape = validate(document, PolicyShape)
    policy: PolicyFile | None = None
    if shape is not None:
        check_policy(document, shape, known_tags)
        warnings = tuple(map(str, document.warnings))
        policy = PolicyFile(Path(document.path).absolute(), shape.compiled(), warnings)
    return _examined(document, policy)


def _examined(document: Document, value: T | None) -> Examined[T]:
    return Examined(
        document.path,
        None if document.mistakes else value,
        tuple(sorted(document.mistakes, key=_place)),
        tuple(sorted(document.warnings, key=_place)),
        Source(document),
    )


def _place(error: ConfigError) -> tuple[int, str]:
    return error.line, error.key


def config_schema() -> dict[str, object]:
    """The JSON Schema of a configuration file, for editors. The loader checks more than it says."""
    return {"$schema": _SCHEMA_DIALECT} | ConfigShape.model_json_schema()


def policy_schema() -> dict[str, object]:
    """The JSON Schema of a policy file."""
    return {"$schema": _SCHEMA_DIALECT} | PolicyShape.model_json_schema()


def read_file(path: str | Path) -> Document:
    """Read a file of any of our kinds.

    Raises:
        ConfigError: It cannot be read, or is no YAML of ours.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise ConfigError(
            str(path), 0, "", f"cannot be read: {reason}", "check the path and its permissions"
        ) from None
    return read_document(str(path), data)


class _Builder:
    """Resolves paths and turns shapes into values."""

    def __init__(self, document: Document, files: bool) -> None:
        self._document = document
        self._files = files
        self._path = Path(document.path).absolute()

    def build(self, shape: ConfigShape) -> Config:
        api = shape.api
        limits = shape.limits
        return Config(
            path=self._path,
            data_dir=self._resolved(shape.data_dir),
            name=shape.name,
            account=shape.account,
            listen=self._listen("listen", shape.listen),
            api=self._api(api) if api else None,
            upstream=self._upstream(shape.upstream),
            issuers=tuple(self._issuer(at, issuer) for at, issuer in enumerate(shape.issuers)),
            roles=tuple(RoleMapping(one.group, one.role, one.warehouse) for one in shape.roles),
            policy=shape.compiled(),
            limits=Limits(
                header_bytes=limits.header_size,
                body_bytes=limits.body_size,
                statement_bytes=limits.statement_size,
                connections=limits.connections,
                header_timeout_s=limits.header_timeout,
                idle_timeout_s=limits.idle_timeout,
                poll_hold_s=limits.poll_hold,
                login_limit_s=limits.login_limit,
                judge_limit_s=limits.judge_limit,
                ticket_age_s=limits.ticket_age,
                ticket_uses=limits.ticket_uses,
                cache_entries=limits.cache_entries,
                sessions=limits.sessions,
                session_token_s=limits.session_token,
                pending_holds=limits.pending_holds,
                new_holds_per_minute=limits.new_holds_per_minute,
            ),
            warnings=tuple(map(str, self._document.warnings)),
        )

    def _listen(self, key: str, shape: ListenShape) -> Listen:
        tls: Tls | None = None
        if shape.tls is not None:
            tls = Tls(
                self._file(shape.tls.certificate, (key, "tls", "certificate")),
                self._file(shape.tls.private_key, (key, "tls", "private_key")),
            )
        hosts = shape.hosts
        if hosts is None:
            local = shape.address in {"127.0.0.1", "::1"}
            hosts = ["localhost", shape.address] if local else [shape.address]
        return Listen(shape.address, shape.port, tls, tuple(dict.fromkeys(hosts)))

    def _api(self, shape: ApiShape) -> Api:
        return Api(self._listen("api", shape), self._optional(shape.ca_file, ("api", "ca_file")))

    def _upstream(self, shape: UpstreamShape) -> Upstream:
        catalog = shape.catalog
        return Upstream(
            account=shape.account,
            host=shape.host or f"{shape.account.lower()}.snowflakecomputing.com",
            port=shape.port,
            protocol=shape.protocol,
            ca_file=self._optional(shape.ca_file, ("upstream", "ca_file")),
            credential=self._credential(shape.credential, ("upstream", "credential")),
            catalog=Catalog(
                credential=self._credential(
                    catalog.credential, ("upstream", "catalog", "credential")
                ),
                role=catalog.role,
                warehouse=catalog.warehouse,
                databases=tuple(catalog.databases),
                max_age_s=catalog.max_age,
            ),
            login_timeout_s=shape.login_timeout,
            reply_bytes=shape.reply_size,
        )

    def _credential(self, shape: CredentialShape, key: Location) -> Credential:
        pair = shape.key_pair
        return Credential(
            pair.user, self._file(pair.private_key, (*key, "key_pair", "private_key"))
        )

    def _issuer(self, at: int, shape: IssuerShape) -> IssuerSettings:
        ca_file = self._optional(shape.ca_file, ("issuers", at, "ca_file"))
        return IssuerSettings(
            issuer=shape.oidc,
            audience=shape.audience,
            may_give=tuple(shape.may_give),
            identity=shape.identity,
            name=shape.name or "",
            people=shape.people,
            person=shape.person,
            triggered_by=tuple(shape.triggered_by),
            groups_from=shape.groups_from or "",
            groups=tuple(
                ClaimRule(
                    tuple(Claim(pointer, value) for pointer, value in entry.when.items()),
                    tuple(entry.give),
                )
                for entry in shape.groups
            ),
            require=tuple(Claim(pointer, value) for pointer, value in shape.require.items()),
            refuse=tuple(Claim(pointer, value) for pointer, value in shape.refuse.items()),
            algorithms=tuple(shape.algorithms),
            types=tuple(shape.types),
            other_audiences=tuple(shape.other_audiences),
            ca_file=str(ca_file) if ca_file else None,
            max_age_s=shape.session.max_age,
            ends_with_token=shape.session.ends_with_token,
            leeway_s=shape.leeway,
            max_lifetime_s=shape.max_lifetime,
            refresh_s=shape.refresh,
            stale_s=shape.stale,
        )

    def _resolved(self, path: str) -> Path:
        return Path(os.path.normpath(self._path.parent / path))

    def _optional(self, path: str | None, location: Location) -> Path | None:
        return None if path is None else self._file(path, location)

    def _file(self, path: str, location: Location) -> Path:
        """A file that must be there, if files are looked at."""
        found = self._resolved(path)
        if self._files and not (found.is_file() and os.access(found, os.R_OK)):
            self._document.blame(
                location, "names a file that is not there or not readable", "check path and owner"
            )
        return found
