"""What the API takes and gives. Amounts and prices are decimal texts; times are microseconds."""

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Number = Annotated[
    str,
    Field(description="A decimal number as text.", examples=["0.25"], pattern=r"^-?\d+(\.\d+)?$"),
]

PositiveText = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]{1,20}(\.[0-9]{1,20})?$", max_length=41),
    Field(description="A decimal number as text, without exponent.", examples=["0.25"]),
]

SignedText = Annotated[
    str,
    StringConstraints(pattern=r"^-?[0-9]{1,20}(\.[0-9]{1,20})?$", max_length=42),
    Field(description="A decimal number as text, without exponent.", examples=["-0.25"]),
]

UserId = Annotated[int, Field(ge=1, le=2**32 - 1)]
Id = Annotated[int, Field(ge=1, le=2**63 - 1)]
Microseconds = Annotated[
    int, Field(description="Microseconds since 1970-01-01 UTC.", examples=[1795426011133959])
]
Side = Literal["ask", "bid"]

T = TypeVar("T")


class Strict(BaseModel):
    """A body in which an unknown member is an error."""

    model_config = ConfigDict(extra="forbid")


class Page(BaseModel, Generic[T]):
    """A piece of a list, newest first."""

    items: list[T]
    next: str | None = Field(None, description="Cursor of the next page; null at the end.")


class ServerTime(BaseModel):
    """The clock of the server."""

    time: Microseconds


class Asset(BaseModel):
    """Something that is held."""

    name: str
    decimals: int = Field(description="Decimals that balances show.")


class MarketInfo(BaseModel):
    """Two assets that are exchanged."""

    name: str
    base: str
    quote: str
    amount_decimals: int
    price_decimals: int
    min_amount: Number


class Ticker(BaseModel):
    """Figures of the last 24 hours."""

    market: str
    last: Number
    open: Number
    high: Number
    low: Number
    volume: Number = Field(description="Traded base.")
    turnover: Number = Field(description="Traded quote.")


Level = Annotated[list[Number], Field(min_length=2, max_length=2, description="[price, amount]")]


class Depth(BaseModel):
    """Levels of the book, best first."""

    asks: list[Level]
    bids: list[Level]


class Trade(BaseModel):
    """A deal as the public sees it."""

    id: Id
    time: Microseconds
    price: Number
    amount: Number
    taker: Side


class Candle(BaseModel):
    """What was traded in an interval."""

    time: int = Field(description="Start, seconds since 1970-01-01 UTC.")
    open: Number
    high: Number
    low: Number
    close: Number
    volume: Number
    turnover: Number


class PlaceOrder(Strict):
    """An order to place."""

    market: str = Field(max_length=30)
    side: Side
    type: Literal["limit", "market"] = "limit"
    amount: PositiveText = Field(description="Base; for a market bid the quote to spend.")
    price: PositiveText | None = Field(None, description="Quote for one base; limit orders only.")


class Order(BaseModel):
    """An order as it stands."""

    id: Id
    market: str
    side: Side
    type: Literal["limit", "market"]
    status: Literal["open", "finished"]
    created_at: Microseconds
    updated_at: Microseconds
    price: Number
    amount: Number
    remaining: Number
    filled_base: Number
    filled_quote: Number
    fee_paid: Number
    taker_fee_rate: Number
    maker_fee_rate: Number


class OwnTrade(BaseModel):
    """A deal of one of the user's orders."""

    id: Id
    time: Microseconds
    market: str
    side: Side
    role: Literal["maker", "taker"]
    price: Number
    amount: Number
    turnover: Number
    fee: Number


class Balance(BaseModel):
    """What a user holds of an asset."""

    asset: str
    available: Number
    frozen: Number


class BalanceChange(BaseModel):
    """A change of a balance."""

    time: Microseconds
    asset: str
    reason: str
    change: Number
    balance: Number
    detail: dict[str, Any]


class BalanceUpdate(Strict):
    """A deposit (above zero) or withdrawal (below zero) that takes effect once."""

    user: UserId
    asset: str = Field(max_length=15)
    reason: str = Field(min_length=1, max_length=30, pattern=r"^[^\U00010000-\U0010ffff]*$")
    reason_id: Annotated[int, Field(ge=0, le=2**63 - 1)]
    change: SignedText
    detail: dict[str, Any] = Field(default_factory=dict)


class Done(BaseModel):
    """The request took effect."""

    status: Literal["done"] = "done"
