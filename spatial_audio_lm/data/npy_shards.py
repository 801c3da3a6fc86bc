"""Arrays in WebDataset shards: folders of `.tar` files whose `.npy` members are the items."""

import warnings
from pathlib import Path

from spatial_audio_lm.data.folder_listing import files_below
from spatial_audio_lm.data.tar_members import TarCutShortError, read_member, tar_members
from spatial_audio_lm.errors import LIMITS, DataError, FormatWarning


class NpyShards:
    """The `.npy` members of all shards of a folder; each is read where it lies, when it is asked for.

    Args:
        folder: holds the `.tar` files.
        what: is in them, for messages.

    Attributes:
        sizes: bytes of each member by its name, `<shard>/<member>`.
        num_left_out: shards that were cut short and are left out.

    Raises:
        DataError: no whole shard, no such member, or a file that is no tar.

    Warns:
        FormatWarning: shards were left out; says how many, and why the first.
    """

    def __init__(self, folder: Path, what: str):
        self.folder = folder
        self._members, damaged = {}, []
        shards = files_below(folder, (".tar",), f"shards with {what}")
        for path in shards:
            try:
                members = tar_members(path)
            except TarCutShortError as error:
                damaged.append(str(error))
                continue
            shard = path.relative_to(folder).as_posix()
            self._members.update({f"{shard}/{m.name}": (path, m) for m in members if m.name.endswith(".npy")})
        self.num_left_out = len(damaged)
        if damaged:
            said = f"{folder}: {len(damaged)} of {len(shards)} shards are left out: {damaged[0]}"
            if len(damaged) == len(shards):
                raise DataError(said)
            warnings.warn(said, FormatWarning, stacklevel=3)
        if not self._members:
            raise DataError(f"{folder}: {len(shards)} shards without a .npy member; expected {what}")
        self.sizes = {name: member.size for name, (_, member) in self._members.items()}

    def read(self, name: str) -> bytes:
        """All bytes of a member.

        Raises:
            DataError: no such member, one that is too large to be read, or a shard that has changed.
        """
        if name not in self._members:
            raise DataError(f"{self.folder} has no {name}: another folder, or its shard is cut short")
        path, member = self._members[name]
        return read_member(path, member, LIMITS.max_decoded_bytes)
