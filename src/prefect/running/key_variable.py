"""The variable that a key may come in, by itself: who starts a worker early knows no more than that."""

from __future__ import annotations

KEY_VARIABLE = "PREFECT_ENCRYPTION_KEY"
