"""Functions of the standard library, bound before the patches replace them."""

from __future__ import annotations

import os
import select
from typing import Any

real_poll: Any = getattr(select, "poll", None)
real_epoll: Any = getattr(select, "epoll", None)
real_waitpid: Any = getattr(os, "waitpid", None)
