# Run once by the image of MariaDB, in its own shell, when its folder is empty.

# An assignment by itself: without a password the start must end here, not make a user who has none.
password=$(cat /run/secrets/password)
test -n "$password"

docker_process_sql <<SQL
CREATE DATABASE IF NOT EXISTS trade_log;
CREATE DATABASE IF NOT EXISTS trade_history;
CREATE USER IF NOT EXISTS viabtc@'127.0.0.1' IDENTIFIED BY '$password';
CREATE USER IF NOT EXISTS viabtc@localhost IDENTIFIED BY '$password';
GRANT ALL ON trade_log.* TO viabtc@'127.0.0.1', viabtc@localhost;
GRANT ALL ON trade_history.* TO viabtc@'127.0.0.1', viabtc@localhost;
SQL
