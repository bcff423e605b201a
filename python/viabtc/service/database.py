"""The section of a MySQL or MariaDB database in a configuration file."""

from typing import Final

from viabtc.edges.mysql import MysqlSettings
from viabtc.service.settings import Section

PORT: Final = 3306


def read_database(section: Section) -> MysqlSettings:
    """Reads `db_history` or `db_log`."""
    settings = MysqlSettings(
        host=section.text("host"),
        port=section.integer("port", PORT, low=1, high=65_535),
        user=section.text("user"),
        password=section.text("pass"),
        name=section.text("name"),
    )
    section.idle("sessions use utf8mb4; the tables keep their own", "charset")
    section.close()
    return settings
