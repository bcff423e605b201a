-- Ours. `viabtc_slice`: beside each slice of the original's form the exact state, in pieces; `digest` is that of the
-- whole state. A slice counts once `slice_history` has its row.

CREATE TABLE IF NOT EXISTS `viabtc_slice` (
  `time` bigint NOT NULL,
  `sequence` bigint unsigned NOT NULL,
  `chunk` int unsigned NOT NULL,
  `bytes` mediumblob NOT NULL,
  `digest` char(16) CHARACTER SET ascii NOT NULL,
  PRIMARY KEY (`time`, `chunk`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
