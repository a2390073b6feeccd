"""What every command does first: set the log up and read the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deskloom.settings import Settings


def start(*, verbose: bool = False) -> Settings:
    """The settings; `SettingInvalid` names what is wrong. `verbose`: log what happens, not only what goes wrong."""
    from deskloom.logs import set_up_logs
    from deskloom.settings import load_settings

    set_up_logs(verbose=verbose)
    return load_settings()
