"""How a reader is trained: what can be chosen."""

from dataclasses import dataclass

from fields.configs.base import Checked, setting


@dataclass(frozen=True)
class Recipe(Checked):
    """Settings of one training; AdamW, and a learning rate that rises and falls once."""

    steps: int = setting(600, help="of training, at most", low=1, high=10_000_000)
    batch: int = setting(32, help="fields of a step", low=2, high=1 << 16)
    lr: float = setting(2e-3, help="the highest learning rate", low=0.0)
    weight_decay: float = setting(0.05, help="of AdamW", low=0.0)
    smoothing: float = setting(0.1, help="of labels", low=0.0, high=0.9)
    symmetries: str = setting(
        "none", help="by which training moves fields", choices=("none", "flips", "all")
    )
    views: int = setting(1, help="symmetries that answers are the mean over", low=1, high=48)
    looks: int = setting(10, help="at the validation shapes", low=1, high=1000)
    patience: int = setting(6, help="looks without gain that end it", low=1, high=1000)
