"""Standard input, output and error, which a process may be started without."""

import os
import sys


def hold_standard_descriptors(output: int = os.O_RDWR) -> None:
    """Open /dev/null in place of standard input, output and error if this process was started without them.

    Call it before an event loop is made. Otherwise the loop's own descriptors take their numbers, and output goes
    there, which ends the process without a word.

    Args:
        output: how standard output is opened. `os.O_RDONLY` makes it an error (EBADF) to write there, if what is
            printed is all that a program is for.
    """
    for number, how in enumerate((os.O_RDWR, output, os.O_RDWR)):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, how)  # the system gives the lowest number that is free
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
    # Python has None in their place then, to which nothing can be written.
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - for as long as the process
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
