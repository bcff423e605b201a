-- The original's tables of the log database, as its own scripts make them. Tables that are there already are left as
-- they are: nothing of the original's is ever altered.

CREATE TABLE IF NOT EXISTS `operlog_example` (
  `id` bigint(20) unsigned NOT NULL,
  `time` double NOT NULL,
  `detail` text DEFAULT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3 COLLATE=utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS `slice_history` (
  `id` int(10) unsigned NOT NULL AUTO_INCREMENT,
  `time` bigint(20) NOT NULL,
  `end_oper_id` bigint(20) unsigned NOT NULL,
  `end_order_id` bigint(20) unsigned NOT NULL,
  `end_deals_id` bigint(20) unsigned NOT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3 COLLATE=utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS `slice_order_example` (
  `id` bigint(20) unsigned NOT NULL,
  `t` tinyint(3) unsigned NOT NULL,
  `side` tinyint(3) unsigned NOT NULL,
  `create_time` double NOT NULL,
  `update_time` double NOT NULL,
  `user_id` int(10) unsigned NOT NULL,
  `market` varchar(30) NOT NULL,
  `price` decimal(30,8) NOT NULL,
  `amount` decimal(30,8) NOT NULL,
  `taker_fee` decimal(30,4) NOT NULL,
  `maker_fee` decimal(30,4) NOT NULL,
  `left` decimal(30,8) NOT NULL,
  `freeze` decimal(30,8) NOT NULL,
  `deal_stock` decimal(30,8) NOT NULL,
  `deal_money` decimal(30,16) NOT NULL,
  `deal_fee` decimal(30,12) NOT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3 COLLATE=utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS `slice_balance_example` (
  `id` int(10) unsigned NOT NULL AUTO_INCREMENT,
  `user_id` int(10) unsigned NOT NULL,
  `asset` varchar(30) NOT NULL,
  `t` tinyint(3) unsigned NOT NULL,
  `balance` decimal(30,16) NOT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3 COLLATE=utf8mb3_general_ci;
