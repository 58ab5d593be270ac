"""Payload decoders: bytes in, JSON values out, and never another error than `Undecodable`."""
