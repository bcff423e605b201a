"""What ends a start: said in one paragraph, with the exit code that goes with it."""

import errno
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from viabtc import _core

EXIT_OK: Final = 0
EXIT_FAULT: Final = 1
"""Something outside failed, or a check did not hold."""
EXIT_CONFIGURATION: Final = 2
"""The configuration or the arguments cannot work."""


class StartFailure(Exception):  # noqa: N818 - a start that fails, not an error of the program
    """A process cannot start: what is wrong and where, and what to do about it."""

    def __init__(self, problem: str, remedy: str, exit_code: int = EXIT_FAULT) -> None:
        super().__init__(f"{problem}. What to do: {remedy}.")
        self.problem = problem
        self.remedy = remedy
        self.exit_code = exit_code


@contextmanager
def core_failures(part: str = "") -> Iterator[None]:
    """Turns what the compiled module raises at a start into a `StartFailure`.

    Args:
        part: Section of the configuration that a wrong key belongs to, such as `svr`.

    Raises:
        StartFailure: in the words of the compiled module.
    """
    try:
        yield
    except _core.StartError as error:
        problem, remedy = error.args
        raise StartFailure(str(problem), str(remedy)) from error
    except _core.ConfigError as error:
        key, problem, right = error.args
        name = f"{part}.{key}" if part else str(key)
        raise StartFailure(
            f"{name} {problem}", f"right would be {right}", EXIT_CONFIGURATION
        ) from error


_REMEDY: Final = "look at that file or address, and at the machine's log"
_REMEDIES: Final = {
    errno.EACCES: "run it as a user who may, such as root",
    errno.EPERM: "run it as a user who may, such as root",
    errno.ENOENT: "name one that is there",
    errno.EEXIST: "move it aside, or name another",
    errno.ENOTDIR: "name a folder",
    errno.EISDIR: "name a file",
    errno.ENOSPC: "free space, or name another disk",
    errno.EROFS: "name a disk that can be written",
}
"""What helps against failures of the system that no command has expected."""


def of_the_system(error: OSError, package: Path) -> StartFailure:
    """A failure that nobody expected, with the place in the files of `package`."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(package)]
    place = f" ({Path(ours[-1].filename).name}:{ours[-1].lineno})" if ours else ""
    about = f"{error.filename}: " if error.filename else ""
    remedy = _REMEDIES.get(error.errno or 0, _REMEDY)
    return StartFailure(f"{about}{error.strerror or error}{place}", remedy)
