"""EnvironmentSpec: who says which commit an environment serves. include/config/environments/<name>.toml."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from sluiceway.config_files import Words, read_toml, sentences, together
from sluiceway.errors import ConfigError, SettingsError, nearest
from sluiceway.settings import Settings, load_settings
from sluiceway.spans import check_span, span

FOLDER = "environments"
DATA_WITHIN = "1h"
URL = r"^https?://[^/\s]+"
JSON_PATH = r"^[^.\s]+(\.[^.\s]+)*$"
REPOSITORY = r"^[A-Za-z0-9-]+/[A-Za-z0-9._-]*[A-Za-z0-9_-]$"
COMMIT_FROM = r"^(label:[a-z0-9_-]+|env:[A-Za-z_][A-Za-z0-9_]*|image_tag)$"


class GitHub(BaseModel):
    """Where GitHub is told how a commit's run has ended."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["status", "deployment"] = Field(
        description="What tells it: a status of the commit, or a status of the commit's deployment.",
        examples=["status"],
    )
    repository: str = Field(pattern=REPOSITORY, description="The repository, owner/name.", examples=["shop/web"])
    connection: str = Field(
        description="The Airflow connection whose password is a token that may write commit statuses, or deployments. "
        "Its host, where it has one, is the API of a GitHub of one's own: https://github.example.org/api/v3.",
        examples=["github"],
    )
    context: str | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description='Of kind "status": its name beside those of CI. Default: `sluiceway/` and the file\'s name.',
        examples=["data/staging"],
    )
    environment: str | None = Field(
        default=None,
        min_length=1,
        max_length=255,
        description='Of kind "deployment": what GitHub calls the environment. Default: the file\'s name.',
        examples=["Staging"],
    )

    @model_validator(mode="after")
    def _of_its_kind(self) -> Self:
        if self.kind == "status" and self.environment is not None:
            raise ValueError('environment is of kind = "deployment"; remove it, or write that kind')
        if self.kind == "deployment" and self.context is not None:
            raise ValueError('context is of kind = "status"; remove it, or write that kind')
        return self


class _Environment(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="Not a key: the file's stem.")
    poll_s: float = Field(
        default=15,
        gt=0,
        le=3600,
        description="Seconds between two questions; after an error the waits double, up to a minute or to this, if it "
        "is longer.",
        examples=[30],
    )
    timeout_s: float = Field(
        default=1800, gt=0, le=5 * 3600, description="How long a run's gate waits for its commit.", examples=[3600]
    )
    request_timeout_s: float = Field(
        default=10, gt=0, le=60, description="How long one question may take, all of it.", examples=[5]
    )
    data_within: Annotated[str, AfterValidator(check_span)] = Field(
        default=DATA_WITHIN,
        description="The promise: how soon after a deploy the tables hold its commit's data. Until then `sluiceway "
        "status` calls the environment behind, and stale afterwards.",
        examples=["45min"],
    )
    github: GitHub | None = Field(
        default=None,
        description="A table, `[github]`: where GitHub is told whether the data is at a commit. Without it, nowhere.",
    )

    @model_validator(mode="after")
    def _can_be_kept(self) -> Self:
        if span(self.data_within).total_seconds() < self.poll_s:
            raise ValueError(
                f"data_within = {self.data_within!r}: no deploy can keep it, for the environment is asked every "
                f"{self.poll_s:g} s; make poll_s shorter, or promise more"
            )
        return self


