"""How far apart two spectra are: how many bins their parts must be moved."""

from torch import Tensor


def wasserstein(p: Tensor, q: Tensor) -> Tensor:
    """The 1-D Wasserstein distance of spectra [..., bins], in bins: sum of |CDF_p - CDF_q|.

    Shares are what counts: each is divided by its sum first, which must not be zero. Zero for equal
    spectra; the distance of two single bins is how many lie between them, plus one.
    """
    shares_p, shares_q = (s.double() / s.double().sum(-1, keepdim=True) for s in (p, q))
    return (shares_p.cumsum(-1) - shares_q.cumsum(-1)).abs().sum(-1)
