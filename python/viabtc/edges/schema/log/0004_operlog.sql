-- Ours. `viabtc_operlog`: commands of our own kinds, each behind the entry of the operation log that it came after.
-- The body is JSON: time_us, command, params.

CREATE TABLE IF NOT EXISTS `viabtc_operlog` (
  `sequence` bigint unsigned NOT NULL,
  `after_operlog_id` bigint unsigned NOT NULL,
  `body` longtext NOT NULL,
  PRIMARY KEY (`sequence`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
