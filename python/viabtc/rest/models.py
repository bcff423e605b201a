"""What the API takes and gives. Amounts and prices are decimal texts; times are microseconds."""

from typing import Annotated, Any, Final, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from viabtc.rest.names import ClientOrderId
from viabtc.rest.words import pattern

Number = Annotated[
    str,
    Field(description="A decimal number as text.", examples=["0.25"], pattern=r"^-?\d+(\.\d+)?$"),
]

POSITIVE: Final = pattern(
    r"^[0-9]{1,20}(\.[0-9]{1,20})?$",
    "a decimal number of 0 or more, without exponent, with at most 20 digits before and"
    ' behind its point, such as "0.25"',
)

_SIGNED: Final = pattern(
    r"^-?[0-9]{1,20}(\.[0-9]{1,20})?$",
    "a decimal number without exponent, with at most 20 digits before and behind its point,"
    ' such as "-0.25"',
)

PositiveText = Annotated[
    str,
    StringConstraints(pattern=POSITIVE, max_length=41),
    Field(description="A decimal number as text, without exponent.", examples=["0.25"]),
]

SignedText = Annotated[
    str,
    StringConstraints(pattern=_SIGNED, max_length=42),
    Field(description="A decimal number as text, without exponent.", examples=["-0.25"]),
]


def _check_plane(text: str) -> str:
    if text and max(text) > "\uffff":
        raise PydanticCustomError("plane", "characters beyond U+FFFF cannot be kept")
    return text


KeptText = Annotated[
    str,
    AfterValidator(_check_plane),
    # Not as a pattern: generators of requests expand such a class for seconds.
    Field(description="Characters beyond U+FFFF are refused: no column keeps them."),
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


def tried_out(**example: Any) -> ConfigDict:
    """As `Strict`, with the body that the documentation sends when it is tried out."""
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [example]})


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
    status: Literal["trading", "halted"] = Field(
        description="A halted market takes no new orders; cancels go on."
    )


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

    model_config = tried_out(
        market="ETHUSDT", side="bid", type="limit", amount="0.25", price="2950"
    )

    market: str = Field(max_length=30)
    side: Side
    type: Literal["limit", "market"] = "limit"
    amount: PositiveText = Field(description="Base; for a market bid the quote to spend.")
    price: PositiveText | None = Field(None, description="Quote for one base; limit orders only.")
    client_order_id: ClientOrderId | None = Field(
        None,
        description="A name of your own. The same order under it takes effect once in 24 hours:"
        " sent again, it is answered as at first; another order under it is refused.",
        examples=["bot-1.42", "0d6f1c2e-5b7a-4c1d-9e3f-8a2b4c6d8e0f"],
    )


class Order(BaseModel):
    """An order as it stands."""

    id: Id
    client_order_id: str | None = Field(None, description="As it was placed with.")
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

    model_config = tried_out(
        user=1, asset="USDT", reason="deposit", reason_id=1, change="1000", detail={}
    )

    user: UserId
    asset: str = Field(max_length=15)
    reason: KeptText = Field(min_length=1, max_length=30)
    reason_id: Annotated[int, Field(ge=0, le=2**63 - 1)]
    change: SignedText
    detail: dict[str, Any] = Field(default_factory=dict)


Decimals = Annotated[int, Field(ge=0, le=20)]
Note = Annotated[
    KeptText,
    Field(
        max_length=200,
        description="Why, for those who look later. Characters beyond U+FFFF are refused.",
        examples=["planned upgrade"],
    ),
]
_ASSET: Final = pattern(
    r"^[A-Za-z0-9_.-]{1,15}$", 'a name of 1 to 15 letters, digits, `_`, `.`, `-`, such as "DOGE"'
)
_NAME: Final = pattern(
    r"^[A-Za-z0-9_.-]{1,30}$", 'a name of 1 to 30 letters, digits, `_`, `.`, `-`, such as "bot-1"'
)
AssetName = Annotated[str, Field(pattern=_ASSET, examples=["DOGE"])]
NewMarketName = Annotated[str, Field(pattern=_NAME, examples=["DOGEUSDT"])]


class Reasoned(Strict):
    """Something that an administrator does."""

    model_config = tried_out(note="planned upgrade")

    note: Note = ""


class NewAsset(Reasoned):
    """An asset to add."""

    model_config = tried_out(name="DOGE", decimals_kept=16, decimals=8)

    name: AssetName
    decimals_kept: Decimals = Field(description="Decimals that balances keep.", examples=[16])
    decimals: Decimals = Field(description="Decimals that balances show.", examples=[8])


class AssetChange(Reasoned):
    """Settings of an asset to change; what is left out stays. Decimals only grow."""

    model_config = tried_out(decimals_kept=18, note="planned upgrade")

    decimals_kept: Decimals | None = Field(None, examples=[18])
    decimals: Decimals | None = Field(None, examples=[10])


class NewMarket(Reasoned):
    """A market to open."""

    model_config = tried_out(
        name="DOGEUSDT",
        base="DOGE",
        quote="USDT",
        amount_decimals=2,
        price_decimals=6,
        min_amount="1",
    )

    name: NewMarketName
    base: AssetName
    quote: str = Field(pattern=_ASSET, examples=["USDT"])
    amount_decimals: Decimals = Field(examples=[4])
    price_decimals: Decimals = Field(examples=[6])
    fee_decimals: Decimals = 4
    min_amount: PositiveText = Field(description="Smallest order, in base.")


class MarketChange(Reasoned):
    """Settings of a market to change; what is left out stays. Decimals only grow."""

    model_config = tried_out(min_amount="0.001", note="planned upgrade")

    amount_decimals: Decimals | None = Field(None, examples=[6])
    price_decimals: Decimals | None = Field(None, examples=[8])
    fee_decimals: Decimals | None = Field(None, examples=[6])
    min_amount: PositiveText | None = Field(None, description="Smallest order, in base.")


class KeptAsset(BaseModel):
    """An asset as the engine keeps it."""

    name: str
    decimals_kept: int
    decimals: int


class State(BaseModel):
    """What the exchange is made of, beside what everybody sees."""

    halted: list[str] = Field(description="Markets that take no new orders.")
    assets: list[KeptAsset]
    sequence: int = Field(description="Of the last command.")
    changed_at: int = Field(description="Of the last change of markets or assets; 0 for none.")


Scope = Literal["read", "trade", "admin"]
Label = Annotated[
    str,
    Field(
        pattern=_NAME,
        description="Names it among others; an administrator's stands in journal and audit log.",
        examples=["bot-1"],
    ),
]


class NewUser(Reasoned):
    """A user to make."""

    model_config = tried_out(id=1001, name="Ada")

    id: UserId
    name: str = Field(max_length=64, examples=["Ada"])


class UserAccount(BaseModel):
    """A user who may have tokens."""

    id: UserId
    name: str
    status: Literal["active", "disabled"]
    created_at: Microseconds


class NewToken(Reasoned):
    """A token to issue: `read` and `trade` of a user, or `admin` without one."""

    model_config = tried_out(user=1001, scopes=["read", "trade"], label="bot-1")

    user: UserId | None = None
    scopes: list[Scope] = Field(min_length=1, max_length=2, examples=[["read", "trade"]])
    label: Label


class TokenInfo(BaseModel):
    """A token without its secret."""

    id: str
    user: UserId | None
    scopes: list[str]
    label: str
    created_at: Microseconds


class IssuedToken(TokenInfo):
    """A token, this once."""

    token: str = Field(description="For `Authorization: Bearer` and `server.auth`.")


class Done(BaseModel):
    """The request took effect."""

    status: Literal["done"] = "done"
