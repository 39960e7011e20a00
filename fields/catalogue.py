"""The models that can be fitted, by name. Free of torch: a module is imported when it is built.

A model is added by one entry in MODELS, or in SCENE_MODELS if it has density and colour along
rays, its Config in fields/configs/ and its module in fields/models/.
"""

import difflib
import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fields.configs import (
    CamConfig,
    CamRadianceConfig,
    Config,
    FinerConfig,
    FourierConfig,
    FourierRadianceConfig,
    HashGridConfig,
    RadianceConfig,
    RbfConfig,
    RbfRadianceConfig,
    SirenConfig,
    TriPlaneConfig,
    TriPlaneRadianceConfig,
)
from fields.errors import FieldsError


@dataclass(frozen=True)
class Model:
    name: str
    use: str  # when to take it, in a few sentences
    source: str  # the paper that it comes from
    config: type[Config]
    module: str  # "package.module:Class"; the Class takes the fields of its Config


MODELS = {
    model.name: model
    for model in [
        Model(
            name="hashgrid",
            use="The fastest to fit, and the one to begin with: a sample takes about a hundredth of"
            " the multiply-adds of a network. It grows with the picture, up to photos of many"
            " megapixels, and stores fine detail where it lies. Its slopes jump at the faces of"
            " cells.",
            source="Müller et al. 2022, Instant Neural Graphics Primitives, arXiv 2201.05989",
            config=HashGridConfig,
            module="fields.models.hashgrid:HashGrid",
        ),
        Model(
            name="siren",
            use="One network of sines, smooth in all its derivatives: for small files and for"
            " signals without hard edges. Its size does not follow the picture, and every sample"
            " goes through all of its weights, so a fit takes longer. FreSh chooses --omega.",
            source="Sitzmann et al. 2020, Implicit Neural Representations with Periodic Activation"
            " Functions, arXiv 2006.09661",
            config=SirenConfig,
            module="fields.models.siren:Siren",
        ),
        Model(
            name="finer",
            use="As siren, at the same cost, with sines that quicken away from zero, so that one"
            " network begins with low and high frequencies: for pictures with both flat parts"
            " and fine detail. FreSh chooses --bias-scale.",
            source="Liu et al. 2024, FINER: Flexible Spectral-Bias Tuning in Implicit Neural"
            " Representation by Variable-periodic Activation Functions, arXiv 2312.02434",
            config=FinerConfig,
            module="fields.models.finer:Finer",
        ),
        Model(
            name="fourier",
            use="A ReLU network on fixed sines and cosines of the coordinates: the baseline that"
            " most papers compare with. It alone of the networks has --precision bf16. FreSh"
            " chooses --sigma.",
            source="Tancik et al. 2020, Fourier Features Let Networks Learn High Frequency"
            " Functions in Low Dimensional Domains, arXiv 2006.10739",
            config=FourierConfig,
            module="fields.models.fourier:Fourier",
        ),
        Model(
            name="cam",
            use="A network whose every layer is normalised, then scaled and shifted by what small"
            " grids hold at the place: for few parameters, where a plain network is too small"
            " for the picture. FreSh chooses --sigma.",
            source="Lee et al. 2024, Coordinate-Aware Modulation for Neural Fields,"
            " arXiv 2311.14993",
            config=CamConfig,
            module="fields.models.cam:Cam",
        ),
        Model(
            name="rbf",
            use="A grid whose features one layer of Gaussian kernels decodes, in place of an MLP:"
            " the size of hashgrid, at about twice its multiply-adds. Also for periodic grids"
            " and planes in place of the grid (--encoder).",
            source="Bouzidi et al. 2025, Gaussian RBFNet, arXiv 2503.06762",
            config=RbfConfig,
            module="fields.models.rbf:Rbf",
        ),
        Model(
            name="triplane",
            use="Planes over every pair of axes, whose features a small MLP decodes: for shapes and"
            " scenes, where a set of pictures is wanted that other networks can read. Of a"
            " picture there is one plane.",
            source="Chan et al. 2022, Efficient Geometry-aware 3D Generative Adversarial Networks,"
            " arXiv 2112.07945",
            config=TriPlaneConfig,
            module="fields.models.triplane:TriPlane",
        ),
    ]
}


