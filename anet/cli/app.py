"""The `anet` command itself: how any verb may end, and what every verb shares. Imports wait until a verb needs them."""

import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from typer.core import TyperGroup

from anet import __version__
from anet.errors import AnetError
from anet.files import printable

console = Console(markup=False)  # a name in brackets is a name
TRAINING = ("torch", "kornia", "lightning_fabric", "safetensors")  # what the base install does without


class Verbs(TyperGroup):
    """All verbs, and how each may end: the exit code says it, and at most one line on stderr says why."""

    def invoke(self, ctx: Any) -> Any:
        """Run a verb. Exits 0 (accept, done), 1 (reject, faults), 2 (error), 3 (warn), or 141 (its reader is gone).

        Stopped it exits with 130 (Ctrl-C), 143 (SIGTERM), or 129 (SIGHUP), as a shell tells signals.
        """
        asked: list[int] = []
        try:
            try:
                with _stops(asked):
                    return super().invoke(ctx)
            finally:
                sys.stdout.flush()  # here, not at exit, where a reader that is gone would be a traceback
        except AnetError as error:
            raise _ending(2, error) from None
        except KeyboardInterrupt as error:  # typer would end without a word
            raise _ending(128 + (asked or [signal.SIGINT])[-1], str(error) or "stopped") from None
        except (BrokenPipeError, SystemExit) as error:  # `anet ... | head`, to which rich answers with SystemExit(1)
            if isinstance(error, SystemExit) and error.code != 1:
                raise
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(141) from None  # as a shell sees `cat ... | head`: neither verdict nor error
        except OSError as error:  # a path too long, a folder that may not be entered
            raise _ending(2, f"cannot use {error.filename}: {error.strerror}" if error.filename else error) from None
        except Exception as error:
            if isinstance(error, typer.Abort) or hasattr(error, "exit_code"):  # typer's own ways to end
                raise
            if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] in TRAINING:
                raise _ending(2, f"this verb needs {error.name}: pip install 'anet-inspect[train]'") from None
            traceback.print_exc()  # a fault of ours: Python would exit with 1, which is a verdict
            raise typer.Exit(2) from None


@contextlib.contextmanager
def _stops(asked: list[int]) -> Iterator[None]:
    """Make KeyboardInterrupt of a wish to stop, and of whatever is raised after it but an exit that the verb chose.

    So a service manager's SIGTERM and a closed terminal's SIGHUP clean up as Ctrl-C does. The signals go into `asked`.
    Foreign code that calls Python back may make another error of it: OpenVINO's conversion says that it failed.
    """

    def note(number: int, frame: Any) -> NoReturn:
        asked.append(number)
        raise KeyboardInterrupt

    # A thread cannot set them, and whoever set other ones (nohup ignores SIGHUP) knows why.
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL, signal.SIGHUP: signal.SIG_DFL}
    main = threading.current_thread() is threading.main_thread()
    ours = [number for number, handler in usual.items() if main and signal.getsignal(number) is handler]
    for number in ours:
        signal.signal(number, note)
    try:
        yield
    except Exception as error:
        if asked and not isinstance(error, typer.Exit):
            raise KeyboardInterrupt from error
        raise
    finally:
        for number in ours:
            signal.signal(number, usual[number])


def _ending(code: int, reason: object) -> typer.Exit:
    print(f"anet: {' '.join(printable(str(reason)).split())}", file=sys.stderr)
    return typer.Exit(code)


PLAIN = {
    "pretty_exceptions_enable": False,
    "context_settings": {"help_option_names": ["-h", "--help"]},
    "no_args_is_help": True,
}
app = typer.Typer(
    help="Surface-defect inspection with A-Net: from labelled pictures to verdicts on a plain CPU.", cls=Verbs, **PLAIN
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"anet {__version__}")
        raise typer.Exit


@app.callback()
def top(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which.")] = False,
) -> None:
    """Surface-defect inspection with A-Net."""
