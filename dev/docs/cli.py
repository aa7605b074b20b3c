"""The commands in docs/reference/cli.md, from the program itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer

from dev.docs.page import DOCS, Parts, cell, code, table
from sluiceway.cli.app import app

PROGRAM = "sluiceway"
NOT_SHOWN = {"--help", "--install-completion", "--show-completion"}


def commands() -> dict[str, Any]:
    """Every command that does something, by its words: "tables run" and so on."""
    return dict(_below(typer.main.get_command(app), ()))


def options(command: Any) -> dict[str, Any]:
    """A command's options, by each of their names."""
    return {name: each for each in command.params if _is_option(each) for name in (*each.opts, *each.secondary_opts)}


def _below(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    for name, each in getattr(command, "commands", {}).items():
        if hasattr(each, "commands"):
            yield from _below(each, (*words, name))
        else:
            yield " ".join((*words, name)), each


def _is_option(param: Any) -> bool:
    return bool(param.param_type_name == "option")


def _all() -> str:
    group, parts = "", []
    tree = typer.main.get_command(app)
    for words, command in sorted(commands().items()):
        if (first := words.split()[0]) != group and " " in words:
            parts.append(f"## {PROGRAM} {first}\n\n{tree.commands[first].help}\n")  # type: ignore[attr-defined]
        group = first
        parts.append(_command(words, command))
    return "\n".join(parts)


def _command(words: str, command: Any) -> str:
    text, examples = _told(command.help or "")
    arguments = [each for each in command.params if not _is_option(each)]
    usage = " ".join([PROGRAM, words, "[OPTIONS]", *(_argument(each) for each in arguments)])
    level = "###" if " " in words else "##"
    parts = [f"{level} {PROGRAM} {words}\n", text + "\n", _fenced("text", [usage])]
    rows = [(code(_argument(each)), cell(each.help or "")) for each in arguments]
    rows += [(_names(each), cell(each.help or "")) for each in command.params if _is_option(each) and _shown(each)]
    if rows:
        parts.append(table(("option", "meaning"), *rows))
    if examples:
        parts.append(_fenced("bash", examples))
    return "\n".join(parts)


def _shown(option: Any) -> bool:
    return not NOT_SHOWN & set(option.opts) and not getattr(option, "hidden", False)


def _told(help_text: str) -> tuple[str, list[str]]:
    """A command's docstring as its text and its examples."""
    examples = re.findall(r"^\s*Example: (.*)$", help_text, re.MULTILINE)
    text = re.sub(r"^\s*Example: .*$", "", help_text, flags=re.MULTILINE)
    return re.sub(r"\n{2,}", "\n\n", text).strip().replace("<", "&lt;"), examples


def _argument(argument: Any) -> str:
    name = str(argument.metavar or argument.name.upper()).strip("[]")
    many = "..." if argument.nargs == -1 else ""
    return f"{name}{many}" if argument.required else f"[{name}{many}]"


def _names(option: Any) -> str:
    names = ", ".join(code(name) for name in (*option.opts, *option.secondary_opts))
    if option.is_flag:
        return names
    return f"{names} {code(str(option.metavar or option.name.upper()))}"


def _fenced(language: str, lines: list[str]) -> str:
    return "\n".join([f"```{language}", *lines, "```"]) + "\n"


CLI = Parts(path=DOCS / "reference" / "cli.md", parts={"commands": _all})
