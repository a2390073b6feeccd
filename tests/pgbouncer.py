"""A PgBouncer of the tests' own in transaction mode, as Supabase puts one before PostgreSQL: found or fetched, started.

Taken from PATH or /usr/sbin, else from Debian's (or Ubuntu's) package, which is unpacked, not installed, into
`.tools/pgbouncer`; apt's lists and caches for that are kept there too, so that root is not needed and nothing of the
machine is changed. Where there is no apt, tests that need it are skipped, but never within `.ci/run`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import make_url
from tests import postgres

CACHE = Path(__file__).parents[1] / ".tools" / "pgbouncer"
INSTALL = (
    "Install it (Debian, Ubuntu: apt-get install pgbouncer; macOS: brew install pgbouncer) and run the tests again."
)
LEVELS = 3
"""How deep the libraries of libraries are followed that the machine does not have."""


@dataclass(frozen=True, slots=True)
class Program:
    """The program, and where the libraries lie that came with it."""

    path: Path
    libraries: tuple[Path, ...] = ()

    def environment(self) -> dict[str, str]:
        known = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
        return known | ({"LD_LIBRARY_PATH": ":".join(str(path) for path in self.libraries)} if self.libraries else {})


@dataclass(frozen=True, slots=True)
class Bouncer:
    """A running PgBouncer before a server; every database of the server can be reached through it."""

    port: int

    def through(self, url: str) -> str:
        """The URL of a database of the server, through the pooler."""
        return make_url(url).set(port=self.port).render_as_string(hide_password=False)


class Missing(Exception):
    """There is no PgBouncer, and none can be had; says what to do."""


def optional() -> bool:
    """Whether tests may be left out where there is none: on systems without apt, outside of `.ci/run`."""
    return shutil.which("apt-get") is None and not os.environ.get("DESKLOOM_CI")


def find(path: str | None = None, cache: Path = CACHE) -> Program:
    """The program. Raises `Missing`."""
    if on_path := shutil.which("pgbouncer", path=path):
        return Program(Path(on_path).resolve())
    if path is None and Path("/usr/sbin/pgbouncer").exists():
        return Program(Path("/usr/sbin/pgbouncer"))
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise Missing(f"There is no pgbouncer on PATH or in /usr/sbin, and no apt to fetch it with. {INSTALL}")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / "lock").open("w") as lock:  # other test processes look for it as well
            fcntl.flock(lock, fcntl.LOCK_EX)
            return _unpacked(cache) or _fetched(cache)
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[-1:]
        raise Missing(f"Debian's package pgbouncer cannot be fetched: {' '.join(said)} {INSTALL}") from error


def _unpacked(cache: Path) -> Program | None:
    program = Program(cache / "root" / "usr" / "sbin" / "pgbouncer", _libraries(cache))
    return program if program.path.exists() and not _lacking(program) else None


def _fetched(cache: Path) -> Program:
    apt = _Apt(cache)
    apt.update()
    wanted = ["pgbouncer"]
    for _ in range(LEVELS):
        for package in wanted:
            apt.unpack(package, required=package == "pgbouncer")
        if (program := _unpacked(cache)) is not None:
            return program
        wanted = [needed for package in wanted for needed in apt.libraries_of(package)]
    lacking = _lacking(Program(cache / "root" / "usr" / "sbin" / "pgbouncer", _libraries(cache)))
    raise Missing(f"Debian's package pgbouncer lacks libraries here: {', '.join(lacking)}. {INSTALL}")


class _Apt:
    """apt with lists and archives of its own, on the machine's sources and list of installed packages."""

    def __init__(self, cache: Path) -> None:
        self.root = cache / "root"
        self.archives = cache / "archives"
        self.options = ["-o", "Dir::State::status=/var/lib/dpkg/status", "-o", "APT::Sandbox::User="]
        for name, folder in (("Dir::State", cache / "state"), ("Dir::Cache", self.archives)):
            (folder / "lists" / "partial").mkdir(parents=True, exist_ok=True)
            (folder / "archives" / "partial").mkdir(parents=True, exist_ok=True)
            self.options += ["-o", f"{name}={folder}"]

    def update(self) -> None:
        self._run("apt-get", "update", "-qq")

    def unpack(self, package: str, *, required: bool) -> None:
        """Download a package and unpack it; one that is not required may not exist (of two alternatives, say)."""
        folder = Path(tempfile.mkdtemp(dir=self.archives))
        try:
            self._run("apt-get", "download", package, cwd=folder)
            for file in folder.glob("*.deb"):
                subprocess.run(["dpkg-deb", "-x", file, self.root], check=True, capture_output=True, text=True)
        except subprocess.CalledProcessError:
            if required:
                raise
        finally:
            shutil.rmtree(folder)

    def libraries_of(self, package: str) -> list[str]:
        """The packages with libraries that a package depends on; the C library is everywhere."""
        said = self._run("apt-cache", "depends", "--important", package)
        names = [line.split()[-1] for line in said.splitlines() if "Depends:" in line]
        return [name for name in names if name.startswith("lib") and not name.startswith("libc6")]

    def _run(self, command: str, *arguments: str, cwd: Path | None = None) -> str:
        words = [command, *self.options, *arguments]
        return subprocess.run(words, check=True, capture_output=True, text=True, cwd=cwd, timeout=300).stdout


