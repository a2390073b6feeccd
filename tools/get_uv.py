"""Gets the uv that uv.lock names, with nothing but Python's standard library: for machines without pip and venv."""

import hashlib
import io
import os
import platform
import sys
import tomllib
import urllib.request
import zipfile
from pathlib import Path


def wheel_of(lock: Path, tags: tuple[str, str]) -> tuple[str, str]:
    """Address and sha256 of uv's wheel for this machine; `tags` stand in the names of wheels that run on it."""
    packages = tomllib.loads(lock.read_text(encoding="utf-8"))["package"]
    wheels = next(package["wheels"] for package in packages if package["name"] == "uv")
    for wheel in wheels:
        name = wheel["url"].rsplit("/", 1)[-1]
        if all(tag in name for tag in tags):
            return wheel["url"], wheel["hash"].removeprefix("sha256:")
    raise LookupError(f"uv.lock names no uv for this machine ({' '.join(tags)}).")


def main(target: Path) -> str | None:
    """Put the program `uv` at `target`; returns what went wrong."""
    libc = "musllinux" if not platform.libc_ver()[0] else "manylinux"
    tags = (libc, platform.machine()) if sys.platform == "linux" else ("macosx", platform.machine())
    try:
        url, digest = wheel_of(Path("uv.lock"), tags)
        with urllib.request.urlopen(url, timeout=120) as answer:
            wheel = answer.read()
        if hashlib.sha256(wheel).hexdigest() != digest:
            return "What came as uv is not what uv.lock names."
        with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
            name = next(name for name in archive.namelist() if name.endswith(".data/scripts/uv"))
            program = archive.read(name)
    except (OSError, LookupError, StopIteration, zipfile.BadZipFile) as error:
        return f"uv could not be fetched: {error}"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(program)
    target.chmod(0o755)
    return None


if __name__ == "__main__":
    if "SSL_CERT_FILE" not in os.environ and "PIP_CERT" in os.environ:
        os.environ["SSL_CERT_FILE"] = os.environ["PIP_CERT"]
    sys.exit(main(Path(sys.argv[1])))
