"""A book that is put together, and what is shown of it."""

from rich.console import Console

from viabtc.client import Book
from viabtc.client.watch import View
from viabtc.contract.channels import book_checksum

ASKS = [("8000", "1"), ("10000", "2")]
BIDS = [("7000.5", "3"), ("900", "4")]


def test_steps_lead_to_the_servers_book_and_the_checksum_says_so() -> None:
    book = Book()
    whole = {"asks": ASKS[::-1], "bids": BIDS, "checksum": book_checksum(ASKS, BIDS)}
    assert book.apply(whole, is_whole=True)
    assert (book.asks, book.bids) == (ASKS, BIDS)
    asks = [("9000", "5"), ("10000", "2")]
    step = {"asks": [("8000", "0"), ("9000", "5")], "bids": []}
    assert book.apply({**step, "checksum": book_checksum(asks, BIDS)}, is_whole=False)
    assert book.asks == asks
    assert not book.apply({"asks": [], "bids": [], "checksum": 1}, is_whole=False)


def test_a_checksum_is_of_prices_and_amounts_as_they_are_written() -> None:
    # CRC-32 of the four bytes `1 2` and a line feed.
    assert book_checksum([("1", "2")], []) == 0x5C3BBB57
    assert book_checksum([("1", "2")], []) != book_checksum([("1.0", "2")], [])
    assert book_checksum([], []) == 0


def test_what_is_shown_fits_the_terminal_and_holds_the_best_prices() -> None:
    view = View("BTCUSDT")
    view.asks = [(str(8000 + number), "1") for number in range(100)]
    view.bids = [(str(7999 - number), "2") for number in range(100)]
    view.trades.append({"time": 0, "price": "7999.5", "amount": "0.25", "type": "buy"})
    view.ticker = {"last": "7999.5", "open": "8000", "high": "1", "low": "1", "volume": "1"}
    console = Console(width=100, height=24, record=True)
    console.print(view.render(console.height))
    lines = console.export_text().splitlines()
    assert len(lines) <= 24
    shown = "\n".join(lines)
    assert all(text in shown for text in ("BTCUSDT", "8000", "7999", "7999.5", "00:00:00"))
    assert "spread" in shown
