"""What the gateway knows of devices: how topics name them."""

from gateway.devices.topics import DeviceTopics, TopicTemplate, TopicTemplateInvalid

__all__ = ["DeviceTopics", "TopicTemplate", "TopicTemplateInvalid"]
