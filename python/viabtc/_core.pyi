"""Types of the compiled module: the engine with its journal, and the data ports."""

from collections.abc import Callable, Sequence
from typing import Any, Final, Self, final

VERSION: Final[str]
METHODS: Final[tuple[dict[str, Any], ...]]
CHANNELS: Final[tuple[dict[str, Any], ...]]
STREAM_PATH: Final[str]
"""One row per method: name, command, owner, effect, params, result, errors, summary."""

class CoreError(Exception):
    """Base of every error that the compiled module raises."""

class ConfigError(CoreError):
    """A configuration that cannot work; args: (key, problem, remedy)."""

class StartError(CoreError):
    """The engine or a port could not start; args: (problem, remedy)."""

class UnavailableError(CoreError):
    """The engine stopped or refuses work."""

def validate_params(params: bytes) -> None:
    """Checks the parameters of a call (a JSON array), which services read strictly.

    Raises:
        ValueError: they hold U+0000, an integer beyond 64 bits, or too many levels: a service
            closes the connection that brings them.
    """

def one_line_object(text: str) -> str | None:
    """A JSON object's text in the one-line form of answers, numbers and escapes as in them.

    Characters beyond U+FFFF come as pairs of surrogates. None for what services do not read as an
    object.
    """

def validate_config(config: str) -> None:
    """Checks assets and markets of a matchengine configuration (JSON text).

    Raises:
        ConfigError: names the key, what is wrong with it and what would be right.
    """

@final
class Engine:
    """The exchange with its journal, on a thread of its own."""

    def __new__(
        cls,
        config: str,
        directory: str,
        *,
        durability: str = "local",
        segment_bytes: int = 67_108_864,
        epoch_min: int = 0,
        is_continued: bool = False,
        build: str = "",
    ) -> Self:
        """Recovers from `directory` (created when missing) and starts.

        Args:
            config: JSON text with `assets`, `markets`, `debug`, as in the original's file, and
                `update_window_days`.
            durability: `local` (acknowledged when synced), `operlog` (when another store has it
                too, as `acknowledge` says) or `async` (at once).
            epoch_min: The journal's epoch is at least this.
            is_continued: Whether `redo` comes first: opening counts as of the last record's time.

        Raises:
            ConfigError, StartError
        """

    @property
    def recovery(self) -> dict[str, Any]:
        """What the start found.

        Keys: snapshot_sequence, replayed, sequence, epoch, torn_bytes, was_clean, seconds, notes.
        """

    def call(self, command: int, params: bytes, id: int = 0) -> bytes:
        """Answers one RPC body with the reply body; blocks until durable, without holding the GIL.

        Raises:
            ValueError: `params` is not a JSON array.
            UnavailableError: the engine stopped.
        """

    def status(self) -> dict[str, Any]:
        """Positions.

        Keys: sequence, epoch, order_id, deal_id, operlog_id, digest, time_us, durable_sequence,
        queue, and changed_at: sequence of the last command of our own kinds, 0 without one.
        """

    def balances(
        self, asset: str | None = None, user: int | None = None
    ) -> list[tuple[int, str, str, str]]:
        """Rows (user, asset, `available` or `freeze`, raw amount), by user, then asset."""

    def summaries(self) -> list[dict[str, Any]]:
        """Sums per asset, amounts as raw texts.

        Keys: name, total, available, available_count, frozen, frozen_count, fees_collected,
        supply.
        """

    def audit(self) -> dict[str, Any]:
        """Recomputes every invariant from the whole state: ok, violation, sequence, digest."""

    def metrics(self) -> dict[str, int]:
        """Counters and gauges by Prometheus name, without the `viabtc_` prefix."""

    def acknowledge(self, sequence: int) -> None:
        """Says that the other store was heard of, and has every command up to `sequence`.

        With the durability `operlog` the replies of these commands leave, and for the next second
        writes are taken; otherwise nothing happens.
        """

    def shut(self) -> None:
        """Refuses writes from now on, with the durability `operlog`; those taken are answered."""

    def redo(self, operations: Sequence[tuple[int, int, int, bytes]]) -> int:
        """Applies entries of a log (number, time_us, command, params); the sequence of the last.

        Raises:
            StartError: an entry is missing, or cannot be applied; those before it are.
            UnavailableError: the engine stopped.
        """

    def rotate(self) -> int:
        """Closes the current journal segment so that a snapshot can cover it; its last sequence."""

    @property
    def halt(self) -> dict[str, Any] | None:
        """Why nothing is changed any more, once funds did not add up.

        Keys: asset, detail, command (0 when none was at work), sequence (of the last command in the
        journal), time_us, file (beside the journal; None when it could not be written).
        """

    def is_alive(self) -> bool:
        """False once the engine thread ended, by stop() or by a fault."""

    def stop(self, deadline_s: float = 5.0) -> bool:
        """Refuses new commands, finishes accepted ones, seals; True when all were answered."""

