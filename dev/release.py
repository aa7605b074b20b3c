"""`make release TAG=v0.1.0`: what a release consists of, in dist/release; the workflow of a tag publishes just that.

The wheel is built and every DAG in it imported as `make package` does; beside it lie the DAG files and the plugin, also
as one archive, a list of all that is installed with it (CycloneDX) and the notes, which are the changelog's section of
that version. The wheel's addresses lead to the repository that GITHUB_REPOSITORY names.

Exit codes: 0 built; 1 what was built does not work; 2 the tag, the version or the changelog is wrong.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import os
import re
import sys
import tarfile
import tomllib
import zipfile
from email import message_from_bytes
from pathlib import Path

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from rich.console import Console
from rich.markup import escape

from dev import package
from dev.environment import ROOT
from dev.errors import PackageError, ReleaseError

TAG = re.compile(r"v(\d+\.\d+\.\d+(?:(?:a|b|rc)\d+)?)")
SECTION = re.compile(
    r"^## \[(?P<version>[^\]]+)\](?: - (?P<date>\d{4}-\d{2}-\d{2}))?[ \t]*\n(?P<text>.*?)(?=^## \[|\Z)", re.M | re.S
)
REPOSITORY = re.compile(r"[A-Za-z0-9-]+/[A-Za-z0-9._-]+")
NEEDED = (
    *("Name", "Version", "Summary", "Author", "Keywords", "Classifier", "Project-URL", "License-Expression"),
    *("License-File", "Requires-Python", "Description"),
)
PACKED = ("LICENSE", "dags", "plugins", "requirements.txt")
"""Of the release's folder, what a deployment takes beside the wheel."""
CHUNK_BYTES = 1 << 20

console = Console(highlight=False, soft_wrap=True)


def version_of(tag: str, *, project: str, changelog: str) -> str:
    """The version that a tag names.

    :param project: the text of pyproject.toml.
    :param changelog: the text of CHANGELOG.md.
    :raises ReleaseError: the tag is no version, not the project's, or has no section with a date in the changelog.
    """
    match = TAG.fullmatch(tag)
    if match is None:
        raise ReleaseError(f"TAG: {tag!r} is no version; write v and three numbers, such as v0.1.0")
    version = tomllib.loads(project)["project"]["version"]
    if match[1] != version:
        raise ReleaseError(f"TAG: {tag!r} is not the version of pyproject.toml, {version!r}; change one of them")
    notes_of(version, changelog=changelog)
    return str(version)


def notes_of(version: str, *, changelog: str) -> str:
    """The changelog's section of a version; raises ReleaseError where there is none, or it is not finished."""
    sections = {found["version"]: found for found in SECTION.finditer(changelog)}
    found = sections.get(version)
    if found is None:
        raise ReleaseError(
            f"CHANGELOG.md has no section [{version}]; rename [Unreleased] to [{version}] - YYYY-MM-DD, and begin a "
            f"new [Unreleased] above it"
        )
    if found["date"] is None:
        raise ReleaseError(f"CHANGELOG.md: the section [{version}] has no date; write [{version}] - YYYY-MM-DD")
    if not found["text"].strip():
        raise ReleaseError(f"CHANGELOG.md: the section [{version}] is empty; say what has changed")
    if sections.get("Unreleased") is not None and sections["Unreleased"]["text"].strip():
        raise ReleaseError(
            f"CHANGELOG.md: [Unreleased] holds changes that the release has too; move them into [{version}]"
        )
    return str(found["text"]).strip() + "\n"


def release(tag: str, output: Path, *, project: str, changelog: str, repository: str) -> Path:
    """Build the release's folder, which is made anew.

    :param repository: whose tag it is, OWNER/NAME.
    :raises ReleaseError: see version_of; or the repository is none; or the wheel's metadata lacks something.
    :raises PackageError: what was built does not work.
    """
    version = version_of(tag, project=project, changelog=changelog)
    if not REPOSITORY.fullmatch(repository):
        raise ReleaseError(
            f"GITHUB_REPOSITORY: {repository!r} is no repository; write its owner and its name, such as OWNER/sluiceway"
        )
    tree = package.package("wheel", tag, output, name="release", released_by=repository)
    (wheel,) = tree.glob("*.whl")
    check_metadata(wheel, version)
    pack(tree, tree / f"sluiceway-dags-{tag}.tar.gz")
    write_sbom(tree / f"sluiceway-{version}.cdx.json", version)
    (tree / "notes.md").write_text(notes_of(version, changelog=changelog), encoding="utf-8")
    sums = [f"{_sha256(path)}  {path.relative_to(tree)}" for path in sorted(tree.rglob("*")) if path.is_file()]
    (tree / "SHA256SUMS").write_text("\n".join(sums) + "\n", encoding="utf-8")
    return tree


def check_metadata(wheel: Path, version: str) -> None:
    """Raises ReleaseError for what an index or a licence check would miss in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (name,) = [each for each in names if each.endswith(".dist-info/METADATA")]
        metadata = message_from_bytes(archive.read(name))
    fields = {**dict(metadata.items()), "Description": str(metadata.get_payload()).strip()}
    if missing := [field for field in NEEDED if not fields.get(field)]:
        raise ReleaseError(f"{wheel.name}: the metadata lacks {', '.join(missing)}; add it to pyproject.toml")
    if fields["Version"] != version:
        raise ReleaseError(f"{wheel.name}: the metadata says version {fields['Version']!r}, not {version!r}")
    if not any(each.endswith(f"licenses/{fields['License-File']}") for each in names):
        raise ReleaseError(f"{wheel.name}: holds no {fields['License-File']}")


def pack(tree: Path, archive: Path) -> None:
    """Put what goes beside the wheel into one file; it says nothing of the machine, so the same has the same bytes."""

    def nobodys(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        member.mtime = 0
        member.mode = 0o755 if member.isdir() else 0o644
        return member

    with (
        archive.open("wb") as file,
        gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as held,
    ):
        for name in PACKED:
            held.add(tree / name, name, filter=nobodys)


def write_sbom(path: Path, version: str) -> None:
    """Write down all that requirements.lock installs, as CycloneDX."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    bom = Bom(components=[_part(name, found) for name, found in re.findall(r"(?m)^([A-Za-z0-9._-]+)==([^\s;]+)", lock)])
    bom.metadata.component = _part("sluiceway", version)
    JsonV1Dot6(bom).output_to_file(str(path), indent=2)


def _part(name: str, version: str) -> Component:
    return Component(
        name=name, version=version, type=ComponentType.LIBRARY, purl=PackageURL("pypi", None, name, version)
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make release", description="Build what a tag publishes.")
    parser.add_argument("tag")
    parser.add_argument("--output", type=Path, default=ROOT / "dist")
    given = parser.parse_args(arguments)
    try:
        tree = release(
            given.tag,
            given.output.resolve(),
            project=(ROOT / "pyproject.toml").read_text(encoding="utf-8"),
            changelog=(ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
            repository=os.environ.get("GITHUB_REPOSITORY") or package.OWNERLESS,
        )
    except ReleaseError as error:
        console.print(f"[red]error:[/] {escape(str(error))}")
        return 2
    except PackageError as error:
        console.print(f"[red]error:[/] {escape(str(error))}")
        return 1
    console.print(
        f"The release {given.tag} is in {tree}: wheel, DAG files, plugin, their archive, SBOM, notes, checksums."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
