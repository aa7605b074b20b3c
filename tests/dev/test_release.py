"""What a tag publishes: built for real, and refused in a sentence while tag, version and changelog do not agree."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tarfile
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest
from trove_classifiers import classifiers

from dev import release
from dev.environment import ROOT
from dev.errors import ReleaseError

PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
VERSION = re.search(r'(?m)^version = "(.+)"$', PROJECT)[1]  # type: ignore[index]
REPOSITORY = "example/warehouse"
SECTION = f"## [{VERSION}] - 2026-12-01\n\n### Added\n\n- All of it.\n"
CHANGELOG = f"# Changelog\n\n## [Unreleased]\n\n{SECTION}\n## [0.0.1] - 2025-01-01\n"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a release."""
    return release.release(
        f"v{VERSION}",
        tmp_path_factory.mktemp("dist"),
        project=PROJECT,
        changelog=CHANGELOG,
        repository=REPOSITORY,
    )


@pytest.fixture(scope="module")
def metadata(built: Path) -> Message:
    """What the release's wheel says of itself."""
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return message_from_bytes(archive.read(f"sluiceway-{VERSION}.dist-info/METADATA"))


def test_the_wheel_bears_the_version_alone_and_its_licence(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    assert wheel.name == f"sluiceway-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert f"sluiceway-{VERSION}.dist-info/licenses/LICENSE" in names
    assert "sluiceway/on_airflow/graphs/refresh.py" in names


def test_an_index_can_say_what_it_is_whose_and_by_which_licence(metadata: Message) -> None:
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Author"] == "the Sluiceway authors"
    assert {"airflow", "postgis"} <= {*metadata["Keywords"].split(",")}
    said = metadata.get_all("Classifier", [])
    assert len(said) > 10 and set(said) <= classifiers
    # PEP 639: beside an expression an index refuses them
    assert [each for each in said if each.startswith("License ::")] == []


def test_the_addresses_are_those_of_the_repository_that_releases(metadata: Message) -> None:
    urls = dict(each.split(", ") for each in metadata.get_all("Project-URL", []))
    assert urls.keys() == {"Homepage", "Documentation", "Changelog", "Issues", "Security"}
    assert {url.removeprefix(f"https://github.com/{REPOSITORY}").split("/")[0] for url in urls.values()} == {""}


def test_the_description_leads_to_the_files_of_the_tag_wherever_it_is_read(metadata: Message) -> None:
    text = str(metadata.get_payload())
    found = re.findall(r"\]\(([^)#]+)", text)
    assert [each for each in found if not each.startswith("https://")] == []
    root = f"https://github.com/{REPOSITORY}"
    assert f"{root}/blob/v{VERSION}/docs/start.md" in found
    assert f"{root}/raw/v{VERSION}/docs/architecture.svg" in found
    assert "OWNER" not in text and f"uses: {REPOSITORY}/.github/actions/trigger-etl@" in text


def test_the_dag_files_are_one_file_with_the_licence_and_the_same_each_time(built: Path, tmp_path: Path) -> None:
    archive = built / f"sluiceway-dags-v{VERSION}.tar.gz"
    with tarfile.open(archive) as held:
        files = {member.name for member in held if member.isfile()}
        assert {(member.uid, member.uname, member.mtime) for member in held} == {(0, "", 0)}
    assert {"LICENSE", "requirements.txt", "dags/master_etl.py", "dags/.airflowignore"} <= files
    assert "plugins/sluiceway_plugin.py" in files
    release.pack(built, tmp_path / archive.name)
    assert (tmp_path / archive.name).read_bytes() == archive.read_bytes()


def test_the_notes_are_the_changelogs_section(built: Path) -> None:
    assert (built / "notes.md").read_text() == "### Added\n\n- All of it.\n"


def test_the_list_of_parts_holds_what_the_lock_installs(built: Path) -> None:
    listed = json.loads((built / f"sluiceway-{VERSION}.cdx.json").read_text())
    assert listed["bomFormat"] == "CycloneDX"
    parts = {each["name"]: each for each in listed["components"]}
    airflow = re.search(r"(?m)^apache-airflow==(\S+)", (ROOT / "requirements.lock").read_text())
    assert airflow and parts["apache-airflow"]["version"] == airflow[1]
    assert listed["metadata"]["component"]["name"] == "sluiceway"


def test_every_file_has_its_checksum(built: Path) -> None:
    sums = dict(reversed(line.split("  ")) for line in (built / "SHA256SUMS").read_text().splitlines())
    files = {str(path.relative_to(built)) for path in built.rglob("*") if path.is_file()} - {"SHA256SUMS"}
    assert set(sums) == files and len(files) > 8
    assert {f"sluiceway-dags-v{VERSION}.tar.gz", f"sluiceway-{VERSION}-py3-none-any.whl"} <= files
    for name, digest in sums.items():
        assert hashlib.sha256((built / name).read_bytes()).hexdigest() == digest


@pytest.mark.parametrize("field", ["Summary", "Author", "Keywords", "Classifier", "Project-URL"])
def test_a_wheel_without_what_an_index_asks_for_is_refused(built: Path, tmp_path: Path, field: str) -> None:
    (wheel,) = built.glob("*.whl")
    bare = tmp_path / wheel.name
    with zipfile.ZipFile(wheel) as whole, zipfile.ZipFile(bare, "w") as archive:
        for name in whole.namelist():
            text = whole.read(name)
            if name.endswith("METADATA"):
                text = re.sub(rf"(?m)^{field}: .*\n".encode(), b"", text)
            archive.writestr(name, text)
    with pytest.raises(ReleaseError, match=f"the metadata lacks {field}; add it to pyproject"):
        release.check_metadata(bare, VERSION)


def test_a_wheel_of_another_version_is_refused(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    bare = tmp_path / wheel.name
    shutil.copy(wheel, bare)
    with pytest.raises(ReleaseError, match=f"says version '{re.escape(VERSION)}', not '9.9.9'"):
        release.check_metadata(bare, "9.9.9")


@pytest.mark.parametrize(
    ("tag", "changelog", "sentence"),
    [
        ("0.1.0", CHANGELOG, "'0.1.0' is no version; write v and three numbers, such as v0.1.0"),
        ("v9.9.9", CHANGELOG, f"'v9.9.9' is not the version of pyproject.toml, '{VERSION}'; change one of them"),
        (f"v{VERSION}", "## [Unreleased]\n- x\n", f"has no section \\[{VERSION}\\]; rename \\[Unreleased\\] to"),
        (f"v{VERSION}", f"## [{VERSION}]\n- x\n", "has no date"),
        (f"v{VERSION}", f"## [{VERSION}] - 2026-12-01\n\n## [0.0.1] - 2025-01-01\n- x\n", "is empty"),
        (
            f"v{VERSION}",
            f"## [Unreleased]\n- y\n## [{VERSION}] - 2026-12-01\n- x\n",
            "holds changes that the release has",
        ),
    ],
)
def test_a_tag_that_does_not_agree_with_the_rest_is_refused(tag: str, changelog: str, sentence: str) -> None:
    with pytest.raises(ReleaseError, match=sentence):
        release.version_of(tag, project=PROJECT, changelog=changelog)


def test_the_command_refuses_with_2_and_builds_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert release.main(["v9.9.9", "--output", str(tmp_path)]) == 2
    assert "v9.9.9" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("repository", ["warehouse", "example/ware house", "https://github.com/example/warehouse"])
def test_a_repository_that_is_none_is_refused(tmp_path: Path, repository: str) -> None:
    with pytest.raises(
        ReleaseError, match=f"GITHUB_REPOSITORY: {re.escape(repr(repository))} is no repository; write "
    ):
        release.release(f"v{VERSION}", tmp_path, project=PROJECT, changelog=CHANGELOG, repository=repository)
    assert list(tmp_path.iterdir()) == []
