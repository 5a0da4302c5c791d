"""A real PostgreSQL server, and a service that keeps its orders in it."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
from pathlib import Path
from typing import Any

from aiohttp import web

from benchmarks.scenarios.box import Box, Scenario, failing, rule
from benchmarks.scenarios.children import Child, SmallService
from benchmarks.scenarios.disks import mounted
from benchmarks.scenarios.truth import Cause, Truth
from tests.servers.ports import free_port
from tests.servers.synapse import steady_port

NAME = "orders-db"
_TAGS = ("database", "recorded")
_USER = "postgres"
_POLL = """
SELECT 'pg_stat_activity_count{state="' || coalesce(state, 'none') || '"} ' || count(*)
  FROM pg_stat_activity WHERE backend_type = 'client backend' GROUP BY state;
SELECT 'pg_settings_max_connections ' || setting FROM pg_settings WHERE name = 'max_connections';
SELECT 'pg_stat_database_deadlocks{datname="' || datname || '"} ' || deadlocks
  FROM pg_stat_database WHERE datname = 'orders';
SELECT 'pg_stat_database_xact_commit{datname="' || datname || '"} ' || xact_commit
  FROM pg_stat_database WHERE datname = 'orders';
SELECT 'pg_stat_database_xact_rollback{datname="' || datname || '"} ' || xact_rollback
  FROM pg_stat_database WHERE datname = 'orders';
SELECT 'pg_locks_waiting ' || count(*) FROM pg_locks WHERE NOT granted;
SELECT 'pg_stat_activity_max_tx_duration ' || coalesce(max(extract(epoch FROM now() - xact_start)), 0)
  FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid();
