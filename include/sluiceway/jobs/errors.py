"""What goes wrong while items are worked on, by what follows from it."""

from __future__ import annotations

from sluiceway.errors import SluicewayError


class ServiceError(SluicewayError):
    """The service failed, not the item: 5xx, no answer, no JSON. No attempt counts while it answers nobody.

    :param service: its name, where the job asks more than one; else it is the job's own.
    """

    def __init__(self, message: str, *, service: str | None = None) -> None:
        super().__init__(message)
        self.service = service


class ServicePausedError(ServiceError):
    """The service wants nobody to ask for a while (429), or a person has paused it.

    :param seconds: until it may be asked again.
    """

    def __init__(self, message: str, seconds: float, *, service: str | None = None) -> None:
        super().__init__(message, service=service)
        self.seconds = seconds


class JobSetupError(SluicewayError):
    """What every item needs is missing or refused, such as a token: no item is touched."""


class JobPausedError(SluicewayError):
    """A person has paused the job: nothing is made due."""


class BrokenWorkError(SluicewayError):
    """The job's function raised what it should not."""


class WorkHungError(SluicewayError):
    """The job's function did not come back in time."""


class WrongAnswerError(SluicewayError):
    """The job's function gave no answer for an item, or one that fits no column."""
