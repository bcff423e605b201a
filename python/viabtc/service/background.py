"""A service as the original starts it: checked, then in the background, under a watch."""

import fcntl
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from viabtc import __version__, _core
from viabtc.service import logs, run
from viabtc.service.failure import EXIT_FAULT, EXIT_OK, StartFailure
from viabtc.service.sections import raise_limits
from viabtc.service.settings import SettingsError
from viabtc.service.watch import Watch

if TYPE_CHECKING:
    from viabtc.service.run import HasCommon, Service


def start(service: "Service[HasCommon]", arguments: Sequence[str], pid_file: Path) -> int:
    """`<service>.exe CONFIG`; the exit code of the part that stays in the foreground.

    What is wrong with the configuration, its limits or its log is said before anything goes to the
    background. Working directory and standard streams are kept, so that a failure behind that is
    seen too.
    """
    if len(arguments) != 1:
        print(f"usage: {service.name}.exe CONFIG", file=sys.stderr)
        return EXIT_FAULT
    compiled = time.strftime("%b %e %Y %T", time.localtime(Path(_core.__file__).stat().st_mtime))
    print(f"process: {service.name} version: {__version__}, compile date: {compiled}", flush=True)
    path = Path(arguments[0])
    try:
        common = service.read(path)[0].common
        raise_limits(common)
        written = logs.set_up(service.name, common.log, common.alert)
        lock = _lock(pid_file, service.name)
    except SettingsError as error:
        for problem in error.problems:
            print(f"{error.file}: {problem}", file=sys.stderr)
        return EXIT_FAULT
    except StartFailure as error:
        print(error, file=sys.stderr)
        return EXIT_FAULT
    if os.fork():
        return EXIT_OK
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    os._exit(_watch(service, path, written))


def watch(service: "Service[HasCommon]", path: Path) -> int:
    """Runs a service and starts it again within a second of any end that nobody asked for.

    Raises:
        SettingsError, StartFailure: the file, or the log, cannot be used.
    """
    common = service.read(path)[0].common
    return _watch(service, path, logs.set_up(service.name, common.log, common.alert))


def _watch(service: "Service[HasCommon]", path: Path, written: logs.Logs) -> int:
    for number in run.NOTED_SIGNALS:
        # They are for the service; who sends them by name sends them to us as well.
        signal.signal(number, signal.SIG_IGN)

    def serve() -> int:
        try:
            return run.main(service, path, has_terminal=False)
        except (SettingsError, StartFailure) as error:
            print(error, file=sys.stderr, flush=True)
            # An alert a second would say nothing new.
            write = written.log.warning if watched.is_repeating else written.log.critical
            write("the service cannot start", reason=str(error))
            return EXIT_FAULT

    def ready(pid: int) -> None:
        written.log.info("process is ready", process=pid, vip=True)

    watched = Watch(serve, ready, written.log.critical)
    return watched.run()


def _lock(path: Path, name: str) -> TextIO:
    """The file with the number of the process; held until the watch ends.

    Raises:
        StartFailure: another process holds it, or it cannot be made.
    """
    try:
        file = path.open("a", encoding="ascii")
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StartFailure(f"process: {name} exist", f"stop it: its number is in {path}") from error
    except OSError as error:
        raise StartFailure(f"{path} cannot be made: {error.strerror}", "make its folder") from error
    return file
