"""The settings that are secrets: from the environment, from `.env`, or each from a file that a setting names."""

import base64
import json
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, NoDecode

from domain.providers.configuration import ProviderConfig, configured
from graph.setting_parts import parts_of
from persistence.keyring import KEY_BYTES, KeyRing

SHORTEST_SECRET: Final = 32
LARGEST_FILE: Final = 1 << 16  # bytes
# Where Docker puts secrets, for everybody in the container to read.
MOUNTED: Final = Path("/run/secrets")
SECRET_NEEDED: Final = (
    f"must be a random text of at least {SHORTEST_SECRET} characters, "
    "for example the output of: python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"
)
FIELD_KEY_NEEDED: Final = (
    f"must be {KEY_BYTES} random bytes in URL-safe base64, for example the output of: "
    "python3 -c 'import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())'"
)
SUFFIX: Final = "_file"


def _secret(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if len(text) < SHORTEST_SECRET or len(set(text)) < SHORTEST_SECRET // 4:
        raise ValueError(SECRET_NEEDED)
    return secret


def _field_key(key: SecretStr) -> SecretStr:
    try:
        length = len(_key(key))
    except ValueError:
        length = 0
    if length != KEY_BYTES:
        raise ValueError(FIELD_KEY_NEEDED)
    return key


def _key(text: SecretStr) -> bytes:
    return base64.urlsafe_b64decode(text.get_secret_value())


def _several(value: Any) -> Any:
    # In a file they may stand one on a line.
    return parts_of(value.replace("\n", ",") if isinstance(value, str) else value)


Secret = Annotated[SecretStr, AfterValidator(_secret)]
FieldKey = Annotated[SecretStr, AfterValidator(_field_key)]


def _providers(value: Any) -> tuple[ProviderConfig, ...]:
    if isinstance(value, tuple):
        return value
    try:
        stated = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        stated = None
    return configured(stated, lambda path: secret_of(path, "clientSecretFile"))


class SecretSettings(BaseSettings):
    """Every secret `x` is given as itself, or as `x_file`, the path of a file that holds it."""

    jwt_secret: Secret | None = None
    jwt_secrets_old: Annotated[tuple[Secret, ...], BeforeValidator(_several), NoDecode] = ()
    field_key: FieldKey | None = None
    field_keys_old: Annotated[tuple[FieldKey, ...], BeforeValidator(_several), NoDecode] = ()

    sign_in_providers: Annotated[Any, BeforeValidator(_providers), NoDecode, Field(repr=False)] = ()

    database_url_file: Path | None = None
    jwt_secret_file: Path | None = None
    jwt_secrets_old_file: Path | None = None
    field_key_file: Path | None = None
    field_keys_old_file: Path | None = None
    smtp_password_file: Path | None = None
    sign_in_providers_file: Path | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_files(cls, values: Any) -> Any:
        """Put the content of each file in the place of the secret that it holds."""
        held = {}
        for field in cls.model_fields:
            name = field.removesuffix(SUFFIX)
            # Not every setting of a file is a secret's.
            if name != field and name in cls.model_fields and values.get(field):
                if values.get(name):
                    raise ValueError(f"{field.upper()}: {name.upper()} is set too; set one of the two.")
                held[name] = secret_of(Path(values[field]), field.upper())
        return {**values, **held}

    @model_validator(mode="after")
    def _check_rotation(self) -> Self:
        for newest, older in (("jwt_secret", "jwt_secrets_old"), ("field_key", "field_keys_old")):
            if getattr(self, older) and getattr(self, newest) is None:
                raise ValueError(f"{older.upper()}: goes with {newest.upper()}, which is the one in use.")
        return self

    @property
    def older_signing_secrets(self) -> tuple[str, ...]:
        """The secrets whose tokens are still read."""
        return tuple(secret.get_secret_value() for secret in self.jwt_secrets_old)

    def signing_secret(self, home: Path) -> str:
        """The secret that signs tokens; in development one that is made once and kept in `home`, beside the data."""
        if self.jwt_secret is not None:
            return self.jwt_secret.get_secret_value()
        return _kept(home / "jwt-secret")

    def field_key_bytes(self, home: Path) -> bytes:
        """The key that encrypts the keys of personal fields; in development one that is kept in `home`."""
        return _key(self.field_key or SecretStr(_kept(home / "field-key")))

    def key_ring(self, home: Path) -> KeyRing:
        """That key, and the older ones that still open what they have encrypted."""
        return KeyRing(self.field_key_bytes(home), *map(_key, self.field_keys_old))


def secret_of(path: Path, name: str) -> str:
    """What a file holds, without the line's end; `name` is the setting that names it.

    Raises ValueError, in one sentence without the content, where it cannot be read or others can.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(LARGEST_FILE + 1)
        text = content.decode()
    except OSError as error:
        raise ValueError(f"{name}: the file {path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ValueError(f"{name}: the file {path} does not hold a text.") from None
    if _too_open(path, mode):
        raise ValueError(
            f"{name}: the file {path} is open to others than its owner and group; close it, as by: chmod 600 {path}"
        )
    text = text.rstrip("\r\n")
    if not text or len(content) > LARGEST_FILE:
        raise ValueError(f"{name}: the file {path} is {'too large' if text else 'empty'}.")
    return text


def _too_open(path: Path, mode: int) -> bool:
    writable = mode & (stat.S_IWGRP | stat.S_IWOTH)
    return bool(writable) or (bool(mode & stat.S_IROTH) and not path.is_relative_to(MOUNTED))


def _kept(path: Path) -> str:
    """A random secret in a file that only its owner reads, made at the first use."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        made = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        with open(made, "x", opener=_private, encoding="ascii") as file:
            file.write(base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode())
        # Two servers that start at once agree on one, which is whole as soon as it is there.
        with suppress(FileExistsError):
            os.link(made, path)
        made.unlink()
    return path.read_text(encoding="ascii").strip()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, mode=0o600)
