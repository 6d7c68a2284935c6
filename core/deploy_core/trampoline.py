"""Run as a script between fork and exec of every child: ask the kernel to end us with our parent, then become the command."""

from __future__ import annotations

import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Become `argv[3:]`, unless the parent `argv[1]` has gone already; `argv[2]` is the signal for when it goes."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(sys.argv[2]))
        if os.getppid() != int(sys.argv[1]):
            sys.exit("the parent has gone")
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        os.execvp(sys.argv[3], sys.argv[3:])
    except OSError as error:
        sys.exit(f"{sys.argv[3]} could not be started: {error.strerror}")


if __name__ == "__main__":
    main()
