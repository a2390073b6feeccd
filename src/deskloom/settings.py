"""The settings: one typed object, read from the environment, `.env` and `deskloom.toml`, built by `cli` or a test."""

from __future__ import annotations

import os
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal
from zoneinfo import available_timezones

from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from deskloom.errors import SettingInvalid
from deskloom.table_settings import TableSettings


class SourceSettings(BaseModel):
    """One helpdesk account. `name` is what callers and the record call it.

    In place of `api_key`, `api_key_env` names the variable (of the environment, or of `.env`) that holds the key.
    """

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")
    kind: Literal["freshdesk", "freshservice"]
    domain: str = Field(min_length=1)
    api_key: SecretStr
    api_key_env: str | None = None
    account_field: str = "account_number"

    @model_validator(mode="before")
    @classmethod
    def _read_key(cls, values: Any) -> Any:
        variable = values.get("api_key_env") if isinstance(values, dict) else None
        if variable is None or not isinstance(variable, str):
            return values
        if "api_key" in values:
            raise ValueError(f'source "{values.get("name")}" has both api_key and api_key_env; keep one')
        if not (key := os.environ.get(variable) or dotenv_values(".env").get(variable)):
            raise ValueError(f'source "{values.get("name")}" takes its key from {variable}, which is not set')
        return values | {"api_key": key}


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
    freshservice_domain: str | None = Field(
        None, alias="FRESHSERVICE_DOMAIN", description="The account: `acme`, `acme.freshservice.com` or a URL."
    )
    freshservice_api_key: SecretStr | None = Field(
        None, alias="FRESHSERVICE_API_KEY", description="An agent's API key; it reads what that agent may read."
    )
    freshservice_account_field: str = Field(
        "account_number",
        alias="FRESHSERVICE_ACCOUNT_FIELD",
        description="The department field (of MSP accounts also the client's) that holds the account number.",
    )
    sources: tuple[SourceSettings, ...] = Field(
        (), alias="DESKLOOM_SOURCES", description="More helpdesks, as JSON; see `deskloom.toml` below."
    )

    source_database_url: SecretStr | None = Field(
        None,
        alias="SOURCE_DATABASE_URL",
        description="The PostgreSQL database with the team's own tables, `postgresql://…`; see `deskloom.toml` below.",
    )
    source_pool: int = Field(
        4, ge=1, le=10, alias="DESKLOOM_SOURCE_POOL", description="Connections to the tables' database at most."
    )
    source_timeout: float = Field(
        60, gt=0, le=3600, alias="DESKLOOM_SOURCE_TIMEOUT", description="Seconds that a statement there may take."
    )
    tables: tuple[TableSettings, ...] = Field(
        (), alias="DESKLOOM_TABLES", description="The tables, as JSON; see `deskloom.toml` below."
    )

    index: Literal["edge", "qdrant", "chroma"] = Field(
        "edge",
        alias="DESKLOOM_INDEX",
        description="The vector store: `edge` is Qdrant's engine in this process, `qdrant` a Qdrant server or cluster, "
        "`chroma` Chroma in the data folder or on a server.",
    )
    chroma_url: str | None = Field(
        None,
        alias="CHROMA_URL",
        description="The Chroma server, for example `http://chroma:8000`; without it Chroma works in the data folder.",
    )
    qdrant_url: str | None = Field(
        None, alias="QDRANT_URL", description="The Qdrant server, for example `http://qdrant:6333`."
    )
    qdrant_host: str | None = Field(None, alias="QDRANT_HOST", description="Its host, instead of `QDRANT_URL`.")
    qdrant_port: int = Field(6333, ge=1, le=65535, alias="QDRANT_PORT", description="Its port, beside `QDRANT_HOST`.")
    qdrant_api_key: SecretStr | None = Field(None, alias="QDRANT_API_KEY", description="The key of the Qdrant server.")
    qdrant_timeout: int = Field(
        30, ge=1, le=3600, alias="QDRANT_TIMEOUT", description="Seconds to wait for an answer of the Qdrant server."
    )
    qdrant_quantization: Literal["none", "scalar", "binary"] = Field(
        "none",
        alias="QDRANT_QUANTIZATION",
        description="How new Qdrant collections compress vectors in memory: `scalar` to a quarter, `binary` to 1/32.",
    )
    qdrant_on_disk: bool = Field(
        False,
        alias="QDRANT_ON_DISK",
        description="New Qdrant collections keep vectors and payloads on disk instead of in memory.",
    )
    qdrant_shards: int | None = Field(
        None, ge=1, alias="QDRANT_SHARDS", description="Shards of new Qdrant collections; the server decides if unset."
    )
    qdrant_replicas: int | None = Field(
        None,
        ge=1,
        alias="QDRANT_REPLICAS",
        description="Copies of each shard in a Qdrant cluster; the server decides if unset.",
    )
    qdrant_write_consistency: int | None = Field(
        None,
        ge=1,
        alias="QDRANT_WRITE_CONSISTENCY",
        description="Replicas that must have a write before it counts; a majority of `QDRANT_REPLICAS` if unset.",
    )

    embedder: str = Field(
        "minilm",
        min_length=1,
        alias="DESKLOOM_EMBEDDER",
        description="The embedding model: `minilm` (bundled), `bge-m3`, a model folder, or `openai` for a server.",
    )
    embedder_url: str | None = Field(
        None,
        alias="DESKLOOM_EMBEDDER_URL",
        description="The embedding server, up to and with `/v1` (OpenAI, text-embeddings-inference, Ollama, vLLM).",
    )
    embedder_model: str | None = Field(
        None, alias="DESKLOOM_EMBEDDER_MODEL", description="The model's name at the embedding server."
    )
    embedder_api_key: SecretStr | None = Field(
        None, alias="DESKLOOM_EMBEDDER_API_KEY", description="The key of the embedding server."
    )
    embedder_max_tokens: int | None = Field(
        None,
        ge=16,
        alias="DESKLOOM_EMBEDDER_MAX_TOKENS",
        description="Tokens of a text that the server's model reads; without it what the server says, else 512.",
    )
    embedder_concurrency: int = Field(
        8, ge=1, le=64, alias="DESKLOOM_EMBEDDER_CONCURRENCY", description="Requests to the server at the same time."
    )

    dispatch: Literal["inline", "procrastinate"] = Field(
        "inline",
        alias="DESKLOOM_DISPATCH",
        description="Who performs runs: this process, or `deskloom worker` processes on PostgreSQL (`procrastinate`).",
    )
    supabase_url: str | None = Field(
        None, alias="SUPABASE_URL", description="A Supabase project to which `sync_logs` are copied as well."
    )
    supabase_key: SecretStr | None = Field(None, alias="SUPABASE_KEY", description="Its service-role key.")
    check_interval: float = Field(
        1,
        ge=0,
        alias="SYNC_CONSISTENCY_CHECK_INTERVAL",
        description="Hours between two comparisons of index and record that are proposed as a schedule; 0: none.",
    )

    neo4j_uri: str | None = Field(
        None, alias="DESKLOOM_NEO4J_URI", description="The Neo4j server that `deskloom export graph` writes to."
    )
    neo4j_user: str = Field("neo4j", alias="DESKLOOM_NEO4J_USER", description="Who we are there.")
    neo4j_password: SecretStr | None = Field(None, alias="DESKLOOM_NEO4J_PASSWORD", description="The user's password.")
    neo4j_database: str | None = Field(
        None, alias="DESKLOOM_NEO4J_DATABASE", description="The database there; the user's own without it."
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
    hours_days: int = Field(
        45,
        ge=1,
        le=3660,
        alias="DESKLOOM_HOURS_DAYS",
        description="Days back that time entries are read again, since one that is logged late touches no ticket.",
    )
    default_hours: Decimal = Field(
        Decimal("0.25"),
        ge=0,
        le=24,
        alias="DESKLOOM_DEFAULT_HOURS",
        description="What a ticket without time entries counts as where hours are used; it is never stored.",
    )
    billing_by: Literal["work", "close"] = Field(
        "work",
        alias="DESKLOOM_BILLING_BY",
        description="The month that hours are billed in: that of their `work` date, or of the ticket's `close`.",
    )
    billing_timezone: str = Field(
        "UTC",
        alias="DESKLOOM_BILLING_TIMEZONE",
        description="The IANA time zone whose days and months are billed, for example `America/New_York`.",
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
        description="Documents published at a time; a crash embeds at most one such batch again.",
    )

    host: str = Field("127.0.0.1", alias="DESKLOOM_HOST", description="The address `deskloom serve` listens on.")
    port: int = Field(
        8000, ge=0, le=65535, alias="DESKLOOM_PORT", description="The port `deskloom serve` listens on; 0: a free one."
    )

    @field_validator("billing_timezone")
    @classmethod
    def _zone_exists(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f'"{value}" is not a time zone. Write it like America/New_York or Europe/Berlin')
        return value

    @field_validator(
        "database_url",
        "models_dir",
        "freshdesk_domain",
        "freshdesk_api_key",
        "freshservice_domain",
        "freshservice_api_key",
        "source_database_url",
        "chroma_url",
        "qdrant_url",
        "qdrant_host",
        "qdrant_api_key",
        "qdrant_shards",
        "qdrant_replicas",
        "qdrant_write_consistency",
        "neo4j_uri",
        "neo4j_password",
        "neo4j_database",
        "embedder_url",
        "embedder_model",
        "embedder_api_key",
        "embedder_max_tokens",
        "supabase_url",
        "supabase_key",
        mode="before",
    )
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

    def supabase(self) -> tuple[str, str] | None:
        """Address and key of the Supabase project that `sync_logs` are copied to; None: nowhere."""
        if self.supabase_url is None and self.supabase_key is None:
            return None
        if self.supabase_url is None or self.supabase_key is None:
            missing = "SUPABASE_URL" if self.supabase_url is None else "SUPABASE_KEY"
            raise SettingInvalid(
                f"{missing} is not set, but its counterpart is. Set both, for example "
                "SUPABASE_URL=https://abcd.supabase.co SUPABASE_KEY=the-service-role-key",
                setting=missing,
            )
        if not self.supabase_url.startswith(("https://", "http://127.0.0.1", "http://localhost", "http://[::1]")):
            raise SettingInvalid(
                "SUPABASE_URL is not the address of a project. Write it like https://abcd.supabase.co",
                setting="SUPABASE_URL",
            )
        return self.supabase_url.rstrip("/"), self.supabase_key.get_secret_value()

    def require_database(self) -> None:
        """Refuse tables without the database that they are in, or that would go where another kind of thing is."""
        if self.tables and self.source_database_url is None:
            raise SettingInvalid(
                "Tables are declared, but SOURCE_DATABASE_URL is not set. Set it, for example to "
                "postgresql://reader@db.example.com/shop",
                setting="SOURCE_DATABASE_URL",
            )
        for table in self.tables:
            if table.into in ("support_tickets", "kb_procedures", "conversations", "tickets", "kb"):
                raise SettingInvalid(
                    f'Table "{table.name}": the collection "{table.into}" holds something else. Choose another name.',
                    setting=f"tables.{table.name}",
                )

    def helpdesks(self) -> tuple[SourceSettings, ...]:
        """The configured helpdesk accounts: those of `deskloom.toml`, and the one in the environment."""
        found = list(self.sources)
        for kind, domain, key, account_field in (
            ("freshdesk", self.freshdesk_domain, self.freshdesk_api_key, self.freshdesk_account_field),
            ("freshservice", self.freshservice_domain, self.freshservice_api_key, self.freshservice_account_field),
        ):
            if domain and key:
                entry = {"name": kind, "kind": kind, "domain": domain, "api_key": key, "account_field": account_field}
                found.append(SourceSettings.model_validate(entry))
            elif domain or key:
                prefix = kind.upper()
                missing = f"{prefix}_API_KEY" if domain else f"{prefix}_DOMAIN"
                raise SettingInvalid(
                    f"{missing} is not set, but its counterpart is. Set both, for example "
                    f"{prefix}_DOMAIN=acme {prefix}_API_KEY=your-key",
                    setting=missing,
                )
        names = [*(source.name for source in found), *(table.name for table in self.tables)]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise SettingInvalid(f'Two sources are called "{twice}". Give each its own name.', setting="sources")
        return tuple(found)


def load_settings(*, toml: Path = Path("deskloom.toml"), **overrides: Any) -> Settings:
    """Read the settings; a wrong value raises `SettingInvalid` naming it. `overrides` win over everything."""
    values: dict[str, Any] = {}
    if toml.is_file():
        try:
            for kind in ("sources", "tables"):
                values[kind] = [{"name": name, **entry} for name, entry in _tables(toml, kind).items()]
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, TypeError, AttributeError) as error:
            raise SettingInvalid(f"{toml} cannot be read: {error}", setting=str(toml)) from error
    try:
        settings = Settings(**(values | overrides))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        why = first["msg"].removeprefix("Value error, ")
        raise SettingInvalid(f"{name} is wrong: {why}.", setting=name) from None
    settings.helpdesks()
    settings.supabase()
    settings.require_database()
    return settings


def _tables(toml: Path, name: str) -> dict[str, dict[str, Any]]:
    tables: dict[str, dict[str, Any]] = tomllib.loads(toml.read_text(encoding="utf-8")).get(name, {})
    return tables
