"""Every named error. The message says what happened, where, and what to do; the class says whether a retry can help.

A subclass of `TransientError` may go away by itself and is retried with back-off. Everything else is
permanent: it is shown at once and never retried, because the same input would fail the same way.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence

LONGEST_NAME = 100


def nearest(value: str, known: Iterable[str], *, listing: bool = True) -> str:
    """A hint that names the nearest known value, `; did you mean 'geoid'?`, or else lists them if `listing`."""
    names = sorted(set(known))
    # a file may call its columns by texts of any length, which nobody has meant
    folded = {name.casefold(): name for name in names if len(name) <= LONGEST_NAME}
    close = difflib.get_close_matches(value[:LONGEST_NAME].casefold(), folded, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {folded[close[0]]!r}?"
    return f"; known: {listed(names)}" if names and listing else ""


def listed(names: Sequence[str], most: int = 12) -> str:
    """As an error lists names that somebody else has given: the first ones, each by its beginning."""
    return ", ".join(map(shortened, names[:most])) + (", ..." if len(names) > most else "")


def shortened(text: str, longest: int = LONGEST_NAME) -> str:
    """As an error shows a text that somebody else has made: its beginning, where it is long."""
    return text if len(text) <= longest else f"{text[:longest]}..."


def quoted(value: object, longest: int = 300) -> str:
    """As an error shows a value that somebody else has written: its beginning, where it is long."""
    if isinstance(value, int) and value.bit_length() > longest:
        # 0x... may be longer than Python writes in tens
        return "a number of hundreds of digits"
    return shortened(repr(value), longest)


def said_by(error: BaseException) -> str:
    """What a library's error says, on one line of at most 300 characters: it may quote all that a server sent.

    Its name where it says nothing.
    """
    return shortened(" ".join(str(error).split()), 300) or type(error).__name__


class SluicewayError(Exception):
    """Permanent: a person has to change something."""


class TransientError(SluicewayError):
    """May go away by itself: retried with back-off."""


class ConfigError(SluicewayError):
    """A file under include/config/ (or a --file) is wrong. Names file, key, value and the nearest valid one."""


class SettingsError(SluicewayError):
    """An environment variable is missing or wrong."""


class UnknownParamError(SluicewayError):
    """The run's conf holds a key that is no param of the DAG."""


class UnknownTableError(SluicewayError):
    """A run or a command names a table that has no file under include/config/tables/."""


class NoTablesError(SluicewayError):
    """The plan selects no table at all, so a green run would mean nothing."""


class SourceMissingError(SluicewayError):
    """The file, member, layer or table a source names is not there."""


class SourceUnreadableError(SluicewayError):
    """The source is there and cannot be read as what the spec declares."""


class PrivateAddressError(SluicewayError):
    """A file's address, or what it leads to, is a machine of this network that the deployment has not declared."""


class SourceTooLargeError(SourceUnreadableError):
    """The source holds, or becomes while it is read, more than its table's file allows."""


class EmptyExtractionError(SluicewayError):
    """The source gave no rows, or fewer than checks.min_rows."""


class ShrunkExtractionError(SluicewayError):
    """The source gave far fewer rows than the last good load."""


class SchemaDriftError(SluicewayError):
    """A declared column is missing from the source, or holds another type than declared."""


class TransformError(SluicewayError):
    """The Python of a table's transform raised, or returned no DataFrame."""


class SplitError(SluicewayError):
    """A source cannot be split as its table's file says."""


class PartsError(SluicewayError):
    """The parts of a split table are not all there, or not of one source: its load is told which."""


class TooManyRejectsError(SluicewayError):
    """More rows cannot be loaded than checks.max_rejects allows."""


class CheckFailedError(SluicewayError):
    """The values of a source are not what [checks] of its table's file asks of them, or that cannot be judged."""


class ReferenceMissingError(TransientError):
    """A check refers to a table that is not in the warehouse yet: its first load may be under way."""


class MemoryLimitError(SluicewayError):
    """A load needs more memory than it may have: it needs it at the next try, too."""


class LoadEndedError(TransientError):
    """A load's process was ended by hand, or it crashed."""


class TargetMismatchError(SluicewayError):
    """The warehouse table exists with another shape than the spec declares."""


class ValidationError(SluicewayError):
    """What stands in the warehouse is not what the ledger says was loaded."""


class ViewInUseError(SluicewayError):
    """A view was edited, and something that this run does not publish reads the one that stands."""


class ViewKeyError(SluicewayError):
    """A view holds twice what its file, or an index of its, says is there once."""


class ViewWritesError(SluicewayError):
    """A view calls a function that may do more than read, or shows what is not for its readers."""


class LedgerMissingError(SluicewayError):
    """The warehouse has no ledger, or one of another version."""


class WarehouseError(SluicewayError):
    """PostgreSQL, or BigQuery, refused a statement for a reason that a retry does not change."""

    sqlstate: str | None = None
    """PostgreSQL's code of it."""


class WarehouseUnavailableError(TransientError):
    """PostgreSQL, or BigQuery, cannot be reached, or it ended the session (restart, deadlock, out of connections)."""


class SourceUnavailableError(TransientError):
    """The place a source lives at does not answer at the moment."""


class BrokerUnavailableError(TransientError):
    """What hands Airflow's tasks to Celery's workers does not answer at the moment."""


class EndpointUnavailableError(TransientError):
    """What says which commit an environment serves does not answer at the moment."""


class NoCommitError(SluicewayError):
    """What should say which commit an environment serves says something else."""


class DeployRunError(SluicewayError):
    """A run's id says that it is a commit's run, and its conf says otherwise; or a commit has no id left."""


class DeployTimeoutError(SluicewayError):
    """The environment did not come to serve the run's commit in the time it has."""


class WatchBlindError(SluicewayError):
    """The watch cannot see which commit the environment serves: a deploy would pass unnoticed."""


class StatusNotToldError(SluicewayError):
    """GitHub was not told how a commit's run has ended."""

    def __init__(self, message: str, *, of_all: bool, wait_s: float = 0) -> None:
        super().__init__(message)
        self.of_all = of_all
        """Whether another commit would fare no better at the moment."""
        self.wait_s = wait_s
        """Seconds that GitHub asks to wait; 0: it says nothing."""


class RunFailedError(SluicewayError):
    """The verdict: this run is red, and why."""


class AirflowApiError(SluicewayError):
    """Airflow's REST API refused a request."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class WebhookRefusedError(SluicewayError):
    """A webhook's request is refused, and nothing was started. The message is for who sent it: it holds no secret."""

    def __init__(self, message: str, *, status: int, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s


class BusyError(TransientError):
    """The API server has no thread free for what is asked of the plugin. Nothing was done, or it is not done yet."""


class FaceRefusedError(SluicewayError):
    """Who asks may not read a face of the verdict. The message is for whoever asked: it holds no secret."""

    def __init__(self, message: str, *, status: int, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})


class AccessError(SluicewayError):
    """A role or a user of Airflow cannot be set up, or a token that is named is none."""


class LookOvertakenError(TransientError):
    """Another process has looked at a trigger's place since its state was read: what was found may be told already."""


class AirflowUnreachableError(TransientError):
    """Airflow's REST API does not answer."""


class NotToldError(TransientError):
    """A message did not arrive, or nobody knows whether it did. It holds no address: those of Apprise are secrets."""


class NotHereError(SettingsError):
    """Only Airflow can tell by an alert's notifier. What it is to tell waits for Airflow."""
