"""The SELECT behind each table that is asked for as a whole: the columns that tell something."""

from __future__ import annotations

from collections.abc import Collection, Sequence

_PREPARED = {
    "processes": (
        "SELECT pid, parent, name, path, cmdline, state, uid, start_time, threads, resident_size, "
        "total_size, user_time, system_time, disk_bytes_read, disk_bytes_written FROM processes "
        "ORDER BY user_time + system_time DESC"
    ),
    "listening_ports": (
        "SELECT l.pid, p.name, l.port, l.protocol, l.family, l.address, l.path FROM listening_ports AS l "
        "LEFT JOIN processes AS p ON p.pid = l.pid ORDER BY l.port"
    ),
    "deb_packages": "SELECT name, version, revision, arch, status FROM deb_packages ORDER BY name",
    "rpm_packages": (
        "SELECT name, version, release, arch, install_time FROM rpm_packages ORDER BY install_time DESC"
    ),
    "logged_in_users": "SELECT type, user, tty, host, time, pid FROM logged_in_users ORDER BY time DESC",
    "last": "SELECT username, tty, pid, type, time, host FROM last ORDER BY time DESC",
    "systemd_units": (
        "SELECT id, description, load_state, active_state, sub_state, fragment_path, user FROM systemd_units"
    ),
}
_FILE = (
    "SELECT path, filename, directory, inode, uid, gid, mode, size, atime, mtime, ctime, type FROM file "
    "WHERE path IN ({paths})"
)


class NotPrepared(Exception):
    """There is no such question; the text says why."""


def select_for(table: str, tables: Collection[str], files: Sequence[str]) -> str:
    """The SELECT for a whole table; of ``file`` only the declared ones. Raises NotPrepared."""
    name = table.lower()
    if name not in tables:
        raise NotPrepared("it is not an allowed table")
    if name == "file":
        if not files:
            raise NotPrepared("no file is declared to be looked at")
        return _FILE.format(paths=", ".join("'" + path.replace("'", "''") + "'" for path in files))
    if name == "listening_ports" and "processes" not in tables:
        return "SELECT * FROM listening_ports"
    return _PREPARED.get(name, f"SELECT * FROM {name}")  # noqa: S608  (an allowed name, and parsed before it is sent)
