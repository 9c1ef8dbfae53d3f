"""Lists over HTTP, with Starlette and uvicorn: the extra ``[serve]``."""
