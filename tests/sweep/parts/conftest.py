"""Examples of hypothesis have no deadline here."""

from __future__ import annotations

import no_deadline  # noqa: F401
