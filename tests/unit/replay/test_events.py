"""Files that can be played, and what is said about those that cannot."""

import gzip
from pathlib import Path

import pytest

from viabtc.replay.events import FileProblem, Kind, Side, read_events

HEADER = "event,order_id,side,price,amount\n"


def test_plain_and_compressed_files_and_columns_in_any_place_are_read(tmp_path: Path) -> None:
    plain = tmp_path / "plain.csv"
    plain.write_text(HEADER + "add,7,bid,10.5,1.5E-7\n\ndelete,7,bid,10.5,1.5E-7\n")
    compressed = tmp_path / "compressed.csv.gz"
    with gzip.open(compressed, "wt") as file:
        file.write("time,amount,price,side,order_id,event\n1,1.5E-7,10.5,bid,7,add\n")
        file.write("2,1.5E-7,10.5,bid,7,delete\n")
    first, second = read_events(plain), read_events(compressed)
    assert [event.kind for event in first] == [Kind.ADD, Kind.DELETE]
    assert [(event.line, event.order_id, event.side) for event in first] == [
        (2, "7", Side.BID),
        (4, "7", Side.BID),
    ]
    assert [(event.price, event.amount) for event in first] == [
        (event.price, event.amount) for event in second
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1, column event: is missing, the header is empty"),
        ("event,order_id,side,price\n", "line 1, column amount: is missing"),
        (HEADER, "the file: has no events"),
        (HEADER + "add,1,bid,1\n", "line 2: has 4 columns, the header has 5"),
        (HEADER + "put,1,bid,1,1\n", 'line 2, column event: is "put"'),
        (HEADER + "add,,bid,1,1\n", "line 2, column order_id: is empty"),
        (HEADER + "add,1,buy,1,1\n", 'line 2, column side: is "buy"'),
        (HEADER + "add,1,bid,NaN,1\n", 'line 2, column price: is "NaN"'),
        (HEADER + "add,1,bid,1,-1\n", 'line 2, column amount: is "-1"'),
        (HEADER + "add,1,bid,1,0\n", 'line 2, column amount: is "0"'),
        (HEADER + "add,1,bid,1e999999,1\n", 'line 2, column price: is "1e999999"'),
        (HEADER + "add,1,bid,1_0,1\n", 'line 2, column price: is "1_0"'),
        (
            HEADER + "add,1,bid,1,1\nadd,1,bid,1,1\n",
            "line 3, column order_id: order 1 is open since line 2",
        ),
        (HEADER + "change,1,bid,1,1\n", "line 2, column order_id: order 1 is not open"),
        (
            HEADER + "add,1,bid,1,1\nchange,1,ask,1,1\n",
            "line 3, column side: order 1 is a bid since line 2",
        ),
    ],
)
def test_a_bad_file_is_refused_with_line_and_column(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(FileProblem) as caught:
        read_events(path)
    assert str(caught.value).startswith(said)
    assert caught.value.right


@pytest.mark.parametrize("content", [b"\x1f\x8bnot gzip", b"\xff\xfe\x00", b"event,\xe9\n"])
def test_bytes_that_are_no_text_are_refused_in_words(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(FileProblem, match=r"^the file: "):
        read_events(path)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(FileProblem, match="No such file"):
        read_events(tmp_path / "missing.csv")
