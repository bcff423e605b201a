"""The public API: `/api/v1` over HTTP, typed and documented, and the page at `/`."""