SELECT 'pg_database_size_bytes{datname="orders"} ' || pg_database_size('orders');
"""


class Database(Child):
    """One server in ``folder``; the log goes to its file, as everywhere."""

    def __init__(self, folder: Path, data: Path, **settings: str) -> None:
        programs = Path(shutil.which("postgres") or "").resolve().parent
        own = folder / NAME
        own.mkdir()
        self.port = steady_port()
        self.data = data
        self.programs = programs
        self.password = secrets.token_hex(8)
        self.text = ""
        options = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "log_line_prefix": "%m [%p] ",
            "log_timezone": "UTC",
            "log_lock_waits": "on",
            "deadlock_timeout": "500ms",
            "fsync": "off",
            **settings,
        }
        arguments = [f"-c{key}={value}" for key, value in options.items()]
        root = os.geteuid() == 0
        super().__init__(
            name=NAME,
            folder=own,
            command=[str(programs / "postgres"), "-D", str(data), *arguments],
            user=_USER if root else None,
        )
        if root:
            shutil.chown(own, _USER)

    async def create(self) -> None:
        """initdb with password authentication, the database, its table and its user."""
        secret = self.folder / "secret"
        secret.write_text(self.password)
        if self.user is not None:
            shutil.chown(secret, _USER)
            shutil.chown(self.data, _USER)
        own: dict[str, Any] = {} if self.user is None else {"user": self.user, "extra_groups": []}
        initdb = await asyncio.create_subprocess_exec(
            *(str(self.programs / "initdb"), "-D", str(self.data), "-U", "postgres", "-A", "scram-sha-256"),
            *(f"--pwfile={secret}", "--no-sync", "--locale=C.UTF-8", "--wal-segsize=1"),
            stdout=asyncio.subprocess.DEVNULL,
            cwd=self.folder,
            **own,
        )
        if await initdb.wait() != 0:
            raise RuntimeError("initdb failed")
        await self.start()
        await self.ready()
        await self.run("CREATE DATABASE orders", database="postgres")
        await self.run(
            "CREATE TABLE orders (id bigserial PRIMARY KEY, body text, at timestamptz DEFAULT now());"
            "CREATE TABLE stock (sku int PRIMARY KEY, amount int);"
            "INSERT INTO stock SELECT n, 1000000 FROM generate_series(1, 20) n;"
            f"CREATE ROLE shop LOGIN PASSWORD '{self.password}';"
            "GRANT ALL ON ALL TABLES IN SCHEMA public TO shop;"
            "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO shop;"
        )

    def environment_of(self, user: str, database: str = "orders") -> dict[str, str]:
        return {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": user,
            "PGPASSWORD": self.password,
            "PGDATABASE": database,
            "PGCONNECT_TIMEOUT": "3",
        }

    async def ready(self) -> None:
        async with asyncio.timeout(30):
            while (await self.psql("SELECT 1", database="postgres"))[0] != 0:
                await asyncio.sleep(0.1)

    async def psql(self, sql: str, *, database: str = "orders") -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            *("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql),
            env={"PATH": os.environ["PATH"], **self.environment_of("postgres", database)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, errors = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(), errors.decode()

    async def run(self, sql: str, *, database: str = "orders") -> None:
        code, _, errors = await self.psql(sql, database=database)
        if code != 0:
            raise RuntimeError(errors)

    async def hold(self, box: Box, sql: str, user: str = "postgres") -> asyncio.subprocess.Process:
        """A session that stays open after its statements, until the scenario ends."""
        process = await asyncio.create_subprocess_exec(
            *("psql", "-XAtq"),
            env={"PATH": os.environ["PATH"], **self.environment_of(user)},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert process.stdin is not None
        process.stdin.write(f"{sql}\n".encode())
        await process.stdin.drain()

        async def end() -> None:
            if process.returncode is None:
                process.kill()
            await process.wait()

        box.stack.push_async_callback(end)
        return process

    async def poll(self) -> None:
        """Ask for what postgres_exporter would say, again and again. A scrape gets the last answer: on a busy
        machine the start of psql alone can take longer than a scrape may."""
        while True:
            code, out, _ = await self.psql(_POLL)
            self.text = "pg_up 0\n" if code else f"{out}pg_up 1\n"
            await asyncio.sleep(0.5)

    async def metrics(self, _: web.Request) -> web.Response:
        return web.Response(text=self.text, content_type="text/plain")


async def database(box: Box, *, data: Path | None = None, **settings: str) -> Database:
    """A server with its table, and its exporter."""
    place = data or box.folder / "pgdata"
    place.mkdir(exist_ok=True)
    server = Database(box.folder, place, **settings)
    box.own(server)
    await server.create()
    polling = asyncio.create_task(server.poll())
    box.stack.callback(polling.cancel)
    app = web.Application()
    app.add_routes([web.get("/metrics", server.metrics)])
    runner = web.AppRunner(app)
    await runner.setup()
    box.stack.push_async_callback(runner.cleanup)
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    box.scrape(NAME, server.port, port, service=NAME)
    return server


async def orders(box: Box, server: Database, *statements: str, **more: Any) -> SmallService:
    """The service that stores its orders there."""
    box.traced()
    told = statements or (
        "INSERT INTO orders (body) VALUES ('{}')",
        "UPDATE stock SET amount = amount - 1 WHERE sku = 1 + (random() * 19)::int",
    )
    return await box.service(
        more.pop("name", "orders"),
        database={
            "peer": NAME,
            "operation": "INSERT orders",
            "environment": server.environment_of("shop"),
            "statements": told,
        },
        **more,
    )


def _truth(*faults: str, **more: Any) -> Truth:
    causes = [Cause(object=NAME, kind="", fault=one) for one in faults]
    return Truth(causes=[*causes, *more.pop("causes", ())], tags=(*_TAGS, *more.pop("tags", ())), **more)


async def stopped(box: Box) -> Truth:
    server = await database(box)
    await orders(box, server)
    await box.watch(failing("orders"))
    server.send(signal.SIGINT)
    await box.alerted("HighErrorRate")
    return _truth("process_stopped", "process_not_running", "dependency_down", "connection_refused")


async def connections_full(box: Box) -> Truth:
    """Sessions that somebody opened and forgot take every connection."""
    server = await database(box, max_connections="20", superuser_reserved_connections="3")
    await orders(box, server)
    await box.watch(failing("orders"))
    for _ in range(17):
        await server.hold(box, "SELECT 1;", user="shop")
    await box.alerted("HighErrorRate", linger=6)
    return _truth("too_many_connections")


async def read_only(box: Box) -> Truth:
    server = await database(box)
    await orders(box, server)
    await box.watch(failing("orders"))
    await server.run("ALTER SYSTEM SET default_transaction_read_only = on")
    await server.run("SELECT pg_reload_conf()")
    box.changed(
        "db-0417",
        NAME,
        "Freeze writes for the storage move",
        kind="config",
        files=["postgresql.auto.conf"],
        diff="+default_transaction_read_only = 'on'\n",
    )
    await box.alerted("HighErrorRate")
    return _truth("db_read_only", culprit="db-0417", tags=("change",))


async def deadlocks(box: Box) -> Truth:
    """Two services take the same rows in opposite order."""
    server = await database(box)
    upward = [f"UPDATE stock SET amount = amount - 1 WHERE sku = {sku}" for sku in (1, 2)]
    first = "BEGIN; {}; SELECT pg_sleep(0.15); {}; COMMIT"
    await orders(box, server, timeout=5, rate=1)
    for name, pair in (("orders-eu", upward), ("orders-us", upward[::-1])):
        await orders(box, server, first.format(*pair), name=name, timeout=5, rate=2)
    await box.watch(
        rule("Deadlocks", "increase(pg_stat_database_deadlocks[30s]) > 3", "transactions kill each other")
        | {"labels": {"severity": "critical", "service": NAME}},
        healthy=5,
    )
    await box.alerted("Deadlocks", linger=12)
    return _truth("db_deadlock", "lock_contention")


async def locked(box: Box) -> Truth:
    """An open transaction holds a lock that every order waits for."""
    server = await database(box)
    await orders(box, server, timeout=2)
    await box.watch(failing("orders"))
    await server.hold(box, "BEGIN; LOCK TABLE stock IN ACCESS EXCLUSIVE MODE;")
    await box.alerted("HighErrorRate", linger=8)
    return _truth("lock_contention", "db_deadlock", "dependency_slow")


async def table_missing(box: Box) -> Truth:
    """A release wants a table that no migration made."""
    server = await database(box)
    service = await orders(box, server)
    await box.watch(failing("orders"))
    config = dict(service.config["database"])
    config["statements"] = ["INSERT INTO order_events (body) VALUES ('{}')"]
    await service.restart(database=config)
    box.changed(
        "e2b7714f",
        "orders",
        "Store orders as events",
        kind="deploy",
        version="3.0.0",
        files=["orders/store.py"],
        diff="-INSERT INTO orders (body) VALUES (%s)\n+INSERT INTO order_events (body) VALUES (%s)\n",
    )
    await box.alerted("HighErrorRate")
    return Truth(
        causes=[Cause(object="orders", fault="migration_failed")], culprit="e2b7714f", tags=(*_TAGS, "change")
    )


async def wrong_password(box: Box) -> Truth:
    """Somebody changes the password in the database and tells nobody."""
    server = await database(box)
    await orders(box, server)
    await box.watch(failing("orders"))
    await server.run(f"ALTER ROLE shop PASSWORD '{secrets.token_hex(8)}'")
    await box.alerted("HighErrorRate")
    return _truth("db_auth_failed", causes=[Cause(object="orders", fault="db_auth_failed")])


async def permission_lost(box: Box) -> Truth:
    server = await database(box)
    await orders(box, server)
    await box.watch(failing("orders"))
    await server.run("REVOKE INSERT ON orders FROM shop")
    await box.alerted("HighErrorRate")
    return _truth("db_permission")


async def disk_full(box: Box) -> Truth:
    """The database's disk is full: it cannot extend its files."""
    path = await mounted(box, "pgdata", "size=72m,nr_inodes=20k")
    data = path / "data"
    server = await database(
        box, data=data, max_wal_size="2MB", min_wal_size="2MB", wal_keep_size="0", checkpoint_timeout="30s"
    )
    await orders(
        box,
        server,
        "INSERT INTO orders (body) SELECT repeat(md5(random()::text), 60) FROM generate_series(1, 40)",
    )
    await box.watch(failing("orders"), healthy=15)
    free = os.statvfs(path)
    (path / "old-dump.sql").write_bytes(b"-" * max((free.f_bavail * free.f_frsize) - 300_000, 0))
    await box.alerted("HighErrorRate", linger=6)
    full = Cause(object="box1:/srv/pgdata", kind="", fault="disk_filling")
    return _truth("db_disk_full", causes=[full])


