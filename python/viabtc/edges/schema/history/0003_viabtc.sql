-- Ours. `viabtc_position`: how far each projection is, changed in the transaction that writes rows.
-- `viabtc_lease`: which engine may write; every transaction checks it. `viabtc_dead_letter`: rows
-- that the server refuses as data, kept so that the stream goes on; each one is an alert.

CREATE TABLE IF NOT EXISTS `viabtc_position` (
  `name` varchar(64) NOT NULL,
  `epoch` bigint unsigned NOT NULL,
  `sequence` bigint unsigned NOT NULL,
  `part` bigint unsigned NOT NULL,
  PRIMARY KEY (`name`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS `viabtc_lease` (
  `name` varchar(64) NOT NULL,
  `epoch` bigint unsigned NOT NULL,
  `holder` varchar(128) NOT NULL,
  `seen` datetime(6) NOT NULL,
  PRIMARY KEY (`name`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS `viabtc_dead_letter` (
  `id` bigint unsigned NOT NULL AUTO_INCREMENT,
  `time` datetime(6) NOT NULL,
  `name` varchar(64) NOT NULL,
  `sequence` bigint unsigned NOT NULL,
  `error` text NOT NULL,
  `statement` longblob NOT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
