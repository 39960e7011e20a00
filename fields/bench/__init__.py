"""Measurements: `fields bench NAME`. Every number that the README quotes is printed by one of them.

kernels   our kernels against torch, torch.compile and Dr.Jit, and the peak of this machine
image     seconds to 30, 35 and 40 dB, and PSNR after so many seconds
models    every model at one number of parameters, by steps and by seconds
fresh     the frequency that FreSh chooses, beside a sweep of all
cam       what coordinate-aware modulation adds to a network, and by what
rbf       Gaussian kernels, MLPs and a linear layer behind one grid
proxy     scenes baked into bricks for the viewer: error, time of a picture, bytes
"""
