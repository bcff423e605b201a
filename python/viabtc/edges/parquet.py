"""Parquet files, by pyarrow, which is installed only where it is wanted."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

DIGITS: Final = 30
"""Of decimals, as the columns of the history have them."""


class MissingLibraryError(Exception):
    """pyarrow is not installed."""


class ParquetFile:
    """A file that rows are added to; a context manager."""

    def __init__(self, path: Path, columns: Mapping[str, str | int]) -> None:
        """Of columns by name: `time`, `integer`, `text`, or the number of a decimal's decimals.

        Raises:
            MissingLibraryError: there is no pyarrow.
        """
        try:
            import pyarrow as pa
            import pyarrow.parquet as files
        except ImportError as error:
            raise MissingLibraryError from error
        types = {
            "time": pa.timestamp("us", tz="UTC"),
            "integer": pa.uint64(),
            "text": pa.string(),
        }
        self._arrow: Any = pa
        self._columns = columns
        self._schema: Any = pa.schema(
            [
                (name, types[kind] if isinstance(kind, str) else pa.decimal128(DIGITS, kind))
                for name, kind in columns.items()
            ]
        )
        self._writer: Any = files.ParquetWriter(path, self._schema)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._writer.close()

    def write(self, rows: Sequence[Sequence[Any]]) -> None:
        """Adds rows; times are seconds, decimals texts or numbers of any decimal type."""
        values = zip(*rows, strict=True)
        arrays = [
            self._arrow.array([_value(value, kind) for value in column], field.type)
            for column, kind, field in zip(
                values, self._columns.values(), self._schema, strict=True
            )
        ]
        self._writer.write_table(self._arrow.Table.from_arrays(arrays, schema=self._schema))


def _value(value: Any, kind: str | int) -> Any:
    if kind == "time":
        return round(value * 1_000_000)
    if isinstance(kind, int):
        return Decimal(value).quantize(Decimal(1).scaleb(-kind))
    return value