@final
class MarketBoard:
    """Candles, last prices and recent deals; the ports answer from it without Python.

    It is kept up either from messages of the topic `deals` or from an engine's feed.
    """

    def __new__(
        cls,
        markets: Sequence[str],
        *,
        zone: tuple[int, Sequence[tuple[int, int]]] = ...,
        sec_max: int = 604_800,
        min_max: int = 525_600,
        hour_max: int = 87_600,
        first_candle_zero: bool = False,
        debug: bool = False,
    ) -> Self:
        """An empty board.

        Args:
            markets: Known before their first deal.
            zone: Offset before the first change, then `(second, offset)`; seconds east of UTC.
            debug: Indents answers.

        Raises:
            ConfigError: the zone is no table of offsets.
        """

    def call(self, command: int, params: bytes, id: int = 0) -> bytes:
        """Answers one request.

        Raises:
            ValueError: `params` is no JSON array, or the command is not one of market data.
        """

    def list_markets(self, names: Sequence[str]) -> None:
        """Makes markets known before their first deal."""

    def restore(
        self,
        market: str,
        candles: dict[str, list[tuple[int, bytes]]],
        deals: list[bytes],
        last: str | None,
    ) -> int:
        """Puts back what a store has of a market; how many entries were malformed.

        Args:
            candles: By length (`1s`, `1m`, `1h`, `1d`): first second and text.
            deals: Oldest first.
        """

    def import_candles(self, market: str, length: str, rows: list[tuple[int, bytes]]) -> int | None:
        """Puts candles of elsewhere in: first second and text.

        Returns:
            The place of the first that is none: it is malformed, a price is below its low or above
            its high, it does not begin where candles of its length do, or there is one already.
        """

    def derive_longer(self, market: str) -> None:
        """Makes a market's longer candles, where it has none, and its last price of the shorter."""

    def set_position(
        self, *, offset: int | None = None, number: int | None = None, sequence: int = 0
    ) -> None:
        """Says where the restored state stands."""

    @property
    def position(self) -> dict[str, Any]:
        """`offset` and `number` of the topic (None at first), `sequence` of the feed."""

    @property
    def last_deal(self) -> int:
        """The largest id of a deal; 0 before the first."""

    def apply_messages(
        self,
        messages: Sequence[tuple[int, bytes | None, int | None]],
        *,
        until_gap: bool = False,
    ) -> dict[str, Any]:
        """Counts messages of the topic in: offset, payload, number.

        Args:
            messages: In the order of the topic.
            until_gap: Stop before a message that others should have preceded.

        Returns:
            taken, counted, repeated, missing (messages that never came), and refused:
            `(offset, reason)`.
        """

    def complete(self, deals: Sequence[bytes]) -> int:
        """Counts deals in that come from elsewhere than the topic, ids ascending, as its payloads.

        Their messages, when they come after all, are repeats.

        Returns:
            How many were new.

        Raises:
            ValueError: one is no deal; those before it are counted.
        """

    def follow(self, engine: Engine, directory: str) -> None:
        """Follows an engine's feed behind the position, on a thread of its own.

        Raises:
            StartError
        """

    @property
    def failure(self) -> str | None:
        """Why the feed is not followed any more."""

    def take_changes(self) -> tuple[dict[str, Any], list[Any]]:
        """Position, and what changed since the last call whose changes were stored."""

    def stored(self) -> None:
        """The store took what `take_changes` gave."""

    def put_back_all(self) -> None:
        """The store has nothing: everything counts as changed."""

    def clean(self) -> None:
        """Drops candles that are older than they are kept."""

    def kept_from(self) -> dict[str, int]:
        """First second whose candles are kept, by length; days are kept for ever."""

    @property
    def markets(self) -> list[str]: ...
    def metrics(self) -> dict[str, int]: ...
    def stop(self) -> None:
        """Ends the following."""

