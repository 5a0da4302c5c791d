"""Databases and caches that answer, but not with what was asked for."""

from __future__ import annotations

import pytest

from tests.investigators.platform.build import counter, found, line, step, track, world
from tests.investigators.platform.cases import Case, case, judge, no, unknown
from tests.investigators.platform.objects import app, service

DB = ("orders-db", "service")
SHOP = [
    service("orders-db", port=5432, target=5432, ip="10.96.9.9"),
    *app("orders-db", image="postgres:16", ports=[5432], kind="StatefulSet"),
    *app("cart", env={"DATABASE_URL": "postgres://app@orders-db:5432/shop"}),
    *app("stock"),
]
BOTH = [*SHOP[:-2], *app("stock", env={"DATABASE_URL": "postgres://app@orders-db:5432/shop"})]
MONGO = [
    *app("mongo", image="mongo:6", ports=[27017]),
    *app("cart", env={"MONGO": "mongodb://mongo:27017"}),
    service("mongo", port=27017, target=27017),
]
MYSQL = [
    *app("mysql", image="mysql:8", ports=[3306]),
    *app("cart", env={"DB": "mysql:3306"}),
    service("mysql", port=3306, target=3306),
]
REDIS = [
    *app("redis", image="redis:7", ports=[6379]),
    *app("cart", env={"REDIS_ADDR": "redis:6379"}),
    service("redis", port=6379, target=6379),
]
PG_AUTH = 'FATAL:  password authentication failed for user "app"'


def _log(text: str, *, objects: object = SHOP, of: str = "cart", times: int = 1) -> object:
    return world(objects, logs={of: [text] * times})  # type: ignore[arg-type]


def _group(
    kind: str, *subject: str, quiet: str, texts: dict[str, tuple[object, str]], times: int = 1
) -> list[Case]:
    """Each text is charged; a quiet one is not; a log that was not read whole tells nothing."""
    cases = [
        case(who, _log(text, objects=objects, times=times), kind, *_of(objects, subject))  # type: ignore[arg-type]
        for who, (objects, text) in texts.items()
    ]
    return [
        *cases,
        no("a red herring", _log(quiet), kind, absent=True),  # type: ignore[arg-type]
        no(
            "long before",
            world(SHOP, lines=[line(next(iter(texts.values()))[1], service="cart", minutes=50)]),
            kind,
        ),
        unknown("a log that was cut", world(SHOP, logs={"cart": ["fine"]}, log_cut="cut"), kind),
        unknown("no log", world(SHOP), kind),
    ]


def _of(objects: object, subject: tuple[str, ...]) -> tuple[str, str]:
    names = {id(SHOP): "orders-db", id(MONGO): "mongo", id(MYSQL): "mysql", id(REDIS): "redis"}
    return (subject[0] if subject else names[id(objects)], "service")


