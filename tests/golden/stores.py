"""The recorded tables, and how rows of ours are compared with them."""

import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from harness.places import shared

Tables = Mapping[str, Sequence[Mapping[str, str]]]
"""Rows of texts by table, in the order of their ids."""

_TIMES: Final = frozenset(("time", "create_time", "finish_time"))
"""Columns that are not compared."""

_TEXTS: Final = frozenset(("market", "source", "asset", "business", "detail"))
"""Columns that are compared to the byte; the others by value."""

_CUT: Final = {'"0.123456789123"': '"0.12345678"', '"0.000000001"': '"0"'}
"""Changes of the recorded operation log that never took effect so; ours are logged as they did."""


def tables(scenario: str) -> Tables:
    """The recorded MySQL tables, without database, the operation log's without its date."""
    stores = json.loads(shared("golden", f"{scenario}.stores.json").read_text(encoding="utf-8"))
    found = {}
    for name, rows in stores.items():
        if "." in name:
            table = re.sub(r"^operlog_\d+$", "operlog", name.partition(".")[2])
            found[table] = sorted(rows, key=lambda row: int(row["id"]))
    return found


def definitions(scenario: str) -> dict[str, str]:
    """What `SHOW CREATE TABLE` said of each template, by database and table."""
    stores = json.loads(shared("golden", f"{scenario}.stores.json").read_text(encoding="utf-8"))
    return {name: text.replace("\\n", "\n").strip() for name, text in stores["schema"].items()}


def assert_same_tables(ours: Tables, theirs: Tables) -> None:
    """Fails unless every table has the same rows in the same order."""
    assert sorted(ours) == sorted(theirs)
    for table, rows in theirs.items():
        is_automatic = not table.startswith(("order_", "operlog"))
        assert len(ours[table]) == len(rows), table
        for mine, their in zip(ours[table], rows, strict=True):
            assert sorted(mine) == sorted(their), table
            for column, value in their.items():
                place = f"{table} {mine['id']} {column}"
                if column in _TIMES or (column == "id" and is_automatic):
                    assert float(mine[column]) > 0, place
                elif column == "detail":
                    assert mine[column] == _as_logged(value), place
                elif column in _TEXTS:
                    assert mine[column] == value, place
                else:
                    assert "e" not in mine[column], place
                    assert Decimal(mine[column]) == Decimal(value), place


def _as_logged(detail: str) -> str:
    for theirs, ours in _CUT.items():
        detail = detail.replace(theirs, ours)
    return detail
