-- Ours. `viabtc_settings`: assets and markets of the file that an engine began with, in JSON. Commands of the operation log
-- behind `sequence` were decided by them, up to the next row's.

CREATE TABLE IF NOT EXISTS `viabtc_settings` (
  `sequence` bigint unsigned NOT NULL,
  `epoch` bigint unsigned NOT NULL,
  `body` longtext NOT NULL,
  PRIMARY KEY (`sequence`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
