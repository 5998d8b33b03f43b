"""Names that no scanner and no user has given: bins and snapshots of shares and desktops, what they
keep beside files, and files that are still on their way. What has one is no slide, and no folder of
slides."""

from __future__ import annotations

import re
from fnmatch import translate

NOT_THE_USERS = (
    ".*",  # hidden: .snapshot, .Trash-1000, .Trashes, .recycle, ._170782.svs, .zfs, rsync's copies
    # bins
    "#recycle",
    "@Recycle",
    "$RECYCLE.BIN",
    "RECYCLER",
    "Recycled",
    "Network Trash Folder",
    # snapshots
    "#snapshot",
    "@Recently-Snapshot",
    "@snapshot",
    "~snapshot",
    # of the systems themselves
    "@eaDir",
    "@tmp",
    "@__thumb",
    "@sharebin",
    "lost+found",
    "System Volume Information",
    "Temporary Items",
    "TheVolumeSettingsFolder",
    "__MACOSX",
    # on their way
    "~$*",
    "*~",
    "*.part",
    "*.partial",
    "*.tmp",
    "*.temp",
    "*.crdownload",
    "*.download",
    "*.filepart",
    "*.opdownload",
    "*.swp",
)


class Excluded:
    """Whether a path is left out, below the folder or the prefix that is searched: where a name in
    it is one of NOT_THE_USERS, or like one of the `patterns`, as shells have them; or where such a
    pattern with a slash is like the path from its beginning on. Capitals count as small letters."""

    def __init__(self, patterns: tuple[str, ...] = ()) -> None:
        own = [pattern.strip("/").lower() for pattern in patterns]
        self.patterns = patterns
        names = [name.lower() for name in NOT_THE_USERS] + [one for one in own if "/" not in one]
        self._names = _any_of(names)
        self._paths = _any_of([one for one in own if "/" in one])

    def __call__(self, path: str) -> bool:
        """Of a path with slashes."""
        parts = path.lower().split("/")
        return any(
            (part not in (".", "..") and self._names.fullmatch(part))
            or self._paths.fullmatch("/".join(parts[: end + 1]))
            for end, part in enumerate(parts)
        )


def _any_of(patterns: list[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(translate, patterns)) or r"(?!)")
