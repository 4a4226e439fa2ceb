"""The database: opened, checked, and its failures turned into `StoreError`s with a remedy."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from kernelwright.errors import StoreError
from kernelwright.store.schema import SCHEMA_VERSION, Base, SchemaRow

_BUSY_TIMEOUT_S = 15
_RETRY_S = 0.01
_SCHEMA_LOCK = 0x6B65726E  # any number, the same in every process

# What a driver says, in lower case, and what that means to the user. The first that fits counts.
_MEANINGS = (
    (("disk is full", "no space left"), "the disk is full", "free some space, then `kernelwright resume` the run"),
    # A limit on file size or a quota shows as an I/O error.
    (("disk i/o error",), "the disk cannot be read or written (full, over quota, or damaged)",
     "free some space, then `kernelwright resume` the run"),
    (("readonly database", "read-only"), "the database cannot be written",
     "make it and its folder writable or set KERNELWRIGHT_HOME to another folder"),
    (("unable to open",), "the database cannot be opened",
     "make its folder exist and be writable or set KERNELWRIGHT_HOME to another folder"),
    (("not a database", "malformed"), "the database is damaged",
     "move the file away (a new one is made) or restore a copy"),
    (("is locked",), f"another process has kept the database busy for {_BUSY_TIMEOUT_S} s",
     "try again when it is done"),
    (("authentication failed", "connection failed", "connection refused", "could not connect", "does not exist",
      "could not translate host", "failed to resolve"), "there is no connection to the database",
     "check KERNELWRIGHT_STORE and that the server runs"),
)  # fmt: skip


class Database:
    """A connection to the store's database. Every transaction is durable when its block ends.

    SQLite runs in WAL mode, so that readers never wait for a search, with `synchronous=FULL`: each commit is on the
    disk before it returns, where NORMAL could lose the last ones with the power. It costs one fsync a verdict, a few
    milliseconds beside seconds of evaluation.
    """

    def __init__(self, url: str) -> None:
        self.url = _parsed(url)
        self.file = Path(self.url.database).absolute() if self.url.database and self._is_file else None
        self.name = str(self.file or self.url.render_as_string(hide_password=True))
        self.engine = self._engine()
        with self.explained():
            self._prepare()

    @property
    def _is_file(self) -> bool:
        return self.url.get_backend_name() == "sqlite" and self.url.database not in (None, "", ":memory:")

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A transaction that changes nothing."""
        with self.explained(), Session(self.engine) as session, session.begin():
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction that is committed when the block ends, or not at all."""
        with self.explained(), Session(self.engine.execution_options(writes=True)) as session, session.begin():
            yield session

    def close(self) -> None:
        """Closes all connections."""
        self.engine.dispose()

    def _engine(self) -> Engine:
        sqlite = self.url.get_backend_name() == "sqlite"
        options: dict[str, Any] = {"connect_args": {"timeout": _BUSY_TIMEOUT_S}} if sqlite else {"pool_pre_ping": True}
        if sqlite and not self._is_file:
            # A database in memory lives as long as its one connection.
            options = {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}}
        try:
            engine = create_engine(self.url, **options)
        except ModuleNotFoundError as error:
            raise StoreError(
                f"the database needs the Python package {error.name}",
                where=self.name,
                remedy="install it, for PostgreSQL with `pip install 'kernelwright[postgresql]'`",
            ) from error
        if sqlite:
            event.listen(engine, "connect", _on_connect)
            event.listen(engine, "begin", _on_begin)
        return engine

    def _prepare(self) -> None:
        """Makes the tables in a new database, and refuses one whose tables are of another version."""
        with self.writing() as session:
            connection = session.connection()
            if self.url.get_backend_name() == "postgresql":
                session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SCHEMA_LOCK})
            tables = set(inspect(connection).get_table_names())
            if not tables:
                Base.metadata.create_all(connection)
                session.add(SchemaRow(version=SCHEMA_VERSION))
                return
            version = session.query(SchemaRow.version).scalar() if SchemaRow.__tablename__ in tables else None
        if version != SCHEMA_VERSION:
            found = "holds no Kernelwright tables" if version is None else f"has tables of version {version}"
            raise StoreError(
                f"the database {found}, this Kernelwright needs version {SCHEMA_VERSION}",
                where=self.name,
                remedy="use the Kernelwright that wrote it, or set KERNELWRIGHT_STORE to another database",
            )

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turns the driver's errors into `StoreError`s."""
        try:
            yield
        except DBAPIError as error:
            said = str(error.orig).strip()
            for signs, what, remedy in _MEANINGS:
                if any(sign in said.lower() for sign in signs):
                    raise StoreError(what, where=self.name, remedy=remedy) from error
            raise StoreError(
                f"the database fails: {said.splitlines()[0] if said else type(error.orig).__name__}",
                where=self.name,
                remedy="set KERNELWRIGHT_STORE to another database",
            ) from error


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
        parsed.get_dialect()
        if parsed.get_backend_name() in ("sqlite", "postgresql"):
            return parsed
    except ArgumentError:
        pass  # no URL, or one of a database that nobody knows
    raise StoreError(
        "not the address of a SQLite or PostgreSQL database",
        where=f"KERNELWRIGHT_STORE={url}",
        remedy="write e.g. sqlite:////path/to/file.db or postgresql://user@host/name",
    )


def _on_connect(connection: Any, _record: object) -> None:
    # The driver begins its transactions at the first change, when what was read may be out of date; so begin them here.
    connection.isolation_level = None
    _begin_wal(connection)
    for pragma in ("synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_wal(connection: Any) -> None:
    # SQLite waits for locks, but not for that of a change to WAL: a new database that another process changes at the
    # same moment is refused at once.
    deadline = time.monotonic() + _BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "is locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_S)
        else:
            return


def _on_begin(connection: Connection) -> None:
    # IMMEDIATE takes the write lock at once and waits for it; a reader that turns writer would be refused instead.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")
