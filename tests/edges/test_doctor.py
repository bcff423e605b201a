"""`viabtc doctor` with a real MariaDB and a real Redis: what is missing, and what is well."""

import asyncio
import json
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from harness.configs import small_config
from harness.kafka import Broker
from harness.mariadb import Mariadb
from harness.processes import Reserved, start_matchengine
from harness.redis_cluster import MASTER, Cluster, Node
from viabtc.cli import load_service
from viabtc.doctor import OK, WRONG, Check, examine
from viabtc.edges.mysql import MysqlSettings, connect, run_sql


def looked_at(directory: Path, name: str, config: dict[str, Any]) -> list[Check]:
    path = directory / f"{name}.json"
    path.write_text(json.dumps(config))
    path.chmod(0o600)
    return examine({name: path}, lambda service, file: load_service(service).read(file))


def the(checks: list[Check], word: str) -> Check:
    (found,) = [check for check in checks if word in check.subject]
    return found


def test_tables_that_are_up_to_date_and_tables_that_are_not(
    mariadb: Mariadb, tmp_path: Path
) -> None:
    mariadb.run(
        "CREATE USER IF NOT EXISTS doctor@'127.0.0.1';"
        " GRANT ALL ON trade_log.* TO doctor@'127.0.0.1';"
        " GRANT ALL ON trade_history.* TO doctor@'127.0.0.1'"
    )
    database = {"host": "127.0.0.1", "port": mariadb.port, "user": "doctor", "pass": ""}
    names = {"db_log": "trade_log", "db_history": "trade_history"}
    sections = {key: {**database, "name": name} for key, name in names.items()}
    own = {"data": str(tmp_path / "data"), "control": "127.0.0.1:0"}
    config = {**small_config(), "viabtc": own, **sections}
    checks = looked_at(tmp_path, "matchengine", config)
    assert the(checks, "db_log").state == OK, the(checks, "db_log")
    assert "MariaDB" in the(checks, "db_history").what

    async def lose_a_script() -> None:
        connection = await connect(
            MysqlSettings("127.0.0.1", mariadb.port, "root", "", "trade_log")
        )
        await run_sql(connection, b"DELETE FROM viabtc_schema WHERE script LIKE '0001%'")
        connection.close()

    asyncio.run(lose_a_script())
    found = the(looked_at(tmp_path, "matchengine", config), "db_log")
    assert (found.state, found.do) == (WRONG, "run: viabtc schema FILE")
    assert "0001" in found.what


def market_data(redis: dict[str, Any], nowhere: str) -> dict[str, Any]:
    return {
        "log": {"path": "unused", "flag": "fatal"},
        "alert": {"host": "m", "addr": nowhere},
        "svr": {"bind": "tcp@127.0.0.1:0", "max_pkg_size": 1_000_000},
        "accesshttp": f"http://{nowhere}/",
        "deals": {"brokers": nowhere, "topic": "deals", "partition": 0},
        "redis": redis,
        "viabtc": {"control": "127.0.0.1:0"},
    }


def test_a_master_and_a_server_that_is_no_sentinel(redis: Node, tmp_path: Path) -> None:
    nowhere = Reserved()
    plain = {"name": "", "addr": [f"127.0.0.1:{redis.port}"]}
    checks = looked_at(tmp_path, "marketprice", market_data(plain, nowhere.place))
    assert the(checks, "redis").state == OK, the(checks, "redis")
    assert the(checks, "topic deals").state == WRONG
    unwatched = {"name": "nobody", "addr": [f"127.0.0.1:{redis.port}"]}
    checks = looked_at(tmp_path, "marketprice", market_data(unwatched, nowhere.place))
    assert the(checks, "redis").state == WRONG
    assert "Sentinels" in the(checks, "redis").do
    assert "does not answer" in the(checks, "sentinel").what
    nowhere.close()


def test_each_sentinel_is_asked(cluster: Cluster, tmp_path: Path) -> None:
    nowhere = Reserved()
    watched = {"name": MASTER, "addr": cluster.places}
    checks = looked_at(tmp_path, "marketprice", market_data(watched, nowhere.place))
    named = [check for check in checks if check.subject.startswith("sentinel")]
    assert [(check.state, check.what) for check in named] == 3 * [
        (OK, f"names 127.0.0.1:{cluster.master().port}")
    ]
    unknown = {**watched, "name": "other"}
    checks = looked_at(tmp_path, "marketprice", market_data(unknown, nowhere.place))
    named = [check for check in checks if check.subject.startswith("sentinel")]
    assert {check.what for check in named} == {"does not watch other"}
    nowhere.close()


async def make_wide(broker: Broker) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.place)
    await admin.start()
    await admin.create_topics([NewTopic("wide", num_partitions=2, replication_factor=1)])
    await admin.close()


def test_services_that_answer_and_a_topic_with_more_than_one_partition(
    broker: Broker, tmp_path: Path
) -> None:
    asyncio.run(make_wide(broker))
    engine = start_matchengine(tmp_path, small_config())
    host, port = engine.place("rpc")
    config = market_data({"name": "nobody", "addr": ["127.0.0.1:1"]}, "127.0.0.1:1")
    config["deals"] = {"brokers": broker.place, "topic": "wide", "partition": 0}
    config["matchengine"] = {"addr": f"tcp@{host}:{port}"}
    own = json.loads((tmp_path / "matchengine.json").read_text())
    running = looked_at(tmp_path, "matchengine", own)
    assert the(running, f"tcp@{host}:{port}").what == "matchengine serves"
    assert the(running, "open files").what.endswith("are open")
    checks = looked_at(tmp_path, "marketprice", config)
    assert the(checks, f"matchengine tcp@{host}:{port}").what == "answers"
    assert the(checks, "topic wide").what == "has 2 partitions"
    assert engine.stop() == 0