async def killed_while_readers_wait(box: Box) -> Truth:
    """Two faults at once: the database is killed, and the mailer leaks. The alert is about the orders."""
    server = await database(box)
    await orders(box, server)
    mailer = await box.service("mailer")
    await box.watch(failing("orders"))
    await mailer.do("leak")
    server.send(signal.SIGKILL)
    await box.alerted("HighErrorRate")
    return _truth(
        "process_crash", "process_not_running", "dependency_down", "connection_refused", tags=("two_faults",)
    )


async def slow_report(box: Box) -> Truth:
    """A long report runs for some seconds, as on every day; nothing waits for it."""
    server = await database(box)
    await orders(box, server)
    await box.watch(
        rule(
            "LongTransaction",
            "pg_stat_activity_max_tx_duration > 6",
            "a transaction is open for long",
            severity="warning",
        )
        | {"labels": {"severity": "warning", "service": NAME}}
    )
    await server.hold(box, "SELECT pg_sleep(14);")
    await box.alerted("LongTransaction", linger=2)
    await box.alerted("LongTransaction", status="resolved", linger=15)
    return Truth(healthy=True, tags=(*_TAGS, "healthy"))


SCENARIOS: dict[str, Scenario] = {
    "database-stopped": stopped,
    "database-connections-full": connections_full,
    "database-read-only": read_only,
    "database-deadlocks": deadlocks,
    "database-locked": locked,
    "database-table-missing": table_missing,
    "database-wrong-password": wrong_password,
    "database-permission-lost": permission_lost,
    "database-disk-full": disk_full,
    "database-killed-and-leak": killed_while_readers_wait,
    "healthy-database-report": slow_report,
}
