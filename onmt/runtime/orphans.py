"""Child processes that do not outlive their parent, whatever ended it."""

import os
import threading
import time
from collections.abc import Callable
from typing import Final

_POLL: Final = 0.25  # seconds between two looks at the parent


def end_with_parent(parent: int, warn: Callable[[], None] | None = None, grace: float = 0.0) -> None:
    """End this process soon after the process `parent`, which started it, has ended.

    warn: called first, in another thread; the process then has `grace` seconds to end by itself. A parent
    that was killed cannot end its children, and not every system can tell them: so a thread looks.
    """
    threading.Thread(target=_watch, args=(parent, warn, grace), name="parent watch", daemon=True).start()


def _watch(parent: int, warn: Callable[[], None] | None, grace: float) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL)
    if warn is not None:
        warn()
        time.sleep(grace)
    os._exit(1)
