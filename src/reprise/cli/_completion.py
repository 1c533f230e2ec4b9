"""Scripts with which a shell completes commands and options, made from the parsers themselves."""

from __future__ import annotations

from argparse import SUPPRESS, Action
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module

from reprise.cli import COMMANDS, parser, summary

Options = Mapping[str, Sequence[Action]]


def script(shell: str) -> str:
    """What `shell` is to read: options where a word begins with a hyphen, and otherwise files, as it does by itself."""
    options = {name: _options(name) for name in COMMANDS}
    return "\n".join(_SHELLS[shell](options)) + "\n"


def _options(command: str) -> list[Action]:
    known = parser(import_module(f"reprise.cli.{command}"))._actions
    return [action for action in known if action.option_strings and action.help != SUPPRESS]


def _bash(options: Options) -> Iterator[str]:
    yield "# in ~/.bashrc: source <(reprise --completion bash)"
    yield "_reprise() {"
    yield "    local word=${COMP_WORDS[COMP_CWORD]} words="
    yield f"    if ((COMP_CWORD == 1)); then words='{' '.join(options)} --completion --help --version'"
    yield "    elif [[ $word == -* ]]; then case ${COMP_WORDS[1]} in"
    for command, actions in options.items():
        yield f"        {command}) words='{' '.join(name for a in actions for name in a.option_strings)}' ;;"
    yield "    esac; fi"
    yield '    COMPREPLY=($(compgen -W "$words" -- "$word"))'
    yield "}"
    yield "complete -o default -F _reprise reprise"


def _zsh(options: Options) -> Iterator[str]:
    yield "# in ~/.zshrc, after compinit: source <(reprise --completion zsh)"
    yield "_reprise() {"
    yield "    local -a found"
    yield "    if ((CURRENT == 2)); then"
    yield from _described(options, summary)
    yield "        _describe command found"
    yield "    elif [[ ${words[CURRENT]} == -* ]]; then"
    yield "        case ${words[2]} in"
    for command, actions in options.items():
        about = {name: _about(action) for action in actions for name in action.option_strings}
        yield f"        {command})"
        yield from _described(about, about.__getitem__)
        yield "        ;;"
    yield "        esac"
    yield "        _describe -o option found"
    yield "    else _files; fi"
    yield "}"
    yield "compdef _reprise reprise"


def _described(names: Mapping[str, object], about: Callable[[str], str]) -> Iterator[str]:
    yield "        found=("
    for name in names:
        yield f"            {_quoted(f'{name}:{about(name)}')}"
    yield "        )"


def _fish(options: Options) -> Iterator[str]:
    yield "# in ~/.config/fish/config.fish: reprise --completion fish | source"
    for command, actions in options.items():
        yield f"complete -c reprise -f -n __fish_use_subcommand -a {command} -d {_quoted(summary(command))}"
        for action in actions:
            names = " ".join(f"-{'l' if n.startswith('--') else 's'} {n.lstrip('-')}" for n in action.option_strings)
            value = "" if action.nargs == 0 else " -r"
            where = f"-n '__fish_seen_subcommand_from {command}'"
            yield f"complete -c reprise {where} {names}{value} -d {_quoted(_about(action))}"


def _about(action: Action) -> str:
    return (action.help or "") % {**vars(action), "prog": "reprise"}


def _quoted(text: str) -> str:
    """A word in single quotes, as all three shells read it."""
    return "'" + text.replace("'", "’") + "'"


_SHELLS: Mapping[str, Callable[[Options], Iterator[str]]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}
