"""A model of the catalogue, trained on a picture: what its kernels are compared at."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from fields import catalogue
from fields.bench.samples import Samples
from fields.configs import Config
from fields.plan import TRAINING, Training


@dataclass(frozen=True)
class FieldWork(Samples):
    """
    Args:
        model: its name.
        settings: of its configuration, where they are not the usual ones.
    """

    model: str = "siren"
    settings: dict[str, Any] = dataclasses.field(default_factory=dict, hash=False)

    @property
    def config(self) -> Config:
        return catalogue.find(self.model).config(self.channels, self.dim, **self.settings)

    def field(self) -> Any:
        """With the weights that every engine begins with."""
        return catalogue.build(self.config)

    @property
    def training(self) -> Training:
        """As of the model, but with torch's Adam, which updates all rows of a table."""
        usual = TRAINING[self.model]
        return dataclasses.replace(usual, batch=self.batch, touched_only=False)

    def __str__(self) -> str:
        parts = [f"{name} {value:g}" for name, value in self.settings.items()]
        return f"{self.model}, {', '.join(parts)}, {self.config.parameters:,} parameters"
