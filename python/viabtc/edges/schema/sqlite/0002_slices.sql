-- Slices: `slice_history` lists them, `slice_order_<time>` and `slice_balance_<time>` hold the original's form of
-- each, and `viabtc_slice` the exact state in pieces, with the digest of the whole.

CREATE TABLE slice_history (
    id INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,
    end_oper_id INTEGER NOT NULL,
    end_order_id INTEGER NOT NULL,
    end_deals_id INTEGER NOT NULL
);

CREATE TABLE viabtc_slice (
    time INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    chunk INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (time, chunk)
);
