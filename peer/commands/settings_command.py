"""A command that takes settings: whoever types one as an option, as of other trainers, is told how it is given."""

from typing import Any

from typer.core import TyperCommand


class SettingsCommand(TyperCommand):
    """As its base, but for an option that there is not and whose name is that of a setting."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # Any: a class that typer keeps to itself
        options = {name for parameter in self.get_params(ctx) for name in (*parameter.opts, *parameter.secondary_opts)}
        for number, text in enumerate(args):
            if text == "--":
                break
            name, _, value = text.partition("=")
            if name.startswith("--") and name not in options and (key := _setting(name)) is not None:
                value = value or next(iter(args[number + 1 : number + 2]), "...")
                ctx.fail(f"No such option: {name}. It is a setting, which is given without dashes: {key}={value}")
        return super().parse_args(ctx, args)


def _setting(option: str) -> str | None:
    from peer.config.sources import dotted_keys, key_named  # here: -h and --version must not wait for it

    name = option.removeprefix("--").replace("-", "_")
    return name if name in dotted_keys() else key_named(name.rpartition(".")[2])
