"""Work that may wait: threads that follow the engine give way to it.

On a busy machine every thread that renders or stores history competes with the engine and its ports
for a processor. On Linux niceness belongs to a thread, so these threads are made nicer than the
others; nothing is lost but their pace, which their lag tells.
"""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Final

NICENESS: Final = 10
"""About a tenth of the weight of other threads, and all of a processor that nobody else wants."""


def give_way() -> None:
    """Makes the calling thread nicer; a start without the right to do so goes on as it is."""
    thread = threading.get_native_id()
    os.setpriority(os.PRIO_PROCESS, thread, max(NICENESS, os.getpriority(os.PRIO_PROCESS, thread)))


def background(threads: int, name: str) -> ThreadPoolExecutor:
    """An executor whose threads give way."""
    return ThreadPoolExecutor(threads, name, initializer=give_way)
