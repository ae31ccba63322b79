"""Where the package lies: frames whose code is below are not the user's."""

from __future__ import annotations

import os

OWN_CODE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
