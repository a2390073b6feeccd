"""`deskloom export invoices`: the invoices of a month as files for QuickBooks."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from deskloom.cli import exits
from deskloom.cli.options import Json

if TYPE_CHECKING:
    import httpx

    from deskloom.cli.connection import Connection
    from deskloom.settings import Settings

FORMATS = ("csv", "iif", "both")
NOT_BILLED = "not-billed.csv"


def _format(text: str) -> str:
    if text not in FORMATS:
        raise typer.BadParameter(f'"{text}" is not one of: {", ".join(FORMATS)}')
    return text


def invoices(
    month: Annotated[str, typer.Option("--month", metavar="MONTH", help="The month, as 2025-01.")],
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where the files go; here without it.")] = Path("."),
    account: Annotated[
        str | None, typer.Option("--account", metavar="NUMBER", help="Only the company with this account number.")
    ] = None,
    kind: Annotated[
        str, typer.Option("--format", parser=_format, metavar="FORMAT", help="csv, iif, or both (the default).")
    ] = "both",
    as_zip: Annotated[bool, typer.Option("--zip", help="All of them in one zip file.")] = False,
    as_json: Json = False,
) -> int:
    """Write the invoices of a month: issued ones as they were issued, the others as they would be now.

    Equal invoices make equal files. Ends 3 if companies with work could not be billed; not-billed.csv lists them.
    """
    from deskloom.cli.running import run
    from deskloom.cli.startup import start

    if account is not None and as_zip:
        raise exits.Ended(exits.USAGE, "--zip packs the invoices of all companies; leave --account out.")
    return run(_export(start(), folder, month, account, kind, as_zip, as_json))


async def _export(
    settings: Settings, folder: Path, month: str, account: str | None, kind: str, as_zip: bool, as_json: bool
) -> int:
    from deskloom.cli.connection import connect
    from deskloom.cli.output import counted, say, say_json

    async with connect(settings, "export invoices") as desk:
        if account is None:
            files, missing = await _of_all(desk, month, kind, as_zip)
        else:
            files, missing = await _of_one(desk, month, account, kind), []
    written = _write(folder, files)
    from deskloom.cli.billing import left_out, tell_not_billed

    if as_json:
        say_json({"month": month, "files": [str(path) for path in written], "not_billed": missing})
    else:
        for path in written:
            say(str(path))
        say(f"{counted(len(written), 'file')} written.")
        tell_not_billed(missing)
    return exits.PARTIAL if left_out(missing) else exits.DONE


async def _of_all(
    desk: Connection, month: str, kind: str, as_zip: bool
) -> tuple[Mapping[str, bytes], list[dict[str, Any]]]:
    packed = await _download(desk, "/billing/invoices.zip", {"month": month, "format": kind})
    missing: list[dict[str, Any]] = (await desk.call("GET", "/billing", params={"month": month}))["not_billed"]
    if as_zip:
        return {_name(packed): packed.content}, missing
    with zipfile.ZipFile(io.BytesIO(packed.content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    return {name: content for name, content in files.items() if name != NOT_BILLED or missing}, missing


async def _of_one(desk: Connection, month: str, account: str, kind: str) -> Mapping[str, bytes]:
    files = {}
    for suffix in ("csv", "iif") if kind == "both" else (kind,):
        path = f"/billing/{quote(account, safe='')}/invoice.{suffix}"
        answer = await _download(desk, path, {"month": month})
        files[_name(answer)] = answer.content
    return files


async def _download(desk: Connection, path: str, params: Mapping[str, str]) -> httpx.Response:
    import httpx

    from deskloom.cli.connection import OwnerGone

    try:
        response = await desk.client.get(f"/api/v1{path}", params=dict(params))
    except httpx.TransportError as error:
        raise OwnerGone from error
    if response.is_error:
        raise exits.Problem(response.json())
    return response


def _name(answer: httpx.Response) -> str:
    return Path(answer.headers["content-disposition"].split('"')[1]).name


def _write(folder: Path, files: Mapping[str, bytes]) -> list[Path]:
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in sorted(files.items()):
            path = folder / name
            path.write_bytes(content)
            written.append(path)
    except OSError as error:
        raise exits.Ended(exits.FAILED, f"{folder} cannot be written: {error.strerror}. Choose another DIR.") from None
    return written
