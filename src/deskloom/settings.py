"""The settings: one typed object, read from the environment, `.env` and `deskloom.toml`, built by `cli` or a test."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from deskloom.errors import SettingInvalid


class SourceSettings(BaseModel):
    """One helpdesk account. `name` is what callers and the record call it."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")
    kind: Literal["freshdesk"]
    domain: str = Field(min_length=1)
    api_key: SecretStr
    account_field: str = "account_number"


class Settings(BaseSettings):
    """Everything that can be set. The field's alias is the name of its environment variable."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        populate_by_name=True,
        env_prefix="DESKLOOM_",  # fields have names of their own too, and `HOME` or `PORT` alone are not ours
    )

    home: Path = Field(
        Path("deskloom-data"), alias="DESKLOOM_HOME", description="The data folder: embedded record and index."
    )
    database_url: SecretStr | None = Field(
        None,
        alias="DATABASE_URL",
        description="The record's database, `postgresql://…`; without it SQLite in the data folder.",
    )
    models_dir: Path | None = Field(
        None,
        alias="DESKLOOM_MODELS",
        description="Where model files live; without it `deskloom/models` in `XDG_CACHE_HOME` or `~/.cache`.",
    )

    freshdesk_domain: str | None = Field(
        None, alias="FRESHDESK_DOMAIN", description="The account: `acme`, `acme.freshdesk.com` or a URL."
    )
    freshdesk_api_key: SecretStr | None = Field(
        None, alias="FRESHDESK_API_KEY", description="An agent's API key; it reads what that agent may read."
    )
    freshdesk_account_field: str = Field(
        "account_number",
        alias="FRESHDESK_ACCOUNT_FIELD",
        description="The company field that holds the customer's account number.",
    )
    sources: tuple[SourceSettings, ...] = Field(
        (), alias="DESKLOOM_SOURCES", description="More helpdesks, as JSON; see `deskloom.toml` below."
    )

    index: Literal["edge"] = Field(
        "edge", alias="DESKLOOM_INDEX", description="The vector store: `edge` is Qdrant's engine in this process."
    )
    embedder: Literal["minilm"] = Field(
        "minilm", alias="DESKLOOM_EMBEDDER", description="The embedding model: `minilm` is the bundled one."
    )

    rate_share: float = Field(
        0.8, gt=0, le=1, alias="DESKLOOM_RATE_SHARE", description="Share of a helpdesk's rate limit that we may use."
    )
    retries: int = Field(
        3, ge=0, le=10, alias="DESKLOOM_RETRIES", description="How often a request that failed in passing is repeated."
    )
    concurrency: int = Field(
        8, ge=1, le=64, alias="DESKLOOM_CONCURRENCY", description="Requests to one helpdesk at the same time."
    )
    max_delete_share: float = Field(
        0.2,
        ge=0,
        le=1,
        alias="DESKLOOM_MAX_DELETE_SHARE",
        description="Share of a stream that one run may delete because a listing lacks it.",
    )
    lease_seconds: float = Field(
        30, gt=0, alias="DESKLOOM_LEASE_SECONDS", description="Without a sign of life for so long a run is taken over."
    )

    publish_batch: int = Field(
        128,
        ge=1,
        le=10_000,
        alias="DESKLOOM_PUBLISH_BATCH",
        description="Documents published at a time; a crash repeats at most the batches under way.",
    )

    host: str = Field("127.0.0.1", alias="DESKLOOM_HOST", description="The address `deskloom serve` listens on.")
    port: int = Field(
        8000, ge=0, le=65535, alias="DESKLOOM_PORT", description="The port `deskloom serve` listens on; 0: a free one."
    )

    @field_validator("database_url", "models_dir", "freshdesk_domain", "freshdesk_api_key", mode="before")
    @classmethod
    def _blank_is_unset(cls, value: Any) -> Any:
        return None if isinstance(value, str) and not value.strip() else value

    @property
    def models(self) -> Path:
        """Where model files live: outside the home, since every home may use the same ones."""
        if self.models_dir is not None:
            return self.models_dir
        cache = os.environ.get("XDG_CACHE_HOME")
        return (Path(cache) if cache else Path.home() / ".cache") / "deskloom" / "models"

    def record_url(self) -> str:
        """The SQLAlchemy URL of the record, with its async driver."""
        if self.database_url is None:
            return f"sqlite+aiosqlite:///{(self.home / 'deskloom.db').absolute()}"
        url = self.database_url.get_secret_value()
        for scheme in ("postgresql://", "postgres://"):
            if url.startswith(scheme):
                return "postgresql+asyncpg://" + url.removeprefix(scheme)
        return url

    def helpdesks(self) -> tuple[SourceSettings, ...]:
        """The configured helpdesk accounts: those of `deskloom.toml`, and the one in the environment."""
        found = list(self.sources)
        if self.freshdesk_domain and self.freshdesk_api_key:
            found.append(
                SourceSettings(
                    name="freshdesk",
                    kind="freshdesk",
                    domain=self.freshdesk_domain,
                    api_key=self.freshdesk_api_key,
                    account_field=self.freshdesk_account_field,
                )
            )
        elif self.freshdesk_domain or self.freshdesk_api_key:
            missing = "FRESHDESK_API_KEY" if self.freshdesk_domain else "FRESHDESK_DOMAIN"
            raise SettingInvalid(
                f"{missing} is not set, but its counterpart is. Set both, for example "
                "FRESHDESK_DOMAIN=acme FRESHDESK_API_KEY=your-key",
                setting=missing,
            )
        names = [source.name for source in found]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise SettingInvalid(f'Two sources are called "{twice}". Give each its own name.', setting="sources")
        return tuple(found)


def load_settings(*, toml: Path = Path("deskloom.toml"), **overrides: Any) -> Settings:
    """Read the settings; a wrong value raises `SettingInvalid` naming it. `overrides` win over everything."""
    values: dict[str, Any] = {}
    if toml.is_file():
        try:
            values["sources"] = [{"name": name, **entry} for name, entry in _tables(toml, "sources").items()]
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, TypeError, AttributeError) as error:
            raise SettingInvalid(f"{toml} cannot be read: {error}", setting=str(toml)) from error
    try:
        settings = Settings(**(values | overrides))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        raise SettingInvalid(f"{name} is wrong: {first['msg']}.", setting=name) from None
    settings.helpdesks()
    return settings


def _tables(toml: Path, name: str) -> dict[str, dict[str, Any]]:
    tables: dict[str, dict[str, Any]] = tomllib.loads(toml.read_text(encoding="utf-8")).get(name, {})
    return tables
