"""Confine the current process to one folder and to limits, before it runs code of a student.

Every layer that the system offers is used, and `confine` returns the names of the active ones.
Landlock (Linux 5.13 or newer) needs no rights: afterwards the process and its children can read
only the libraries and can write only to their folder.
"""

import ctypes
import math
import os
import resource
import signal
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

from nerdrain.files import PACKAGE

MIB = 2**20

# Numbers of Linux, equal on all architectures of today: linux/landlock.h, linux/prctl.h.
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
PATH_BENEATH = 1
NO_NEW_PRIVILEGES, CHILD_SUBREAPER, DUMPABLE = 38, 36, 4
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
TRUNCATE, DEVICE_CONTROL = 1 << 14, 1 << 15
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | DEVICE_CONTROL
RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""Number of rights on files that each version of Landlock knows; later versions know the last."""

READABLE = (
    *("/usr", "/lib", "/lib32", "/lib64", "/bin", "/System", "/Library"),
    *("/etc/ld.so.cache", "/etc/localtime", "/etc/nsswitch.conf", "/etc/passwd", "/etc/group"),
    *("/proc/self", "/proc/meminfo", "/proc/cpuinfo", "/proc/stat", "/sys/devices/system"),
)
"""Paths of the system that a library may need."""
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
PROCESSES_OF_OTHERS = 256
"""Processes and threads that the same user may start meanwhile, for the limit of the kernel."""


def libraries() -> list[Path]:
    """Folders that hold Python, its packages, and the shipped data of this package."""
    shared = [PACKAGE, PACKAGE.parent / "data", PACKAGE.parent / "recipes"]
    return [Path(sys.prefix), Path(sys.base_prefix), *shared]


def adopt_orphans() -> bool:
    """Make the descendants of this process its children when their parents end (Linux only)."""
    return _control(CHILD_SUBREAPER, 1)


def hide_memory(hidden: bool = True) -> bool:
    """Let no process of the same user read this process's memory (Linux only; not for root)."""
    return _control(DUMPABLE, int(not hidden)) and os.geteuid() != 0


def confine(folder: Path, limits: dict[str, float]) -> list[str]:
    """Confine this process and its children for good.

    Args:
        folder: the only folder to which it can write afterwards, if Landlock is active.
        limits: values of `Limits`, by name.

    Returns:
        The active layers, in words.
    """
    layers = _limit_resources(limits)
    with suppress(OSError):  # the system, when it has no memory left, ends this process first
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    if _control(NO_NEW_PRIVILEGES, 1):
        layers.append("no new privileges")
        if version := landlock_version():
            _restrict_paths(folder, version)
            what = "files" + ", TCP" * (version >= 4) + ", signals" * (version >= 6)
            layers.append(f"Landlock {version} ({what})")
    return layers


def _limit_resources(limits: dict[str, float]) -> list[str]:
    """Set the limits that the kernel checks itself."""
    seconds = math.ceil(limits["cpu_seconds"])
    file_size, files = int(limits["file_mib"] * MIB), int(limits["open_files"])
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    layers = ["processor time", "file size", "open files"]
    if os.geteuid() != 0:  # the kernel counts the user's processes, and none of root's
        most = count_threads() + int(limits["processes"]) + PROCESSES_OF_OTHERS
        hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
        layers.append("number of processes")
    return layers


def count_threads() -> int:
    """Processes and threads of this user."""
    count = 0
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.uids().real == os.getuid():
                count += process.num_threads()
    return count


def _control(option: int, value: int) -> bool:
    if sys.platform != "linux":
        return False
    return ctypes.CDLL(None).prctl(option, value, 0, 0, 0) == 0


def landlock_version() -> int:
    """The version of the kernel's Landlock; 0 if it has none or is another system."""
    if sys.platform != "linux":
        return 0
    return max(0, ctypes.CDLL(None).syscall(CREATE_RULESET, None, 0, 1))


def _restrict_paths(folder: Path, version: int) -> None:
    """Allow only reading of libraries, and everything in `folder`."""
    rights = (1 << RIGHTS.get(version, 16)) - 1
    handled = struct.pack("=QQQ", rights, 0b11 * (version >= 4), 0b11 * (version >= 6))
    size = 8 * (1 + (version >= 4) + (version >= 6))  # older versions know fewer fields
    library = ctypes.CDLL(None, use_errno=True)
    ruleset = library.syscall(CREATE_RULESET, handled, size, 0)
    _check(ruleset)
    reading = EXECUTE | READ_FILE | READ_DIR
    _allow(library, ruleset, [*READABLE, *libraries()], reading & rights)
    _allow(library, ruleset, DEVICES, (READ_FILE | WRITE_FILE) & rights)
    _allow(library, ruleset, [folder], rights)
    _check(library.syscall(RESTRICT_SELF, ruleset, 0))
    os.close(ruleset)


def _allow(library: ctypes.CDLL, ruleset: int, paths: Iterable[str | Path], rights: int) -> None:
    """Add rights on files and on folders with everything in them; paths may be missing."""
    for path in paths:
        try:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        allowed = rights if os.path.isdir(path) else rights & OF_FILES
        rule = struct.pack("=Qi", allowed, descriptor)
        _check(library.syscall(ADD_RULE, ruleset, PATH_BENEATH, rule, 0))
        os.close(descriptor)


def _check(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), "Landlock refused a rule")


def kill(processes: Iterable[psutil.Process]) -> None:
    """Stop processes, so that they start no others, then end them."""
    listed = list(processes)
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for process in listed:
            with suppress(psutil.Error, ProcessLookupError):
                process.send_signal(number)


def kill_descendants(process: psutil.Process, tries: int = 200) -> bool:
    """End all processes that a process has started; returns whether none is left."""
    for _ in range(tries):
        running = [each for each in descendants(process) if is_running(each)]
        if not running:
            return True
        kill(running)
        psutil.wait_procs(running, timeout=0.01)
    return False


def descendants(process: psutil.Process) -> list[psutil.Process]:
    """All processes that a process has started, and those that they have started."""
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def is_running(process: psutil.Process) -> bool:
    """Whether a process exists and has not ended."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
