"""What goes wrong with a lake, as one line for its user: what it was, and what to do."""

import errno
import os
from pathlib import Path

# A folder where a file belongs, or the other way round.
_IN_THE_WAY = (errno.EISDIR, errno.ENOTDIR, errno.EEXIST)
_TOO_MANY_OPEN = (errno.EMFILE, errno.ENFILE)


class LakeError(Exception):
    """The lake can't be read or written. A retry helps once what the message names is mended."""


class BusyError(LakeError):
    """Another run holds a shift date. A retry helps when it has finished."""


class DamagedError(LakeError):
    """A file of the lake holds no table, or not the one that it should."""


def busy(name: str) -> BusyError:
    """Somebody else holds a name: a shift date's, or another."""
    what = f"shift date {name}" if name[:1].isdigit() else name
    return BusyError(f"{what} is being made by another run: run this one again when that has ended")


def unwritable(root: str, error: OSError, setting: str = "CLOPOS_LAKE") -> LakeError:
    """A folder does not take what is written to it; `setting` says where it is set."""
    if error.errno in _TOO_MANY_OPEN:
        remedy = "make fewer shift dates at once, or allow more open files (ulimit -n)"
        return LakeError(f"the lake {root} can't be written ({error.strerror}): {remedy}, and run again")
    remedy = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "allow this user to write there"
    if error.errno == errno.EFBIG:
        remedy = "allow larger files (ulimit -f)"
    if error.errno in _IN_THE_WAY:
        remedy = f"see what is in the way at {_in_the_way(error)}, and remove it"
    return LakeError(f"the lake {root} can't be written ({error.strerror}): {remedy}, or set {setting}, and run again")


def _in_the_way(error: OSError) -> Path:
    """What stands at the place of an error, or in its place above."""
    place = Path(str(error.filename2 or error.filename))
    return next((each for each in (place, *place.parents) if os.path.lexists(each)), place)


def unreadable(place: str, error: OSError) -> LakeError:
    """A file or folder can't be read, whatever is in it."""
    remedy = "allow this user to read it"
    if error.errno in _IN_THE_WAY:
        remedy = "see what is there in its place, and remove that"
    if error.errno in _TOO_MANY_OPEN:
        remedy = "make fewer shift dates at once, or allow more open files (ulimit -n)"
    return LakeError(f"{place} can't be read ({error.strerror}): {remedy}, and run again")
