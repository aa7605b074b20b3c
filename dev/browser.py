"""The browser of the tests of pages, and axe-core, which looks for what keeps people from using them.

`python -m dev.browser` installs what is missing where it can (Debian, as root or with sudo). `make test` runs it, not
`make setup`: nothing else needs a browser.
"""

import base64
import hashlib
import io
import logging
import os
import shutil
import subprocess
import sys
import tarfile
import urllib.request
from pathlib import Path

from dev.environment import ROOT
from dev.errors import BrowserMissingError

log = logging.getLogger(__name__)

PROGRAMS = ("chromium", "google-chrome-stable", "google-chrome", "chrome")
PLACES = (Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"),)
MISSING = """\
The tests of pages need Chromium, and it cannot be installed from here: {why}.
  Debian:  sudo apt-get install chromium fonts-dejavu-core
  Ubuntu, macOS:  install Google Chrome
Then run make test again, or leave these tests out: make test ARGS="--ignore tests/integration/pages"."""

AXE_VERSION = "4.14.1"
AXE_HASH = "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
"""As the registry of npm has it (dist.integrity), and as a lock file of npm would pin it."""
AXE_URL = f"https://registry.npmjs.org/axe-core/-/axe-core-{AXE_VERSION}.tgz"
AXE = ROOT / ".local" / f"axe-core-{AXE_VERSION}.js"


def chromium() -> Path:
    """The browser.

    :raises BrowserMissingError: there is none.
    """
    found = [Path(path) for name in PROGRAMS if (path := shutil.which(name))]
    found += [path for path in PLACES if path.exists()]
    if not found:
        raise BrowserMissingError(MISSING.format(why="run make test, which installs it where it can"))
    return found[0]


def axe() -> str:
    """The script that finds what is wrong with a page.

    :raises BrowserMissingError: it was not fetched yet.
    """
    if not AXE.exists():
        raise BrowserMissingError("axe-core is missing: run make test, which fetches it, or python -m dev.browser.")
    return AXE.read_text(encoding="utf-8")


def ensure() -> None:
    """Install the browser and fetch axe-core, if they are not there."""
    try:
        chromium()
    except BrowserMissingError:
        _apt_install()
        chromium()
    if not AXE.exists():
        _fetch_axe()


def _apt_install() -> None:
    if not shutil.which("apt-get"):
        raise BrowserMissingError(MISSING.format(why="this machine has no apt-get"))
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if sudo and (
        not shutil.which("sudo") or subprocess.run([*sudo, "true"], capture_output=True, check=False).returncode
    ):
        raise BrowserMissingError(MISSING.format(why="it needs root, or sudo without a password"))
    log.info("Installing chromium and fonts-dejavu-core")
    subprocess.run([*sudo, "apt-get", "update", "-q"], check=True)
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", "chromium", "fonts-dejavu-core"]
    subprocess.run([*sudo, "env", "DEBIAN_FRONTEND=noninteractive", *install], check=True)


def _fetch_axe() -> None:
    """One file of the package, after its hash has been compared."""
    log.info("Fetching axe-core %s", AXE_VERSION)
    with urllib.request.urlopen(AXE_URL, timeout=60) as answer:
        package = answer.read()
    found = f"sha512-{base64.b64encode(hashlib.sha512(package).digest()).decode()}"
    if found != AXE_HASH:
        raise BrowserMissingError(f"{AXE_URL} is another file than was pinned: its hash is {found}, not {AXE_HASH}.")
    with tarfile.open(fileobj=io.BytesIO(package)) as archive:
        script = archive.extractfile("package/axe.min.js")
        assert script is not None
        AXE.parent.mkdir(exist_ok=True)
        partial = AXE.with_suffix(".partial")
        partial.write_bytes(script.read())
        partial.replace(AXE)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        ensure()
    except (BrowserMissingError, OSError, subprocess.CalledProcessError) as error:
        log.error("%s", error)
        sys.exit(1)
