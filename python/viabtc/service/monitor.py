"""The monitor port: a connection that is accepted says that the process lives, and nothing else."""

import asyncio
import contextlib

from viabtc.protocol.addresses import Place
from viabtc.service.failure import StartFailure


async def open_monitor(place: Place) -> asyncio.Server:
    """A port that accepts and discards, for probes.

    Raises:
        StartFailure: it cannot be opened.
    """

    async def discard(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while await reader.read(1024):
                pass
        writer.close()

    host, port = place
    try:
        return await asyncio.start_server(discard, host, port, reuse_port=True)
    except OSError as error:
        raise StartFailure(
            f"cannot listen on {host}:{port} for the monitor: {error.strerror}",
            "stop the process that listens there, or change monitor.bind",
        ) from error
