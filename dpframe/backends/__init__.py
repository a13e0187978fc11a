"""Engines: a backend knows a kind of frame and computes exact statistics there."""

from dpframe.backends.base import Backend, NoiseTask, Request, Sums, backend_of

__all__ = ["Backend", "NoiseTask", "Request", "Sums", "backend_of"]