@final
class Feed:
    """The event feed of an engine, as one projection reads it."""

    def __new__(cls, engine: Engine, projection: str, sequence: int = 0, part: int = 0) -> Self:
        """Begins behind a position: every command up to `sequence`, and `part` events of the next.

        Args:
            projection: what a batch's content is. `history`: statements for the history database.
                `operlog`: pairs of a time in microseconds and VALUES of rows (id, time, detail);
                the rows of a pair lie in one quarter of an hour. `store`: rows by table of the
                embedded store. `topics`: by topic, messages as number, sequence, part, payload.
        """

    def fileno(self) -> int:
        """Readable once there is something after `batch` found nothing; then call `clear`."""

    def clear(self) -> None: ...
    def rewind(self, sequence: int, part: int) -> None:
        """Goes to another position: what a store says that it holds."""

    def batch(self, rows_max: int) -> FeedBatch | None:
        """The next commands, of about `rows_max` rows at most; None when there is nothing new.

        A command may be split between batches. The interpreter's lock is not held.

        Raises:
            OSError: the files cannot be read; the next call tries the same again.
            StartError: they hold what this version did not write.
        """

@final
class FeedBatch:
    """What to write in one transaction, and the position to write with it."""

    @property
    def sequence(self) -> int:
        """Every command up to this one is whole."""

    @property
    def part(self) -> int:
        """Events of the command after it that are written too."""

    @property
    def time_us(self) -> int:
        """When the last command was applied."""

    @property
    def commands(self) -> int: ...
    @property
    def rows(self) -> int: ...
    @property
    def content(self) -> Any: ...

@final
class Slice:
    """A state to be written to slice tables, or compared with them."""

    @staticmethod
    def of_newest_snapshot(directory: str, rendering: str) -> Slice | None:
        """Loads it, while the engine may run; None without a snapshot.

        Args:
            rendering: `mysql`: pages are statements; `sqlite`: pages are lists of rows.

        Raises:
            StartError: the snapshot cannot be read.
        """

    @staticmethod
    def of_tables(
        config: str,
        rendering: str,
        *,
        time_us: int,
        last_order: int,
        last_deal: int,
        operlog_id: int,
        balances: Sequence[tuple[int, str, int, str]],
        orders: Sequence[tuple[int, int, int, int, int, str, Sequence[str]]],
    ) -> Slice:
        """What somebody else wrote; the arguments are those of `take_over`.

        Raises:
            ConfigError, StartError, ValueError: it does not fit together.
        """

    def redo(self, operations: Sequence[tuple[int, int, int, bytes]]) -> None:
        """Applies entries of a log behind the last, as `take_over` does.

        Raises:
            StartError: an entry is missing, or cannot be applied; those before it are.
        """

    @property
    def sequence(self) -> int: ...
    @property
    def operlog_id(self) -> int: ...
    @property
    def order_id(self) -> int: ...
    @property
    def deal_id(self) -> int: ...
    @property
    def digest(self) -> str:
        """Of the whole state, 16 hexadecimal digits."""

    def orders(self, table: str, rows_max: int, write: Callable[[Any], object]) -> None:
        """Gives pages of resting orders to `write`: asks, then bids of each market, best first."""

    def balances(self, table: str, rows_max: int, write: Callable[[Any], object]) -> None:
        """Gives pages of balances to `write`, by user, then asset."""

    def state(self, piece_bytes: int, write: Callable[[bytes], object]) -> None:
        """Gives the exact state, as a snapshot holds it, to `write` in pieces."""

