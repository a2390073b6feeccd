"""`deskloom demo`: the main job from end to end, against a sandbox help desk of our own."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote_plus

import typer

from deskloom.cli import exits

FOLDER = Path("deskloom-demo")
MARKER = "deskloom.demo"
"""A file that says: this folder was made by the demo, so the demo may make it anew."""
TICKETS, ARTICLES, SEED = 120, 24, 1
QUESTIONS = (
    "my VPN keeps breaking off about once an hour",
    "printer is offline and nothing comes out",
    "the code on my new phone is not accepted",
)


def demo(
    home: Annotated[
        Path, typer.Option("--home", metavar="FOLDER", help="Where the demo keeps its data; made anew each time.")
    ] = FOLDER,
) -> int:
    """Sync a sandbox help desk and ask three questions.

    Needs no account, key or server. Your settings and your data folder (DESKLOOM_HOME) have no part in it.
    """
    from deskloom.cli.running import run
    from deskloom.logs import set_up_logs

    set_up_logs()
    make_home(home)
    return run(_demo(home))


async def _demo(home: Path) -> int:
    from deskloom.cli.connection import connect
    from deskloom.cli.output import say
    from deskloom.cli.progress import watch
    from deskloom.cli.sync import Request, follow, start_runs, tell_end
    from deskloom.sandbox import SandboxServer, generate

    say(f"A sandbox help desk with {TICKETS} tickets and {ARTICLES} articles goes into {home}.")
    desk = generate(SEED, TICKETS, ARTICLES)
    with SandboxServer(desk) as sandbox:
        async with connect(demo_settings(home, url=sandbox.url, key=desk.key), "demo") as served:
            began = time.monotonic()
            asked = Request(streams=["tickets", "kb"], source=None, since=None, mode="incremental", limit=None)
            with watch() as shown:
                for stream in asked.streams:
                    asked.runs |= await start_runs(served, asked, stream)
                runs = list((await follow(served, asked.runs, shown)).values())
            seconds = time.monotonic() - began
            status = exits.of_runs(runs)
            if status != exits.DONE:
                for each in runs:
                    tell_end(each)
                return status
            for question in QUESTIONS:
                answers = [
                    await served.call("GET", "/search", params={"q": question, "in": collection, "limit": 1})
                    for collection in ("tickets", "kb")
                ]
                tell_answer(question, [hit for answer in answers for hit in answer["hits"]])
    tell_what_next(home, runs, seconds)
    return exits.DONE


def make_home(home: Path) -> None:
    """An empty folder that is marked as the demo's. One that the demo did not make is left alone."""
    from deskloom.home import MARKER as HOME
    from deskloom.home import find_owner

    if (owner := find_owner(home)) is not None:
        raise exits.Ended(
            exits.ALREADY_RUNNING,
            f"{home} is in use by process {owner.pid} (deskloom {owner.command}). Stop it, or give the demo another "
            "folder: deskloom demo --home FOLDER",
        )
    try:
        if home.exists() and not (home / MARKER).exists() and (not home.is_dir() or any(home.iterdir())):
            raise exits.Ended(
                exits.FAILED,
                f"{home} was not made by the demo and is left alone. Give another folder: deskloom demo --home FOLDER",
            )
        if home.exists():
            shutil.rmtree(home)
        home.mkdir(parents=True, mode=0o700)
        for name in (MARKER, HOME):
            (home / name).write_text("The Deskloom demo made this folder and makes it anew.\n", encoding="utf-8")
    except OSError as error:
        raise exits.Ended(
            exits.FAILED,
            f"The demo cannot use {home}: {error.strerror}. Give another folder: deskloom demo --home FOLDER",
        ) from error


def demo_settings(home: Path, *, url: str, key: str) -> Any:
    """The defaults with the sandbox as the only source, whatever the environment and `.env` say."""
    from deskloom.settings import Settings, SourceSettings

    source = SourceSettings(name="sandbox", kind="freshdesk", domain=url, api_key=key)
    return Settings.model_construct(home=home, models_dir=_models_dir(), sources=(source,))


def _models_dir() -> Path | None:
    named = os.environ.get("DESKLOOM_MODELS", "").strip()
    return Path(named) if named else None


def tell_answer(question: str, hits: list[dict[str, Any]]) -> None:
    """A question, the ticket and the article that answer it best."""
    from rich.text import Text

    from deskloom.cli.output import clean, console
    from deskloom.cli.search import tell_hit

    out = console()
    out.print()
    out.print(Text("Question: ").append(clean(question), style="bold cyan"), soft_wrap=True)
    for place, hit in enumerate(hits, start=1):
        tell_hit(place, hit | {"url": None})  # the sandbox ends with the demo


def tell_what_next(home: Path, runs: list[dict[str, Any]], seconds: float) -> None:
    """Five lines: what happened, and what to try."""
    from deskloom.cli.output import say

    def total(name: str) -> int:
        return sum(int(run["counts"].get(name, 0)) for run in runs)

    fetched = {run["stream"]: run["counts"]["fetched"] for run in runs}
    command = program_name()
    with_home = f"DESKLOOM_HOME={shlex.quote(str(home))} {command}"
    question = quote_plus(QUESTIONS[1])
    done = (
        f"{fetched['tickets']:,} tickets and {fetched['kb']:,} articles (with translations) fetched",
        f"{total('embedded'):,} texts embedded",
        f"{total('api_calls'):,} API calls",
        f"{seconds:.1f} seconds",
    )
    say()
    say(f"Done: {', '.join(done)}.")
    say(f"Ask something yourself:  {with_home} search 'mail comes back'")
    say(f"Serve it:                {with_home} serve")
    say("The API is then here:    http://127.0.0.1:8000/api/v1/openapi.json")
    say(f"Ask it, for example:     curl 'http://127.0.0.1:8000/api/v1/search?q={question}&limit=3'")


def program_name() -> str:
    """How this program is called from here, so that what is shown can be pasted."""
    beside = Path(sys.executable).parent / "deskloom"
    found = shutil.which("deskloom")
    if found and Path(found).resolve() == beside.resolve():
        return "deskloom"
    if not beside.exists():
        return f"{shlex.quote(sys.executable)} -m deskloom"
    try:
        return shlex.quote(str(beside.relative_to(Path.cwd())))
    except ValueError:
        return shlex.quote(str(beside))
