"""Who may read the faces of the verdict without a token: include/config/faces.toml, which need not be there.

A face is what machines read: `status` (status.json), `badge` (badge.json and badge.svg), `metrics`.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from sluiceway.config_files import Words, read_toml, sentences, together
from sluiceway.errors import ConfigError
from sluiceway.ledger.face_tokens import Face

FILE = "faces.toml"


class FaceAccess(BaseModel):
    """Who may read one face."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    public: bool = Field(
        default=False, strict=True, description="true: whoever reaches Airflow's API server may read it."
    )
    per_minute: PositiveInt = Field(
        default=60,
        le=6000,
        description="How often an address may ask without a token, of each process of the API server.",
    )


class Faces(BaseModel):
    """What the file says; where it says nothing, a face is closed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: FaceAccess = Field(default=FaceAccess(), description="/sluiceway/api/status.json")
    badge: FaceAccess = Field(default=FaceAccess(), description="/sluiceway/badge.json and /sluiceway/badge.svg")
    metrics: FaceAccess = Field(default=FaceAccess(), description="/sluiceway/metrics")

    def of(self, face: Face) -> FaceAccess:
        """Who may read that one."""
        found: FaceAccess = getattr(self, face)
        return found


def _known_keys(location: tuple[str, ...]) -> list[str]:
    return list(Faces.model_fields if len(location) <= 1 else FaceAccess.model_fields)


_WORDS = Words(keys=_known_keys)


def read_faces(config_dir: Path) -> Faces:
    """What the file says; all is closed where there is none.

    :raises ConfigError: it is wrong; a sentence per problem.
    """
    path = config_dir / FILE
    if not path.exists():
        return Faces()
    try:
        return Faces.model_validate(read_toml(path))
    except ValidationError as error:
        # what pydantic says shows values, which may be secrets, to whoever reads a log
        raise ConfigError(together(path, sentences(path, error.errors(), _WORDS))) from None