@final
class Answers:
    """A backend of ports whose questions Python answers, in batches."""

    def __new__(cls, owner: str, *, capacity: int = 100, indented: bool = False) -> Self:
        """Takes the methods of a service.

        Args:
            owner: the service, such as `readhistory`.
            capacity: most questions that are not answered yet; more get error 3.
        """

    def fileno(self) -> int:
        """Readable once there is a question after `batch` found none; then call `clear`."""

    def clear(self) -> None: ...
    def batch(self, count_max: int) -> list[tuple[int, int, bytes]]:
        """Waiting questions, oldest first: number, command, text of the parameters, an array."""

    def reply(self, answers: Sequence[tuple[int, bytes | int]]) -> None:
        """Answers by number: with a result's JSON text, or with the code of a common error."""

    def metrics(self) -> dict[str, int]: ...

@final
class RpcServer:
    """The binary RPC port over an engine, market data, or what Python answers."""

    def __new__(
        cls,
        engine: Engine | MarketBoard | Answers,
        bind: Sequence[str],
        *,
        max_pkg_size: int = 10_240,
        buf_limit: int = 100,
        heartbeat_check: bool = False,
        threads: int = 1,
    ) -> Self: ...
    @property
    def addresses(self) -> list[str]:
        """As bound, port 0 resolved, such as `tcp@127.0.0.1:7316`."""

    def metrics(self) -> dict[str, int]: ...
    def beats(self, within_s: float) -> bool:
        """Whether every thread goes round within `within_s` seconds, when asked."""

    def stop(self, deadline_s: float = 5.0) -> None: ...

@final
class FrontDoor:
    """JSON-RPC over HTTP, over parts of this process or over remote services."""

    def __new__(
        cls,
        bind: Sequence[str],
        *,
        engine: Engine | None = None,
        market: MarketBoard | None = None,
        readhistory: Answers | None = None,
        remotes: dict[str, dict[str, Any]] | None = None,
        max_pkg_size: int = 102_400,
        buf_limit: int = 0,
        keep_alive_s: float = 3600.0,
        timeout_s: float = 1.0,
        threads: int = 1,
        shared: bool = False,
    ) -> Self:
        """Opens the port.

        Args:
            remotes: owner (`matchengine`, `marketprice`, `readhistory`) to `addresses`,
                `max_pkg_size`, `request_bytes_max`, `reconnect_timeout_s`,
                `heartbeat_timeout_s`. An owner with neither engine nor remote answers 500.
            shared: other processes may listen on the same TCP port.

        Raises:
            ConfigError, StartError
        """

    @property
    def addresses(self) -> list[str]: ...
    def links(self) -> dict[str, bool]:
        """Whether each remote service is connected."""

    def metrics(self) -> dict[str, int]: ...
    def beats(self, within_s: float) -> bool:
        """Whether every thread goes round within `within_s` seconds, when asked."""

    def stop(self, deadline_s: float = 5.0) -> None: ...

