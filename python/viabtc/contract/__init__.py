"""PURE. The typed view of the method table, and what is generated from it."""
