"""Walk all commands, so that no test forgets one."""

from collections.abc import Iterator

import click

from cli.main import main


def members(group: click.Group) -> Iterator[tuple[str, click.Command]]:
    """Yield the commands of a group by name."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command
        yield name, command


def leaves(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command that does something, with the words that call it."""
    for name, command in members(group):
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        else:
            yield (*path, name), command


def groups(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the words that call each group of commands, the top one first."""
    yield path
    for name, command in members(group):
        if isinstance(command, click.Group):
            yield from groups(command, (*path, name))


COMMANDS = dict(leaves(main))
GROUPS = list(groups(main))