@final
class Hub:
    """Websocket connections that speak the original's protocol.

    Queries go to the backends without Python. What needs Python waits as notices; `fileno()`
    becomes readable when there are some. Topics are `deals MARKET`, `price MARKET`, `state MARKET`,
    `today MARKET`, `kline INTERVAL MARKET`, `depth LIMIT INTERVAL MARKET`, `order USER MARKET` and
    `asset USER ASSET`. Those of the stream are `v1 CHANNEL` and `v1 CHANNEL USER`.
    """

    def __new__(
        cls,
        bind: Sequence[str],
        *,
        engine: Engine | None = None,
        market: MarketBoard | None = None,
        readhistory: Answers | None = None,
        remotes: dict[str, dict[str, Any]] | None = None,
        timeout_s: float = 1.0,
        options: dict[str, Any] | None = None,
    ) -> Self:
        """Opens the port.

        Args:
            remotes: As of `FrontDoor`.
            options: protocol, origin_suffix, origins, trusts_forwarded, frame_bytes_max,
                message_bytes_max, queue_bytes_max, send_buffer_bytes, keep_alive_s,
                ping_interval_s, stall_timeout_s, opening_timeout_s, message_timeout_s,
                auth_timeout_s, connections_max, connections_per_address_max, subscriptions_max,
                frames_per_second_max, deflate, threads, writers, shared, depth_limits,
                depth_intervals, stream_message_bytes_max, stream_frames_per_second_max,
                stream_connections_per_address_max, stream_subscriptions_max,
                stream_ping_interval_s.

        Raises:
            ConfigError, StartError
            ValueError: there is no such option.
        """

    @property
    def addresses(self) -> list[str]: ...
    def links(self) -> dict[str, bool]:
        """Whether each remote service is connected."""

    def metrics(self) -> dict[str, int]: ...
    def fileno(self) -> int:
        """Becomes readable when there are notices."""

    def take(self, max: int = 1_000) -> list[tuple[Any, ...]]:
        """Notices, about `max` at most.

        `("watched", topic)`, `("unwatched", topic)`, `("noted", word)`,
        `("answer", tag, body or None)` and
        `("request", connection, address or None, id, method, params)`.
        """

    def publish(
        self, states: Sequence[tuple[str, bytes, bytes | None]], *, whole: bool = False
    ) -> None:
        """Tells subscribers the newest states: topic, update, snapshot (None for the update).

        Who is new, or has not read the state before, gets the snapshot.

        Args:
            whole: Each update is all of its state: whoever is there gets it, and the snapshot is
                for those who come later.
        """

    def tell(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Tells subscribers messages that are never dropped: topic, text."""

    def extend(
        self,
        topic: str,
        head: bytes,
        tail: bytes,
        members: Sequence[tuple[int, bytes]],
        whole: bool,
    ) -> None:
        """Tells subscribers members of a list, each once by its number; numbers ascend.

        Nobody is told anything before the first call with `whole`: it says that none of the last
        hundred is missing.
        """

    def step(
        self,
        topic: str,
        channel: str,
        update: bytes | None,
        snapshot: bytes,
        *,
        conflated: bool,
    ) -> None:
        """Tells subscribers of a channel of the stream its next step, which gets the next number.

        Args:
            update: JSON of what changed; None when everybody starts again from the whole.
            snapshot: JSON of the whole.
            conflated: Who is behind may get the whole in the place of what he has not read.
        """

    def watched(self, topics: Sequence[str]) -> list[bool]:
        """Which topics have subscribers."""

    def authenticate(self, connection: int, user: int, answer: bytes, *, grant: int = 0) -> None:
        """Makes a connection a user's and answers its request.

        Args:
            grant: Numbers what made it the user's; 0 for what is never withdrawn.
        """

    def grants(self) -> list[int]:
        """The grants that open connections stand on, each once."""

    def withdraw(self, grant: int) -> None:
        """Closes every connection that stands on a grant."""

    def answer(self, connection: int, answer: bytes) -> None:
        """Answers a request."""

    def close(self, connection: int, code: int) -> None:
        """Closes a connection with a close code."""

    def close_private(self, code: int) -> None:
        """Closes every connection that hears orders or assets."""

    def ask(self, tag: int, method: str, params: bytes) -> None:
        """Asks a backend; the answer comes as a notice."""

    def follow(self, directory: str, market: MarketBoard) -> None:
        """Pushes orders, assets and deals of the engine whose files stand in `directory`.

        Deals are noted once `market` has them.

        Raises:
            StartError
        """

    def heed(self, words: Sequence[str]) -> None:
        """Which changes of the followed engine are noted: `depth MARKET`, `deals MARKET`."""

    @property
    def failure(self) -> str | None:
        """Why the engine is not followed any more."""

    def beats(self, within_s: float) -> bool:
        """Whether every thread goes round within `within_s` seconds, when asked."""

    def stop(self, deadline_s: float = 5.0) -> None:
        """Closes every connection with 1001."""

@final
class RequestLines:
    """What the ports of this process tell of single requests."""

    def __new__(cls) -> Self: ...
    def fileno(self) -> int:
        """Readable after `batch` found nothing, once there is a line."""

    def clear(self) -> None: ...
    def tell(self, requests: bool, failures: bool) -> None:
        """What is told from now on: every request, those that failed, or nothing."""

    def batch(self, count_max: int) -> list[tuple[bool, dict[str, int | str]]]:
        """Lines, oldest first: whether it is a warning, and its fields."""

    def lost(self) -> int:
        """Lines that were counted only: too many came at once."""

@final
class RpcClient:
    """A blocking RPC client for tools and tests."""

    def __new__(cls, address: str, *, timeout_s: float = 5.0) -> Self: ...
    def call(self, command: int, params: bytes) -> bytes: ...
    def call_many(self, calls: Sequence[tuple[int, bytes]]) -> list[bytes]: ...
    def close(self) -> None: ...

def keep_feed_position(directory: str, name: str, sequence: int | None) -> None:
    """Says how far a projection is: the feed's files stay until it is past them.

    Without a sequence the projection is forgotten: it is no longer used.

    Raises:
        OSError: the file of positions cannot be used.
    """

def take_over(
    config: str,
    directory: str,
    *,
    time_us: int,
    last_order: int,
    last_deal: int,
    operlog_id: int,
    balances: Sequence[tuple[int, str, int, str]],
    orders: Sequence[tuple[int, int, int, int, int, str, Sequence[str]]],
    operations: Sequence[tuple[int, int, int, bytes]],
    sequence: int = 0,
    epoch_min: int = 0,
) -> dict[str, Any]:
    """Makes an empty directory's journal begin with an original's slice and the log behind it.

    Args:
        balances: user, asset, kind (1 available, 2 frozen), amount.
        orders: id, side, creation and last change in microseconds, user, market, texts of price,
            amount, taker_fee, maker_fee, left, deal_stock, deal_money, deal_fee.
        operations: number, time in microseconds, command, text of the parameters.
        sequence: The last command of an engine of ours that was there before; 0 for none.
        epoch_min: The least epoch of the journal.

    Returns:
        operlog_id, order_id, deal_id, digest, sums by asset, orders by market.

    Raises:
        ConfigError, ValueError: a row that the configuration does not fit.
        StartError: the rows do not fit together, or the directory holds a journal.
    """

def install_state(directory: str, state: bytes) -> tuple[int, str]:
    """Makes an empty directory's journal begin with what `Slice.state` gave; sequence and digest.

    Raises:
        StartError: there is a journal already, or the bytes are no state.
    """

def write_snapshot(directory: str) -> dict[str, Any]:
    """Loads the newest snapshot, replays the closed segments, audits, writes the next snapshot."""

def give_way() -> None:
    """Gives this process least priority for processor and disk, and ends it when its parent ends.

    Raises:
        OSError: the system refuses.
    """

def inspect_journal(
    directory: str,
    visit: Callable[[dict[str, Any]], None] | None = None,
    after: int = 0,
    replay: bool = False,
) -> dict[str, Any]:
    """Reads a journal without changing it, from the oldest command behind `after` that it has.

    `visit` gets a dict a record: kind, sequence, epoch, time_us, ordinal, file, offset, and by
    kind command and params, digest, or build. With `replay` the newest snapshot and the records
    behind it are applied and audited, and `digest` is that of the state.

    Returns:
        ok, problems, snapshot, after, segments, records, sequence, epoch, time_us, is_sealed,
        digest; torn (file, offset, bytes) when the end is unfinished. `after` is the command behind
        which was read: that of the snapshot when what came before it has gone, or with `replay`.
    """