SCENE_MODELS = {
    model.name: model
    for model in [
        Model(
            name="hashgrid",
            use="Of scenes: a grid, a small MLP to density, and one from that and the direction to"
            " colour. On the CPU a training step is one op, and so is a picture.",
            source="Müller et al. 2022, Instant Neural Graphics Primitives, arXiv 2201.05989",
            config=RadianceConfig,
            module="fields.models.radiance:RadianceField",
        ),
        Model(
            name="rbf",
            use="Of scenes: a grid whose features one layer of Gaussian kernels decodes to density"
            " and to the colour's spherical harmonics.",
            source="Bouzidi et al. 2025, Gaussian RBFNet, arXiv 2503.06762",
            config=RbfRadianceConfig,
            module="fields.models.composed:RbfRadiance",
        ),
        Model(
            name="triplane",
            use="Of scenes: planes over every pair of axes, of space and time where it moves.",
            source="Chan et al. 2022, arXiv 2112.07945; Fridovich-Keil et al. 2023, K-Planes,"
            " arXiv 2301.10241",
            config=TriPlaneRadianceConfig,
            module="fields.models.composed:TriPlaneRadiance",
        ),
        Model(
            name="fourier",
            use="Of scenes: one ReLU network on sines and cosines of the place, which most papers"
            " compare with. It takes hours where a grid takes minutes.",
            source="Mildenhall et al. 2020, NeRF, arXiv 2003.08934",
            config=FourierRadianceConfig,
            module="fields.models.composed:FourierRadiance",
        ),
        Model(
            name="cam",
            use="Of scenes: as fourier, with every layer normalised, then scaled and shifted by"
            " small grids over space, or over time where the scene moves: for small files. With"
            " --view as published: grids over the direction of the view, norm over a ray's samples,"
            " and no mesh.",
            source="Lee et al. 2024, Coordinate-Aware Modulation for Neural Fields,"
            " arXiv 2311.14993",
            config=CamRadianceConfig,
            module="fields.models.cam_radiance:CamRadiance",
        ),
    ]
}
ALL = (*MODELS.values(), *SCENE_MODELS.values())


def models_of(kind: str) -> dict[str, Model]:
    """Those that learn signals of a kind."""
    return SCENE_MODELS if kind == "scene" else MODELS


def find(name: str, kind: str = "picture") -> Model:
    """The model of that name, for signals of a kind; FieldsError with a suggestion where there is
    none."""
    known = models_of(kind)
    if name in known:
        return known[name]
    if kind == "scene" and name in MODELS:
        raise FieldsError(f"--model {name} is not for scenes{suggestion(name, known)}")
    raise FieldsError(f"there is no model {name!r}{suggestion(name, known)}")


def suggestion(name: str, known: Iterable[str], prefix: str = "") -> str:
    """A tail for an error line: the nearest of the known names, or all of them.

    With the prefix `--` the names are shown as flags.
    """
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    shown = [prefix + (n.replace("_", "-") if prefix else n) for n in near or known]
    return f"; did you mean {shown[0]}?" if near else f"; there are {', '.join(shown)}"


def name_of(config: Config) -> str:
    """The name of the model that a configuration belongs to."""
    return of(type(config)).name


def of(config: type[Config]) -> Model:
    """The model of a class of configurations."""
    for model in ALL:
        if config is model.config:
            return model
    raise FieldsError(f"{config.__name__} is no configuration of a model of this catalogue")


def among(config: type[Config]) -> dict[str, Model]:
    """The models of the same kind of signals as that of a class of configurations."""
    scenes = any(config is model.config for model in SCENE_MODELS.values())
    return SCENE_MODELS if scenes else MODELS


def config_of(module: Any) -> Config | None:
    """The configuration of a module that is one of the catalogue's; None for any other."""
    own = f"{type(module).__module__}:{type(module).__qualname__}"
    return module.config if any(m.module == own for m in ALL) else None


def build(config: Config) -> Any:
    """The nn.Module that a configuration describes, with its initial weights."""
    home, name = of(type(config)).module.split(":")
    return getattr(importlib.import_module(home), name)(**config.as_dict())
