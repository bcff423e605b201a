"""Sections of the databases that services use."""

from viabtc.edges.redis import RedisSettings
from viabtc.service.settings import Section


def read_redis(section: Section) -> RedisSettings:
    """Reads `redis`: `name` of the group (empty for a plain server), `addr`, `db`."""
    settings = RedisSettings(
        name=section.text("name"),
        addresses=section.remote_places("addr"),
        db=section.integer("db", 0, high=15),
    )
    section.close()
    return settings
