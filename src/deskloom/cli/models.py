"""`deskloom models`: the files of the embedding models."""

from __future__ import annotations

from typing import Annotated

import typer

from deskloom.cli import exits
from deskloom.cli.options import Json

models = typer.Typer(help="The files of the embedding models.", no_args_is_help=True)


@models.command("get")
def get(name: Annotated[str, typer.Argument(help="The model's name, for example minilm.")] = "minilm") -> int:
    """Fetch a model, unless its files are here and intact."""
    from deskloom.cli.files import fetch
    from deskloom.cli.output import say
    from deskloom.cli.running import run
    from deskloom.cli.startup import start
    from deskloom.embedders import MODELS
    from deskloom.embedders.models import verify_model
    from deskloom.errors import ModelDamaged, ModelMissing

    folder = start().models
    if name not in MODELS:
        raise exits.Ended(exits.USAGE, f'There is no model "{name}". Models: {", ".join(MODELS)}')
    try:
        say(f"{verify_model(MODELS[name], folder)} is here and intact.")
    except (ModelMissing, ModelDamaged):
        say(f"{run(fetch(name, folder))} is ready.")
    return exits.DONE


@models.command("list")
def list_models(as_json: Json = False) -> int:
    """Show the models that can be fetched, and whether their files are here."""
    from deskloom.cli.output import say_json, say_table
    from deskloom.cli.startup import start
    from deskloom.embedders import MODELS
    from deskloom.embedders.models import verify_model
    from deskloom.errors import ModelDamaged, ModelMissing

    settings = start()
    rows = []
    for name, model in MODELS.items():
        state = "ready"
        try:
            verify_model(model, settings.models)
        except ModelMissing:
            state = "missing"
        except ModelDamaged:
            state = "damaged"
        rows.append({"name": name, "state": state, "folder": str(settings.models / name)})
    if as_json:
        say_json({"items": rows})
    else:
        say_table(("name", "state", "folder"), [list(row.values()) for row in rows])
    return exits.DONE
