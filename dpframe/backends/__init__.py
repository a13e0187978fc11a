"""Engines: a backend knows a kind of frame and computes exact statistics there."""

from dpframe.backends.base import Backend, Request, backend_of

__all__ = ["Backend", "Request", "backend_of"]
