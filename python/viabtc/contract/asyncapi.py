"""The AsyncAPI document of the stream, from the table of its channels."""

from typing import Any, Final

from viabtc.contract.channels import CHANNELS, PATH, Channel

_REQUEST: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "id": {"type": "integer"},
        "method": {"enum": ["subscribe", "unsubscribe", "auth", "ping"]},
        "params": {"type": "array"},
    },
    "required": ["id", "method", "params"],
}

_ANSWER: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "error": {
            "anyOf": [
                {"type": "null"},
                {
                    "type": "object",
                    "properties": {"code": {"type": "integer"}, "message": {"type": "string"}},
                    "required": ["code", "message"],
                },
            ]
        },
        "result": {},
        "id": {"type": ["integer", "null"]},
    },
    "required": ["error", "result", "id"],
}


def asyncapi(version: str) -> dict[str, Any]:
    """The document.

    Args:
        version: Of this package.
    """
    schemas = {channel.name: message_schema(channel) for channel in CHANNELS.values()}
    messages = {
        name: {"name": name, "payload": {"$ref": f"#/components/schemas/{name}"}}
        for name in schemas
    }
    schemas |= {"request": _REQUEST, "answer": _ANSWER}
    messages |= {
        "request": {"payload": {"$ref": "#/components/schemas/request"}},
        "answer": {"payload": {"$ref": "#/components/schemas/answer"}},
    }
    told = [*CHANNELS, "answer"]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "viabtc stream",
            "version": version,
            "description": "Numbered channels of one websocket; `subscribe` names those wanted.",
        },
        "channels": {
            "stream": {
                "address": PATH,
                "messages": {
                    name: {"$ref": f"#/components/messages/{name}"} for name in (*told, "request")
                },
            }
        },
        "operations": {
            "ask": {
                "action": "receive",
                "channel": {"$ref": "#/channels/stream"},
                "messages": [{"$ref": "#/channels/stream/messages/request"}],
                "reply": {
                    "channel": {"$ref": "#/channels/stream"},
                    "messages": [{"$ref": "#/channels/stream/messages/answer"}],
                },
            },
            "tell": {
                "action": "send",
                "channel": {"$ref": "#/channels/stream"},
                "messages": [{"$ref": f"#/channels/stream/messages/{name}"} for name in CHANNELS],
            },
        },
        "components": {"schemas": schemas, "messages": messages},
    }


def message_schema(channel: Channel) -> dict[str, Any]:
    """JSON Schema of a message of a channel."""
    parts = [channel.name, *("[^:]+" for _ in channel.parameters)]
    form = ":".join((channel.name, *channel.parameters))
    private = " Needs `auth` before it." if channel.is_private else ""
    return {
        "type": "object",
        "description": f"{form}: {channel.summary}{private}",
        "properties": {
            "channel": {"type": "string", "pattern": f"^{':'.join(parts)}$"},
            "stream": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
            "sequence": {"type": "integer", "minimum": 1},
            "type": {"enum": ["snapshot", "update"]},
            "data": channel.data,
        },
        "required": ["channel", "stream", "sequence", "type", "data"],
    }
