"""The models' configurations: frozen dataclasses, one file each, free of torch."""

from fields.configs.base import Config, Setting, TooSmall, setting, settings
from fields.configs.cam import CamConfig
from fields.configs.composed import (
    CamRadianceConfig,
    ComposedConfig,
    FourierRadianceConfig,
    RbfRadianceConfig,
    TriPlaneRadianceConfig,
)
from fields.configs.finer import FinerConfig
from fields.configs.fourier import FourierConfig
from fields.configs.hashgrid import HashGridConfig
from fields.configs.network import NetworkConfig, SignedConfig
from fields.configs.radiance import RadianceConfig
from fields.configs.rbf import RbfConfig
from fields.configs.scene import SceneOptions
from fields.configs.shape import ShapeOptions
from fields.configs.siren import SirenConfig
from fields.configs.triplane import TriPlaneConfig

__all__ = [
    "CamConfig",
    "CamRadianceConfig",
    "ComposedConfig",
    "Config",
    "FinerConfig",
    "FourierConfig",
    "FourierRadianceConfig",
    "HashGridConfig",
    "NetworkConfig",
    "RadianceConfig",
    "RbfConfig",
    "RbfRadianceConfig",
    "SceneOptions",
    "Setting",
    "ShapeOptions",
    "SignedConfig",
    "SirenConfig",
    "TooSmall",
    "TriPlaneConfig",
    "TriPlaneRadianceConfig",
    "setting",
    "settings",
]
