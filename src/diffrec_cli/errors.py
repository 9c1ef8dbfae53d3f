"""Every error a user can cause: what happened and where, how to fix it, an exit code.

Library code raises these; only the command line turns them into text and a
process status. The exit codes are part of the command surface.
"""

from __future__ import annotations

from typing import Any, ClassVar


class DiffrecError(Exception):
    """Base of all errors that diffrec raises on purpose.

    Parameters
    ----------
    what
        One line: what is wrong and where (``file:line``, column, user, option).
    fix
        One line: what the user can do about it.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix

    def __reduce__(self) -> tuple[Any, ...]:
        """Say how to make a copy in another process, whatever the parameters of a subclass are."""
        return _copied, (type(self), self.what, self.fix)


def _copied(kind: type[DiffrecError], what: str, fix: str) -> DiffrecError:
    error = kind.__new__(kind, what)
    DiffrecError.__init__(error, what, fix)
    return error


class UsageError(DiffrecError):
    """The request itself makes no sense (an option, a combination of options)."""

    exit_code = 2


class ConfigError(UsageError):
    """A hyper-parameter has an impossible value; the message names the field."""


class MissingExtraError(UsageError):
    """An optional package is needed but not installed."""

    def __init__(self, feature: str, package: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs the package {package!r}, which is not installed",
            f"pip install 'diffrec-cli[{extra}]'",
        )


class TrainingError(UsageError):
    """Training failed with these settings (for example, the loss is not finite)."""


class DataError(DiffrecError):
    """The input data cannot be used as it is."""

    exit_code = 3


class DownloadError(DataError):
    """A file cannot be downloaded, or its content is not the published one."""


class NotFoundError(DiffrecError):
    """A model, dataset, user or item of that name does not exist."""

    exit_code = 4


class DeviceError(DiffrecError):
    """The device is missing or out of memory."""

    exit_code = 5


class DistributedError(DeviceError):
    """A process of a job on several processes has ended, or does not answer."""


class StorageError(DiffrecError):
    """The registry or a dataset cannot be read or written."""

    exit_code = 6


class LockedError(StorageError):
    """Another process has locked the registry."""


class CorruptError(StorageError):
    """Stored files are damaged, incomplete or not ours."""


class NewerSchemaError(StorageError):
    """Stored files were written by a newer version of diffrec."""


class GateError(DiffrecError):
    """A metric is below the minimum that was asked for with ``eval --min``."""

    exit_code = 7
