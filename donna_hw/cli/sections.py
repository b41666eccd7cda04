"""A click group whose help lists its commands under headings, in the order in which they were added."""

from __future__ import annotations

import click


class SectionedGroup(click.Group):
    """A group of commands with a heading for each section; what belongs to none is listed last, under `Commands`."""

    def __init__(self, *args: object, **settings: object) -> None:
        super().__init__(*args, **settings)  # type: ignore[arg-type]
        self.sections: dict[str, list[str]] = {}

    def add_section(self, title: str, *commands: click.Command) -> None:
        """Add commands under a heading."""
        for command in commands:
            self.add_command(command)
            self.sections.setdefault(title, []).append(str(command.name))

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands in the order of the help."""
        listed = [name for names in self.sections.values() for name in names]
        return [*listed, *sorted(self.commands.keys() - set(listed))]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a list of commands for each section."""
        names = self.list_commands(ctx)
        listed = {name for members in self.sections.values() for name in members}
        width = max(map(len, names), default=0)
        limit = formatter.width - width - 6
        for title, members in {**self.sections, "Commands": [name for name in names if name not in listed]}.items():
            rows = [(name.ljust(width), self.commands[name].get_short_help_str(limit)) for name in members]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)
