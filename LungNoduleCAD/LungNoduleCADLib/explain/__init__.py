"""Why a candidate has its score: what the classifier looks at, as maps on the scan and as pictures."""

from __future__ import annotations