def _libraries(cache: Path) -> tuple[Path, ...]:
    root = cache / "root"
    return tuple(sorted({file.parent for file in root.glob("**/*.so.*") if file.parent.name != "engines-3"}))


def _lacking(program: Program) -> list[str]:
    """Libraries that neither the machine nor the unpacked packages have."""
    said = subprocess.run(["ldd", program.path], capture_output=True, text=True, env=program.environment()).stdout
    return [line.split()[0] for line in said.splitlines() if "not found" in line]


@contextlib.contextmanager
def running(server: postgres.Server, program: Program, *, pool: int = 3, **settings: str) -> Iterator[Bouncer]:
    """A pooler in transaction mode before a server; `pool`: server connections for each database."""
    with tempfile.TemporaryDirectory(prefix="pgbouncer-", ignore_cleanup_errors=True) as name:
        home, user = Path(name), postgres._other_user()
        local = _copied(program, home)
        port = postgres._free_port()
        options: Mapping[str, str] = {
            "listen_addr": "127.0.0.1",
            "listen_port": str(port),
            "unix_socket_dir": "",
            "auth_type": "any",
            "pool_mode": "transaction",
            "default_pool_size": str(pool),
            "max_client_conn": "200",
        } | settings
        target = f"* = host=127.0.0.1 port={server.port} user=deskloom"
        lines = ["[databases]", target, "[pgbouncer]", *(f"{key} = {value}" for key, value in options.items())]
        (home / "pgbouncer.ini").write_text("\n".join(lines) + "\n")
        home.chmod(0o755)
        with (home / "log").open("wb") as log:
            process = subprocess.Popen(
                [local.path, home / "pgbouncer.ini"],
                stdout=log,
                stderr=log,
                cwd=home,
                env=local.environment(),
                **postgres._as(user),  # type: ignore[arg-type]
            )
            try:
                _wait(process, port, home / "log")
                yield Bouncer(port)
            finally:
                process.kill()
                process.wait(30)


def _copied(program: Program, home: Path) -> Program:
    """The program where the user it runs as may go: it refuses to run as root, and a checkout may be closed."""
    path = Path(shutil.copy(program.path, home / "pgbouncer"))
    libraries = home / "libraries"
    libraries.mkdir()
    for folder in program.libraries:
        for file in folder.glob("*.so.*"):
            shutil.copy(file, libraries / file.name)
    for entry in (path, libraries, *libraries.iterdir()):
        entry.chmod(0o755)
    return Program(path, (libraries,) if program.libraries else ())


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Until it takes connections; there is nothing else to be told by."""
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PgBouncer did not start: {log.read_text(errors='replace')[-2000:]}") from None
            time.sleep(0.02)
