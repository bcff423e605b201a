"""The time zone whose midnights begin days, as services are configured with it."""

import asyncio

from viabtc.edges.clock import ZoneError, ZoneTable, zone_table
from viabtc.service.failure import EXIT_CONFIGURATION, StartFailure


async def configured_zone(name: str) -> ZoneTable:
    """The zone of `viabtc.timezone`; the machine's when the name is empty.

    Raises:
        StartFailure: there is no such time zone.
    """
    try:
        return await asyncio.to_thread(zone_table, name or None)
    except ZoneError as error:
        key = "viabtc.timezone" if name else "the environment variable TZ"
        raise StartFailure(
            f"{key}: {error}",
            "name a zone such as Asia/Shanghai, and install tzdata",
            EXIT_CONFIGURATION,
        ) from error
