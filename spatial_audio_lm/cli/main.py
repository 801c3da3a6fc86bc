"""`spatial-audio-lm`: the commands, and how they fail: one line on stderr, exit 1 for data and 2 for usage."""

import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from spatial_audio_lm.cli.ask import ask
from spatial_audio_lm.cli.caption import caption
from spatial_audio_lm.cli.convert import convert
from spatial_audio_lm.cli.doctor import doctor
from spatial_audio_lm.cli.embed import embed
from spatial_audio_lm.cli.locate import locate
from spatial_audio_lm.cli.models import models
from spatial_audio_lm.cli.output import PROGRAM, one_line, print_error, reason_of
from spatial_audio_lm.cli.query import query
from spatial_audio_lm.cli.simulate import simulate
from spatial_audio_lm.errors import ConfigError, FormatError, TextError

_USAGE_ERRORS = (TextError, ConfigError, FormatError)  # what was typed is wrong, not what lies on the disk
_INTERRUPTED = 130  # what a shell reports for SIGINT


class _OneLineErrors(TyperGroup):
    """Prints every error as one line; `--debug` adds the traceback."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        arguments = list(sys.argv[1:] if args is None else args)
        for stream in (sys.stdout, sys.stderr):  # a file name may hold what the terminal's encoding does not
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        with warnings.catch_warnings():
            # Answers carry their warnings, and the commands print them; other libraries' are for developers.
            warnings.simplefilter("ignore")
            try:
                outcome = super().main(
                    arguments, prog_name or PROGRAM, complete_var, False, windows_expand_args, **extra
                )
            except KeyboardInterrupt:
                print_error("interrupted")
                outcome = _INTERRUPTED
            except Exception as error:
                outcome = _report(error, "--debug" in arguments)
        if standalone_mode:
            sys.exit(outcome if isinstance(outcome, int) else 0)
        return outcome


def _report(error: Exception, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    if hasattr(error, "format_message"):  # typer's own: wrong usage
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else PROGRAM
        print_error(f"{one_line(error.format_message())} (see {command} --help)")
        return int(getattr(error, "exit_code", 2))
    if isinstance(error, BrokenPipeError):  # the reader of our output has gone: nobody is left to tell
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  (the interpreter flushes it at the end)
        return 1
    print_error(reason_of(error))
    return 2 if isinstance(error, _USAGE_ERRORS) else 1


app = typer.Typer(
    name=PROGRAM,
    cls=_OneLineErrors,
    help="Ask a spatial recording in words: what sounds, from where, and when.",
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"{PROGRAM} {version(PROGRAM)}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


for _command, _summary in (
    (query, "Which sentence fits a recording, from where, when."),
    (ask, "Answer questions about a recording in words."),
    (caption, "Say what a recording holds, and where."),
    (locate, "From where the sound of each recording comes."),
    (embed, "Write recordings as vectors."),
    (simulate, "Make recordings with known truth."),
    (convert, "Bring a published checkpoint into our layout."),
    (models, "List what can be loaded."),
    (doctor, "Check the installation."),
):
    app.command(short_help=_summary)(_command)

if __name__ == "__main__":
    app()
