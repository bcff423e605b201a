"""The command line: `viabtc run`, the services, and their tools."""

from viabtc.cli.app import app, main
from viabtc.cli.services import SERVICES, load_service, start_in_background

__all__ = ["SERVICES", "app", "load_service", "main", "start_in_background"]
