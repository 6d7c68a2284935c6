"""Run as a script between fork and exec of every child: ask the kernel to end us with our parent, then become the command."""

from __future__ import annotations

import os
import select
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h
_IGNORED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


def main() -> None:
    """Become `argv[4:]`, unless the parent `argv[1]` has gone already.

    `argv[2]` is the signal for when it goes, 0 for none; `argv[3]` is 1 if a guard is to be left with our group.
    """
    parent, number, guarded = map(int, sys.argv[1:4])
    if sys.platform == "linux" and number:
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:
            sys.exit("the parent has gone")
    if sys.platform == "linux" and guarded:
        _leave_guard()
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        os.execvp(sys.argv[4], sys.argv[4:])
    except OSError as error:
        sys.exit(f"{sys.argv[4]} could not be started: {error.strerror}")


def _leave_guard() -> None:
    # Forked twice, so that the command does not find a child that it never started.
    leader = os.pidfd_open(os.getpid())
    middle = os.fork()
    if middle:
        os.waitpid(middle, 0)
        os.close(leader)
    elif os.fork():
        os._exit(0)
    else:
        _guard(leader)


def _guard(leader: int) -> None:
    """Wait for the end of the group's leader, then end the group: PDEATHSIG of the leader does not reach its children."""
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    null = os.open(os.devnull, os.O_RDWR)
    for own in (0, 1, 2):
        os.dup2(null, own)
    os.dup2(leader, 3)
    os.closerange(4, os.sysconf("SC_OPEN_MAX"))
    os.chdir("/")
    watched = select.poll()
    watched.register(3, select.POLLIN)
    watched.poll()
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
