"""The buffer on disk: what a run has recorded, durable frame by frame.

What is promised
----------------
A frame is *committed* when ``BufferWriter.append`` has returned. From then on it reads back bit by
bit as it was given, or it is named as damaged; it is never replaced by other numbers, never
repeated, and no frame before it is missing without being named. This holds

- when the process, or all processes, are killed at any moment, also during recovery;
- when the disk is full, the quota used up, the file system read-only, the folder gone, or a write,
  fsync or rename fails, once or from then on: that frame is refused with an error that names file,
  step and remedy, and all frames before it stay;
- when the machine loses power: everything committed was fsynced before;
- when bits flip in a file: every part of every frame has a checksum, tested whenever it is read;
- while the buffer is read: readers take no lock, never disturb the writer, see whole frames only.

After a crash the next start of a writer, or simply a reader, finds all of it; nothing has to be
repaired by hand. A run that goes on from its restart file at step R supersedes the stored frames
after R; only `prune` deletes them. A lost end of the buffer is named as far as it can be known (see
``last.py``). Files of other buffers, links and special files in the folder are named, and left as
they are.

What is not promised
--------------------
- File systems that report fsync as done before the data is on disk, or that show new files to other
  machines in another order than they were written.
- Disks that lose data after they have reported it as written: the loss is named, not repaired.
- Frames that are not yet committed. A frame whose fsync failed may still be there afterwards; it is
  whole then.
"""

from .document import writer_rows
from .errors import BufferError, BufferWarning
from .index import Superseded
from .live_log import LiveLog, values_content
from .maintenance import PruneReport, VerifyReport, pack, preview_prune, prune, verify
from .reader import Buffer, open_buffer
from .record import frame_bytes
from .start import check_start
from .writer import BufferWriter, forecast

__all__ = [
    "Buffer",
    "BufferError",
    "BufferWarning",
    "BufferWriter",
    "LiveLog",
    "PruneReport",
    "Superseded",
    "VerifyReport",
    "check_start",
    "forecast",
    "frame_bytes",
    "open_buffer",
    "pack",
    "preview_prune",
    "prune",
    "values_content",
    "verify",
    "writer_rows",
]
