"""Files that are either whole or absent: written under a temporary name, fsynced, then renamed."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import StateError

try:
    import fcntl
except ImportError:  # not a POSIX system: leftovers of killed writers are not deleted
    fcntl = None

_SUFFIX = ".tmp"
_NO_HARD_LINKS = {errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK}
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_PERMISSION = {errno.EACCES, errno.EPERM, errno.EROFS}
_NOT_A_FOLDER = {errno.ENOTDIR, errno.EEXIST}
_A_FOLDER = {errno.EISDIR}


def write_failure(error: OSError, folder: Path) -> StateError:
    """Build the error for a file that could not be written in ``folder``: the reason and the way out.

    Args:
        error: what the operating system reported.
        folder: folder of the file.
    """
    if error.errno in _NO_SPACE:
        problem, way_out = "no space left", "free some space or raise the quota"
    elif error.errno in _NO_PERMISSION:
        problem, way_out = "it is read-only for this user", "make it writable"
    elif error.errno in _NOT_A_FOLDER:
        problem, way_out = "a file stands where a folder is needed", "move that file away"
    elif error.errno in _A_FOLDER:
        problem, way_out = (
            f"{Path(error.filename2 or folder).name} is a folder, and a file is to be written",
            "name a file",
        )
    else:
        problem, way_out = error.strerror or str(error), "repair it"
    return StateError(
        f"cannot write in {folder}: {problem} ({errno.errorcode.get(error.errno or 0, 'unknown error')}). "
        f"Nothing that was already there is lost; {way_out}, or choose another folder."
    )


def make_folder(folder: str | Path) -> Path:
    """Create a folder and its parents where they are missing, and return it.

    Raises:
        StateError: the folder cannot be created; the message names it and the way out.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_failure(error, folder) from error
    return folder


def check_writable(folder: str | Path) -> None:
    """Make sure, before long work, that its results can be written in ``folder``.

    Raises:
        StateError: the folder cannot be created or written, with the reason and the way out.
    """
    folder = make_folder(folder)
    probe = folder / f".writable-{os.getpid()}"
    atomic_write_bytes(probe, b"this file shows that the folder can be written\n")
    try:
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise write_failure(error, folder) from error


def atomic_write_bytes(path: str | Path, data: bytes, *, overwrite: bool = True) -> bool:
    """Write a file atomically: no reader sees a part of it, not even after a crash.

    The bytes go to a temporary file in the same folder, are fsynced, and get their name in one step: by a rename, or,
    if an existing file must be kept, by a hard link, which fails if the name is taken. Any number of processes may
    write the same path at once. On a file system without hard links the file is still whole, but of two writers that
    race with ``overwrite=False`` the last one wins.

    Args:
        path: path of the file; its folder must exist.
        data: the whole content of the file.
        overwrite: whether to replace an existing file or to keep it.

    Returns:
        Whether the file was written: ``False`` only if it existed and ``overwrite`` is off.

    Raises:
        StateError: the folder is missing, read-only or full; an existing file is unchanged.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "note.txt"
        >>> atomic_write_bytes(path, b"first"), atomic_write_bytes(path, b"second", overwrite=False)
        (True, False)
        >>> path.read_bytes()
        b'first'
    """
    path = Path(path)
    try:
        with _temporary(path) as (descriptor, temporary):
            _write_all(descriptor, data)
            os.fsync(descriptor)
            if overwrite:
                os.replace(temporary, path)
            elif not give_name(temporary, path):
                return False
        _sync_folder(path.parent)
    except OSError as error:
        raise write_failure(error, path.parent) from error
    return True


def remove_leftovers(folder: str | Path) -> int:
    """Delete the temporary files of killed writers, and return their number.

    A writer locks its temporary file, and the kernel drops the lock when the process ends, for whatever reason: a file
    whose lock is free has no writer any more. Where locks do not work, nothing is deleted.
    """
    removed = 0
    if fcntl is None:
        return removed
    for path in sorted(Path(folder).glob(f".*{_SUFFIX}")):
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDWR)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
                removed += 1
            finally:
                os.close(descriptor)
    return removed


@contextmanager
def _temporary(path: Path) -> Iterator[tuple[int, Path]]:
    """Open a locked temporary file under a unique name, and delete that name afterwards."""
    while True:
        temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(8)}{_SUFFIX}")
        # os.open rather than tempfile: the file gets the permissions of the user's umask.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        if fcntl is not None:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            break
        os.close(descriptor)  # remove_leftovers deleted it between opening and locking
    try:
        yield descriptor, temporary
    finally:
        os.close(descriptor)
        with suppress(FileNotFoundError):
            temporary.unlink()


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def give_name(temporary: Path, path: Path) -> bool:
    """Give a file its final name unless it is taken, and return whether it did; of many processes one succeeds."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        # Over NFS, a link whose reply was lost is retried and then fails because of itself.
        return os.stat(temporary).st_nlink > 1
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        if path.exists():
            return False
        os.replace(temporary, path)
    return True


def _sync_folder(folder: Path) -> None:
    """Write a folder to disk, so that a new name in it survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems cannot sync a folder and need not
            raise
    finally:
        os.close(descriptor)


def default_folder(kind: str, variable: str) -> Path:
    """Return the folder named by an environment variable, else ``sambench/<kind>`` in the user's cache folder.

    Raises:
        StateError: the user has no home folder.
    """
    chosen = os.environ.get(variable)
    path = Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "sambench" / kind
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise StateError(f"the home folder of {path} is not known; set {variable} to a folder for {kind}") from error
