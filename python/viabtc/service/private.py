"""Files that nobody else may use: tokens, accounts, the audit log."""

from pathlib import Path

from viabtc.service.failure import EXIT_CONFIGURATION, StartFailure

_OTHERS = 0o077


def check_private(path: Path, what: str, advice: str) -> None:
    """Refuses a file that others may use; one that is not there is none.

    Raises:
        StartFailure: they may, or it cannot be looked at.
    """
    try:
        is_shared = path.exists() and path.stat().st_mode & _OTHERS
    except OSError as error:
        raise StartFailure(f"cannot use {what} {path}: {error.strerror}", advice) from error
    if is_shared:
        raise StartFailure(
            f"{path} can be used by others", f"run: chmod 600 {path}", EXIT_CONFIGURATION
        )
