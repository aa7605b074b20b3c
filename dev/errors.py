"""Every named error of the local stack; each message says what happened and what to do next."""


class StackError(Exception):
    """The local stack cannot do what was asked."""


class PostgresMissingError(StackError):
    """No usable PostgreSQL server is installed."""


class ClusterVersionError(StackError):
    """The data folder was made by a PostgreSQL that is not installed here."""


class ClusterAccessError(StackError):
    """The user that has to run PostgreSQL cannot reach the data folder."""


class ClusterStartError(StackError):
    """PostgreSQL did not come up."""


class StackStartError(StackError):
    """A component of the stack did not become healthy."""


class PeersMissingError(StackError):
    """A program that a benchmark or a test compares with is not installed."""


class PackageError(StackError):
    """A package to deploy cannot be built, or what was built does not work."""


class ReleaseError(StackError):
    """A tag, the version or the changelog is not that of a release."""


class BrowserMissingError(StackError):
    """The browser of the tests of pages is not installed, or axe-core was not fetched."""
