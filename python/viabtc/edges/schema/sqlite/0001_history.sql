-- The embedded store: the original's tables, unsharded. Decimals are texts without trailing zeros,
-- rounded as MySQL's columns round; names compare without regard to case, as its collation does.

CREATE TABLE order_history (
    id INTEGER PRIMARY KEY,
    create_time REAL NOT NULL,
    finish_time REAL NOT NULL,
    user_id INTEGER NOT NULL,
    market TEXT NOT NULL COLLATE NOCASE,
    source TEXT NOT NULL COLLATE NOCASE,
    t INTEGER NOT NULL,
    side INTEGER NOT NULL,
    price TEXT NOT NULL,
    amount TEXT NOT NULL,
    taker_fee TEXT NOT NULL,
    maker_fee TEXT NOT NULL,
    deal_stock TEXT NOT NULL,
    deal_money TEXT NOT NULL,
    deal_fee TEXT NOT NULL
);
CREATE INDEX order_history_user_market ON order_history (user_id, market);

-- By user and by order: the same rows.
CREATE VIEW order_detail AS SELECT * FROM order_history;

CREATE TABLE user_deal_history (
    id INTEGER PRIMARY KEY,
    time REAL NOT NULL,
    user_id INTEGER NOT NULL,
    market TEXT NOT NULL COLLATE NOCASE,
    deal_id INTEGER NOT NULL,
    order_id INTEGER NOT NULL,
    deal_order_id INTEGER NOT NULL,
    side INTEGER NOT NULL,
    role INTEGER NOT NULL,
    price TEXT NOT NULL,
    amount TEXT NOT NULL,
    deal TEXT NOT NULL,
    fee TEXT NOT NULL,
    deal_fee TEXT NOT NULL
);
CREATE INDEX user_deal_history_user_market ON user_deal_history (user_id, market);
CREATE INDEX user_deal_history_order ON user_deal_history (order_id);

CREATE VIEW deal_history AS
SELECT id, time, user_id, deal_id, order_id, deal_order_id, role, price, amount, deal, fee, deal_fee
FROM user_deal_history;

CREATE TABLE balance_history (
    id INTEGER PRIMARY KEY,
    time REAL NOT NULL,
    user_id INTEGER NOT NULL,
    asset TEXT NOT NULL COLLATE NOCASE,
    business TEXT NOT NULL COLLATE NOCASE,
    change TEXT NOT NULL,
    balance TEXT NOT NULL,
    detail TEXT NOT NULL
);
CREATE INDEX balance_history_user ON balance_history (user_id);
CREATE INDEX balance_history_user_asset ON balance_history (user_id, asset);
CREATE INDEX balance_history_user_asset_business ON balance_history (user_id, asset, business);

CREATE TABLE operlog (
    id INTEGER PRIMARY KEY,
    time REAL NOT NULL,
    detail TEXT NOT NULL
);

CREATE TABLE viabtc_position (
    name TEXT PRIMARY KEY,
    epoch INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    part INTEGER NOT NULL
);