CASES = [
    *_group(
        "db_auth_failed",
        quiet='user "app" authenticated',
        texts={
            "PostgreSQL": (SHOP, PG_AUTH),
            "pg_hba": (
                SHOP,
                'FATAL:  no pg_hba.conf entry for host "10.244.1.9", user "app", database "shop"',
            ),
            "a role": (SHOP, 'psycopg2.OperationalError: FATAL:  role "app" does not exist'),
            "Go": (
                SHOP,
                "failed to connect to `host=orders-db user=app database=shop`: server error (FATAL: "
                "password "
                'authentication failed for user "app" (SQLSTATE 28P01))',
            ),
            "MySQL": (
                MYSQL,
                "Error 1045 (28000): Access denied for user 'app'@'10.244.1.9' (using password: YES)",
            ),
            "MongoDB": (MONGO, "(AuthenticationFailed) Authentication failed."),
            "MongoDB Go": (
                MONGO,
                "connection() error occurred during connection handshake: auth error: sasl conversation "
                'error: unable to authenticate using mechanism "SCRAM-SHA-256"',
            ),
            "Redis": (REDIS, "WRONGPASS invalid username-password pair or user is disabled."),
            "Redis without": (REDIS, "NOAUTH Authentication required."),
        },
    ),
    *_group(
        "db_read_only",
        quiet="opened 3 files in read-only mode",
        texts={
            "PostgreSQL": (SHOP, "ERROR:  cannot execute INSERT in a read-only transaction"),
            "MySQL": (
                MYSQL,
                "Error 1290 (HY000): The MySQL server is running with the --read-only option so it cannot "
                "execute this statement",
            ),
            "Redis": (REDIS, "READONLY You can't write against a read only replica."),
            "Redis on disk": (
                REDIS,
                "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to "
                "persist to disk.",
            ),
            "MongoDB": (MONGO, "(NotWritablePrimary) not primary"),
        },
    ),
    *_group(
        "db_permission",
        quiet="permission denied for user alice on page /admin",
        texts={
            "PostgreSQL": (SHOP, "ERROR:  permission denied for table orders"),
            "PostgreSQL schema": (SHOP, "pq: permission denied for schema public"),
            "MySQL": (MYSQL, "INSERT command denied to user 'app'@'10.244.1.9' for table 'orders'"),
            "MongoDB": (MONGO, 'not authorized on shop to execute command { find: "carts" }'),
            "Redis": (REDIS, "NOPERM User app has no permissions to run the 'set' command"),
        },
    ),
    *_group(
        "too_many_connections",
        quiet="accepted too many items in the cart",
        texts={
            "PostgreSQL": (SHOP, "FATAL:  sorry, too many clients already"),
            "slots": (
                SHOP,
                "FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute",
            ),
            "MySQL": (MYSQL, "ERROR 1040 (HY000): Too many connections"),
            "Redis": (REDIS, "ERR max number of clients reached"),
        },
    ),
    *_group(
        "migration_failed",
        "cart",
        quiet="cart 12 does not exist",
        texts={
            "PostgreSQL table": (SHOP, 'ERROR:  relation "orders" does not exist at character 15'),
            "JSON": (SHOP, r'{"level":"error","msg":"pq: relation \"orders\" does not exist"}'),
            "PostgreSQL column": (SHOP, 'pq: column "discount" of relation "orders" does not exist'),
            "MySQL table": (MYSQL, "Error 1146 (42S02): Table 'shop.orders' doesn't exist"),
            "MySQL column": (MYSQL, "Unknown column 'discount' in 'field list'"),
            "SQLite": (SHOP, "sqlite3.OperationalError: no such table: orders"),
            "Flyway": (
                SHOP,
                "org.flywaydb.core.api.FlywayException: Validate failed: Migrations have failed validation",
            ),
            "golang-migrate": (SHOP, "error: Dirty database version 12. Fix and force version."),
            "Alembic": (
                SHOP,
                "alembic.util.exc.CommandError: Can't locate revision identified by 'ae1027a6acf'",
            ),
            "Prisma": (SHOP, "The table `public.orders` does not exist in the current database."),
        },
    ),
    *_group(
        "pool_exhausted",
        "cart",
        quiet="Connection pool is full, discarding connection: orders-db",
        texts={
            "HikariCP": (
                SHOP,
                "HikariPool-1 - Connection is not available, request timed out after 30000ms.",
            ),
            "SQLAlchemy": (
                SHOP,
                "QueuePool limit of size 5 overflow 10 reached, connection timed out, timeout 30.00",
            ),
            "go-redis": (SHOP, "redis: connection pool timeout"),
            "knex": (
                SHOP,
                "KnexTimeoutError: Knex: Timeout acquiring a connection. The pool is probably full.",
            ),
            "node-postgres": (SHOP, "Error: timeout exceeded when trying to connect"),
            "Jedis": (
                SHOP,
                "redis.clients.jedis.exceptions.JedisException: Could not get a resource from the pool",
            ),
            "PyMongo": (
                SHOP,
                "pymongo.errors.WaitQueueTimeoutError: Timed out while checking out a connection",
            ),
        },
    ),
    *_group(
        "db_deadlock",
        times=3,
        quiet="thread dump: no dead threads",
        texts={
            "PostgreSQL": (SHOP, "ERROR:  deadlock detected"),
            "MySQL": (MYSQL, "Deadlock found when trying to get lock; try restarting transaction"),
        },
    ),
    *_group(
        "lock_contention",
        times=3,
        quiet="account locked by admin",
        texts={
            "PostgreSQL": (SHOP, "ERROR:  canceling statement due to lock timeout"),
            "MySQL": (MYSQL, "Lock wait timeout exceeded; try restarting transaction"),
            "waiting": (
                SHOP,
                "LOG:  process 71 still waiting for ShareLock on transaction 900 after 1000.1 ms",
            ),
        },
    ),
    *_group(
        "db_disk_full",
        quiet="No space left in the cart",
        texts={
            "PostgreSQL": (SHOP, 'ERROR:  could not extend file "base/16384/2619": No space left on device'),
            "MySQL": (MYSQL, "The table 'orders' is full"),
            "MongoDB": (MONGO, "WiredTiger error (28) [1712]: No space left on device"),
            "Redis": (
                REDIS,
                "Write error writing append only file on disk: No space left on device. append only file: "
                "No space left on device",
            ),
        },
    ),
    *_group(
        "replication_lag",
        quiet="replication is up to date",
        texts={
            "PostgreSQL": (SHOP, "FATAL:  requested WAL segment 0000000100 has already been removed"),
            "conflict": (SHOP, "ERROR:  canceling statement due to conflict with recovery"),
            "words": (SHOP, "replica lag is 120 s, refusing stale reads"),
        },
    ),
    *_group(
        "dependency_auth_failed",
        "orders-db",
        quiet="401 items in stock",
        texts={
            "PostgreSQL": (SHOP, PG_AUTH),
            "an API inside": (SHOP, "GET http://orders-db:5432/status returned 401 Unauthorized"),
        },
    ),
    case("its own log", world(SHOP, logs={"orders-db": [PG_AUTH]}), "db_auth_failed", *DB, least=0.8),
    case(
        "its own log about the disk",
        world(
            SHOP,
            logs={
                "orders-db": ['PANIC:  could not write to file "pg_wal/xlogtemp.29": No space left on device']
            },
        ),
        "db_disk_full",
        *DB,
        least=0.95,
    ),
    case(
        "an application's own disk",
        world(SHOP, logs={"cart": ["java.io.IOException: No space left on device"]}),
        "disk_full",
        "cart",
    ),
    case("Go", world(SHOP, logs={"cart": ["write /data/x: no space left on device"]}), "disk_full", "cart"),
    no("a database's own disk", world(SHOP, logs={"orders-db": ["No space left on device"]}), "disk_full"),
    no("space between words", world(SHOP, logs={"cart": ["no space in the name"]}), "disk_full", absent=True),
    unknown("a cut log", world(SHOP, logs={"cart": ["fine"]}, log_cut="cut"), "disk_full"),
    case(
        "a database that says little",
        world(SHOP, logs={"orders-db": ["No space left on device"]}),
        "db_disk_full",
        *DB,
    ),
    no(
        "a full disk of an application is not a database's",
        world(SHOP, logs={"stock": ["java.io.IOException: No space left on device"]}),
        "db_disk_full",
    ),
    case(
        "one client alone is refused",
        world(BOTH, logs={"cart": [PG_AUTH]}),
        "db_auth_failed",
        "cart",
        least=0.75,
        says=("stock do not complain",),
    ),
    case(
        "a pool gauge at its limit",
        world(
            tracks=[
                track("hikaricp_connections_active", step(2, 10), "cart"),
                track("hikaricp_connections_max", step(10, 10), "cart"),
            ]
        ),
        "pool_exhausted",
        "cart",
    ),
    no(
        "a pool gauge below it",
        world(
            tracks=[
                track("hikaricp_connections_active", step(2, 6), "cart"),
                track("hikaricp_connections_max", step(10, 10), "cart"),
            ]
        ),
        "pool_exhausted",
    ),
    case(
        "connections at the server's limit",
        world(
            tracks=[
                track("pg_stat_activity_count", step(20, 60), "orders-db", state="idle"),
                track("pg_stat_activity_count", step(10, 38), "orders-db", state="active"),
                track("pg_settings_max_connections", step(100, 100), "orders-db"),
            ],
            kinds={"orders-db": "datastore"},
        ),
        "too_many_connections",
        "orders-db",
        "datastore",
        says=("98 of 100",),
    ),
    case(
        "all threads are busy",
        world(
            tracks=[
                track("tomcat_threads_busy_threads", step(20, 200), "cart"),
                track("tomcat_threads_config_max_threads", step(200, 200), "cart"),
            ]
        ),
        "thread_pool_exhausted",
        "cart",
    ),
    no(
        "some threads are busy",
        world(
            tracks=[
                track("tomcat_threads_busy_threads", step(20, 90), "cart"),
                track("tomcat_threads_config_max_threads", step(200, 200), "cart"),
            ]
        ),
        "thread_pool_exhausted",
    ),
    no(
        "a limit that nobody reports",
        world(tracks=[track("tomcat_threads_busy_threads", step(20, 200), "cart")]),
        "thread_pool_exhausted",
    ),
    unknown(
        "no limit reported",
        world(tracks=[track("tomcat_threads_busy_threads", step(20, 200), "cart")]),
        "thread_pool_exhausted",
    ),
    case(
        "lag by metric",
        world(tracks=[track("pg_replication_lag_seconds", step(1, 90), "orders-db")]),
        "replication_lag",
        "orders-db",
    ),
    no(
        "lag as ever",
        world(tracks=[track("pg_replication_lag_seconds", step(90, 90), "orders-db")]),
        "replication_lag",
    ),
    case(
        "deadlocks by metric",
        world(tracks=[track("pg_stat_database_deadlocks", counter(0, 0.05), "orders-db")]),
        "db_deadlock",
        "orders-db",
    ),
    no(
        "no new deadlocks",
        world(tracks=[track("pg_stat_database_deadlocks", counter(0, 0), "orders-db")]),
        "db_deadlock",
    ),
]


@pytest.mark.parametrize("one", CASES, ids=lambda one: f"{one.kind}: {one.name}")
def test_a_datastore_is_judged_by_the_words_of_its_software(one: Case) -> None:
    judge(one)


def test_many_callers_with_one_missing_table_mean_the_database() -> None:
    text = 'ERROR:  relation "orders" does not exist'
    hits = found(world(BOTH, logs={"cart": [text], "stock": [text]}), "migration_failed")
    assert hits["service", "orders-db"].confidence > hits["service", "cart"].confidence


def test_one_lost_transaction_is_everyday_life() -> None:
    once = found(world(SHOP, logs={"cart": ["ERROR:  deadlock detected"]}), "db_deadlock")
    assert once["service", "orders-db"].confidence < 0.5
