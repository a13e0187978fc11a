"""Numba's disk cache looks at a kernel's own file only; drop what an edited neighbour may have made stale."""

from pathlib import Path

import dpframe

_HOME = Path(dpframe.__file__).parent / "kernels"
_NEWEST = max(source.stat().st_mtime for source in _HOME.glob("*.py"))
for _index in (_HOME / "__pycache__").glob("*.nbi"):
    if _index.stat().st_mtime < _NEWEST:
        _index.unlink(missing_ok=True)
