"""`viabtc doctor` with real servers whose settings would lose what they are given."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from redis import Redis

from harness.configs import small_config
from harness.kafka import Broker
from harness.mariadb import HISTORY, LOG, Mariadb
from harness.redis_cluster import MASTER, Cluster, Node
from viabtc.cli import load_service
from viabtc.doctor import OK, WARNING, WRONG, Check, examine

BROKEN = "CREATE USER IF NOT EXISTS '{user}'@'127.0.0.1' IDENTIFIED BY 'secret'"


def looked_at(directory: Path, name: str, config: Mapping[str, Any]) -> list[Check]:
    path = directory / f"{name}.json"
    path.write_text(json.dumps(config))
    path.chmod(0o600)
    return examine({name: path}, lambda service, file: load_service(service).read(file))


def of(checks: list[Check], word: str) -> dict[str, tuple[str, str]]:
    """By what was found of a subject: state, and what to do."""
    return {
        check.what: (check.state, check.do) for check in checks if check.subject.startswith(word)
    }


def engine_config(directory: Path, mariadb: Mariadb, user: str, **own: Any) -> dict[str, Any]:
    place = {"host": "127.0.0.1", "port": mariadb.port, "user": user, "pass": "secret"}
    keys = {"data": str(directory / "data"), "control": "127.0.0.1:0", **own}
    databases = {"db_log": {**place, "name": LOG}, "db_history": {**place, "name": HISTORY}}
    return {**small_config(), **databases, "viabtc": keys}


def make_user(mariadb: Mariadb, user: str, *grants: str) -> None:
    statements = [f"DROP USER IF EXISTS '{user}'@'127.0.0.1'", BROKEN.format(user=user)]
    statements += [f"GRANT {grant} TO '{user}'@'127.0.0.1'" for grant in grants]
    mariadb.run("; ".join(statements))


def test_a_user_with_what_it_needs_and_no_more(mariadb: Mariadb, tmp_path: Path) -> None:
    rights = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP"
    # A name in a grant is a pattern.
    make_user(mariadb, "right", rf"{rights} ON `trade\_log`.*", f"{rights} ON `trade_h%`.*")
    checks = looked_at(tmp_path, "matchengine", engine_config(tmp_path, mariadb, "right"))
    for key in ("db_log", "db_history"):
        ((what, (state, _)),) = of(checks, key).items()
        assert (state, what.endswith("tables up to date")) == (OK, True), what


def test_a_user_that_may_too_little_is_told_what(mariadb: Mariadb, tmp_path: Path) -> None:
    make_user(mariadb, "little", "SELECT, INSERT, UPDATE ON trade_log.*", "ALL ON trade_history.*")
    checks = looked_at(tmp_path, "matchengine", engine_config(tmp_path, mariadb, "little"))
    assert of(checks, "db_log") == {
        "the user may not CREATE, DELETE, DROP": (
            WRONG,
            "as its administrator: GRANT CREATE, DELETE, DROP ON `trade_log`.* TO this user",
        )
    }
    assert {state for state, _ in of(checks, "db_history").values()} == {OK}
    reader = {**engine_config(tmp_path, mariadb, "little")["db_history"], "name": LOG}
    config = {
        "log": {"path": "unused", "flag": "fatal"},
        "alert": {"host": "r", "addr": "127.0.0.1:1"},
        "svr": {"bind": "tcp@127.0.0.1:0", "max_pkg_size": 1_000_000},
        "db_history": reader,
        "viabtc": {"control": "127.0.0.1:0"},
    }
    found = of(looked_at(tmp_path, "readhistory", config), "db_history")
    # Reading is all that it does; the tables are only of the other kind.
    assert not any("may not" in what for what in found), found


@pytest.mark.parametrize("grant", ["FILE, SUPER ON *.*", "ALL ON *.*"])
def test_a_user_that_may_too_much_is_told_what_it_could_do(
    mariadb: Mariadb, tmp_path: Path, grant: str
) -> None:
    make_user(mariadb, "much", grant, "ALL ON trade_log.*", "ALL ON trade_history.*")
    checks = looked_at(tmp_path, "matchengine", engine_config(tmp_path, mariadb, "much"))
    ((what, (state, do)),) = of(checks, "db_log").items()
    assert (state, "FILE, " in what, "SUPER" in what) == (WARNING, True, True)
    assert "reads and writes files of the server's machine" in do


@pytest.mark.parametrize(("durability", "state"), [("local", WARNING), ("operlog", WRONG)])
def test_a_server_that_loses_committed_rows_is_named(
    mariadb: Mariadb, tmp_path: Path, durability: str, state: str
) -> None:
    make_user(mariadb, "right", "ALL ON trade_log.*", "ALL ON trade_history.*")
    config = engine_config(tmp_path, mariadb, "right", durability=durability)
    mariadb.run("SET GLOBAL innodb_flush_log_at_trx_commit=2; SET GLOBAL read_only=1")
    try:
        found = of(looked_at(tmp_path, "matchengine", config), "db_log")
    finally:
        mariadb.run("SET GLOBAL innodb_flush_log_at_trx_commit=1; SET GLOBAL read_only=0")
    assert found["it is read-only"][0] == WRONG
    (lossy,) = [what for what in found if "innodb_flush_log_at_trx_commit is 2" in what]
    assert found[lossy] == (state, "SET GLOBAL innodb_flush_log_at_trx_commit=1")


def market_data(redis: dict[str, Any], brokers: str = "127.0.0.1:1") -> dict[str, Any]:
    return {
        "log": {"path": "unused", "flag": "fatal"},
        "alert": {"host": "m", "addr": "127.0.0.1:1"},
        "svr": {"bind": "tcp@127.0.0.1:0", "max_pkg_size": 1_000_000},
        "accesshttp": "http://127.0.0.1:1/",
        "deals": {"brokers": brokers, "topic": "deals", "partition": 0},
        "redis": redis,
        "viabtc": {"control": "127.0.0.1:0"},
    }


def test_a_redis_that_forgets_is_told_how_not_to(redis: Node, tmp_path: Path) -> None:
    # Its host may be a name.
    config = market_data({"name": "", "addr": [f"localhost:{redis.port}"]})
    with Redis(port=redis.port) as client:
        client.config_set("appendonly", "no")
        client.config_set("maxmemory", "100mb")
        client.config_set("maxmemory-policy", "allkeys-lru")
        found = of(looked_at(tmp_path, "marketprice", config), "redis")
        (keeps, evicts) = sorted(found.items())
        assert (keeps[0].startswith("it keeps no append-only file"), keeps[1][0]) == (True, WARNING)
        assert (evicts[0].startswith("maxmemory-policy is allkeys-lru"), evicts[1][0]) == (
            True,
            WRONG,
        )
        client.config_set("appendonly", "yes")
        client.config_set("maxmemory-policy", "noeviction")
        ((what, (state, _)),) = of(looked_at(tmp_path, "marketprice", config), "redis").items()
        assert (state, what.startswith("a master answers, version ")) == (OK, True)


def test_sentinels_that_could_not_replace_a_master_are_named(
    cluster: Cluster, tmp_path: Path
) -> None:
    places = cluster.places
    with Redis(host="127.0.0.1", port=int(places[0].rpartition(":")[2])) as sentinel:
        sentinel.execute_command("SENTINEL", "SET", MASTER, "quorum", "9")
        config = market_data({"name": MASTER, "addr": places[:1]})
        ((what, (state, do)),) = of(looked_at(tmp_path, "marketprice", config), "sentinel").items()
    assert (state, "NOQUORUM" in what) == (WRONG, True), what
    assert "lower the quorum" in do


async def make_topics(broker: Broker, **topics: dict[str, str]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.place)
    await admin.start()
    made = [
        NewTopic(name, num_partitions=1, replication_factor=1, topic_configs=settings)
        for name, settings in topics.items()
    ]
    await admin.create_topics(made)
    await admin.close()


def test_topics_that_lose_or_refuse_messages_are_named(broker: Broker, tmp_path: Path) -> None:
    settings = {
        "compacted": {"cleanup.policy": "compact"},
        "hasty": {"retention.ms": "3600000", "retention.bytes": "1048576"},
        "narrow": {"max.message.bytes": "1000"},
        "stubborn": {"min.insync.replicas": "2"},
        "sound": {},
    }
    asyncio.run(make_topics(broker, **settings))

    def found(topic: str) -> dict[str, tuple[str, str]]:
        config = market_data({"name": "nobody", "addr": ["127.0.0.1:1"]}, broker.place)
        config["deals"]["topic"] = topic
        return of(looked_at(tmp_path, "marketprice", config), f"topic {topic}")

    ((what, (state, do)),) = found("compacted").items()
    assert (state, do.endswith("--topic compacted --add-config cleanup.policy=delete")) == (
        WRONG,
        True,
    ), what
    assert {state for state, _ in found("hasty").values()} == {WARNING}
    assert sorted(do.rpartition(" ")[2] for _, do in found("hasty").values()) == [
        "retention.bytes=-1",
        "retention.ms=604800000",
    ]
    for topic, setting in (("narrow", "max.message.bytes"), ("stubborn", "min.insync.replicas=1")):
        ((what, (state, do)),) = found(topic).items()
        assert (state, setting in do) == (WRONG, True), what
    ((what, (state, _)),) = found("sound").items()
    assert (state, what.startswith("ends at offset 0")) == (OK, True), what
    print(what)  # noqa: T201 - the version that the broker names
