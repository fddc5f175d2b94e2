"""Channels: how people who do not listen to the feed are told of alerts and notices, outside of this house."""
