"""Options of a command that are settings: made from their declaration."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from strdyn_live.settings import Setting, Settings, declared

__all__ = ["with_settings"]


def with_settings(
    config: type[Settings], names: Sequence[str]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for each of some settings: ``r_cut`` becomes ``--r-cut``.

    The command gets those that were given as words, in a mapping that is its last parameter,
    ``settings``. The settings check them.

    Parameters
    ----------
    config : type of Settings
        Where they are declared.
    names : sequence of str
        Which of them.
    """
    chosen = [each for each in declared(config) if each.name in names]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command, eval_str=True)
        kept = [each for each in own.parameters.values() if each.name != "settings"]
        added = [_parameter(each) for each in chosen]

        def run(**values: Any) -> None:
            given = {each.name: values.pop(each.name) for each in chosen}
            command(**values, settings={k: v for k, v in given.items() if v is not None})

        # what typer reads
        signature = own.replace(parameters=[*kept, *added])
        run.__signature__ = signature  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in signature.parameters.values()}
        run.__name__, run.__doc__ = command.__name__, command.__doc__
        return run

    return decorate


def _parameter(setting: Setting) -> inspect.Parameter:
    default = "" if setting.needed else f" Default: {setting.default}."
    option = typer.Option(
        f"--{setting.name.replace('_', '-')}",
        help=f"{setting.about.replace('`', '')}{default}",
        metavar=f"<{setting.kind.__name__}>",
        show_default=False,
    )
    return inspect.Parameter(
        setting.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[str | None, option],
    )
