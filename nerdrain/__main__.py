"""`python -m nerdrain` is the command line, and so is the program `nerdrain`."""

import os
import signal
from types import FrameType


def stop(signal_number: int, frame: FrameType | None) -> None:
    """End at once on Ctrl-C, while modules are imported: nothing has been written yet."""
    os.write(2, b"nerdrain: interrupted.\n")
    os._exit(130)


def main() -> None:
    """Run the command line."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:  # a background job of a shell ignores Ctrl-C
        signal.signal(signal.SIGINT, stop)
    from nerdrain.cli import app

    signal.signal(signal.SIGINT, handler)
    app(prog_name="nerdrain")


if __name__ == "__main__":
    main()
