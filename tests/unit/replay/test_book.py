"""The client's own book, on paper-sized cases."""

from viabtc.replay.book import Book, Order
from viabtc.replay.events import Side


def order(ticket: int, side: Side, price: int, amount: int) -> Order:
    return Order(ticket, str(ticket), 1, side, price, amount)


def test_an_order_trades_by_price_then_time_at_the_resting_price() -> None:
    book = Book()
    for resting in (
        order(1, Side.ASK, 12, 5),
        order(2, Side.ASK, 11, 2),
        order(3, Side.ASK, 11, 4),
    ):
        assert book.place(resting) == []
    deals = book.place(order(4, Side.BID, 12, 8))
    assert [(deal.maker.ticket, deal.price, deal.amount) for deal in deals] == [
        (2, 11, 2),
        (3, 11, 4),
        (1, 12, 2),
    ]
    assert book.levels(Side.ASK) == [(12, 3)]
    assert book.levels(Side.BID) == []


def test_what_does_not_trade_rests_behind_older_orders_of_its_price() -> None:
    book = Book()
    book.place(order(1, Side.BID, 10, 1))
    book.place(order(2, Side.BID, 11, 1))
    book.place(order(3, Side.BID, 10, 2))
    assert book.place(order(4, Side.ASK, 12, 1)) == []
    assert [resting.ticket for resting in book.orders(Side.BID)] == [2, 1, 3]
    assert book.levels(Side.BID) == [(11, 1), (10, 3)]


def test_a_market_bid_stops_when_its_money_buys_nothing_more() -> None:
    book = Book()
    book.place(order(1, Side.ASK, 10, 1))
    book.place(order(2, Side.ASK, 20, 5))
    deals = book.buy(49)
    assert [(deal.price, deal.amount) for deal in deals] == [(10, 1), (20, 1)]
    assert book.levels(Side.ASK) == [(20, 4)]


def test_a_market_ask_sells_to_the_best_and_what_is_left_is_dropped() -> None:
    book = Book()
    book.place(order(1, Side.BID, 10, 1))
    assert [deal.amount for deal in book.sell(3)] == [1]
    assert book.best(Side.BID) is None


def test_a_cancelled_order_leaves_no_level_behind() -> None:
    book = Book()
    resting = order(1, Side.BID, 10, 1)
    book.place(resting)
    book.cancel(resting)
    assert book.best(Side.BID) is None
    assert list(book.orders(Side.BID)) == []
