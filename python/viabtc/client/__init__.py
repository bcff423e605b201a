"""A client of the stream that checks every number and every checksum, and comes back by itself.

async with StreamClient("ws://127.0.0.1:8090") as client:
    await client.subscribe("book:BTCUSDT", "trades:BTCUSDT")
    async for message in client:
        ...
"""

from viabtc.client.book import Book
from viabtc.client.errors import RefusedError, StreamError
from viabtc.client.stream import Message, StreamClient

__all__ = ["Book", "Message", "RefusedError", "StreamClient", "StreamError"]