class HttpEnvironment(_Environment):
    """A service that publishes its commit at an address."""

    kind: Literal["http"] = Field(description="A service that publishes its commit at an address.")
    url: str = Field(
        pattern=URL,
        description="The address. No redirect is followed, and no answer over 64 KiB is read.",
        examples=["https://staging.example.org/version"],
    )
    json_path: str | None = Field(
        default=None,
        pattern=JSON_PATH,
        description="Where the commit stands in a JSON answer: keys and list indexes with dots between.",
        examples=["build.commit"],
    )
    header: str | None = Field(
        default=None,
        pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$",
        description="The header of the answer that holds the commit. With neither, the whole answer is the commit.",
        examples=["X-Commit"],
    )
    connection: str | None = Field(
        default=None,
        description="The Airflow connection whose login and password the request carries, or a password alone as "
        "bearer token, or extra `headers`.",
        examples=["staging"],
    )

    @model_validator(mode="after")
    def _one_place(self) -> HttpEnvironment:
        if self.json_path is not None and self.header is not None:
            raise ValueError("json_path and header exclude each other; keep the one that holds the commit")
        return self


class CloudRunEnvironment(_Environment):
    """A Cloud Run service whose revisions carry their commit."""

    kind: Literal["cloud_run"] = Field(description="A Cloud Run service whose revisions carry their commit.")
    project: str = Field(
        pattern=r"^[a-z0-9.:-]+$", description="The id of the Google Cloud project.", examples=["my-project"]
    )
    region: str = Field(pattern=r"^[a-z0-9-]+$", description="The service's region.", examples=["us-west1"])
    service: str = Field(pattern=r"^[a-z0-9-]+$", description="The service's name.", examples=["shop"])
    connection: str = Field(
        description="The Airflow connection (google_cloud_platform) that may read the service: roles/run.viewer.",
        examples=["google_cloud_default"],
    )
    commit_from: str = Field(
        pattern=COMMIT_FROM,
        description="`label:NAME` of the revision, `env:NAME` of its first container that has it, or `image_tag` of "
        "its image.",
        examples=["label:commit-sha", "env:GIT_SHA", "image_tag"],
    )


EnvironmentSpec = Annotated[HttpEnvironment | CloudRunEnvironment, Field(discriminator="kind")]
Environment = HttpEnvironment | CloudRunEnvironment

_ADAPTER: TypeAdapter[Environment] = TypeAdapter(EnvironmentSpec)
_MODELS: dict[str, type[_Environment]] = {"http": HttpEnvironment, "cloud_run": CloudRunEnvironment}


def _known_keys(location: tuple[str, ...]) -> list[str]:
    if location[1:-1] == ("github",):
        return list(GitHub.model_fields)
    return [name for name in _MODELS[location[0]].model_fields if name != "name"]


_WORDS = Words(
    keys=_known_keys,
    branches=frozenset(_MODELS),
    kinds=tuple(_MODELS),
    patterns={
        COMMIT_FROM: "write label:NAME, env:NAME or image_tag",
        URL: "write an address, https://...",
        REPOSITORY: "write owner/name, as in the repository's address",
        JSON_PATH: "write keys with dots between, such as build.commit",
    },
)


def read_environment(
    name: str, settings: Settings | None = None, *, named_by: str = "SLUICEWAY_ENVIRONMENT"
) -> Environment:
    """The environment of that name.

    :param named_by: what names it, for the sentence.
    :raises SettingsError: there is no such file; names the nearest.
    :raises ConfigError: the file is wrong; a sentence per problem.
    """
    folder = (settings or load_settings()).config_dir / FOLDER
    known = {path.stem: path for path in sorted(folder.glob("*.toml"))}
    if name not in known:
        raise SettingsError(f"{named_by} names {name!r}, and there is no {folder / name}.toml{nearest(name, known)}")
    return read_file(known[name])


def read_file(path: Path) -> Environment:
    """The environment of one file; raises ConfigError with a sentence per problem."""
    data = read_toml(path)
    if "name" in data:
        raise ConfigError(f"{path}: name: an environment is named by its file, {path.stem!r}; remove the key")
    try:
        return _ADAPTER.validate_python({"name": path.stem, **data})
    except ValidationError as error:
        # what pydantic says shows values, which may be secrets, to whoever reads a log
        raise ConfigError(together(path, sentences(path, error.errors(), _WORDS))) from None
