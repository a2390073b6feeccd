"""`deskloom export markdown`: a tree of documents, one a ticket, kept in step with the record."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deskloom.cli import exits
from deskloom.cli.options import Json, SourceName, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deskloom.cli.connection import Connection
    from deskloom.exports.markdown_folder import Folder, Place
    from deskloom.settings import Settings

TOGETHER = 100
"""Documents asked for at a time."""
SHOWN = 10
FEW = 10
"""So many files may be removed whatever their share, but not all there are."""


def markdown(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder; made if it is not there.")],
    company: Annotated[
        str | None, typer.Option(metavar="NUMBER", help="Only the customer with this account number.")
    ] = None,
    source: SourceName = None,
    since: Annotated[
        str | None,
        typer.Option(
            parser=parse_time, metavar="TIME", help="Only tickets that changed at or after this time; removes nothing."
        ),
    ] = None,
    notes: Annotated[bool, typer.Option("--notes", help="Internal notes too, in a section of their own.")] = False,
    allow: Annotated[
        bool, typer.Option("--allow", help="Remove even more files than one run may remove without a word.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Write one markdown document for each ticket, in a folder for each company; again, only what changed.

    Documents of tickets that are gone are removed, and those of companies that are called otherwise now are moved.
    Files that this command did not write, or that were edited since, are left alone and named (exit status 3).
    """
    from deskloom.cli.running import run
    from deskloom.cli.startup import start

    settings = start()
    asked = {"company": company, "source": source, "since": since, "notes": notes or None}
    return run(_export(settings, folder, asked, allow=allow, as_json=as_json))


async def _export(settings: Settings, root: Path, asked: dict[str, Any], *, allow: bool, as_json: bool) -> int:
    from deskloom.cli.connection import connect
    from deskloom.cli.output import say_json
    from deskloom.exports.markdown_folder import open_folder

    async with connect(settings, "export markdown") as desk:
        with open_folder(root) as folder:
            done = await _Export(desk, folder, asked, settings.max_delete_share, allow).perform()
    if as_json:
        say_json({"folder": str(root), **done})
    else:
        _tell(root, done, asked)
    return exits.PARTIAL if done["kept"] or done["held"] else exits.DONE


class _Export:
    """One run over the folder."""

    def __init__(self, desk: Connection, folder: Folder, asked: dict[str, Any], share: float, allow: bool) -> None:
        self.desk = desk
        self.folder = folder
        self.asked = asked
        self.share = share
        self.allow = allow
        self.done: dict[str, Any] = {"documents": 0, "written": 0, "unchanged": 0, "removed": 0, "held": 0}

    async def perform(self) -> dict[str, Any]:
        """Read the listing to its end, write what differs, then remove what it lacks."""
        listed = await self._listed()
        self.done["documents"] = len(listed)
        stale = [place for place in listed.values() if not self.folder.is_current(place)]
        self.done["unchanged"] = len(listed) - len(stale)
        for at in range(0, len(stale), TOGETHER):
            await self._write(stale[at : at + TOGETHER])
        if not self.asked["since"]:
            self._remove(listed.keys())
        return self.done | {"kept": sorted(self.folder.left)}

    async def _listed(self) -> dict[Any, Place]:
        from deskloom.exports.markdown_folder import Place

        found: dict[Any, Place] = {}
        async for line in self.desk.lines("/exports/markdown", params=self.asked):
            if not line.get("end"):
                place = Place(kind=line.pop("kind", "ticket"), **line)
                found[place.key] = place
        return found

    async def _write(self, places: list[Place]) -> None:
        wanted = [{"source": place.source, "id": place.id} for place in places]
        body = {"tickets": wanted, "notes": bool(self.asked["notes"])}
        answer = await self.desk.call("POST", "/exports/markdown", body=body)
        texts = {(made["source"], made["id"]): made["text"] for made in answer["documents"]}
        for place in places:
            if (text := texts.get((place.source, place.id))) is not None:
                self._count(self.folder.write(place, text))

    def _remove(self, listed: Iterable[Any]) -> None:
        """Remove what the listing lacks, unless that is more than one run may remove without a word."""
        company, source = self.asked["company"], self.asked["source"]
        scope = [
            place
            for place in self.folder.places()
            if source in (None, place.source) and company in (None, place.account_number)
        ]
        gone = [place for place in scope if place.key not in listed]
        most = max(FEW, self.share * len(scope))
        if gone and not self.allow and (len(gone) > most or len(gone) == len(scope)):
            self.done["held"] = len(gone)
            return
        for place in gone:
            self._count(self.folder.remove(place))

    def _count(self, outcome: str) -> None:
        if outcome in self.done:
            self.done[outcome] += 1


def _tell(root: Path, done: dict[str, Any], asked: dict[str, Any]) -> None:
    from deskloom.cli.output import clean, counted, notice, say

    for path in done["kept"][:SHOWN]:
        notice(f"Left alone: {clean(path)} is not what was written there. Move it away to have the document again.")
    if len(done["kept"]) > SHOWN:
        notice(f"… and {len(done['kept']) - SHOWN} more files. All of them: --json")
    if done["held"]:
        notice(
            f"Not removing {counted(done['held'], 'file')}: that many tickets are not in the record any more. "
            "If they are really gone, and this is the right data folder, say so with --allow"
        )
    told = f"{counted(done['documents'], 'ticket')}: {done['written']:,} written, {done['unchanged']:,} unchanged"
    say(f"{told}, {done['removed']:,} removed in {clean(root)}")
