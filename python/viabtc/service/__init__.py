"""The shell that all services share: settings, logs, control port, lifecycle."""
