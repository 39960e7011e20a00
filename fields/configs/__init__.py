"""The models' configurations: frozen dataclasses, one file each, free of torch."""

from fields.configs.base import Config, Setting, TooSmall, setting, settings
from fields.configs.hashgrid import HashGridConfig

__all__ = ["Config", "HashGridConfig", "Setting", "TooSmall", "setting", "settings"]
